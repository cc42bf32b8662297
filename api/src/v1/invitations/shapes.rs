//! What invitation operations give.

use domain::invitation::InvitationRecord;
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::{PersonShape, time};

/// An invitation that was not accepted or revoked.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitationShape {
    /// `inv_…`
    #[schema(example = "inv_01kafx5tgyf1na07m4q6nf1sgb")]
    id: String,
    /// Who is invited.
    #[schema(example = "bob@example.com")]
    email: String,
    /// As what: `viewer`, `editor` or `admin`.
    #[schema(example = "editor")]
    role: &'static str,
    /// By whom.
    invited_by: PersonShape,
    /// When.
    created_at: String,
    /// Until when its link works.
    expires_at: String,
}

/// An invitation and its link, shown this once.
#[derive(Serialize, ToSchema)]
pub struct CreatedInvitationShape {
    /// The invitation.
    pub invitation: InvitationShape,
    /// For `POST /auth/invitations/accept`; works once.
    #[schema(example = "kri_…")]
    pub token: String,
    /// A page where the person accepts. Bring it to them, unless it was mailed.
    #[schema(example = "https://keys.example.com/accept-invitation#token=kri_…")]
    pub link: String,
    /// Whether a mail server took a letter with the link.
    pub mailed: bool,
}

impl From<&InvitationRecord> for InvitationShape {
    fn from(invitation: &InvitationRecord) -> Self {
        Self {
            id: invitation.id.to_string(),
            email: invitation.email.to_string(),
            role: invitation.role.as_str(),
            invited_by: PersonShape::from(&invitation.invited_by),
            created_at: time(invitation.created_at),
            expires_at: time(invitation.expires_at),
        }
    }
}
