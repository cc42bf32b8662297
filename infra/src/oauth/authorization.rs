//! Where a person is sent for consent, with proof that the answer is for whoever asked: PKCE (RFC 7636) and a state.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroizing;

use super::{ClientIdentity, Discovered, OAuthClient, OAuthFault, TokenSource};

/// An authorization that has begun.
pub struct Begun {
    /// Where the person goes.
    pub url: Url,
    /// What comes back with the code, and tells whose it is.
    pub state: SecretString,
    /// What proves that whoever exchanges the code also asked for it.
    pub verifier: SecretString,
}

impl OAuthClient {
    /// Begins an authorization. `scope` is what was configured for the server, which goes before what the server itself
    /// asks for: whoever names scopes may want fewer of them.
    ///
    /// # Errors
    /// [`OAuthFault::NoRandomness`]
    pub fn begin(
        &self,
        discovered: &Discovered,
        client: &ClientIdentity,
        scope: Option<&str>,
    ) -> Result<Begun, OAuthFault> {
        let (state, verifier) = (random()?, random()?);
        let mut url = discovered.server.authorization_endpoint.as_url().clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &client.id)
                .append_pair("redirect_uri", &self.redirect_uri)
                .append_pair("state", state.expose_secret())
                .append_pair("code_challenge", &challenge(&verifier))
                .append_pair("code_challenge_method", "S256")
                .append_pair("resource", &discovered.resource);
            if let Some(scope) = scope.or(discovered.scope.as_deref()) {
                query.append_pair("scope", scope);
            }
        }
        Ok(Begun { url, state, verifier })
    }
}

impl Discovered {
    /// Where the tokens of this client come from.
    #[must_use]
    pub fn source(&self, client: ClientIdentity) -> TokenSource {
        TokenSource { endpoint: self.server.token_endpoint.clone(), resource: self.resource.clone(), client }
    }
}

/// 256 random bits in 43 characters, as RFC 7636 recommends for verifiers.
fn random() -> Result<SecretString, OAuthFault> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut()).map_err(|_| OAuthFault::NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes.as_ref()).into())
}

fn challenge(verifier: &SecretString) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned().into();
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
