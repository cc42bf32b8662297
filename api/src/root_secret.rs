//! The root secret's home: the operator's variable, or for SQLite a file beside the database.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use domain::root::{Beside, Overlap, RootPrints, RootSecret, Roots, WeakRootSecret};
use infra::db::{Database, DatabaseKind, Unsettled};

use crate::compose::Node;
use crate::server::StartFault;
use crate::settings::Settings;

const FILE: &str = "root.secret";

/// Why there is no root secret.
#[derive(Debug, thiserror::Error)]
pub enum RootSecretFault {
    /// The file cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file holds too little.
    #[error("{} holds no root secret: {cause}", path.display())]
    Weak {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: WeakRootSecret,
    },
    /// The database has been used, and its root secret is gone.
    #[error("{} is missing, and the database was used with it; restore it from your copy: without it no key works", path.display())]
    Missing {
        /// Which file.
        path: PathBuf,
    },
    /// The root secret is not the one that the database was used with.
    #[error("the root secret is not the one that this database was first used with; with another one no key works")]
    Foreign,
    /// Another one may have sealed things that nobody has sealed anew.
    #[error(
        "things may still be sealed under the root secret before this one, which is not given; give it as \
         KEYRACK_PREVIOUS_ROOT_SECRET until the log says that everything is sealed under the new one"
    )]
    Unsettled,
    /// No random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// The root secrets that were found, and what the database thinks of them.
pub struct Obtained {
    /// What everything new is made under.
    pub current: RootSecret,
    /// Another one, while one takes the place of the other.
    pub beside: Option<Beside>,
    /// The database still belongs to the previous one and is to be moved.
    pub moves: bool,
}

impl Obtained {
    /// The fingerprints.
    #[must_use]
    pub fn prints(&self) -> RootPrints {
        RootPrints::of(&self.current, self.other())
    }

    /// The root secret beside the present one.
    #[must_use]
    pub fn other(&self) -> Option<&RootSecret> {
        self.beside.as_ref().map(Beside::secret)
    }
}

/// The root secret that belongs to a database: the operator's, or the one in the data directory, which is made there for
/// a new database. `known` is the fingerprint of the one that the database belongs to, `unsettled` that of one under which
/// things may have been made since.
///
/// # Errors
/// [`RootSecretFault`]; above all when the secret is not the database's, since then every key would look invalid.
pub fn obtain(settings: &Settings, known: Option<&str>, unsettled: Option<&str>) -> Result<Obtained, RootSecretFault> {
    let path = settings.data_dir.join(FILE);
    let current = match &settings.root_secret {
        Some(secret) => secret.clone(),
        None if known.is_some() && !path.exists() => return Err(RootSecretFault::Missing { path }),
        None => from_file(&path)?,
    };
    let previous = settings.previous_root_secret.clone().map(Beside::Previous);
    let beside = previous.or_else(|| settings.next_root_secret.clone().map(Beside::Next));
    let is_known = |secret: &RootSecret| known.is_none_or(|known| known == secret.fingerprint());
    let moves = match &beside {
        _ if is_known(&current) => false,
        Some(Beside::Previous(previous)) if is_known(previous) => true,
        // Moved already, by other nodes, whose root secret is this one's next.
        Some(Beside::Next(next)) if is_known(next) && settings.database().kind() == DatabaseKind::Postgres => false,
        _ => return Err(RootSecretFault::Foreign),
    };
    let obtained = Obtained { current, beside, moves };
    match unsettled {
        Some(root) if !obtained.prints().reads.iter().any(|print| print == root) => Err(RootSecretFault::Unsettled),
        _ => Ok(obtained),
    }
}

/// Opens and migrates the database, obtains the root secret that belongs to it, joins the nodes that serve from it, and moves
/// it to a new root secret: in this order, since no node may be there then that could not read what was moved.
///
/// # Errors
/// [`StartFault`]
pub async fn open(settings: &Settings) -> Result<(Roots, Database, Node), StartFault> {
    let database = Database::open(&settings.database(), settings.database_connections).await?;
    let database = database.with_statement_timeout(settings.database_timeout);
    let migrated = database.migrate().await?;
    if migrated > 0 {
        tracing::info!(steps = migrated, "migrated the database");
    }
    let (known, unsettled) = (database.root_fingerprint().await?, database.unsettled().await?);
    let obtained = obtain(settings, known.as_deref(), unsettled.as_ref().map(Unsettled::root))?;
    let overlap = Overlap::default();
    // Nodes with the next root secret are as good as this one.
    overlap.set(matches!(obtained.beside, Some(Beside::Next(_))));
    let node = Node::join(settings, &database, &obtained, &overlap).await?;
    let Obtained { current, beside, moves } = obtained;
    if let (Some(Beside::Previous(previous)), true) = (&beside, moves) {
        match database.move_root(previous, &current).await? {
            Some(resealed) => tracing::info!(credentials = resealed, "moved the database to the new root secret"),
            // Another node was quicker.
            None if database.root_fingerprint().await? == Some(current.fingerprint()) => {}
            None => return Err(RootSecretFault::Foreign.into()),
        }
    } else {
        database.note_root_fingerprint(&current.fingerprint()).await?;
    }
    let other = beside.as_ref().map(Beside::secret);
    match &beside {
        Some(Beside::Previous(_)) => {
            let tokens = database.tokens_under_other_roots(&current.fingerprint()).await?;
            tracing::info!(
                tokens,
                "the previous root secret is given; so many tokens wait to be used once while it is"
            );
        }
        Some(Beside::Next(_)) => {
            tracing::info!("the next root secret is given: this node can read what others make under it");
        }
        None => {}
    }
    let retired_checksums = database.retired_checksums(&current, other).await?;
    let retired_signers = database.retired_signers(&current, other).await?;
    Ok((Roots { current, beside, overlap, retired_checksums, retired_signers }, database, node))
}

fn from_file(path: &Path) -> Result<RootSecret, RootSecretFault> {
    let fault = |cause| RootSecretFault::File { path: path.to_owned(), cause };
    let mut text = String::new();
    match File::open(path) {
        Ok(mut file) => {
            file.read_to_string(&mut text).map_err(fault)?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => text = make(path)?,
        Err(error) => return Err(fault(error)),
    }
    RootSecret::new(text.trim()).map_err(|cause| RootSecretFault::Weak { path: path.to_owned(), cause })
}

fn make(path: &Path) -> Result<String, RootSecretFault> {
    let fault = |cause| RootSecretFault::File { path: path.to_owned(), cause };
    let secret = domain::root::random_text().map_err(|_| RootSecretFault::NoRandomness)?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(fault)?;
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(fault)?;
    file.write_all(secret.as_bytes()).and_then(|()| file.sync_all()).map_err(fault)?;
    tracing::info!(path = %path.display(), "made a root secret; keep a copy of it, without it no key works");
    Ok(secret)
}
