//! Registered upstream servers.

pub mod approve;
pub mod archive;
pub mod auth;
pub mod change;
pub mod create;
pub mod get;
pub mod list;
mod shapes;
pub mod sync;

pub use shapes::ServerShape;

use domain::access::TenantScope;
use domain::access::permission::ServersRead;
use domain::server::model::SharedServer;

use crate::compose::Services;
use crate::problem::Problem;

/// A server as this caller sees it, who may see it.
///
/// # Errors
/// [`Problem`]
pub async fn view(services: &Services, scope: &TenantScope, server: &SharedServer) -> Result<ServerShape, Problem> {
    let read = scope.clone().grant::<ServersRead>()?;
    let offers = services.capabilities.offers(&read, &[server.id]).await?;
    Ok(ServerShape::new(server, services.health.view(server.id)).offering(scope, offers.get(&server.id)))
}
