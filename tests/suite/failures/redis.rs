//! Redis is down or slow. Every key here has a limit, so that every request asks it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use support::{App, AppOptions, Redis, Store, Wire, Workbench};

use super::Driver;
use super::drive::{Fault, drive};
use super::site::Site;

pub const FAULTS: [Driver; 2] = [
    ("Redis down", || driven("Redis down", Wire::leads_nowhere).boxed_local()),
    ("Redis slow", || driven("Redis slow", |wire| wire.slow(Duration::from_millis(400))).boxed_local()),
];

async fn driven(name: &'static str, breaks: fn(&Wire)) {
    let redis = Redis::start().await;
    let to = redis.url.trim_start_matches("redis://").parse().expect("an address");
    let wire = Wire::to(to).await;
    let settings = vec![("signup", "open".to_owned()), ("redis-url", format!("redis://{}", wire.address))];
    let app = App::with(AppOptions { store: Store::Sqlite, settings }).await;
    let bench = Workbench::start();
    let site = Arc::new(Site::at(&app.base, &bench.url).await);
    let fault = Fault {
        name,
        begin: async || breaks(&wire),
        later: Duration::from_secs(3),
        meanwhile: async || {},
        end: async || wire.mend(),
    };
    drive(&site, fault).await;
}
