//! The schema only grows: while nodes are replaced one by one, those of the version before go on reading and writing.

use std::collections::{BTreeMap, BTreeSet};

use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use support::{App, postgres};

/// What a column is: its type, and whether a row can be written without it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Column {
    kind: String,
    optional: bool,
}

/// Tables with their columns, and what is unique in them.
#[derive(Debug, Default)]
struct Schema {
    tables: BTreeMap<String, BTreeMap<String, Column>>,
    unique: BTreeMap<String, BTreeSet<String>>,
}

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<sea_orm::QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("rows")
}

impl Schema {
    async fn of(db: &DatabaseConnection) -> Self {
        let (columns, unique) = match db.get_database_backend() {
            DbBackend::Postgres => (
                "SELECT table_name::text AS of, column_name::text AS name, data_type::text AS kind, \
                 is_nullable = 'YES' OR column_default IS NOT NULL AS optional \
                 FROM information_schema.columns WHERE table_schema = 'public'",
                "SELECT tablename::text AS of, indexdef::text AS name FROM pg_indexes \
                 WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE%'",
            ),
            _ => (
                "SELECT t.name AS of, c.name AS name, c.type AS kind, \
                 c.\"notnull\" = 0 OR c.dflt_value IS NOT NULL AS optional \
                 FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
                "SELECT t.name AS of, i.name AS name FROM sqlite_master t JOIN pragma_index_list(t.name) i \
                 WHERE t.type = 'table' AND i.\"unique\" = 1",
            ),
        };
        let mut schema = Self::default();
        let text = |row: &sea_orm::QueryResult, name| row.try_get::<String>("", name).expect("a text");
        for row in rows(db, columns).await {
            let column = Column { kind: text(&row, "kind"), optional: row.try_get("", "optional").expect("a bool") };
            schema.tables.entry(text(&row, "of")).or_default().insert(text(&row, "name"), column);
        }
        for row in rows(db, unique).await {
            schema.unique.entry(text(&row, "of")).or_default().insert(text(&row, "name"));
        }
        schema
    }

    /// What a node that knows `self` could no longer do with `newer`.
    fn lost_in(&self, newer: &Self) -> Vec<String> {
        let mut lost = Vec::new();
        for (table, columns) in &self.tables {
            let Some(now) = newer.tables.get(table) else {
                lost.push(format!("{table} is gone"));
                continue;
            };
            for (name, column) in columns {
                match now.get(name) {
                    None => lost.push(format!("{table}.{name} is gone")),
                    Some(now) if now.kind != column.kind => lost.push(format!("{table}.{name} is {}", now.kind)),
                    Some(now) if column.optional && !now.optional => lost.push(format!("{table}.{name} is required")),
                    Some(_) => {}
                }
            }
            let added = now.iter().filter(|(name, column)| !columns.contains_key(*name) && !column.optional);
            lost.extend(added.map(|(name, _)| format!("{table}.{name} is new and required")));
            let none = BTreeSet::new();
            let before = self.unique.get(table).unwrap_or(&none);
            let fresh = newer.unique.get(table).unwrap_or(&none).difference(before);
            lost.extend(fresh.map(|index| format!("{table} has a new rule: {index}")));
        }
        lost
    }
}

/// What a step took when one node served and was stopped for the next version.
const OF_ONE_NODE: (&str, &str) = ("m20261121_000008_people", "memberships has a new rule");

/// Runs the steps one by one.
async fn every_step_only_adds(db: &DatabaseConnection) {
    let mut before = Schema::of(db).await;
    for step in Migrator::migrations() {
        Migrator::up(db, Some(1)).await.expect("a step");
        let after = Schema::of(db).await;
        let mut lost = before.lost_in(&after);
        lost.retain(|lost| step.name() != OF_ONE_NODE.0 || !lost.starts_with(OF_ONE_NODE.1));
        assert_eq!(lost, [""; 0], "{} takes from nodes of the version before", step.name());
        before = after;
    }
    assert!(Migrator::get_pending_migrations(db).await.expect("an answer").is_empty());
    assert!(before.tables.len() > 30, "{:?}", before.tables.keys());
}

#[tokio::test]
async fn every_step_of_the_schema_only_adds_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", data.path().join("x.db").display()));
    options.max_connections(1);
    every_step_only_adds(&Database::connect(options).await.expect("a database")).await;
}

#[tokio::test]
async fn every_step_of_the_schema_only_adds_on_postgres() {
    let url = postgres::database().await;
    every_step_only_adds(&Database::connect(&url).await.expect("a database")).await;
}

/// The test above can fail.
#[tokio::test]
async fn a_step_that_takes_something_is_found() {
    let url = postgres::database().await;
    let db = Database::connect(&url).await.expect("a database");
    Migrator::up(&db, None).await.expect("migrated");
    let before = Schema::of(&db).await;
    for (statement, lost) in [
        ("ALTER TABLE api_keys DROP COLUMN name", "api_keys.name is gone"),
        ("ALTER TABLE api_keys ALTER COLUMN created_at TYPE text", "api_keys.created_at is text"),
        ("ALTER TABLE api_keys ALTER COLUMN description SET NOT NULL", "api_keys.description is required"),
        ("ALTER TABLE api_keys ADD COLUMN colour text NOT NULL", "api_keys.colour is new and required"),
        ("DROP TABLE call_records", "call_records is gone"),
        ("CREATE UNIQUE INDEX one ON api_keys (owner_id)", "api_keys has a new rule"),
    ] {
        db.execute_unprepared(statement).await.expect("done");
        let found = before.lost_in(&Schema::of(&db).await);
        assert!(found.iter().any(|found| found.starts_with(lost)), "{statement}: {found:?}");
    }
}

/// While a node of the version before serves, one of this version comes, migrates and serves beside it.
#[tokio::test]
async fn a_node_that_migrates_takes_nothing_from_one_that_serves() {
    let old = App::on(support::Store::Postgres).await;
    let acme = old.organization("acme").await;
    let key = acme.solo().await;
    // As a newer version's step would.
    old.run_sql("ALTER TABLE api_keys ADD COLUMN colour text").await;
    old.run_sql("CREATE TABLE colours (id uuid PRIMARY KEY, name text NOT NULL)").await;
    let new = old.beside("new").await;
    for node in [&old, &new] {
        node.key(&key.token).get("/api/v1/me").await.expect(200);
        let made = acme.owner().at(node).post("/api/v1/api-keys", &serde_json::json!({"name": "x"})).await.expect(201);
        node.key(made["token"].as_str().expect("a token")).get("/api/v1/me").await.expect(200);
    }
}
