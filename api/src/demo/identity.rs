//! What the sample server believes: the signed assertion, and nothing else. This is what an upstream server of one's own
//! does, in some forty lines.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::RwLock;
use url::Url;

/// Who calls, as the assertion says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The organization's slug.
    pub organization: String,
    /// The tenant org.
    pub tenant_org: Option<String>,
    /// The tenant user.
    pub tenant_user: Option<String>,
    /// Who acts.
    pub sub: String,
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Clone, Deserialize)]
struct Jwk {
    kid: String,
    x: String,
}

/// Where an installation's keys are.
pub const JWKS: &str = "/.well-known/jwks.json";

/// Verifies assertions of one Keyrack for one server.
pub struct Verifier {
    jwks: Url,
    validation: Validation,
    http: reqwest::Client,
    known: RwLock<Vec<Jwk>>,
}

impl Verifier {
    /// Trusts the Keyrack that clients know as `issuer`, for assertions addressed to `audience`, by the keys at `jwks`.
    #[must_use]
    pub fn new(issuer: &Url, audience: &str, jwks: Url) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[issuer.as_str().trim_end_matches('/')]);
        validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        Self { jwks, validation, http: reqwest::Client::new(), known: RwLock::default() }
    }

    /// The caller behind an assertion; none when it does not verify.
    pub async fn verify(&self, assertion: &str) -> Option<Caller> {
        let kid = decode_header(assertion).ok()?.kid?;
        let key = if let Some(key) = self.find(&kid).await {
            key
        } else {
            // An unknown key may be a new one.
            let set: JwkSet = self.http.get(self.jwks.clone()).send().await.ok()?.json().await.ok()?;
            *self.known.write().await = set.keys;
            self.find(&kid).await?
        };
        let key = DecodingKey::from_ed_components(&key.x).ok()?;
        decode::<Caller>(assertion, &key, &self.validation).ok().map(|token| token.claims)
    }

    async fn find(&self, kid: &str) -> Option<Jwk> {
        self.known.read().await.iter().find(|key| key.kid == kid).cloned()
    }
}
