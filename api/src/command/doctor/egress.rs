//! Where Keyrack may connect to, and whether the servers that are registered can be reached from here.

use std::sync::Arc;
use std::time::Duration;

use domain::egress::{EgressPolicy, EgressRefusal};
use futures_util::{StreamExt, stream};
use infra::db::{Database, Registered};
use infra::upstream::{Probe, UpstreamFault};
use url::Url;

use super::super::chain;
use super::report::Report;
use crate::settings::Settings;

/// Servers that are tried at once.
const AT_ONCE: usize = 16;

/// What the setting allows.
pub fn check_setting(settings: &Settings, report: &mut Report) {
    if settings.egress_allow.is_empty() {
        return report.good("egress", "upstream servers must have public addresses");
    }
    let networks: Vec<_> = settings.egress_allow.iter().map(ToString::to_string).collect();
    report.good("egress", &format!("also allowed: {}", networks.join(", ")));
}

/// Every server that is registered.
pub async fn check_servers(settings: &Settings, database: &Database, report: &mut Report) {
    let servers = match database.registered_servers().await {
        Ok(servers) => servers,
        Err(fault) => return report.bad("egress", &chain(&fault), "look at the database's own log"),
    };
    let policy = Arc::new(settings.egress());
    let (probe, limit) = (Probe::new(&policy), settings.upstream_connect_timeout);
    let tried: Vec<_> = stream::iter(&servers)
        .map(|server| {
            let reached = reach(&policy, &probe, server, limit);
            async move { (server, reached.await) }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let reached = tried.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    for (server, outcome) in &tried {
        if let Err(fault) = outcome {
            let name = format!("{}/{}{}", server.organization, server.server, origin(&server.url));
            report.bad("egress", &format!("the server {name}: {}", chain(fault)), fix(fault));
        }
    }
    report.good("egress", &format!("{reached} of {} registered servers can be reached from here", servers.len()));
}

async fn reach(
    policy: &EgressPolicy,
    probe: &Probe,
    server: &Registered,
    limit: Duration,
) -> Result<(), UpstreamFault> {
    let url = policy.vet(&server.url).map_err(UpstreamFault::Egress)?;
    probe.reach(url.as_url(), limit).await
}

/// Where it is: nothing of a path or query, which can hold a secret.
fn origin(url: &str) -> String {
    let origin = Url::parse(url).map(|url| url.origin().ascii_serialization());
    origin.map_or_else(|_| String::new(), |origin| format!(" ({origin})"))
}

const fn fix(fault: &UpstreamFault) -> &'static str {
    match fault {
        UpstreamFault::Egress(EgressRefusal::Address(_) | EgressRefusal::PlainHttp) => {
            "list its network in KEYRACK_EGRESS_ALLOW, or give the server another URL"
        }
        UpstreamFault::Egress(_) => "give the server a URL that can be used",
        UpstreamFault::Unreachable(_) => {
            "check that it runs, that its name resolves here, and that no firewall is between"
        }
        UpstreamFault::ConnectTimeout => "check that it runs, and that no firewall between drops packets",
        UpstreamFault::Tls(_) => "check that its certificate is good for its name and publicly trusted",
        UpstreamFault::Broken(_) | UpstreamFault::Switched | UpstreamFault::Ended => {
            "check that it speaks HTTP at this address"
        }
    }
}
