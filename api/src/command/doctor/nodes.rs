//! The other nodes: which serve, which are gone, and whether this one may serve beside them.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::root::RootPrints;
use domain::time::Timestamp;
use infra::cluster::AWAITED;
use infra::db::{DatabaseUrl, SeenNode, SqlNodes};

use super::super::chain;
use super::report::Report;

/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The nodes that are in the database's table.
pub async fn check(url: &DatabaseUrl, known: Option<&RootPrints>, report: &mut Report) -> Vec<SeenNode> {
    let seen = match SqlNodes::at(url, PATIENCE) {
        Ok(Some(mut nodes)) => nodes.seen().await,
        Ok(None) => {
            report.good("nodes", "SQLite belongs to one process; there are no others");
            return Vec::new();
        }
        Err(fault) => Err(fault),
    };
    let (now, nodes) = match seen {
        Ok(seen) => seen,
        Err(fault) => {
            report.bad("nodes", &chain(&fault), "look at the database's own log");
            return Vec::new();
        }
    };
    if nodes.is_empty() {
        report.good("nodes", "none serves from this database now");
    }
    for node in &nodes {
        one(node, now, report);
    }
    let versions: BTreeSet<_> = nodes.iter().filter_map(|node| node.version.as_deref()).collect();
    if versions.len() > 1 {
        let all = versions.into_iter().collect::<Vec<_>>().join(", ");
        report.good("nodes", &format!("of several versions ({all}): finish replacing the older ones; see nodes.md"));
    }
    if let Some(known) = known {
        check_roots(&nodes, known, report);
    }
    nodes
}

fn one(node: &SeenNode, now: Timestamp, report: &mut Report) {
    let name = &node.name;
    let Some(renewed_at) = node.renewed_at else {
        return report.good("nodes", &format!("{name}, of an earlier version, which does not tell how it is"));
    };
    let version = node.version.as_deref().unwrap_or("unknown");
    let millis = now.as_micros().saturating_sub(renewed_at.as_micros()).max(0) / 1000;
    let finding =
        format!("{name}, version {version}, renewed its lease {}.{} s ago", millis / 1000, millis % 1000 / 100);
    if u128::try_from(millis).is_ok_and(|millis| millis > AWAITED.as_millis()) {
        let fix = "it was killed, or cannot reach the database: look at its log and start it again. Nobody waits for it: \
                   a node that serves takes its row away";
        report.bad("nodes", &format!("{finding}; it is gone"), fix);
    } else {
        report.good("nodes", &finding);
    }
}

fn check_roots(nodes: &[SeenNode], known: &RootPrints, report: &mut Report) {
    for node in nodes {
        if node.prints.as_ref().is_some_and(|prints| !prints.fit(known)) {
            let finding =
                format!("the node {} knows other root secrets; this one would not be let in beside it", node.name);
            let fix =
                "replace the root secret in the three steps of docs/root-secret.md, each on all nodes before the next";
            report.bad("root secret", &finding, fix);
        }
    }
}
