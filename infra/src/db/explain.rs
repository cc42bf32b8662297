//! How SQLite will walk the statements that must stay quick however many keys there are. For tests: they hold the product
//! to its indexes with the very statements that it sends.

use domain::access::WithinOrganization;
use domain::call::port::CallPosition;
use domain::id::{OrganizationId, UserId};
use domain::key::Digest;
use domain::key::port::{KeyFilter, KeyPosition};
use domain::page::PageRequest;
use domain::store::StoreFault;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryTrait, Select};

use super::Database;
use super::calls::page_rows as call_page;
use super::entity::api_key;
use super::fault::store_fault;
use super::key_directory::by_digest;
use super::key_pages::page_rows;
use super::scoped::unscoped;

impl Database {
    /// The plan of a key's look-up by its digest, one step per line.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn explain_look_up(&self) -> Result<Vec<String>, StoreFault> {
        self.explain(by_digest(&Digest::from_bytes([0; 32]))).await
    }

    /// The plan of a page of keys: of an organization, of a person in it, or with neither of all.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn explain_page(
        &self,
        organization: Option<OrganizationId>,
        owner: Option<UserId>,
        page: PageRequest<KeyPosition>,
    ) -> Result<Vec<String>, StoreFault> {
        let mut keys = unscoped("nothing is read but the plan").find::<api_key::Entity>();
        if let Some(organization) = organization {
            keys = keys.filter(api_key::Column::OrganizationId.eq(organization.as_uuid()));
        }
        if let Some(owner) = owner {
            keys = keys.filter(api_key::Column::OwnerId.eq(owner.as_uuid()));
        }
        self.explain(page_rows(keys, &KeyFilter::default(), page)).await
    }

    /// The plan of a page of calls.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn explain_calls(
        &self,
        scope: &dyn WithinOrganization,
        page: &PageRequest<CallPosition>,
    ) -> Result<Vec<String>, StoreFault> {
        self.explain(call_page(scope, page)).await
    }

    async fn explain<E: EntityTrait>(&self, select: Select<E>) -> Result<Vec<String>, StoreFault> {
        let mut statement = select.build(self.reader().get_database_backend());
        statement.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
        let rows = self.reader().query_all_raw(statement).await.map_err(store_fault)?;
        rows.iter().map(|row| row.try_get("", "detail").map_err(store_fault)).collect()
    }
}
