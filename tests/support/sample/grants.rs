//! What the sample's authorization server remembers: clients, codes, grants and their tokens. It is as strict as OAuth
//! 2.1 asks: a code works once, and for whoever has its verifier; a refresh token works once, and a second time ends its
//! grant.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// How the token endpoint feels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It does its work.
    Well,
    /// It answers 503.
    Down,
    /// It answers when [`Mood`] changes.
    Silent,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Clients that registered themselves.
    pub registrations: usize,
    /// Codes that were exchanged.
    pub exchanges: usize,
    /// Token requests that came.
    pub asked: usize,
    /// Refresh tokens that were exchanged.
    pub refreshes: usize,
    /// Refresh tokens that came a second time.
    pub reuses: usize,
}

/// A client.
#[derive(Debug, Clone)]
pub struct Client {
    pub secret: Option<String>,
    pub redirect_uris: Vec<String>,
}

/// What a person consented to.
#[derive(Debug, Clone)]
pub struct Consent {
    pub client: String,
    pub redirect_uri: String,
    pub challenge: String,
    pub resource: String,
    pub scope: String,
    pub subject: String,
}

/// Tokens, as they are handed out.
pub struct Handed {
    pub access: String,
    pub refresh: String,
    pub scope: String,
}

#[derive(Clone)]
struct Grant {
    client: String,
    resource: String,
    scope: String,
    subject: String,
    refresh: String,
    ended: bool,
}

#[derive(Default)]
pub struct Grants {
    pub clients: HashMap<String, Client>,
    pub counts: Counts,
    codes: HashMap<String, (Consent, Option<Uuid>)>,
    given: HashMap<Uuid, Grant>,
    access: HashMap<String, (Uuid, Instant)>,
    oldest: VecDeque<String>,
    refresh: HashMap<String, Uuid>,
    /// Everything of value that it handed out or was shown.
    pub secrets: Vec<String>,
}

/// The `error` of a token endpoint.
pub type Refused = &'static str;

fn text(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::new_v4().simple())
}

impl Grants {
    pub fn register(&mut self, redirect_uris: Vec<String>, confidential: bool) -> (String, Client) {
        self.counts.registrations += 1;
        let (id, secret) = (text("client"), confidential.then(|| text("secret")));
        self.secrets.extend(secret.clone());
        let client = Client { secret, redirect_uris };
        self.clients.insert(id.clone(), client.clone());
        (id, client)
    }

    pub fn code(&mut self, consent: Consent) -> String {
        let code = text("code");
        self.secrets.push(code.clone());
        self.codes.insert(code.clone(), (consent, None));
        code
    }

    pub fn exchange(
        &mut self,
        client: &str,
        code: &str,
        verifier: &str,
        redirect_uri: &str,
        resource: &str,
        lasts: Duration,
    ) -> Result<Handed, Refused> {
        let (consent, used) = self.codes.get(code).cloned().ok_or("invalid_grant")?;
        if let Some(grant) = used {
            // Whoever has it now is not the one who had it first, or the other way round.
            self.end(grant);
            return Err("invalid_grant");
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
        if consent.client != client
            || consent.redirect_uri != redirect_uri
            || URL_SAFE_NO_PAD.encode(digest) != consent.challenge
        {
            return Err("invalid_grant");
        }
        if consent.resource != resource {
            return Err("invalid_target");
        }
        self.secrets.push(verifier.to_owned());
        let id = Uuid::new_v4();
        let Consent { client, resource, scope, subject, .. } = consent;
        let grant = Grant { client, resource, scope, subject, refresh: String::new(), ended: false };
        self.given.insert(id, grant);
        self.codes.entry(code.to_owned()).and_modify(|(_, used)| *used = Some(id));
        self.counts.exchanges += 1;
        Ok(self.hand_out(id, lasts))
    }

    pub fn refresh(
        &mut self,
        client: &str,
        token: &str,
        resource: &str,
        rotates: bool,
        lasts: Duration,
    ) -> Result<Handed, Refused> {
        let id = *self.refresh.get(token).ok_or("invalid_grant")?;
        let grant = self.given.get(&id).ok_or("invalid_grant")?;
        if grant.ended || grant.client != client {
            return Err("invalid_grant");
        }
        if grant.resource != resource {
            return Err("invalid_target");
        }
        if grant.refresh != token {
            self.counts.reuses += 1;
            self.end(id);
            return Err("invalid_grant");
        }
        self.counts.refreshes += 1;
        if rotates {
            return Ok(self.hand_out(id, lasts));
        }
        let handed =
            Handed { access: self.access(id, lasts), refresh: String::new(), scope: grant_scope(&self.given, id) };
        Ok(handed)
    }

    fn hand_out(&mut self, id: Uuid, lasts: Duration) -> Handed {
        let (access, refresh) = (self.access(id, lasts), text("refresh"));
        self.secrets.push(refresh.clone());
        self.refresh.insert(refresh.clone(), id);
        self.given.entry(id).and_modify(|grant| grant.refresh.clone_from(&refresh));
        Handed { access, refresh, scope: grant_scope(&self.given, id) }
    }

    fn access(&mut self, id: Uuid, lasts: Duration) -> String {
        let token = text("access");
        self.secrets.push(token.clone());
        self.oldest.push_back(token.clone());
        self.access.insert(token.clone(), (id, Instant::now() + lasts));
        token
    }

    /// For whom a token stands at this resource, while it lasts.
    pub fn subject(&self, access: &str, resource: &str) -> Option<(String, String)> {
        let (id, ends) = self.access.get(access)?;
        let grant = self.given.get(id)?;
        let good = Instant::now() < *ends && !grant.ended && grant.resource == resource;
        good.then(|| (grant.subject.clone(), grant.scope.clone()))
    }

    fn end(&mut self, id: Uuid) {
        self.given.entry(id).and_modify(|grant| grant.ended = true);
    }

    /// Takes back everything that this person consented to.
    pub fn take_back(&mut self, subject: &str) {
        self.given.values_mut().filter(|grant| grant.subject == subject).for_each(|grant| grant.ended = true);
    }

    /// Ends the oldest access token, but not what it is refreshed with.
    pub fn expire_oldest(&mut self) {
        if let Some(oldest) = self.oldest.pop_front() {
            self.access.remove(&oldest);
        }
    }
}

fn grant_scope(grants: &HashMap<Uuid, Grant>, id: Uuid) -> String {
    grants.get(&id).map_or_else(String::new, |grant| grant.scope.clone())
}
