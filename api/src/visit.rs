//! Asking upstream servers for ourselves: what they offer. Who asks is asserted like a call's caller.

use std::sync::Arc;
use std::time::Duration;

use domain::access::TenantScope;
use domain::capability::Snapshot;
use domain::server::UpstreamAuth;
use domain::server::model::SharedServer;
use infra::mcp_client::{ClientFault, Deadlines, HeaderFault, connect};
use infra::upstream::Target;
use tokio::time::timeout;

use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

/// How long a server is given for each request, and for greeting it; less where its own time for silence is less.
const ANSWER: Duration = Duration::from_secs(20);
/// How long it is given in all.
const VISIT: Duration = Duration::from_mins(1);

/// Asks a server what it offers, on behalf of this scope and with this credential.
///
/// # Errors
/// [`Problem`]: 502 or 504 with the reason.
pub async fn visit(
    services: &Arc<Services>,
    scope: &TenantScope,
    server: &SharedServer,
    credential: UpstreamAuth,
) -> Result<Snapshot, Problem> {
    let target = Target::of(server.url.as_url())
        .map_err(|_| Problem::because(Code::UpstreamError, "the server's URL cannot be connected to"))?;
    let connecting = server.timeouts.connect_or(services.settings.upstream_connect_timeout);
    let answer = server.timeouts.idle_or(services.settings.upstream_idle_timeout).min(ANSWER);
    let deadlines = Deadlines { connect: connecting, handshake: answer, answer };
    let (signing, scope, record) = (Arc::clone(services), scope.clone(), Arc::clone(server));
    let headers = move || signing.passports.headers(&scope, &record, &credential).map_err(HeaderFault::from);
    let visit = async {
        let session = connect(&services.visitor, target, Arc::new(headers), deadlines, None).await?;
        let offer = session.offer().await;
        session.close().await;
        offer
    };
    let offer = timeout(VISIT, visit).await.unwrap_or(Err(ClientFault::TimedOut))?;
    Snapshot::of(offer).map_err(|twice| Problem::because(Code::UpstreamError, twice))
}
