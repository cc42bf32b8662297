//! `GET /audit-events`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::permission::AuditRead;
use domain::audit::Outcome;
use domain::audit::port::{AuditFilter, AuditOrder};
use domain::field::FieldErrors;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::{IntoParams, ToSchema};

use super::shapes::AuditEventShape;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Most bytes of a text to look for.
const TEXT_MAX: usize = 128;
/// Who can have acted.
const ACTOR_KINDS: [&str; 4] = ["key", "member", "anonymous", "system"];

/// Which events. A parameter that does not exist is refused: a misspelt filter would show everything.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct AuditQuery {
    /// Most events to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
    /// `nextCursor` of the page before, with the same filters and order.
    cursor: Option<String>,
    /// `desc`, the newest first (the default), or `asc`.
    #[param(inline)]
    order: Option<OrderName>,
    /// RFC 3339: at this time or later.
    #[param(format = DateTime, example = "2026-11-21T00:00:00Z")]
    from: Option<String>,
    /// RFC 3339: before this time.
    #[param(format = DateTime, example = "2026-11-22T00:00:00Z")]
    to: Option<String>,
    /// `key`, `member`, `anonymous` or `system`.
    actor_kind: Option<String>,
    /// By this key or person: `key_…` or `usr_…`.
    actor_id: Option<String>,
    /// This action, for example `key.revoke` or `mcp.connect`.
    action: Option<String>,
    /// To this kind of thing, for example `key` or `server`.
    target_kind: Option<String>,
    /// To this key, server or person.
    target_id: Option<String>,
    /// `allowed`, `refused` or `error`.
    outcome: Option<String>,
    /// Refused with this code.
    code: Option<String>,
    /// Of this request.
    request_id: Option<String>,
    /// On behalf of this tenant org, by the caller's own id.
    tenant_org: Option<String>,
    /// On behalf of this tenant user, by the caller's own id.
    tenant_user: Option<String>,
    /// The tenant parameters of every route; they were checked before.
    #[serde(rename = "org_id")]
    #[param(ignore)]
    _org_id: Option<IgnoredAny>,
    #[serde(rename = "user_id")]
    #[param(ignore)]
    _user_id: Option<IgnoredAny>,
}

/// In which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderName {
    /// The newest first.
    Desc,
    /// The oldest first.
    Asc,
}

fn word(field: &str, text: Option<String>, errors: &mut FieldErrors) -> Option<String> {
    let text = text?;
    if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        errors.add(field, format!("must be 1 to {TEXT_MAX} bytes without control characters"));
        return None;
    }
    Some(text)
}

/// A time range as parameters have it, for the export too.
pub(super) fn range(
    from: Option<&str>,
    to: Option<&str>,
    errors: &mut FieldErrors,
) -> (Option<Timestamp>, Option<Timestamp>) {
    let from = errors.take_optional("from", from.map(Timestamp::parse));
    let to = errors.take_optional("to", to.map(Timestamp::parse));
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        errors.add("to", "must be after from");
    }
    (from, to)
}

impl AuditQuery {
    fn filter(self) -> Result<AuditFilter, FieldErrors> {
        let mut errors = FieldErrors::default();
        let (from, to) = range(self.from.as_deref(), self.to.as_deref(), &mut errors);
        let outcome = self.outcome.map(|name| Outcome::named(&name).ok_or("must be allowed, refused or error"));
        if self.actor_kind.as_deref().is_some_and(|kind| !ACTOR_KINDS.contains(&kind)) {
            errors.add("actorKind", format!("must be one of {}", ACTOR_KINDS.join(", ")));
        }
        let request = self.request_id.map(|id| uuid::Uuid::parse_str(&id).map_err(|_| "must be a request's id"));
        let filter = AuditFilter {
            from,
            to,
            actor_kind: self.actor_kind,
            actor_id: word("actorId", self.actor_id, &mut errors),
            action: word("action", self.action, &mut errors),
            target_kind: word("targetKind", self.target_kind, &mut errors),
            target_id: word("targetId", self.target_id, &mut errors),
            outcome: errors.take_optional("outcome", outcome),
            code: word("code", self.code, &mut errors),
            request_id: errors.take_optional("requestId", request),
            tenant_org: errors.take_optional("tenantOrg", self.tenant_org.as_deref().map(TenantText::new)),
            tenant_user: errors.take_optional("tenantUser", self.tenant_user.as_deref().map(TenantText::new)),
        };
        errors.check()?;
        Ok(filter)
    }
}

/// The organization's audit log, newest first. A page can have fewer events than the limit, also none, and yet have a
/// `nextCursor`: one request looks at a bounded number of events. Go on until it is null.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_audit_events", tag = "audit",
    params(AuditQuery),
    responses((status = 200, description = "A page of events.", body = Items<AuditEventShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/audit-events")]
pub async fn list_audit_events(
    allowed: Allowed<AuditRead>,
    services: Data<Services>,
    query: Asked<AuditQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.read()?;
    let page = Paging { limit: query.limit, cursor: query.cursor.clone() }.request(|cursor| cursor.parse().ok())?;
    let order = match query.order {
        None | Some(OrderName::Desc) => AuditOrder::Descending,
        Some(OrderName::Asc) => AuditOrder::Ascending,
    };
    let filter = query.filter()?;
    let page = services.audit_reader.page(&allowed, &filter, order, page).await?;
    let next_cursor = page.next.map(|seq| encode_cursor(&seq.to_string()));
    Ok(HttpResponse::Ok().json(Items { items: page.items.iter().map(AuditEventShape::from).collect(), next_cursor }))
}
