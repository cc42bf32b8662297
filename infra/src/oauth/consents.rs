//! Sending people away for consent, and taking what they bring back.

use std::sync::Arc;

use domain::access::SystemScope;
use domain::connect::ConnectLink;
use domain::connection::OAuthGrant;
use domain::server::{OAuthClient as GivenClient, ServerRecord};
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{AuthMethod, Callback, ClientIdentity, Discovered, OAuthClient, OAuthFault, Registered, TokenSource};
use crate::db::SqlConsents;

/// Why nobody was sent away, or nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ConsentFault {
    /// The authorization server, or what leads to it.
    #[error(transparent)]
    OAuth(#[from] OAuthFault),
    /// The link was used meanwhile.
    #[error("the link was used")]
    Used,
    /// The store could not.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// An authorization that is under way: all that its end needs.
pub struct Pending {
    /// The link that it began with.
    pub link: ConnectLink,
    /// In which browser, as a digest of it and the state.
    pub browser: [u8; 32],
    /// Where the server was (RFC 6454).
    pub origin: String,
    /// Who was asked.
    pub issuer: String,
    /// Whether they name themselves.
    pub names_itself: bool,
    /// Where the tokens come from.
    pub source: TokenSource,
    /// The proof that we asked.
    pub verifier: SecretString,
}

/// A client that is known for a server, and where it belongs.
pub struct KnownClient {
    /// Whether Keyrack registered it itself. Of one that was given, the id alone is kept here.
    pub own: bool,
    /// The authorization server that it is used with.
    pub issuer: String,
    /// Where its people come back to.
    pub redirect_uri: String,
    /// It.
    pub registered: Registered,
}

/// Authorizations, from the link to the grant.
#[derive(Clone)]
pub struct Consents {
    client: Arc<OAuthClient>,
    store: SqlConsents,
}

impl Consents {
    /// Puts them together.
    #[must_use]
    pub const fn new(client: Arc<OAuthClient>, store: SqlConsents) -> Self {
        Self { client, store }
    }

    /// Where the person is sent. The link is used up when this returns; `bind` binds the state to the person's browser.
    ///
    /// # Errors
    /// [`ConsentFault`]
    pub async fn begin(
        &self,
        link: ConnectLink,
        server: &ServerRecord,
        given: &GivenClient,
        bind: impl FnOnce(&str) -> [u8; 32],
    ) -> Result<Url, ConsentFault> {
        let found = self.client.discover(&server.url).await?;
        let client = match &given.id {
            Some(id) => self.given(&link, &found, id, given.secret.as_ref()).await?,
            None => self.own(&link, &found).await?,
        };
        let scopes = (!given.scopes.is_empty()).then(|| given.scopes.join(" "));
        let begun = self.client.begin(&found, &client, scopes.as_deref())?;
        let state = begun.state.expose_secret();
        let pending = Pending {
            browser: bind(state),
            origin: server.origin(),
            issuer: found.server.issuer.clone(),
            names_itself: found.server.names_itself,
            source: found.source(client),
            verifier: begun.verifier,
            link,
        };
        if self.store.begin(state, &pending).await? { Ok(begun.url) } else { Err(ConsentFault::Used) }
    }

    /// The client that was given for this server. It belongs to the authorization server that it was first used with: its
    /// secret goes to no other, whatever the server comes to say.
    async fn given(
        &self,
        link: &ConnectLink,
        found: &Discovered,
        id: &str,
        secret: Option<&SecretString>,
    ) -> Result<ClientIdentity, ConsentFault> {
        let scope = SystemScope::new(link.organization, "a server's given client of OAuth is shared by its tenants");
        let known = self.store.client(&scope, link.server).await?;
        let known = known.filter(|known| !known.own && known.registered.client.id == id);
        let client = found.configured(id, secret, known.as_ref().map(|known| known.issuer.as_str()))?;
        if known.is_none() {
            let registered = Registered {
                client: ClientIdentity { id: id.to_owned(), secret: None, method: AuthMethod::None },
                secret_ends: None,
            };
            let (issuer, redirect_uri) = (found.server.issuer.clone(), self.client.redirect_uri.clone());
            let known = KnownClient { own: false, issuer, redirect_uri, registered };
            self.store.keep_client(&scope, link.server, &known).await?;
        }
        Ok(client)
    }

    /// The client that was registered for this server before, or a new one.
    async fn own(&self, link: &ConnectLink, found: &Discovered) -> Result<ClientIdentity, ConsentFault> {
        let scope = SystemScope::new(link.organization, "a server's own client of OAuth is shared by its tenants");
        let redirect_uri = self.client.redirect_uri.as_str();
        let lasts = |known: &KnownClient| known.registered.secret_ends.is_none_or(|ends| SystemClock.now() < ends);
        if let Some(known) = self.store.client(&scope, link.server).await?
            && known.own
            && known.issuer == found.server.issuer
            && known.redirect_uri == redirect_uri
            && lasts(&known)
        {
            return Ok(known.registered.client);
        }
        let registered = self.client.register(found).await?;
        let client = registered.client.clone();
        let known = KnownClient {
            own: true,
            issuer: found.server.issuer.clone(),
            redirect_uri: redirect_uri.to_owned(),
            registered,
        };
        self.store.keep_client(&scope, link.server, &known).await?;
        Ok(client)
    }

    /// The authorization that a person comes back from; none when there is none, or none any more.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn find(&self, callback: &Callback) -> Result<Option<Pending>, StoreFault> {
        self.store.find(callback.state.expose_secret()).await
    }

    /// Ends an authorization; false when somebody did already.
    ///
    /// # Errors
    /// [`StoreFault`]
    pub async fn take(&self, callback: &Callback) -> Result<bool, StoreFault> {
        self.store.take(callback.state.expose_secret()).await
    }

    /// What the authorization server grants for the code.
    ///
    /// # Errors
    /// [`ConsentFault`]
    pub async fn grant(&self, pending: &Pending, code: &SecretString) -> Result<OAuthGrant, ConsentFault> {
        match self.client.exchange(&pending.source, code, &pending.verifier).await {
            Ok(tokens) => Ok(tokens.grant(pending.source.clone(), SystemClock.now())),
            Err(fault) => {
                if fault.forgets_client() {
                    let link = &pending.link;
                    let scope = SystemScope::new(link.organization, "a client that is not known any more is forgotten");
                    self.store.forget_client(&scope, link.server, &pending.source.client.id).await?;
                }
                Err(fault.into())
            }
        }
    }
}
