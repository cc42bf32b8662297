//! When each key of assertions begins to sign.

use async_trait::async_trait;
use domain::assertion::keys::{AssertionKeyStore, KeySchedule, NumberedKey};
use domain::audit::AuditEvent;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::ActiveValue;
use sea_orm::sea_query::OnConflict;

use super::Database;
use super::audit::record;
use super::entity::assertion_key::{self, Column};
use super::fault::store_fault;
use super::scoped::unscoped;

const REASON: &str = "the keys of assertions are the installation's";

/// The series in the database.
#[derive(Clone)]
pub struct SqlAssertionKeys {
    db: Database,
}

impl SqlAssertionKeys {
    /// Keeps the series in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

#[async_trait]
impl AssertionKeyStore for SqlAssertionKeys {
    async fn schedule(&self) -> Result<KeySchedule, StoreFault> {
        let rows = unscoped(REASON).find::<assertion_key::Entity>().all(self.db.reader()).await.map_err(store_fault)?;
        let key = |row: assertion_key::Model| {
            let number = u32::try_from(row.number).map_err(|_| StoreFault::Corrupt("number of a key".to_owned()))?;
            Ok(NumberedKey { number, signs_from: Timestamp::from_micros(row.signs_from) })
        };
        Ok(KeySchedule::new(rows.into_iter().map(key).collect::<Result<_, StoreFault>>()?))
    }

    async fn add(&self, key: NumberedKey, event: AuditEvent) -> Result<bool, StoreFault> {
        let number = i32::try_from(key.number).map_err(|_| StoreFault::Corrupt("number of a key".to_owned()))?;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let added = unscoped(REASON)
            .insert(assertion_key::ActiveModel {
                number: ActiveValue::Set(number),
                signs_from: ActiveValue::Set(key.signs_from.as_micros()),
            })
            .on_conflict(OnConflict::column(Column::Number).do_nothing().to_owned())
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        if added == 0 {
            return Ok(false);
        }
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(true)
    }
}
