//! The root secret's home: the operator's variable, or for SQLite a file beside the database.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use domain::root::{RootSecret, Roots, WeakRootSecret};
use infra::db::Database;

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
    /// No random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// The root secrets that were found, and what the database thinks of them.
pub struct Obtained {
    /// What everything new is made under.
    pub current: RootSecret,
    /// The one before it, if it was given.
    pub previous: Option<RootSecret>,
    /// The database still belongs to the previous one and is to be moved.
    pub moves: bool,
}

/// The root secret that belongs to a database: the operator's, or the one in the data directory, which is made there for
/// a new database. `known` is the fingerprint of the one that the database was first used with.
///
/// # Errors
/// [`RootSecretFault`]; above all when the secret is not the database's, since then every key would look invalid.
pub fn obtain(settings: &Settings, known: Option<&str>) -> Result<Obtained, RootSecretFault> {
    let path = settings.data_dir.join(FILE);
    let current = match &settings.root_secret {
        Some(secret) => secret.clone(),
        None if known.is_some() && !path.exists() => return Err(RootSecretFault::Missing { path }),
        None => from_file(&path)?,
    };
    let previous = settings.previous_root_secret.clone();
    let is_known = |secret: &RootSecret| known.is_none_or(|known| known == secret.fingerprint());
    if is_known(&current) {
        Ok(Obtained { current, previous, moves: false })
    } else if previous.as_ref().is_some_and(is_known) {
        Ok(Obtained { current, previous, moves: true })
    } else {
        Err(RootSecretFault::Foreign)
    }
}

/// Opens and migrates the database, obtains the root secret that belongs to it, and moves it to a new one.
///
/// # Errors
/// [`StartFault`]
pub async fn open(settings: &Settings) -> Result<(Roots, Database), StartFault> {
    let database = Database::open(&settings.database(), settings.database_connections).await?;
    let database = database.with_statement_timeout(settings.database_timeout);
    let migrated = database.migrate().await?;
    if migrated > 0 {
        tracing::info!(steps = migrated, "migrated the database");
    }
    let Obtained { current, previous, moves } = obtain(settings, database.root_fingerprint().await?.as_deref())?;
    if let (Some(previous), true) = (&previous, moves) {
        let resealed = database.move_root(previous, &current).await?.ok_or(RootSecretFault::Foreign)?;
        tracing::info!(credentials = resealed, "moved the database to the new root secret");
    } else {
        database.note_root_fingerprint(&current.fingerprint()).await?;
    }
    if previous.is_some() {
        let tokens = database.tokens_under_other_roots(&current.fingerprint()).await?;
        tracing::info!(tokens, "the previous root secret is given; so many tokens wait to be used once while it is");
    }
    let retired_checksums = database.retired_checksums(&current).await?;
    let retired_signers = database.retired_signers(&current).await?;
    Ok((Roots { current, previous, retired_checksums, retired_signers }, database))
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
