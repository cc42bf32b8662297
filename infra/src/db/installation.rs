//! What the database knows of the installation that it belongs to.

use domain::store::StoreFault;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, QueryFilter};

use super::Database;
use super::entity::installation;
use super::fault::store_fault;
use super::scoped::unscoped;

pub(super) const ROOT_FINGERPRINT: &str = "root_fingerprint";
const REASON: &str = "the installation is above its organizations";

impl Database {
    /// The fingerprint of the root secret that this database was first used with; none for a new one.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn root_fingerprint(&self) -> Result<Option<String>, StoreFault> {
        let row = unscoped(REASON)
            .find::<installation::Entity>()
            .filter(installation::Column::Name.eq(ROOT_FINGERPRINT))
            .one(self.reader())
            .await
            .map_err(store_fault)?;
        Ok(row.map(|row| row.value))
    }

    /// Notes the fingerprint of a new database's root secret; one that is noted already stays.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn note_root_fingerprint(&self, fingerprint: &str) -> Result<(), StoreFault> {
        let row = installation::ActiveModel {
            name: ActiveValue::Set(ROOT_FINGERPRINT.to_owned()),
            value: ActiveValue::Set(fingerprint.to_owned()),
        };
        unscoped(REASON)
            .insert(row)
            .on_conflict(OnConflict::column(installation::Column::Name).do_nothing().to_owned())
            .exec_without_returning(self.writer())
            .await
            .map_err(store_fault)?;
        Ok(())
    }
}
