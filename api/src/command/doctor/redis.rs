//! Where limits are counted, tried as a node counts them.

use infra::db::DatabaseKind;
use infra::limit::trial::{Room, Trouble};
use infra::limit::{RedisFault, SharedLimiter};

use super::super::chain;
use super::report::Report;
use crate::settings::Settings;

/// Counts a request, or says who counts.
pub async fn check(settings: &Settings, report: &mut Report) {
    let Some(url) = &settings.redis_url else {
        let alone = settings.database().kind() == DatabaseKind::Sqlite;
        let nodes = if alone {
            "counted in memory"
        } else {
            "counted by each node for itself; set KEYRACK_REDIS_URL to share them"
        };
        return report.good("limits", nodes);
    };
    let tried = async { SharedLimiter::new(url, 1)?.try_out().await };
    match tried.await {
        Ok(Room::Kept) => report.good("redis", &format!("{url} counts limits")),
        Ok(Room::Untold) => {
            let finding = format!(
                "{url} counts limits, and does not tell its maxmemory-policy, which must be noeviction where its \
                 memory has a bound"
            );
            report.good("redis", &finding);
        }
        Ok(Room::Evicted(policy)) => report.bad(
            "redis",
            &format!("{url} makes room by {policy}: limits whose windows it throws away begin anew"),
            "set its maxmemory-policy to noeviction",
        ),
        Err(fault) => report.bad("redis", &format!("{url}: {}", chain(&fault)), fix(&fault)),
    }
}

fn fix(fault: &RedisFault) -> &'static str {
    match fault.trouble() {
        Trouble::ReadOnly => {
            "give the address of the one that writes, not of its replica; until then each node counts limits for itself"
        }
        Trouble::Forbidden => {
            "let this user run EVALSHA, SCRIPT LOAD, GET, SET and TIME on keyrack:limit:*, and check its password; until \
             then each node counts limits for itself"
        }
        Trouble::Away => {
            "check KEYRACK_REDIS_URL, and that Redis runs and lets this user in; until then each node counts limits for itself"
        }
    }
}
