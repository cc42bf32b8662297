//! Puts the product together. Besides `main`, the only place that names what implements a port.

use std::sync::Arc;

use domain::audit::AuditLog;
use domain::egress::EgressPolicy;
use domain::invitation::InvitationService;
use domain::key::TokenKeys;
use domain::key::service::KeyService;
use domain::key::verify::Verifier;
use domain::mail::Mailer;
use domain::member::MemberService;
use domain::organization::SessionReader;
use domain::organization::change::OrganizationService;
use domain::organization::passwords::Passwords;
use domain::organization::port::{AccessTokens, Members};
use domain::organization::service::AccountService;
use domain::root::RootSecret;
use domain::server::port::{ServerDirectory, ServerStore};
use domain::server::service::ServerService;
use domain::time::SystemClock;
use infra::audit::{AuditQueue, AuditWriter};
use infra::cache::KeyCache;
use infra::cache::servers::ServerCache;
use infra::cache::tenants::TenantCache;
use infra::db::{
    Database, SqlAccounts, SqlAuditRows, SqlInvitations, SqlKeyDirectory, SqlKeyStore, SqlLastUsed, SqlMembers,
    SqlOrganizations, SqlPurge, SqlServers, SqlTenants,
};
use infra::last_used::LastUsed;
use infra::mail::SmtpMailer;
use infra::seal::Sealer;
use infra::token::{AccessTokenSigner, Argon2Hasher, AssertionSigner};

use crate::gateway::passport::Passports;
use crate::layer::Names;
use crate::settings::Settings;
use crate::system::accept::ACCEPT_PAGE;

/// The verifier of this product: its keys and tenants are in a database behind caches.
pub type KeyVerifier = Verifier<SqlKeyDirectory, SqlTenants, SystemClock>;

/// Everything that requests need, shared by all workers.
pub struct Services {
    /// Turns tokens into scopes.
    pub verifier: KeyVerifier,
    /// Reads people's sessions.
    pub sessions: SessionReader,
    /// Sign-up and sign-in.
    pub accounts: AccountService<SystemClock>,
    /// Members.
    pub members: MemberService<SystemClock>,
    /// Invitations.
    pub invitations: InvitationService<SystemClock>,
    /// Organizations themselves.
    pub organizations: OrganizationService<SystemClock>,
    /// Keys.
    pub keys: KeyService<SystemClock>,
    /// Servers, for management.
    pub servers: ServerService<SystemClock>,
    /// Servers, for requests.
    pub directory: Arc<dyn ServerDirectory>,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// When keys were last used.
    pub last_used: LastUsed,
    /// Assertions and credentials, ready to send.
    pub passports: Passports,
    /// Seals session ids.
    pub sealer: Arc<Sealer>,
    /// Where upstream servers may be.
    pub egress: Arc<EgressPolicy>,
    /// The names that this installation has.
    pub names: Names,
    /// The database, for readiness.
    pub database: Database,
    /// For tests and operators: how often a key was looked up in the database.
    pub key_lookups: SqlKeyDirectory,
    /// The audit log's rows, for those who check them.
    pub audit_rows: SqlAuditRows,
    /// What the operator set.
    pub settings: Settings,
}

/// Work beside requests, to be ended in order.
pub struct Background {
    audit: AuditWriter,
    purge: tokio::task::JoinHandle<()>,
    last_used: tokio::task::JoinHandle<()>,
    uses: LastUsed,
    last_used_store: SqlLastUsed,
    database: Database,
}

impl Services {
    /// Puts everything together over an open, migrated database. `public_url` is how clients reach it.
    #[must_use]
    pub fn compose(
        settings: Settings,
        root: &RootSecret,
        database: Database,
        public_url: &url::Url,
    ) -> (Arc<Self>, Background) {
        let token_keys = TokenKeys::derive(root);
        let key_cache = Arc::new(KeyCache::new(settings.cache_entries));
        let tenants = SqlTenants::new(database.clone(), Arc::new(TenantCache::new(settings.cache_entries)));
        let sealer = Arc::new(Sealer::derive(root));
        let servers = Arc::new(SqlServers::new(
            database.clone(),
            Arc::new(ServerCache::new(settings.cache_entries)),
            Arc::clone(&sealer),
        ));
        let accounts = Arc::new(SqlAccounts::new(database.clone()));
        let passwords =
            Arc::new(Passwords::new(Arc::<SqlAccounts>::clone(&accounts), Arc::new(Argon2Hasher::new()), SystemClock));
        let page = public_url.join(ACCEPT_PAGE).map_or_else(|_| ACCEPT_PAGE.to_owned(), String::from);
        let access_tokens: Arc<dyn AccessTokens> = Arc::new(AccessTokenSigner::derive(root));
        let members: Arc<dyn Members> = Arc::<SqlAccounts>::clone(&accounts);
        let audit_rows = SqlAuditRows::new(database.clone());
        let (audit, audit_writer) = AuditQueue::start(audit_rows.clone());
        let last_used = LastUsed::default();
        let last_used_store = SqlLastUsed::new(database.clone());
        let key_directory = SqlKeyDirectory::new(database.clone(), Arc::clone(&key_cache));
        let services = Arc::new(Self {
            verifier: Verifier::new(token_keys.clone(), key_directory.clone(), tenants, SystemClock),
            sessions: SessionReader::new(Arc::clone(&access_tokens), Arc::clone(&members)),
            accounts: AccountService::new(
                accounts,
                Arc::clone(&members),
                Arc::clone(&passwords),
                access_tokens,
                root,
                settings.signup,
                SystemClock,
            ),
            members: MemberService::new(
                Arc::new(SqlMembers::new(database.clone(), Arc::clone(&key_cache))),
                Arc::clone(&passwords),
                SystemClock,
            ),
            invitations: InvitationService::new(
                Arc::new(SqlInvitations::new(database.clone())),
                passwords,
                mailer(&settings),
                root,
                page,
                SystemClock,
            ),
            organizations: OrganizationService::new(
                Arc::new(SqlOrganizations::new(database.clone(), Arc::clone(&key_cache))),
                members,
                settings.signup,
                SystemClock,
            ),
            keys: KeyService::new(
                Arc::new(SqlKeyStore::new(database.clone(), key_cache)),
                token_keys,
                settings.key_prefix.clone(),
                SystemClock,
            ),
            servers: ServerService::new(Arc::<SqlServers>::clone(&servers) as Arc<dyn ServerStore>, SystemClock),
            directory: servers,
            audit: Arc::new(audit),
            last_used: last_used.clone(),
            passports: Passports::new(
                AssertionSigner::derive(root),
                public_url.as_str().trim_end_matches('/').to_owned(),
                settings.cache_entries,
            ),
            sealer,
            egress: Arc::new(settings.egress()),
            names: Names::new(&settings, public_url),
            database: database.clone(),
            key_lookups: key_directory,
            audit_rows,
            settings,
        });
        let background = Background {
            audit: audit_writer,
            purge: tokio::spawn(infra::purge::run(SqlPurge::new(database.clone()))),
            last_used: tokio::spawn(last_used.clone().run(last_used_store.clone())),
            uses: last_used,
            last_used_store,
            database,
        };
        (services, background)
    }
}

fn mailer(settings: &Settings) -> Option<Arc<dyn Mailer>> {
    let (url, from) = settings.smtp_url.as_ref().zip(settings.smtp_from.clone())?;
    Some(Arc::new(SmtpMailer::new(url, from)))
}

impl Background {
    /// Writes what is still to be written, and closes the database. Call it when no request is left: the audit log is
    /// finished when the last holder of `services` lets go.
    pub async fn finish(self, services: Arc<Services>) {
        self.purge.abort();
        self.last_used.abort();
        // A pooled connection may have ended with the worker that opened it; the next one is new.
        for _ in 0..3 {
            if self.uses.flush(&self.last_used_store).await {
                break;
            }
        }
        drop(services);
        self.audit.finished().await;
        if let Err(fault) = self.database.close().await {
            tracing::error!(error = &fault as &dyn std::error::Error, "the database did not close well");
        }
    }
}
