//! Puts the product together. Besides `main`, the only place that names what implements a port.

use std::sync::Arc;

use domain::audit::AuditLog;
use domain::egress::EgressPolicy;
use domain::key::TokenKeys;
use domain::key::instance::{InstanceKeyService, InstanceKeyStore};
use domain::key::service::KeyService;
use domain::key::verify::Verifier;
use domain::organization::SessionReader;
use domain::organization::port::{AccessTokens, Members};
use domain::organization::service::AccountService;
use domain::root::Roots;
use domain::server::port::{ServerDirectory, ServerStore};
use domain::server::service::ServerService;
use domain::time::SystemClock;
use infra::audit::{AuditQueue, AuditWriter};
use infra::cache::KeyCache;
use infra::cache::servers::ServerCache;
use infra::cache::tenants::TenantCache;
use infra::db::{
    Database, SqlAccounts, SqlAuditRows, SqlKeyDirectory, SqlKeyStore, SqlLastUsed, SqlServers, SqlTenants,
};
use infra::last_used::LastUsed;
use infra::seal::Sealer;
use infra::token::{AccessTokenSigner, Argon2Hasher, AssertionSigner};

use crate::gateway::passport::Passports;
use crate::layer::Names;
use crate::settings::Settings;

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
    /// Keys.
    pub keys: KeyService<SystemClock>,
    /// Keys of every organization, for instance admins.
    pub instance_keys: InstanceKeyService<SystemClock>,
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
        roots: &Roots,
        database: Database,
        public_url: &url::Url,
    ) -> (Arc<Self>, Background) {
        let (root, previous) = (&roots.current, roots.previous.as_ref());
        let fingerprint = root.fingerprint();
        let token_keys = TokenKeys::of(roots);
        let key_cache = Arc::new(KeyCache::new(settings.cache_entries));
        let tenants = SqlTenants::new(database.clone(), Arc::new(TenantCache::new(settings.cache_entries)));
        let sealer = Sealer::derive(root);
        let sealer = Arc::new(match previous {
            Some(previous) => sealer.with_previous(previous),
            None => sealer,
        });
        let servers = Arc::new(SqlServers::new(
            database.clone(),
            Arc::new(ServerCache::new(settings.cache_entries)),
            Arc::clone(&sealer),
        ));
        let accounts = Arc::new(SqlAccounts::new(database.clone()));
        let access_tokens: Arc<dyn AccessTokens> = Arc::new(AccessTokenSigner::derive(root));
        let members: Arc<dyn Members> = Arc::<SqlAccounts>::clone(&accounts);
        let audit_rows = SqlAuditRows::new(database.clone());
        let (audit, audit_writer) = AuditQueue::start(audit_rows.clone());
        let last_used = LastUsed::default();
        let last_used_store = SqlLastUsed::new(database.clone());
        let key_store = Arc::new(SqlKeyStore::new(database.clone(), Arc::clone(&key_cache), &fingerprint));
        let key_directory = SqlKeyDirectory::new(database.clone(), key_cache, &fingerprint);
        let services = Arc::new(Self {
            verifier: Verifier::new(token_keys.clone(), key_directory.clone(), tenants, SystemClock),
            sessions: SessionReader::new(Arc::clone(&access_tokens), Arc::clone(&members)),
            accounts: AccountService::new(
                accounts,
                members,
                Arc::new(Argon2Hasher::new()),
                access_tokens,
                root,
                settings.signup,
                SystemClock,
            )
            .with_previous(previous),
            instance_keys: InstanceKeyService::new(
                Arc::<SqlKeyStore>::clone(&key_store) as Arc<dyn InstanceKeyStore>,
                SystemClock,
            ),
            keys: KeyService::new(key_store, token_keys, settings.key_prefix.clone(), SystemClock),
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
            last_used: tokio::spawn(last_used.clone().run(last_used_store.clone())),
            uses: last_used,
            last_used_store,
            database,
        };
        (services, background)
    }
}

impl Background {
    /// Writes what is still to be written, and closes the database. Call it when no request is left: the audit log is
    /// finished when the last holder of `services` lets go.
    pub async fn finish(self, services: Arc<Services>) {
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
