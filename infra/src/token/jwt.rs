//! JWTs signed with Ed25519 (RFC 8037), under keys derived from the root secret. Access tokens of people have a key of
//! their own, so that no assertion (`assertion`) can stand in for one.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::organization::AccessClaims;
use domain::organization::port::AccessTokens;
use domain::root::{Overlap, Purpose, RootSecret};
use domain::time::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// What an access token is for; an assertion has the server's url there instead.
const ACCESS_AUDIENCE: &str = "keyrack";
/// PKCS#8 (RFC 8410) before the 32 bytes of an Ed25519 seed.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A public key as upstream servers fetch it (RFC 7517, RFC 8037).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Jwk {
    /// `OKP`
    pub kty: String,
    /// `Ed25519`
    pub crv: String,
    /// The public key, base64url.
    pub x: String,
    /// Which key; the same in the header of every assertion.
    pub kid: String,
    /// `EdDSA`
    pub alg: String,
    /// `sig`
    #[serde(rename = "use")]
    pub usage: String,
}

/// The keys that verify assertions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys; the newest first.
    pub keys: Vec<Jwk>,
}

/// The name of a public key: the beginning of its hash.
pub(super) fn key_id(public_key: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(&blake3::hash(public_key).as_bytes()[..12])
}

impl Jwk {
    /// An Ed25519 public key of 32 bytes.
    #[must_use]
    pub fn ed25519(public_key: &[u8]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: URL_SAFE_NO_PAD.encode(public_key),
            kid: key_id(public_key),
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        }
    }
}

/// Signs JWTs with one key.
pub(super) struct Signer {
    encoding: EncodingKey,
    decoding: DecodingKey,
    public: Vec<u8>,
    header: Header,
}

impl Signer {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed");
        let public_bytes = pair.public_key().as_ref();
        let mut pkcs8 = zeroize::Zeroizing::new(PKCS8_PREFIX.to_vec());
        pkcs8.extend_from_slice(seed);
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key_id(public_bytes));
        Self {
            encoding: EncodingKey::from_ed_der(&pkcs8),
            decoding: DecodingKey::from_ed_der(public_bytes),
            public: public_bytes.to_vec(),
            header,
        }
    }

    pub(super) fn jwk(&self) -> Jwk {
        Jwk::ed25519(&self.public)
    }

    pub(super) fn sign(&self, claims: &impl Serialize) -> String {
        encode(&self.header, claims, &self.encoding).expect("claims of plain text can be encoded and signed")
    }
}

/// Signs and verifies access tokens of people.
pub struct AccessTokenSigner {
    signer: Signer,
    validation: Validation,
    other: Option<(DecodingKey, Overlap)>,
}

#[derive(Serialize, Deserialize)]
struct AccessToken {
    sub: String,
    org: String,
    aud: String,
    exp: i64,
}

impl AccessTokenSigner {
    /// Derives the key.
    #[must_use]
    pub fn derive(root: &RootSecret) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[ACCESS_AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // The token is short-lived and made by this clock, or one close to it.
        validation.leeway = 5;
        Self { signer: Signer::new(&root.derive(Purpose::AccessTokenSigning)), validation, other: None }
    }

    /// The same, and takes what nodes sign under another root secret, as long as there are such nodes.
    #[must_use]
    pub fn with_other(self, root: Option<&RootSecret>, overlap: &Overlap) -> Self {
        let key = |root: &RootSecret| Signer::new(&root.derive(Purpose::AccessTokenSigning)).decoding;
        Self { other: root.map(|root| (key(root), overlap.clone())), ..self }
    }
}

impl AccessTokens for AccessTokenSigner {
    fn sign(&self, claims: AccessClaims, expires_at: Timestamp) -> SecretString {
        let token = AccessToken {
            sub: claims.user.to_string(),
            org: claims.organization.to_string(),
            aud: ACCESS_AUDIENCE.to_owned(),
            exp: expires_at.as_seconds(),
        };
        self.signer.sign(&token).into()
    }

    fn verify(&self, token: &str) -> Option<AccessClaims> {
        let read = |key| decode::<AccessToken>(token, key, &self.validation).ok();
        let other = || self.other.as_ref().filter(|(_, overlap)| overlap.holds()).and_then(|(key, _)| read(key));
        let claims = read(&self.signer.decoding).or_else(other)?.claims;
        Some(AccessClaims { user: claims.sub.parse().ok()?, organization: claims.org.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::id::{OrganizationId, UserId};
    use domain::time::{Clock, SystemClock};
    use secrecy::ExposeSecret;

    use super::*;

    fn root(seed: u8) -> RootSecret {
        RootSecret::new([seed; 32]).expect("long enough")
    }

    fn claims() -> AccessClaims {
        AccessClaims { user: UserId::new(), organization: OrganizationId::new() }
    }

    #[test]
    fn an_access_token_verifies_until_it_ends_and_only_here() {
        let signer = AccessTokenSigner::derive(&root(1));
        let claims = claims();
        let now = SystemClock.now();
        let token = signer.sign(claims, now.after(Duration::from_mins(1)));
        assert_eq!(signer.verify(token.expose_secret()), Some(claims));
        assert_eq!(AccessTokenSigner::derive(&root(2)).verify(token.expose_secret()), None);
        let over = signer.sign(claims, Timestamp::from_micros(now.as_micros() - 60_000_000));
        assert_eq!(signer.verify(over.expose_secret()), None);
    }

    #[test]
    fn a_token_of_another_algorithm_or_key_is_no_access_token() {
        let signer = AccessTokenSigner::derive(&root(1));
        let claims = AccessToken {
            sub: UserId::new().to_string(),
            org: OrganizationId::new().to_string(),
            aud: ACCESS_AUDIENCE.to_owned(),
            exp: i64::from(u32::MAX),
        };
        // The classic confusion: HMAC with the public key as its secret.
        let hmac = EncodingKey::from_secret(&signer.signer.public);
        let forged = encode(&Header::new(Algorithm::HS256), &claims, &hmac).expect("encodes");
        assert_eq!(signer.verify(&forged), None);
        let assertion_key = Signer::new(&root(1).assertion_seed(0));
        assert_eq!(signer.verify(&assertion_key.sign(&claims)), None);
        assert_eq!(signer.verify("eyJhbGciOiJub25lIn0.e30."), None);
    }
}
