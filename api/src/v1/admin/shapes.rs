//! A key as instance admins see it: with its organization.

use domain::key::service::KeyView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::v1::api_keys::shapes::{ApiKeyShape, ReceiptShape};
use crate::v1::identity::me::OrganizationShape;

/// A key and its organization. `createdBy` is the person that it belongs to.
#[derive(Debug, Serialize, ToSchema)]
pub struct InstanceKeyShape {
    /// The key.
    #[serde(flatten)]
    key: ApiKeyShape,
    /// The organization that it belongs to.
    organization: OrganizationShape,
}

/// A revoked key, and which nodes had let go of it when this was answered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceRevokedShape {
    /// The key.
    pub api_key: InstanceKeyShape,
    /// One entry per node.
    pub receipt: Vec<ReceiptShape>,
}

impl From<&KeyView> for InstanceKeyShape {
    fn from(view: &KeyView) -> Self {
        let organization = &view.record.facts.organization;
        Self {
            key: view.into(),
            organization: OrganizationShape {
                id: organization.id.to_string(),
                slug: organization.slug.to_string(),
                name: organization.name.to_string(),
            },
        }
    }
}
