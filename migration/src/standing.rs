//! How a database stands beside the steps that this version knows. It looks and makes nothing, not even the table of steps.

use std::collections::BTreeSet;

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, FromQueryResult};
use sea_orm_migration::{SchemaManager, seaql_migrations};

use crate::Migrator;

/// What is missing, and what is there beyond it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many steps of this version are still to be run.
    pub pending: usize,
    /// Steps of a newer version, which this one does not know and, since they only add, need not know.
    pub newer: Vec<String>,
}

impl Standing {
    /// Reads it.
    ///
    /// # Errors
    /// [`DbErr`]
    pub async fn of<'c, C>(db: &'c C) -> Result<Self, DbErr>
    where
        C: ConnectionTrait,
        &'c C: IntoSchemaManagerConnection<'c>,
    {
        let known: BTreeSet<_> = Migrator::migrations().iter().map(|step| step.name().to_owned()).collect();
        let done = if SchemaManager::new(db).has_table("seaql_migrations").await? {
            steps(db).await?.into_iter().map(|step| step.version).collect()
        } else {
            BTreeSet::new()
        };
        Ok(Self { pending: known.difference(&done).count(), newer: done.difference(&known).cloned().collect() })
    }
}

/// Every step that was run, of whichever version.
pub async fn steps(db: &impl ConnectionTrait) -> Result<Vec<seaql_migrations::Model>, DbErr> {
    let all = Query::select().columns(["version", "applied_at"]).from("seaql_migrations").to_owned();
    db.query_all(&all).await?.iter().map(|row| seaql_migrations::Model::from_query_result(row, "")).collect()
}
