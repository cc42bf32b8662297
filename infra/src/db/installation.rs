//! What the database knows of the installation that it belongs to.

use domain::store::StoreFault;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, QueryFilter};
use uuid::Uuid;

use super::Database;
use super::entity::installation;
use super::fault::store_fault;
use super::scoped::unscoped;

pub(super) const ROOT_FINGERPRINT: &str = "root_fingerprint";
/// Says under which root secret nodes may make things that is being replaced.
pub(super) const ROOT_UNSETTLED: &str = "root_unsettled";
const REASON: &str = "the installation is above its organizations";

/// That things may have been made under a root secret that is being replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    pub(super) value: String,
}

impl Unsettled {
    /// The fingerprint of that root secret.
    #[must_use]
    pub fn root(&self) -> &str {
        self.value.split(' ').next().unwrap_or_default()
    }
}

/// What the row says: the fingerprint, and something that is another each time, so that whoever takes it away knows that
/// nobody has put it there again.
pub(super) fn unsettled_value(root: &str) -> String {
    format!("{root} {}", Uuid::new_v4())
}

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

    /// Under which root secret nodes may have made things although it is being replaced, if there were any.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn unsettled(&self) -> Result<Option<Unsettled>, StoreFault> {
        let row = unscoped(REASON)
            .find::<installation::Entity>()
            .filter(installation::Column::Name.eq(ROOT_UNSETTLED))
            .one(self.reader())
            .await
            .map_err(store_fault)?;
        Ok(row.map(|row| Unsettled { value: row.value }))
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
