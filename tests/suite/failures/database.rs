//! The database is down, slow, read-only or full.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, Statement};
use support::{App, AppOptions, Store, Wire, Workbench, postgres};

use super::Driver;
use super::drive::{Fault, drive};
use super::site::Site;
use crate::program::{Setup, files_up_to};

pub const FAULTS: [Driver; 6] = [
    ("database down", || down().boxed_local()),
    ("database slow", || slow().boxed_local()),
    ("database read-only", || read_only().boxed_local()),
    ("database full", || full().boxed_local()),
    ("SQLite locked", || locked().boxed_local()),
    ("SQLite full", || full_disk().boxed_local()),
];

/// When a node that could not renew its lease has none, and what is done every so often was done.
const WITHOUT_LEASE: Duration = Duration::from_secs(6);

/// An installation on PostgreSQL at the end of a wire, and a way around the wire.
struct Scene {
    _app: App,
    site: Arc<Site>,
    _bench: Workbench,
    wire: Wire,
    around: DatabaseConnection,
}

/// With as many connections as a node has unless its operator says otherwise.
async fn scene() -> Scene {
    let url = postgres::database().await;
    let (wire, through) = Wire::to_database(&url).await;
    let settings = [("signup", "open"), ("database-url", &through), ("database-connections", "16")];
    let settings = settings.map(|(name, value)| (name, value.to_owned())).into();
    let app = App::with(AppOptions { store: Store::Postgres, settings }).await;
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&app.base, &bench.url).await);
    let mut options = ConnectOptions::new(url);
    options.max_connections(1);
    let around = Database::connect(options).await.expect("the database can be reached");
    Scene { _app: app, site, _bench: bench, wire, around }
}

impl Scene {
    async fn sql(&self, statement: &str) {
        self.around.execute_unprepared(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// Ends every session but this one, as a failover does.
    async fn end_sessions(&self) {
        self.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    }

    async fn tables(&self) -> Vec<String> {
        // A node's row is written again and again in the place where it is, which takes no room.
        let sql = "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'nodes'";
        let asked = Statement::from_string(self.around.get_database_backend(), sql);
        let rows = self.around.query_all_raw(asked).await.expect("rows");
        rows.iter().map(|row| row.try_get("", "name").expect("a name")).collect()
    }
}

async fn down() {
    let scene = scene().await;
    let fault = Fault {
        name: "database down",
        begin: async || scene.wire.leads_nowhere(),
        later: WITHOUT_LEASE,
        meanwhile: async || {},
        end: async || scene.wire.mend(),
    };
    drive(&scene.site, fault).await;
}

async fn slow() {
    let scene = scene().await;
    let fault = Fault {
        name: "database slow",
        begin: async || scene.wire.slow(Duration::from_millis(50)),
        later: WITHOUT_LEASE,
        meanwhile: async || {},
        end: async || scene.wire.mend(),
    };
    drive(&scene.site, fault).await;
}

async fn read_only() {
    let scene = scene().await;
    let name = scene.site_database().await;
    let fault = Fault {
        name: "database read-only",
        begin: async || {
            scene.sql(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
            scene.end_sessions().await;
        },
        later: WITHOUT_LEASE,
        meanwhile: async || {},
        end: async || {
            // For new sessions alone, as where another machine writes now: those that there are stay read-only.
            scene.sql(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
        },
    };
    drive(&scene.site, fault).await;
}

impl Scene {
    async fn site_database(&self) -> String {
        let asked =
            Statement::from_string(self.around.get_database_backend(), "SELECT current_database()::text AS name");
        let row = self.around.query_one_raw(asked).await.expect("an answer").expect("a row");
        row.try_get("", "name").expect("a name")
    }
}

/// What PostgreSQL says when a table cannot become longer, from a trigger on every table.
async fn full() {
    let scene = scene().await;
    scene
        .sql(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$",
        )
        .await;
    let tables = scene.tables().await;
    let fault = Fault {
        name: "database full",
        begin: async || {
            for table in &tables {
                scene
                    .sql(&format!(
                        "CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON {table} \
                         FOR EACH STATEMENT EXECUTE FUNCTION no_room()"
                    ))
                    .await;
            }
        },
        later: WITHOUT_LEASE,
        meanwhile: async || {},
        end: async || {
            for table in &tables {
                scene.sql(&format!("DROP TRIGGER no_room ON {table}")).await;
            }
        },
    };
    drive(&scene.site, fault).await;
}

/// Another process writes to the file and does not come to an end.
async fn locked() {
    let settings = vec![("signup", "open".to_owned())];
    let app = App::with(AppOptions { store: Store::Sqlite, settings }).await;
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&app.base, &bench.url).await);
    let other = app.sql().await;
    let fault = Fault {
        name: "SQLite locked",
        begin: async || {
            other.execute_unprepared("PRAGMA busy_timeout = 20000").await.expect("set");
            other.execute_unprepared("BEGIN IMMEDIATE").await.expect("the lock");
        },
        later: WITHOUT_LEASE,
        meanwhile: async || {},
        end: async || {
            other.execute_unprepared("ROLLBACK").await.expect("the lock is given up");
        },
    };
    drive(&site, fault).await;
}

/// The kernel lets no file of the program become longer.
async fn full_disk() {
    let data = tempfile::tempdir().expect("a directory");
    let setup = Setup { data: data.path(), database: None, listen: "127.0.0.1:0".to_owned(), more: vec![] };
    let program = setup.start();
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&program.base, &bench.url).await);
    let fault = Fault {
        name: "SQLite full",
        begin: async || files_up_to(&program, Some(0)),
        later: WITHOUT_LEASE,
        meanwhile: async || {},
        end: async || files_up_to(&program, None),
    };
    drive(&site, fault).await;
}
