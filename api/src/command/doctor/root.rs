//! The root secret: whether it is there, the database's own, and opens what is sealed; and how far its replacement is.

use domain::root::{Beside, RootPrints};
use infra::db::{Database, SeenNode, Unsettled};

use super::super::chain;
use super::report::Report;
use crate::root_secret::{self, Obtained, RootSecretFault};
use crate::settings::Settings;

/// What the database says of its root secret.
#[derive(Default)]
pub struct Told {
    /// The fingerprint of the one that it belongs to.
    pub known: Option<String>,
    /// That of one under which things may have been made since it was moved.
    pub unsettled: Option<Unsettled>,
}

impl Told {
    /// Reads it; nothing from a database that was never migrated, which is told elsewhere.
    pub async fn read(database: &Database) -> Self {
        let known = database.root_fingerprint().await.ok().flatten();
        Self { known, unsettled: database.unsettled().await.ok().flatten() }
    }
}

/// The root secret itself.
pub fn obtain(settings: &Settings, told: &Told, report: &mut Report) -> Option<Obtained> {
    let file = settings.data_dir.join("root.secret");
    if settings.root_secret.is_none() && told.known.is_none() && !file.exists() {
        report.good("root secret", "none yet; the first start makes one in the data directory");
        return None;
    }
    let unsettled = told.unsettled.as_ref().map(Unsettled::root);
    match root_secret::obtain(settings, told.known.as_deref(), unsettled) {
        Ok(obtained) => {
            let finding = if obtained.moves {
                "the next start moves the database from the previous one to it"
            } else {
                "there, and the database's own"
            };
            let moved = !obtained.moves && told.known.as_ref().is_some_and(|known| *known != obtained.prints().root);
            let finding = if moved { "there; other nodes have moved the database to the next one" } else { finding };
            report.good("root secret", finding);
            Some(obtained)
        }
        Err(fault) => {
            let fix = match fault {
                RootSecretFault::Unsettled => "see the steps of docs/root-secret.md",
                RootSecretFault::File { .. }
                | RootSecretFault::Weak { .. }
                | RootSecretFault::Missing { .. }
                | RootSecretFault::Foreign
                | RootSecretFault::NoRandomness => "restore it from your copy; without it no key works",
            };
            report.bad("root secret", &chain(&fault), fix);
            None
        }
    }
}

/// What is sealed, and tokens that were not moved yet.
pub async fn check_sealed(database: &Database, obtained: &Obtained, told: &Told, report: &mut Report) {
    match database.sealed(&obtained.current, obtained.other()).await {
        Ok(sealed) if sealed.closed == 0 => {
            report.good("root secret", &format!("opens all {} credentials that are sealed", sealed.things));
        }
        Ok(sealed) => {
            let finding = format!("{} of {} credentials that are sealed do not open", sealed.closed, sealed.things);
            let fix = "they were sealed under another root secret, or altered: give the one before as \
                       KEYRACK_PREVIOUS_ROOT_SECRET, or set those credentials again";
            report.bad("root secret", &finding, fix);
        }
        Err(fault) => report.bad("root secret", &chain(&fault), "look at the database's own log"),
    }
    if let Some(known) = &told.known
        && let Ok(tokens @ 1..) = database.tokens_under_other_roots(known).await
    {
        let finding =
            format!("{tokens} tokens wait to be used while the previous root secret is given; see root-secret.md");
        report.good("tokens", &finding);
    }
}

/// How far the replacement is, and what comes next.
pub fn check_replacement(obtained: &Obtained, told: &Told, nodes: &[SeenNode], report: &mut Report) {
    let without = |is: &dyn Fn(&RootPrints) -> bool| {
        let nodes = nodes.iter().filter(|node| !node.prints.as_ref().is_some_and(is));
        nodes.map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match &obtained.beside {
        Some(Beside::Next(next)) => {
            let print = next.fingerprint();
            let ignorant = without(&|prints| prints.reads.contains(&print));
            let finding = if ignorant.is_empty() {
                "all nodes know the next one: make it KEYRACK_ROOT_SECRET and this one KEYRACK_PREVIOUS_ROOT_SECRET, one \
                 node after the other"
                    .to_owned()
            } else {
                format!(
                    "these nodes do not know the next one yet: {ignorant}; restart them with KEYRACK_NEXT_ROOT_SECRET"
                )
            };
            report.good("root secret", &finding);
        }
        Some(Beside::Previous(_)) => {
            let print = obtained.current.fingerprint();
            let behind = without(&|prints| prints.root == print);
            let finding = if !behind.is_empty() {
                format!("these nodes make things under the previous one: {behind}; restart them as this one is")
            } else if told.unsettled.is_some() {
                "what the previous one has sealed is still to be sealed anew, by a node that serves".to_owned()
            } else {
                "everything is sealed under it; the previous one can go when no token waits any more".to_owned()
            };
            report.good("root secret", &finding);
        }
        None => {}
    }
}
