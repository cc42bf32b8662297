//! `GET /org/members`

use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use domain::access::Role;
use domain::access::permission::MembersRead;
use domain::member::{MemberFilter, MemberPosition};
use domain::time::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::shapes::MemberShape;
use crate::code::Code;
use crate::compose::Services;
use crate::extract::{Allowed, Asked, Paging, encode_cursor};
use crate::problem::Problem;
use crate::v1::{Items, Refusals};

/// Longest text to look for, in characters.
const TEXT_MAX: usize = 100;

/// Which members.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct MembersAsked {
    /// Those with this role.
    #[param(inline)]
    role: Option<HeldRole>,
    /// The disabled ones (`true`), or those who are not.
    disabled: Option<bool>,
    /// Those whose e-mail address or name has this in it, in upper or lower case.
    #[param(max_length = 100)]
    q: Option<String>,
}

/// A role that a member has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HeldRole {
    /// Reads.
    Viewer,
    /// Writes.
    Editor,
    /// Manages.
    Admin,
    /// The one owner.
    Owner,
}

impl From<HeldRole> for Role {
    fn from(role: HeldRole) -> Self {
        match role {
            HeldRole::Viewer => Self::Viewer,
            HeldRole::Editor => Self::Editor,
            HeldRole::Admin => Self::Admin,
            HeldRole::Owner => Self::Owner,
        }
    }
}

impl MembersAsked {
    fn filter(self) -> Result<MemberFilter, Problem> {
        let text = self.q.filter(|text| !text.is_empty());
        // PostgreSQL takes no NUL in a text.
        if text.as_ref().is_some_and(|text| text.chars().count() > TEXT_MAX || text.contains('\0')) {
            let how = format!("must be at most {TEXT_MAX} characters, without NUL");
            return Err(Problem::field(Code::ValidationFailed, "q", how));
        }
        Ok(MemberFilter { role: self.role.map(Into::into), disabled: self.disabled, text })
    }
}

fn cursor(position: MemberPosition) -> String {
    encode_cursor(&format!("{} {}", position.joined_at.as_micros(), position.user))
}

fn position(cursor: &str) -> Option<MemberPosition> {
    let (at, user) = cursor.split_once(' ')?;
    Some(MemberPosition { joined_at: Timestamp::from_micros(at.parse().ok()?), user: user.parse().ok()? })
}

/// The members of the organization, in the order in which they joined.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "list_members", tag = "organization",
    params(Paging, MembersAsked),
    responses((status = 200, description = "A page of members.", body = Items<MemberShape>), Refusals),
    security(("access_token" = []))
)]
#[get("/org/members")]
pub async fn list_members(
    allowed: Allowed<MembersRead>,
    services: Data<Services>,
    paging: Asked<Paging>,
    asked: Asked<MembersAsked>,
) -> Result<HttpResponse, Problem> {
    let filter = asked.read()?.filter()?;
    let page = services.members.list(&allowed, filter, paging.read()?.request(position)?).await?;
    let next_cursor = page.next.map(cursor);
    Ok(HttpResponse::Ok().json(Items { items: page.items.iter().map(MemberShape::from).collect(), next_cursor }))
}
