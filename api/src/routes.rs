//! Every route of the product, on one page.

use actix_web::web::{self, PathConfig};
use utoipa_actix_web::scope;
use utoipa_actix_web::service_config::ServiceConfig;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::code::Code;
use crate::problem::Problem;
use crate::v1::{
    access_policies, admin, api_keys, audit_events, auth, connections, decisions, groups, identity, insights,
    invitations, mcp_servers, members, projects, runs, tenants, usage, workflows,
};
use crate::{connect, gateway, layer, openapi, platform, system};

/// The REST surface, under `/api/v1` and, for clients of the products that it unites, under `/api`.
pub fn rest(routes: &mut ServiceConfig<'_>) {
    routes
        .service(auth::signup::sign_up)
        .service(auth::login::log_in)
        .service(auth::refresh::refresh)
        .service(auth::logout::log_out)
        .service(auth::accept::accept_invitation)
        .service(auth::switch::switch_organization)
        .service(identity::me::get_me)
        .service(identity::organizations::list_my_organizations)
        .service(identity::create_organization::create_organization)
        .service(identity::org::get_org)
        .service(identity::change_org::change_org)
        .service(members::list::list_members)
        .service(members::get::get_member)
        .service(members::change::change_member)
        .service(members::remove::remove_member)
        .service(members::transfer::transfer_ownership)
        .service(invitations::create::create_invitation)
        .service(invitations::list::list_invitations)
        .service(invitations::revoke::revoke_invitation)
        .service(mcp_servers::create::create_mcp_server)
        .service(mcp_servers::list::list_mcp_servers)
        .service(mcp_servers::get::get_mcp_server)
        .service(mcp_servers::change::change_mcp_server)
        .service(mcp_servers::archive::archive_mcp_server)
        .service(mcp_servers::sync::sync_mcp_server)
        .service(mcp_servers::approve::approve_tools)
        .service(api_keys::create::create_api_key)
        .service(api_keys::list::list_api_keys)
        .service(api_keys::get::get_api_key)
        .service(api_keys::change::change_api_key)
        .service(api_keys::rotate::rotate_api_key)
        .service(api_keys::revoke::revoke_api_key)
        .service(api_keys::revoke_many::revoke_api_keys)
        .service(api_keys::replace_tenants::replace_api_key_tenants)
        .service(api_keys::change_tenants::change_api_key_tenants)
        .service(admin::list_keys::list_instance_api_keys)
        .service(admin::get_key::get_instance_api_key)
        .service(admin::revoke_key::revoke_instance_api_key)
        .service(access_policies::create::create_access_policy)
        .service(access_policies::list::list_access_policies)
        .service(access_policies::get::get_access_policy)
        .service(access_policies::update::update_access_policy)
        .service(access_policies::delete::delete_access_policy)
        .service(groups::create::create_group)
        .service(groups::list::list_groups)
        .service(groups::get::get_group)
        .service(groups::update::update_group)
        .service(groups::delete::delete_group)
        .service(projects::create::create_project)
        .service(projects::list::list_projects)
        .service(projects::get::get_project)
        .service(projects::update::update_project)
        .service(workflows::create::create_workflow)
        .service(workflows::list::list_workflows)
        .service(workflows::get::get_workflow)
        .service(workflows::change::change_workflow)
        .service(workflows::archive::archive_workflow)
        .service(workflows::archive::restore_workflow)
        .service(workflows::versions::list_workflow_versions)
        .service(workflows::versions::get_workflow_version)
        .service(workflows::proposals::create::propose_workflow_change)
        .service(workflows::proposals::list::list_workflow_proposals)
        .service(workflows::proposals::get::get_workflow_proposal)
        .service(workflows::proposals::apply::apply_workflow_change)
        .service(workflows::proposals::reject::reject_workflow_proposal)
        .service(runs::dispatch::create_run)
        .service(runs::baseline::set_baseline)
        .service(runs::baseline::remove_baseline)
        .service(runs::list::list_runs)
        .service(runs::get::get_run)
        .service(runs::steps::list_run_steps)
        .service(runs::cancel::cancel_run)
        .service(runs::events::watch_run)
        .service(runs::compare::compare_run)
        .service(decisions::authorize::authorize_request)
        .service(decisions::verify_key::verify_key)
        .service(connections::list::list_connections)
        .service(connections::get::get_connection)
        .service(connections::put::put_connection)
        .service(connections::delete::delete_connection)
        .service(connections::link::create_connect_link)
        .service(audit_events::export::export_audit_events)
        .service(audit_events::list::list_audit_events)
        .service(usage::get::get_usage)
        .service(insights::overview::get_insights_overview)
        .service(insights::list_topics::list_topics)
        .service(insights::get_topic::get_topic)
        .service(insights::update_topic::update_topic)
        .service(insights::list_sessions::list_sessions)
        .service(insights::get_session::get_session)
        .service(tenants::create_org::create_tenant_org)
        .service(tenants::list_orgs::list_tenant_orgs)
        .service(tenants::suspend_org::suspend_tenant_org)
        .service(tenants::suspend_org::resume_tenant_org)
        .service(tenants::create_user::create_tenant_user)
        .service(tenants::list_users::list_tenant_users)
        .service(tenants::suspend_user::suspend_tenant_user)
        .service(tenants::suspend_user::resume_tenant_user);
}

/// What answers outside `/api`: probes, keys for upstream servers, and the document itself.
pub fn outside(routes: &mut ServiceConfig<'_>) {
    routes
        .service(system::health::get_health)
        .service(system::ready::get_ready)
        .service(system::jwks::get_jwks)
        .service(system::oauth::no_oauth);
}

/// The gateway: `/mcp-connect/{server}` and `/mcp-connect/{server}/mcp`, every method, with and without a trailing slash,
/// never a redirect.
pub fn gateway(routes: &mut web::ServiceConfig) {
    routes.service(web::scope(gateway::PREFIX).default_service(web::to(gateway::handle)));
}

/// Whether a path speaks MCP: the gateway's, or the platform's own endpoint.
#[must_use]
pub fn is_mcp_path(path: &str) -> bool {
    gateway::is_gateway_path(path) || platform::is_platform_path(path)
}

/// The platform's own MCP endpoint, every method, with and without a trailing slash, never a redirect.
pub fn platform(routes: &mut web::ServiceConfig) {
    for path in platform::PATHS {
        routes
            .route(path, web::route().to(platform::handle))
            .route(&format!("{path}/"), web::route().to(platform::handle));
    }
}

/// The document, and the page that shows it.
pub fn documents(routes: &mut web::ServiceConfig) {
    routes
        .service(web::resource("/api/v1/openapi.json").route(web::get().to(openapi::serve)))
        .service(web::redirect("/swagger-ui", "/swagger-ui/"))
        .service(SwaggerUi::new("/swagger-ui/{path:.*}").config(Config::new(["/api/v1/openapi.json"])));
}

/// The pages that links open: those of invitations, and those to connect.
pub fn pages(routes: &mut web::ServiceConfig) {
    routes
        .configure(connect::routes)
        .service(web::resource(system::accept::ACCEPT_PAGE).route(web::get().to(system::accept::page)))
        .service(web::resource(system::accept::ACCEPT_SCRIPT).route(web::get().to(system::accept::script)));
}

/// How paths that do not parse or lead nowhere are answered.
pub fn parsing(routes: &mut web::ServiceConfig) {
    routes
        .app_data(PathConfig::default().error_handler(|_, _| Problem::new(Code::NotFound).into()))
        .default_service(web::to(layer::no_route));
}

/// Everything, in the order of matching: `/api/v1` before `/api`, which would match it too.
pub fn all(routes: &mut web::ServiceConfig) {
    routes.configure(parsing).configure(gateway).configure(platform).configure(documents).configure(pages);
    let mut described = ServiceConfig::new(routes);
    outside(&mut described);
    described.service(scope("/api/v1").configure(rest)).service(scope("/api").configure(rest));
}
