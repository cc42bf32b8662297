//! Changing a registered server. Its slug stays: clients know the server by it.

use super::auth::ServerAuth;
use super::model::ServerRecord;
use super::timeouts::Timeouts;
use crate::egress::VettedUrl;
use crate::field::FieldErrors;
use crate::guard::AllowedFields;
use crate::key::RateLimit;
use crate::text::{Description, Name};

/// What shall be different; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ServerChange {
    /// The name.
    pub name: Option<Name>,
    /// A longer explanation; none inside for none.
    pub description: Option<Option<Description>>,
    /// Where its MCP endpoint is.
    pub url: Option<VettedUrl>,
    /// How it is authenticated to.
    pub auth: Option<ServerAuth>,
    /// Words to group it by.
    pub categories: Option<Vec<String>>,
    /// Arguments that it may take although their names are those of secrets.
    pub allowed_secret_fields: Option<AllowedFields>,
    /// A limit of all calls to it; none inside for none.
    pub rate_limit: Option<Option<RateLimit>>,
    /// Its own times.
    pub timeouts: Option<TimeoutChange>,
}

/// What shall be different of a server's times, in milliseconds; none inside for the installation's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeoutChange {
    /// For connecting.
    pub connect_ms: Option<Option<u32>>,
    /// For silence.
    pub idle_ms: Option<Option<u32>>,
}

impl TimeoutChange {
    /// Both as the installation has them.
    pub const DEFAULTS: Self = Self { connect_ms: Some(None), idle_ms: Some(None) };

    /// The times with the change, and what is wrong with them.
    pub fn apply(self, timeouts: Timeouts, errors: &mut FieldErrors) -> Timeouts {
        let mut changed = timeouts;
        if let Some(connect) = self.connect_ms {
            changed = errors.take("timeouts.connectMs", changed.with_connect(connect)).unwrap_or(changed);
        }
        if let Some(idle) = self.idle_ms {
            changed = errors.take("timeouts.idleMs", changed.with_idle(idle)).unwrap_or(changed);
        }
        changed
    }
}

impl ServerChange {
    /// The server with the change.
    ///
    /// # Errors
    /// A url of another origin without a credential for it: the one that is kept was given for where the server was, and
    /// whoever may change a url must not be able to have it sent to a place of their own.
    pub fn apply(self, server: &ServerRecord) -> Result<ServerRecord, FieldErrors> {
        let mut errors = FieldErrors::default();
        let moves = self.url.as_ref().is_some_and(|url| url.as_url().origin() != server.url.as_url().origin());
        if moves && self.auth.is_none() && server.auth.holds_secret() {
            errors.add("auth", "is required when the url leads to another origin: the stored credential stays here");
        }
        let timeouts = match self.timeouts {
            Some(change) => change.apply(server.timeouts, &mut errors),
            None => server.timeouts,
        };
        errors.check()?;
        Ok(ServerRecord {
            id: server.id,
            organization: server.organization,
            slug: server.slug.clone(),
            name: self.name.unwrap_or_else(|| server.name.clone()),
            description: self.description.unwrap_or_else(|| server.description.clone()),
            url: self.url.unwrap_or_else(|| server.url.clone()),
            auth: self.auth.unwrap_or_else(|| server.auth.clone()),
            categories: self.categories.unwrap_or_else(|| server.categories.clone()),
            allowed_secret_fields: self.allowed_secret_fields.unwrap_or_else(|| server.allowed_secret_fields.clone()),
            rate_limit: self.rate_limit.unwrap_or(server.rate_limit),
            timeouts,
            status: server.status,
            created_at: server.created_at,
        })
    }
}
