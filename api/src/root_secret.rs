//! The root secret's home: the operator's variable, or for SQLite a file beside the database.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use domain::root::{RootSecret, WeakRootSecret};

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
    /// No random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
}

/// The operator's root secret, or the one in the data directory, which is made there the first time.
///
/// # Errors
/// [`RootSecretFault`]
pub fn obtain(settings: &Settings) -> Result<RootSecret, RootSecretFault> {
    match &settings.root_secret {
        Some(secret) => Ok(secret.clone()),
        None => from_file(&settings.data_dir.join(FILE)),
    }
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
