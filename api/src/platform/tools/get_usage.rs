//! `get_usage`: the tenant's own calls of the last day.

use std::sync::Arc;
use std::time::Duration;

use domain::access::Permission;
use domain::call::port::Caller as Calls;
use domain::connection::Holder;
use domain::server::port::{ServerDirectory, ServerName};
use domain::tenant::Tenant;
use domain::time::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};

use super::{Effect, Nothing, SystemTool, nothing, read};
use crate::platform::caller::Caller;
use crate::problem::Problem;
use crate::v1::time;

/// How far back it looks.
const PERIOD: Duration = Duration::from_hours(24);

pub static TOOL: SystemTool = SystemTool {
    name: "get_usage",
    title: "Get usage",
    description: "Tells how many calls you made in the last 24 hours and how many of them failed, by server. Only your \
                  own calls are counted.",
    permission: Permission::UsageRead,
    effect: Effect::Reads,
    arguments: nothing,
    run: |caller, arguments| {
        Box::pin(async move {
            let Nothing {} = read(arguments)?;
            run(&caller).await
        })
    },
};

async fn run(caller: &Arc<Caller>) -> Result<Value, Problem> {
    let now = SystemClock.now();
    let period = i64::try_from(PERIOD.as_micros()).unwrap_or(i64::MAX);
    let since = Timestamp::from_micros(now.as_micros().saturating_sub(period));
    let own = match (Holder::of(&caller.grant), caller.grant.tenant()) {
        (Some(Holder::TenantUser(_)), tenant @ Tenant::Below { .. }) => {
            Calls::Tenant { org: tenant.org().cloned(), user: tenant.user().cloned() }
        }
        _ => Calls::Key(caller.live_key()),
    };
    let sums = caller.services.call_records.sums(&*caller.grant, &own, since).await?;
    let mut servers = Vec::with_capacity(sums.len());
    for sum in &sums {
        let slug = caller.slug_of(&ServerName::Id(sum.server)).await?;
        servers.push(
            json!({"server": slug, "serverId": sum.server.to_string(), "calls": sum.calls, "errors": sum.errors}),
        );
    }
    Ok(json!({"from": time(since), "to": time(now), "servers": servers}))
}

impl Caller {
    fn live_key(&self) -> domain::key::KeyId {
        use domain::key::port::LiveKey;
        self.live.facts().id
    }

    async fn slug_of(&self, name: &ServerName) -> Result<Option<String>, Problem> {
        let organization = self.grant.organization().id;
        let scope = domain::access::SystemScope::new(organization, "calls are shown with the names of their servers");
        let found = match self.services.server_directory.cached(organization, name) {
            Some(server) => Some(server),
            None => self.services.server_directory.find(&scope, name).await?,
        };
        Ok(found.map(|server| server.slug.to_string()))
    }
}
