//! Between the tokens of an authorization server and the grant that a connection keeps.

use std::time::Duration;

use domain::connection::{ClientAuth, OAuthGrant};
use domain::time::Timestamp;

use super::{AuthMethod, ClientIdentity, TokenSet, TokenSource};

/// So long before its end a token is renewed, if it lasts long enough.
const AHEAD: Duration = Duration::from_mins(1);
/// So long before its end a token is sent no more: a call takes its time, and clocks differ.
const LEEWAY: Duration = Duration::from_secs(5);

impl TokenSet {
    /// The grant, of tokens that came at `now`.
    #[must_use]
    pub fn grant(self, source: TokenSource, now: Timestamp) -> OAuthGrant {
        // Of short ones, a fifth and a tenth.
        let before =
            |lasts: Duration, most: Duration, part: u32| now.after(lasts.saturating_sub(most.min(lasts / part)));
        let TokenSource { endpoint, resource, client: ClientIdentity { id, secret, method } } = source;
        OAuthGrant {
            access: self.access_token,
            renew_at: self.lasts.map(|lasts| before(lasts, AHEAD, 5)),
            expires_at: self.lasts.map(|lasts| before(lasts, LEEWAY, 10)),
            refresh: self.refresh_token,
            token_endpoint: endpoint,
            resource,
            client_id: id,
            client_auth: match (method, secret) {
                (AuthMethod::Basic, Some(secret)) => ClientAuth::Basic(secret),
                (AuthMethod::Post, Some(secret)) => ClientAuth::Post(secret),
                (AuthMethod::None, _) | (_, None) => ClientAuth::None,
            },
        }
    }
}

impl TokenSource {
    /// Where a grant's next tokens come from.
    #[must_use]
    pub fn of(grant: &OAuthGrant) -> Self {
        let (method, secret) = match &grant.client_auth {
            ClientAuth::None => (AuthMethod::None, None),
            ClientAuth::Basic(secret) => (AuthMethod::Basic, Some(secret.clone())),
            ClientAuth::Post(secret) => (AuthMethod::Post, Some(secret.clone())),
        };
        Self {
            endpoint: grant.token_endpoint.clone(),
            resource: grant.resource.clone(),
            client: ClientIdentity { id: grant.client_id.clone(), secret, method },
        }
    }
}
