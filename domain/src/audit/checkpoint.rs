//! Checkpoints: signed statements that a chain had a certain link at a certain time. The chain itself has no key, so that
//! whoever may write to the store can compute a new one; nobody without the root secret can make a new one fit the
//! checkpoints that were signed before.

use std::fmt::Write;

use super::chain::ChainHash;
use crate::id::OrganizationId;
use crate::time::Timestamp;

/// Rows of a chain after which it gets a new checkpoint.
pub const CHECKPOINT_ROWS: i64 = 1000;
/// How long a row waits for a checkpoint at most, while the program runs.
pub const CHECKPOINT_AGE: std::time::Duration = std::time::Duration::from_mins(10);

/// What is signed: link number `seq` of the organization's chain was `hash`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose chain.
    pub organization: OrganizationId,
    /// Which link; 0 for a chain without rows.
    pub seq: i64,
    /// The link.
    pub hash: ChainHash,
    /// Signed when.
    pub at: Timestamp,
    /// What stands before it, when it ends an export.
    pub closes: Option<Closing>,
}

/// The end of an export says where the export began and what all of it was, so that nothing can be cut off or exchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The number of the first row; one more than `seq` when there is none.
    pub first: i64,
    /// The link before the first row.
    pub previous: ChainHash,
    /// Rows from when were asked for; all when not given.
    pub from: Option<Timestamp>,
    /// Rows up to when were asked for; all when not given.
    pub to: Option<Timestamp>,
    /// BLAKE3 of all bytes before the line of this checkpoint.
    pub content: [u8; 32],
}

/// Computes [`Closing::content`] while the bytes pass.
#[derive(Clone, Default)]
pub struct Content(blake3::Hasher);

impl Content {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes so far.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

impl Checkpoint {
    /// The bytes that are signed: lines of plain text, so that others can make them too. docs/audit.md describes them.
    #[must_use]
    pub fn signed_text(&self) -> String {
        let Self { organization, seq, hash, at, closes } = self;
        let mut text = format!(
            "keyrack audit checkpoint v1\norganization {organization}\nseq {seq}\nhash {hash}\nat {}\n",
            at.as_micros()
        );
        if let Some(Closing { first, previous, from, to, content }) = closes {
            let time = |time: &Option<Timestamp>| time.map_or_else(|| "-".to_owned(), |at| at.as_micros().to_string());
            let content = ChainHash::from_bytes(*content);
            let _ = write!(
                text,
                "first {first}\nprevious {previous}\nfrom {}\nto {}\ncontent {content}\n",
                time(from),
                time(to)
            );
        }
        text
    }
}

/// A checkpoint with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// Which key, as in `/.well-known/jwks.json`.
    pub kid: String,
    /// The public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The Ed25519 signature of [`Checkpoint::signed_text`], 64 bytes.
    pub signature: Vec<u8>,
}

/// Signs checkpoints with the installation's key.
pub trait CheckpointSigner: Send + Sync {
    /// The checkpoint, signed.
    fn sign(&self, checkpoint: Checkpoint) -> SignedCheckpoint;
}

/// Knows the keys whose checkpoints count.
pub trait CheckpointKeys: Send + Sync {
    /// Whether the signature holds, and is by a key that counts.
    fn holds(&self, checkpoint: &SignedCheckpoint) -> bool;
}
