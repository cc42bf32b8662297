//! `requestState`: what a round tells the next one, which the client carries and must not change.

use rmcp::ErrorData;

/// Seals and opens. The key lives as long as the process.
#[derive(Clone)]
pub struct Seal([u8; 32]);

impl Seal {
    /// With a key of its own.
    pub fn new() -> Self {
        Self(rand::random())
    }

    /// The text, and a keyed hash in front of it.
    pub fn seal(&self, state: &str) -> String {
        format!("{}.{state}", blake3::keyed_hash(&self.0, state.as_bytes()).to_hex())
    }

    /// What was sealed; invalid params if it is not what this server sealed.
    pub fn open<'a>(&self, sealed: &'a str) -> Result<&'a str, ErrorData> {
        let refused = || ErrorData::invalid_params("requestState was changed", None);
        let (hash, state) = sealed.split_once('.').ok_or_else(refused)?;
        let hash = blake3::Hash::from_hex(hash).map_err(|_| refused())?;
        // `Hash` compares in constant time.
        if blake3::keyed_hash(&self.0, state.as_bytes()) == hash { Ok(state) } else { Err(refused()) }
    }
}
