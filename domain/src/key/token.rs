//! The text form of a key: `<prefix>_<key-id>_<secret>`.
//!
//! The secret is 43 base62 characters from the operating system's random source (256 bits) and 6 base62 characters of
//! keyed checksum over all that stands before them, so that a typo or a guess is refused without a look-up. The idea of
//! a checksum inside the token is that of GitHub's tokens
//! (<https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/>); ours is keyed,
//! so that nobody without the root secret can make a token that gets as far as the store.

use std::fmt;
use std::str::FromStr;

use rand::TryRng;
use rand::rngs::SysRng;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::digest::{Digest, TokenKeys};
use crate::text::InvalidText;

/// Characters of the key-id.
pub const KEY_ID_LENGTH: usize = 16;
/// Random characters of the secret.
pub const RANDOM_LENGTH: usize = 43;
/// Checksum characters at the secret's end.
pub const CHECKSUM_LENGTH: usize = 6;
/// Characters of the secret with its checksum.
pub(crate) const SECRET_LENGTH: usize = RANDOM_LENGTH + CHECKSUM_LENGTH;
pub(crate) const PREFIX_MIN: usize = 2;
pub(crate) const PREFIX_MAX: usize = 16;
/// Characters after the prefix.
pub(crate) const TAIL_LENGTH: usize = 1 + KEY_ID_LENGTH + 1 + SECRET_LENGTH;

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What every token of this installation begins with: `[a-z][a-z0-9]{1,15}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPrefix(String);

impl KeyPrefix {
    /// The prefix's text, without the underscore.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for KeyPrefix {
    fn default() -> Self {
        Self("kr".to_owned())
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        if is_prefix(text.as_bytes()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidText::Form("must be 2 to 16 lower-case letters and digits and begin with a letter"))
        }
    }
}

fn is_prefix(bytes: &[u8]) -> bool {
    (PREFIX_MIN..=PREFIX_MAX).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

/// Looks at every byte, without an early end: the compiler turns that into a few instructions for all of them.
fn is_base62(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |all, byte| all & byte.is_ascii_alphanumeric())
}

/// The public part of a token: 16 base62 characters. Outward, `key_` and these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_LENGTH]);

/// The text is not `key_` and 16 base62 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of the form key_…")]
pub struct InvalidKeyId;

impl KeyId {
    /// Takes the 16 characters as they stand in a token.
    ///
    /// # Errors
    /// [`InvalidKeyId`] when they are not 16 base62 characters.
    pub fn from_token_part(part: &str) -> Result<Self, InvalidKeyId> {
        let bytes: [u8; KEY_ID_LENGTH] = part.as_bytes().try_into().map_err(|_| InvalidKeyId)?;
        if is_base62(&bytes) { Ok(Self(bytes)) } else { Err(InvalidKeyId) }
    }

    /// The 16 characters.
    #[must_use]
    pub fn as_token_part(&self) -> &str {
        // Only ASCII letters and digits ever get in here.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "key_{}", self.as_token_part())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        text.strip_prefix("key_").ok_or(InvalidKeyId).and_then(Self::from_token_part)
    }
}

impl serde::Serialize for KeyId {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_str(self)
    }
}

/// The operating system's random source failed. Nothing was issued.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct NoRandomness;

/// A token that was just made: the one value that shows a secret. Whoever answers the caller consumes it.
pub struct IssuedToken {
    text: SecretString,
    key: KeyId,
    digest: Digest,
}

impl IssuedToken {
    /// Makes a new key-id and secret.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system's source fails.
    pub fn issue(prefix: &KeyPrefix, keys: &TokenKeys) -> Result<Self, NoRandomness> {
        let mut part = [0_u8; KEY_ID_LENGTH];
        fill_base62(&mut part)?;
        Self::issue_for(KeyId(part), prefix, keys)
    }

    /// Makes a new secret for a key that is there: its id stays, its token is another.
    ///
    /// # Errors
    /// [`NoRandomness`] when the operating system's source fails.
    pub fn issue_for(key: KeyId, prefix: &KeyPrefix, keys: &TokenKeys) -> Result<Self, NoRandomness> {
        let mut secret = [0_u8; RANDOM_LENGTH];
        fill_base62(&mut secret)?;
        let secret_text = std::str::from_utf8(&secret).map_err(|_| NoRandomness)?;
        let mut text = format!("{}_{}_{secret_text}", prefix.as_str(), key.as_token_part());
        let checksum = checksum_text(keys.checksum(text.as_bytes()));
        text.extend(checksum.iter().map(|byte| char::from(*byte)));
        let digest = keys.digest(text.as_bytes());
        Ok(Self { text: text.into(), key, digest })
    }

    /// The key's id.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// What the store keeps of the token.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Gives the text away, once.
    #[must_use]
    pub fn reveal(self) -> SecretString {
        self.text
    }
}

/// Fills with uniformly drawn base62 characters, by rejection, so that no character is likelier than another.
fn fill_base62(out: &mut [u8]) -> Result<(), NoRandomness> {
    const FAIR: u8 = 62 * 4;
    let mut filled = 0;
    while filled < out.len() {
        let mut pool = [0_u8; 64];
        SysRng.try_fill_bytes(&mut pool).map_err(|_| NoRandomness)?;
        for byte in pool.into_iter().filter(|byte| *byte < FAIR) {
            if filled == out.len() {
                break;
            }
            out[filled] = BASE62[usize::from(byte % 62)];
            filled += 1;
        }
    }
    Ok(())
}

fn checksum_text(mut value: u64) -> [u8; CHECKSUM_LENGTH] {
    let mut out = [0_u8; CHECKSUM_LENGTH];
    for slot in &mut out {
        *slot = BASE62[(value % 62) as usize];
        value /= 62;
    }
    out
}

/// A text that has the form of a token of ours and whose checksum holds. Whether such a key exists is another matter.
pub struct PresentedToken<'a> {
    text: &'a str,
    key: KeyId,
}

/// Why a text cannot be a token of ours. Callers never see which; the audit log does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAToken {
    /// Wrong length, alphabet or parts.
    #[error("malformed")]
    Malformed,
    /// Right form, but its checksum was not made here: a typo, a guess or another installation's key.
    #[error("checksum does not hold")]
    Checksum,
}

impl<'a> PresentedToken<'a> {
    /// Checks form and checksum. Costs one keyed hash and no look-up.
    ///
    /// # Errors
    /// [`NotAToken`] with the reason, for the audit log alone.
    pub fn parse(text: &'a str, keys: &TokenKeys) -> Result<Self, NotAToken> {
        let bytes = text.as_bytes();
        let prefix_length = bytes.len().checked_sub(TAIL_LENGTH).ok_or(NotAToken::Malformed)?;
        if prefix_length > PREFIX_MAX || !is_prefix(&bytes[..prefix_length]) {
            return Err(NotAToken::Malformed);
        }
        let tail = &bytes[prefix_length..];
        let (id, secret) = (&tail[1..=KEY_ID_LENGTH], &tail[KEY_ID_LENGTH + 2..]);
        if tail[0] != b'_' || tail[KEY_ID_LENGTH + 1] != b'_' || !is_base62(secret) {
            return Err(NotAToken::Malformed);
        }
        let id: [u8; KEY_ID_LENGTH] = id.try_into().map_err(|_| NotAToken::Malformed)?;
        if !is_base62(&id) {
            return Err(NotAToken::Malformed);
        }
        let (covered, presented) = bytes.split_at(bytes.len() - CHECKSUM_LENGTH);
        if keys.checksums(covered).any(|value| bool::from(checksum_text(value).ct_eq(presented))) {
            Ok(Self { text, key: KeyId(id) })
        } else {
            Err(NotAToken::Checksum)
        }
    }

    /// The key-id that the token claims.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.key
    }

    /// What the store would hold of this token.
    #[must_use]
    pub fn digest(&self, keys: &TokenKeys) -> Digest {
        keys.digest(self.text.as_bytes())
    }

    /// What the store may hold of it as well, while the root secret is being replaced.
    #[must_use]
    pub fn other_digest(&self, keys: &TokenKeys) -> Option<Digest> {
        keys.other_digest(self.text.as_bytes())
    }
}

/// What lists show instead of the token: `kr_<key-id>_…`.
#[must_use]
pub fn hint(prefix: &str, key: KeyId) -> String {
    format!("{prefix}_{}_…", key.as_token_part())
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "IssuedToken({})", self.key)
    }
}

impl fmt::Debug for PresentedToken<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PresentedToken({})", self.key)
    }
}

/// Reads a secret text for comparison with a header, without a copy.
#[must_use]
pub fn exposed(text: &SecretString) -> &str {
    text.expose_secret()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::root::RootSecret;

    fn keys(seed: u8) -> TokenKeys {
        TokenKeys::derive(&RootSecret::new([seed; 32]).expect("long enough"))
    }

    fn issued(prefix: &str) -> (String, KeyId, Digest) {
        let token = IssuedToken::issue(&prefix.parse().expect("a prefix"), &keys(1)).expect("randomness");
        let (key, digest) = (token.key(), *token.digest());
        (token.reveal().expose_secret().to_owned(), key, digest)
    }

    #[test]
    fn an_issued_token_parses_to_its_own_id_and_digest() {
        let (text, key, digest) = issued("kr");
        assert_eq!(text.len(), "kr".len() + TAIL_LENGTH);
        let parsed = PresentedToken::parse(&text, &keys(1)).expect("our own");
        assert_eq!((parsed.key(), parsed.digest(&keys(1))), (key, digest));
    }

    #[test]
    fn keys_under_any_earlier_prefix_keep_working() {
        for prefix in ["kr", "ab", "a234567890123456"] {
            assert!(PresentedToken::parse(&issued(prefix).0, &keys(1)).is_ok(), "{prefix}");
        }
    }

    #[test]
    fn another_installations_token_is_refused_by_its_checksum() {
        assert_eq!(PresentedToken::parse(&issued("kr").0, &keys(2)).err(), Some(NotAToken::Checksum));
    }

    #[test]
    fn every_single_typo_is_found() {
        let (text, ..) = issued("kr");
        for position in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[position] = if bytes[position] == b'x' { b'y' } else { b'x' };
            let typo = String::from_utf8(bytes).expect("ASCII");
            assert!(PresentedToken::parse(&typo, &keys(1)).is_err(), "position {position}");
        }
    }

    #[test]
    fn secrets_have_no_separator_and_never_repeat() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let (text, ..) = issued("kr");
            assert_eq!(text.matches(['_', '-']).count(), 2);
            assert!(seen.insert(text));
        }
    }

    #[test]
    fn debug_never_shows_the_secret() {
        let token = IssuedToken::issue(&KeyPrefix::default(), &keys(1)).expect("randomness");
        let shown = format!("{token:?}");
        let text = token.reveal();
        let secret = text.expose_secret().rsplit('_').next().expect("three parts");
        assert!(!shown.contains(secret) && !format!("{text:?}").contains(secret));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_refused_without_panic(text in ".{0,120}") {
            prop_assert!(PresentedToken::parse(&text, &keys(1)).is_err());
        }

        #[test]
        fn look_alikes_are_refused(id in "[0-9A-Za-z]{16}", secret in "[0-9A-Za-z]{49}") {
            let text = format!("kr_{id}_{secret}");
            prop_assert_eq!(PresentedToken::parse(&text, &keys(1)).err(), Some(NotAToken::Checksum));
        }

        #[test]
        fn key_ids_round_trip(part in "[0-9A-Za-z]{16}") {
            let id = KeyId::from_token_part(&part).expect("valid");
            prop_assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        }
    }
}
