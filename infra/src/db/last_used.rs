//! Writing when keys were last used.

use domain::key::KeyId;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{ColumnTrait, Condition, QueryFilter, TransactionTrait};

use super::Database;
use super::entity::api_key;
use super::fault::store_fault;
use super::scoped::unscoped;

/// Last uses in the database.
#[derive(Clone)]
pub struct SqlLastUsed {
    db: Database,
}

impl SqlLastUsed {
    /// Writes to this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// Notes uses, in one transaction. A later use that stands there already stays.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn write(&self, uses: &[(KeyId, Timestamp)]) -> Result<(), StoreFault> {
        use api_key::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        for (key, at) in uses {
            let at = at.as_micros();
            unscoped("only keys that were verified are noted")
                .update::<api_key::Entity>()
                .filter(Column::Id.eq(key.as_token_part()))
                .filter(Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lt(at)))
                .col_expr(Column::LastUsedAt, at.into())
                .exec(&transaction)
                .await
                .map_err(store_fault)?;
        }
        transaction.commit().await.map_err(store_fault)
    }
}
