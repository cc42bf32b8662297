//! The chain: each row's hash covers its content and the hash of the row before it in the same organization, so that an
//! edit, a removal or a change of order shows.

use std::sync::LazyLock;

/// A link of the chain: BLAKE3 over the row before and this row's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHash([u8; 32]);

impl std::fmt::Display for ChainHash {
    /// 64 hexadecimal digits.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

/// The text is no hash of 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 64 hexadecimal digits")]
pub struct InvalidHash;

impl std::str::FromStr for ChainHash {
    type Err = InvalidHash;

    fn from_str(text: &str) -> Result<Self, InvalidHash> {
        blake3::Hash::from_hex(text).map(|hash| Self(*hash.as_bytes())).map_err(|_| InvalidHash)
    }
}

impl ChainHash {
    /// What the first row of an organization builds on.
    pub const GENESIS: Self = Self([0; 32]);

    /// A link that a store holds.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The link after this one, for a row of these fields. Every field is preceded by its length, so that no two rows
    /// have the same content bytes; an absent field is told from an empty one.
    #[must_use]
    pub fn next(&self, seq: i64, fields: &[Option<&[u8]>]) -> Self {
        // Deriving the context costs as much as hashing a row.
        static CONTEXT: LazyLock<blake3::Hasher> =
            LazyLock::new(|| blake3::Hasher::new_derive_key("keyrack 2026-11-21 audit chain v1"));
        let mut hasher = CONTEXT.clone();
        hasher.update(&self.0).update(&seq.to_le_bytes());
        for field in fields {
            match field {
                Some(bytes) => hasher.update(&(bytes.len() as u64 + 1).to_le_bytes()).update(bytes),
                None => hasher.update(&0_u64.to_le_bytes()),
            };
        }
        Self(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_changes_the_link() {
        let base = ChainHash::GENESIS.next(1, &[Some(b"a"), None, Some(b"")]);
        let others = [
            ChainHash::from_bytes([1; 32]).next(1, &[Some(b"a"), None, Some(b"")]),
            ChainHash::GENESIS.next(2, &[Some(b"a"), None, Some(b"")]),
            ChainHash::GENESIS.next(1, &[Some(b"b"), None, Some(b"")]),
            ChainHash::GENESIS.next(1, &[Some(b"a"), Some(b""), Some(b"")]),
            ChainHash::GENESIS.next(1, &[Some(b"a"), None, None]),
            ChainHash::GENESIS.next(1, &[None, Some(b"a"), Some(b"")]),
        ];
        for other in others {
            assert_ne!(base, other);
        }
    }
}
