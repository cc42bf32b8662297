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

/// By table, what is said of it.
type Sayings = BTreeMap<String, BTreeSet<String>>;

/// Tables with their columns, what is unique in them, and what else a row must be or sets off.
#[derive(Debug, Default)]
struct Schema {
    tables: BTreeMap<String, BTreeMap<String, Column>>,
    unique: Sayings,
    rules: Sayings,
}

/// What PostgreSQL holds rows to. A foreign key binds both of its tables: no row that one refers to can be deleted.
const RULES_ON_POSTGRES: &str = "\
    SELECT r.relname::text AS of, pg_get_constraintdef(c.oid) AS name \
    FROM pg_constraint c JOIN pg_class r ON r.oid IN (c.conrelid, c.confrelid) \
    WHERE c.connamespace = 'public'::regnamespace AND c.contype IN ('c', 'f', 'x') \
    UNION SELECT r.relname::text, t.tgname::text FROM pg_trigger t JOIN pg_class r ON r.oid = t.tgrelid \
    WHERE NOT t.tgisinternal AND r.relnamespace = 'public'::regnamespace";

/// The same of SQLite, which has what is checked only in the table's own text.
const RULES_ON_SQLITE: &str = "\
    SELECT t.name AS of, 'references ' || f.\"table\" || '.' || coalesce(f.\"to\", '') || ' by ' || f.\"from\" AS name \
    FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' \
    UNION SELECT f.\"table\", 'referred to by ' || t.name || '.' || f.\"from\" \
    FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table' \
    UNION SELECT t.name, 'checks ' || substr(t.sql, instr(upper(t.sql), 'CHECK')) \
    FROM sqlite_master t WHERE t.type = 'table' AND instr(upper(t.sql), 'CHECK') > 0 \
    UNION SELECT tbl_name, 'trigger ' || name FROM sqlite_master WHERE type = 'trigger'";

async fn rows(db: &DatabaseConnection, sql: &str) -> Vec<sea_orm::QueryResult> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("rows")
}

impl Schema {
    async fn of(db: &DatabaseConnection) -> Self {
        let (columns, unique, rules) = match db.get_database_backend() {
            DbBackend::Postgres => (
                "SELECT table_name::text AS of, column_name::text AS name, data_type::text AS kind, \
                 is_nullable = 'YES' OR column_default IS NOT NULL AS optional \
                 FROM information_schema.columns WHERE table_schema = 'public'",
                "SELECT tablename::text AS of, indexdef::text AS name FROM pg_indexes \
                 WHERE schemaname = 'public' AND indexdef LIKE 'CREATE UNIQUE%'",
                RULES_ON_POSTGRES,
            ),
            _ => (
                "SELECT t.name AS of, c.name AS name, c.type AS kind, \
                 c.\"notnull\" = 0 OR c.dflt_value IS NOT NULL AS optional \
                 FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
                "SELECT t.name AS of, i.name || ' ' || coalesce(m.sql, \
                 (SELECT group_concat(c.name) FROM pragma_index_info(i.name) c)) AS name \
                 FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN sqlite_master m ON m.name = i.name \
                 WHERE t.type = 'table' AND i.\"unique\" = 1",
                RULES_ON_SQLITE,
            ),
        };
        let mut schema = Self::default();
        let text = |row: &sea_orm::QueryResult, name| row.try_get::<String>("", name).expect("a text");
        for row in rows(db, columns).await {
            let column = Column { kind: text(&row, "kind"), optional: row.try_get("", "optional").expect("a bool") };
            schema.tables.entry(text(&row, "of")).or_default().insert(text(&row, "name"), column);
        }
        for (sayings, sql) in [(&mut schema.unique, unique), (&mut schema.rules, rules)] {
            for row in rows(db, sql).await {
                sayings.entry(text(&row, "of")).or_default().insert(text(&row, "name"));
            }
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
            let of = |sayings: &Sayings| sayings.get(table).unwrap_or(&none).clone();
            for (before, now) in [(of(&self.unique), of(&newer.unique)), (of(&self.rules), of(&newer.rules))] {
                lost.extend(now.difference(&before).map(|rule| format!("{table} has a new rule: {rule}")));
            }
            // What `ON CONFLICT` names must be unique.
            let gone = |index: &String| format!("{table} has no longer: {index}");
            lost.extend(of(&self.unique).difference(&of(&newer.unique)).map(gone));
        }
        lost
    }
}

/// What steps took when one node served and was stopped for the next version. None is added to these.
const OF_ONE_NODE: [(&str, &str); 1] = [("m20261121_000008_people", "memberships has a new rule")];

/// Runs the steps one by one.
async fn every_step_only_adds(db: &DatabaseConnection) {
    let (mut before, mut excused) = (Schema::of(db).await, BTreeSet::new());
    for step in Migrator::migrations() {
        Migrator::up(db, Some(1)).await.expect("a step");
        let after = Schema::of(db).await;
        let mut lost = before.lost_in(&after);
        lost.retain(|lost| {
            let excuse = OF_ONE_NODE.iter().find(|(name, what)| *name == step.name() && lost.starts_with(what));
            excuse.is_none_or(|excuse| {
                excused.insert(*excuse);
                false
            })
        });
        assert_eq!(lost, [""; 0], "{} takes from nodes of the version before", step.name());
        before = after;
    }
    assert!(Migrator::get_pending_migrations(db).await.expect("an answer").is_empty());
    assert!(before.tables.len() > 30, "{:?}", before.tables.keys());
    assert_eq!(excused, BTreeSet::from(OF_ONE_NODE), "an exception that no step needs");
}

/// A new file.
async fn file(data: &tempfile::TempDir) -> DatabaseConnection {
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", data.path().join("x.db").display()));
    options.max_connections(1);
    Database::connect(options).await.expect("a database")
}

#[tokio::test]
async fn every_step_of_the_schema_only_adds_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    every_step_only_adds(&file(&data).await).await;
}

#[tokio::test]
async fn every_step_of_the_schema_only_adds_on_postgres() {
    let url = postgres::database().await;
    every_step_only_adds(&Database::connect(&url).await.expect("a database")).await;
}

/// What takes something, and how it is told. Both databases can do the first ones.
const TAKING: [(&str, &str); 13] = [
    (
        "ALTER TABLE api_keys ADD COLUMN colour text NOT NULL DEFAULT '' CHECK (colour <> 'x')",
        "api_keys has a new rule",
    ),
    ("ALTER TABLE api_keys ADD COLUMN friend uuid REFERENCES users (id)", "users has a new rule"),
    ("ALTER TABLE servers ADD COLUMN friend uuid REFERENCES users (id)", "servers has a new rule"),
    ("CREATE UNIQUE INDEX one ON api_keys (owner_id)", "api_keys has a new rule"),
    ("DROP INDEX groups_name", "groups has no longer"),
    ("DROP TABLE call_records", "call_records is gone"),
    ("ALTER TABLE api_keys DROP COLUMN description", "api_keys.description is gone"),
    ("ALTER TABLE api_keys ALTER COLUMN created_at TYPE text", "api_keys.created_at is text"),
    ("ALTER TABLE servers ALTER COLUMN description SET NOT NULL", "servers.description is required"),
    ("ALTER TABLE servers ADD COLUMN paint text NOT NULL", "servers.paint is new and required"),
    ("ALTER TABLE servers ADD CONSTRAINT named CHECK (name <> 'x')", "servers has a new rule"),
    ("ALTER TABLE organizations DROP CONSTRAINT organizations_slug_key", "organizations has no longer"),
    (
        "CREATE TRIGGER t BEFORE UPDATE ON nodes FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "nodes has a new rule",
    ),
];
/// How many of them SQLite can do.
const ON_SQLITE: usize = 7;
/// And what it says otherwise.
const TRIGGER_ON_SQLITE: (&str, &str) =
    ("CREATE TRIGGER t BEFORE UPDATE ON nodes BEGIN SELECT raise(ABORT, 'no'); END", "nodes has a new rule");

/// The tests above can fail.
async fn what_takes_something_is_found(db: &DatabaseConnection, taking: &[(&str, &str)]) {
    Migrator::up(db, None).await.expect("migrated");
    for (statement, lost) in taking {
        let before = Schema::of(db).await;
        db.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        let found = before.lost_in(&Schema::of(db).await);
        assert!(found.iter().any(|found| found.starts_with(lost)), "{statement}: {found:?}");
    }
}

#[tokio::test]
async fn a_step_that_takes_something_is_found_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    let taking = [&TAKING[..ON_SQLITE], &[TRIGGER_ON_SQLITE]].concat();
    what_takes_something_is_found(&file(&data).await, &taking).await;
}

#[tokio::test]
async fn a_step_that_takes_something_is_found_on_postgres() {
    let url = postgres::database().await;
    what_takes_something_is_found(&Database::connect(&url).await.expect("a database"), &TAKING).await;
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

/// What earlier versions read from the runs is written down before these are cleared out.
async fn when_a_workflow_last_ran_is_known_from_its_runs(db: &DatabaseConnection) {
    let id = |number: u8| match db.get_database_backend() {
        DbBackend::Postgres => format!("'00000000-0000-0000-0000-0000000000{number:02}'"),
        _ => format!("x'000000000000000000000000000000{number:02}'"),
    };
    let steps = Migrator::migrations();
    let step = steps.iter().position(|step| step.name() == "m20261130_000035_last_scheduled_runs").expect("the step");
    Migrator::up(db, Some(u32::try_from(step).expect("few"))).await.expect("the steps before");
    for (workflow, organization) in [(1, 9), (2, 9)] {
        let workflow = format!("VALUES ({}, {}, 'x', 1, 1)", id(workflow), id(organization));
        let insert = format!("INSERT INTO workflows (id, organization_id, name, version, created_at) {workflow}");
        db.execute_unprepared(&insert).await.expect("a workflow");
    }
    // Two by the schedule, a later one by hand, and one of the other workflow by hand.
    for (run, workflow, begun_by, at) in [(11, 1, 2, 100), (12, 1, 2, 300), (13, 1, 0, 900), (14, 2, 0, 500)] {
        let run = format!("{}, {}, {}, 1, 2, {begun_by}, 'a', 'a', {at}, 0, 0", id(run), id(9), id(workflow));
        let columns = "id, organization_id, workflow_id, version, status, begun_by, actor, actor_name, created_at, \
                       revision, claim";
        db.execute_unprepared(&format!("INSERT INTO runs ({columns}) VALUES ({run})")).await.expect("a run");
    }
    Migrator::up(db, None).await.expect("the rest");
    let last = rows(db, "SELECT last_run_at AS last FROM workflows ORDER BY id").await;
    let last: Vec<Option<i64>> = last.iter().map(|row| row.try_get("", "last").expect("a number")).collect();
    assert_eq!(last, [Some(300), None]);
}

#[tokio::test]
async fn when_a_workflow_last_ran_is_known_from_its_runs_on_sqlite() {
    let data = tempfile::tempdir().expect("a directory");
    let mut options = ConnectOptions::new(format!("sqlite://{}?mode=rwc", data.path().join("x.db").display()));
    options.max_connections(1);
    when_a_workflow_last_ran_is_known_from_its_runs(&Database::connect(options).await.expect("a database")).await;
}

#[tokio::test]
async fn when_a_workflow_last_ran_is_known_from_its_runs_on_postgres() {
    let url = postgres::database().await;
    when_a_workflow_last_ran_is_known_from_its_runs(&Database::connect(&url).await.expect("a database")).await;
}
