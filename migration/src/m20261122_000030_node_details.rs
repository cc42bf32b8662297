//! What nodes tell of themselves beside their lease: their version, when they renewed last and how their clock differs, and
//! the root secrets that they know, by fingerprints. Rows of the version before have none of it.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, string_null, text_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            string_null("version"),
            // By the database's clock.
            big_integer_null("renewed_at"),
            // How far the node's clock was before the database's then, in microseconds.
            big_integer_null("clock_ahead"),
            // What it makes new things under.
            string_null("root"),
            // What it can read, with spaces between them; the one above is among them.
            text_null("reads"),
        ];
        for column in columns {
            manager.alter_table(Table::alter().table("nodes").add_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
