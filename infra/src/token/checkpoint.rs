//! Signing and verifying checkpoints of the audit log: Ed25519, under a key of its own.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::audit::checkpoint::{Checkpoint, CheckpointKeys, CheckpointSigner, SignedCheckpoint};
use domain::root::{Purpose, RootSecret};

use super::jwt::{Jwk, JwkSet, key_id};

/// Bytes of an Ed25519 public key.
const PUBLIC_KEY: usize = 32;

/// Signs checkpoints with the installation's key.
pub struct Ed25519CheckpointSigner {
    pair: Ed25519KeyPair,
}

impl Ed25519CheckpointSigner {
    /// Derives the key.
    ///
    /// # Panics
    /// Never: any 32 bytes are a seed.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        Self { pair: pair(root) }
    }

    /// The public key's 32 bytes.
    ///
    /// # Panics
    /// Never: an Ed25519 public key has 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    /// The public key, to be published.
    #[must_use]
    pub fn jwk(&self) -> Jwk {
        Jwk::ed25519(self.pair.public_key().as_ref())
    }

    /// The keys that count where this one signs.
    #[must_use]
    pub fn keys(&self) -> PublicKeys {
        PublicKeys::Known(vec![self.pair.public_key().as_ref().to_vec()])
    }
}

fn pair(root: &RootSecret) -> Ed25519KeyPair {
    let seed = root.derive(Purpose::AuditCheckpoint);
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).expect("any 32 bytes are an Ed25519 seed")
}

impl CheckpointSigner for Ed25519CheckpointSigner {
    fn sign(&self, checkpoint: Checkpoint) -> SignedCheckpoint {
        let public_key = self.pair.public_key().as_ref().to_vec();
        let signature = self.pair.sign(checkpoint.signed_text().as_bytes()).as_ref().to_vec();
        SignedCheckpoint { checkpoint, kid: key_id(&public_key), public_key, signature }
    }
}

/// The text is no Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an Ed25519 public key: 32 bytes in base64url, as `x` in /.well-known/jwks.json")]
pub struct InvalidPublicKey;

/// Whose checkpoints count.
#[derive(Debug, Clone)]
pub enum PublicKeys {
    /// These keys'.
    Known(Vec<Vec<u8>>),
    /// Whichever key the checkpoint brings. It then shows that all of them are of one origin, not of which.
    AnyOne,
}

impl PublicKeys {
    /// Adds keys by their bytes.
    #[must_use]
    pub fn and(self, more: impl IntoIterator<Item = [u8; 32]>) -> Self {
        let mut keys = match self {
            Self::Known(keys) => keys,
            Self::AnyOne => vec![],
        };
        keys.extend(more.into_iter().map(|key| key.to_vec()));
        Self::Known(keys)
    }

    /// Adds a key by its base64url text.
    ///
    /// # Errors
    /// [`InvalidPublicKey`]
    pub fn add(&mut self, text: &str) -> Result<(), InvalidPublicKey> {
        let key = URL_SAFE_NO_PAD.decode(text).ok().filter(|key| key.len() == PUBLIC_KEY).ok_or(InvalidPublicKey)?;
        match self {
            Self::Known(keys) => keys.push(key),
            Self::AnyOne => *self = Self::Known(vec![key]),
        }
        Ok(())
    }

    /// Adds every Ed25519 key of a set.
    ///
    /// # Errors
    /// [`InvalidPublicKey`]
    pub fn add_all(&mut self, set: &JwkSet) -> Result<(), InvalidPublicKey> {
        set.keys.iter().filter(|key| key.crv == "Ed25519").try_for_each(|key| self.add(&key.x))
    }
}

impl CheckpointKeys for PublicKeys {
    fn holds(&self, checkpoint: &SignedCheckpoint) -> bool {
        let counts = match self {
            Self::Known(keys) => keys.contains(&checkpoint.public_key),
            Self::AnyOne => true,
        };
        counts
            && key_id(&checkpoint.public_key) == checkpoint.kid
            && UnparsedPublicKey::new(&ED25519, &checkpoint.public_key)
                .verify(checkpoint.checkpoint.signed_text().as_bytes(), &checkpoint.signature)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use domain::audit::chain::ChainHash;
    use domain::audit::checkpoint::Closing;
    use domain::id::OrganizationId;
    use domain::time::Timestamp;

    use super::*;

    fn signer(seed: u8) -> Ed25519CheckpointSigner {
        Ed25519CheckpointSigner::derive(&RootSecret::new([seed; 32]).expect("long enough"))
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            organization: OrganizationId::new(),
            seq: 7,
            hash: ChainHash::from_bytes([1; 32]),
            at: Timestamp::from_micros(5),
            closes: Some(Closing {
                first: 1,
                previous: ChainHash::GENESIS,
                from: None,
                to: Some(Timestamp::from_micros(9)),
                content: [2; 32],
            }),
        }
    }

    #[test]
    fn a_signature_holds_for_its_own_checkpoint_and_key_alone() {
        let signed = signer(1).sign(checkpoint());
        assert!(signer(1).keys().holds(&signed) && PublicKeys::AnyOne.holds(&signed));
        assert!(!signer(2).keys().holds(&signed));
        let mut keys = signer(2).keys();
        keys.add(&signer(1).jwk().x).expect("a key");
        assert!(keys.holds(&signed));
        let changes: [fn(&mut Checkpoint); 9] = [
            |it| it.organization = OrganizationId::new(),
            |it| it.seq = 8,
            |it| it.hash = ChainHash::GENESIS,
            |it| it.at = Timestamp::from_micros(6),
            |it| it.closes = None,
            |it| it.closes.as_mut().expect("it closes").first = 2,
            |it| it.closes.as_mut().expect("it closes").previous = ChainHash::from_bytes([3; 32]),
            |it| it.closes.as_mut().expect("it closes").to = None,
            |it| it.closes.as_mut().expect("it closes").content = [0; 32],
        ];
        for change in changes {
            let mut changed = signed.clone();
            change(&mut changed.checkpoint);
            assert!(!keys.holds(&changed), "{:?}", changed.checkpoint);
        }
    }

    #[test]
    fn a_public_key_is_32_bytes_in_base64url() {
        for text in ["", "AAAA", "not base64!", &"A".repeat(44)] {
            assert_eq!(PublicKeys::AnyOne.add(text), Err(InvalidPublicKey), "{text}");
        }
    }
}
