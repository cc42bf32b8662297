//! What an operator wants to know of the whole installation, above its organizations.

use domain::root::RootSecret;
use domain::store::StoreFault;
use sea_orm::{ColumnTrait, EntityTrait, JoinType, QueryFilter, QueryOrder, QuerySelect, RelationDef};

use super::Database;
use super::entity::{organization, server};
use super::fault::store_fault;
use super::reseal::{Sealed, sealed};
use super::scoped::unscoped;
use crate::seal::Sealer;

const REASON: &str = "the operator looks at the whole installation";

/// A server that an organization has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The organization's slug.
    pub organization: String,
    /// The server's slug.
    pub server: String,
    /// Its URL, which can hold a secret.
    pub url: String,
}

impl Database {
    /// Every server that is not archived.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn registered_servers(&self) -> Result<Vec<Registered>, StoreFault> {
        let rows: Vec<(String, String, String)> = unscoped(REASON)
            .find::<server::Entity>()
            .filter(server::Column::ArchivedAt.is_null())
            .join(JoinType::InnerJoin, of_organization())
            .select_only()
            .column(organization::Column::Slug)
            .column(server::Column::Slug)
            .column(server::Column::Url)
            .order_by_asc(organization::Column::Slug)
            .order_by_asc(server::Column::Slug)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(store_fault)?;
        Ok(rows.into_iter().map(|(organization, server, url)| Registered { organization, server, url }).collect())
    }

    /// How much is sealed for good, and what of it these root secrets do not open.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn sealed(&self, root: &RootSecret, other: Option<&RootSecret>) -> Result<Sealed, StoreFault> {
        sealed(self.reader(), &Sealer::derive(root).with_other(other)).await
    }
}

fn of_organization() -> RelationDef {
    server::Entity::belongs_to(organization::Entity)
        .from(server::Column::OrganizationId)
        .to(organization::Column::Id)
        .into()
}
