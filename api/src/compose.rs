//! Puts the product together. Besides `main`, the only place that names what implements a port.

use std::sync::Arc;
use std::time::Duration;

use domain::access::decide::Gate;
use domain::assertion::keys::KeySchedule;
use domain::audit::AuditLog;
use domain::audit::port::AuditReader;
use domain::call::SessionTags;
use domain::call::port::CallRecords;
use domain::capability::port::CapabilityStore;
use domain::connect::Browsers;
use domain::connection::port::ConnectionStore;
use domain::connection::service::ConnectionService;
use domain::egress::EgressPolicy;
use domain::idempotency::{Claims, IdempotencyStore, KEPT};
use domain::insight::InsightService;
use domain::invitation::InvitationService;
use domain::key::TokenKeys;
use domain::key::instance::{InstanceKeyService, InstanceKeyStore};
use domain::key::service::KeyService;
use domain::key::verify::Verifier;
use domain::limit::RateLimiter;
use domain::mail::Mailer;
use domain::member::MemberService;
use domain::organization::SessionReader;
use domain::organization::change::OrganizationService;
use domain::organization::passwords::Passwords;
use domain::organization::port::{AccessTokens, Members};
use domain::organization::service::AccountService;
use domain::policy::port::AccessDirectory;
use domain::policy::service::PolicyService;
use domain::project::service::ProjectService;
use domain::root::{Beside, Overlap, Roots};
use domain::run::port::{RunQueue, Standings};
use domain::run::service::RunService;
use domain::server::port::ServerStore;
use domain::server::service::ServerService;
use domain::tenant::registry::TenantService;
use domain::time::{Clock, SystemClock, Timestamp};
use domain::workflow::check::Checker;
use domain::workflow::port::{Definitions, Schedules};
use domain::workflow::proposal::service::ProposalService;
use domain::workflow::service::WorkflowService;
use infra::assertion_keys::AssertionKeys;
use infra::audit::{AuditQueue, AuditWriter, Journal};
use infra::cache::Caches;
use infra::cache::suspended::SuspendedTenants;
use infra::calls::{self, CallQueue};
use infra::cluster::{Cluster, JoinFault, Known, Lease};
use infra::db::{
    Changes, Database, DatabaseKind, Gathered, SqlAccess, SqlAccounts, SqlAssertionKeys, SqlAuditBlocks,
    SqlAuditReader, SqlAuditRows, SqlCalls, SqlCapabilities, SqlCheckpoints, SqlConnections, SqlConsents, SqlGroups,
    SqlIdempotency, SqlInsightFold, SqlInsights, SqlInvitations, SqlKeyDirectory, SqlKeyStore, SqlLastUsed, SqlMembers,
    SqlOrganizations, SqlPolicies, SqlProjects, SqlPurge, SqlRuns, SqlServers, SqlTenants, SqlUsage,
    SqlWorkflowProposals, SqlWorkflows,
};
use infra::last_used::LastUsed;
use infra::limit::LocalLimiter;
use infra::mail::SmtpMailer;
use infra::oauth::{Consents, OAuthClient, OAuthRenewals};
use infra::purge::Retention;
use infra::seal::Sealer;
use infra::sessions::SessionUses;
use infra::token::{AccessTokenSigner, Argon2Hasher, AssertionSigner, Ed25519CheckpointSigner};
use infra::upstream::SharedUpstream;
use infra::upstream::health::HealthBook;
use infra::usage::UsageMeter;

use crate::connect;
use crate::gateway::passport::Passports;
use crate::layer::Names;
use crate::platform::ToolLists;
use crate::root_secret::Obtained;
use crate::runs::RunBell;
use crate::settings::Settings;
use crate::stopping::Stopping;
use crate::system::accept::ACCEPT_PAGE;

/// The verifier of this product: its keys are in a database behind a cache.
pub type KeyVerifier = Verifier<SqlKeyDirectory, SystemClock>;

/// The gate of this product: what it decides by is in a database behind caches.
pub type KeyGate = Gate<SqlTenants, Arc<SqlServers>, SqlAccess>;

/// The connections of this product: in a database behind a cache, like the servers that they are for.
pub type TenantConnections = ConnectionService<SqlConnections, Arc<SqlServers>, SystemClock>;

/// Everything that requests need, shared by all workers.
pub struct Services {
    /// Turns tokens into verified keys.
    pub verifier: KeyVerifier,
    /// Decides.
    pub gate: KeyGate,
    /// What our own tokens are recognized by.
    pub token_keys: TokenKeys,
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
    /// Keys of every organization, for instance admins.
    pub instance_keys: InstanceKeyService<SystemClock>,
    /// Tenants' connections to servers.
    pub connections: TenantConnections,
    /// Sends people away for their consent, and takes what they bring back.
    pub consents: Consents,
    /// Connect links and how their makers stand.
    pub consent_store: SqlConsents,
    /// Binds connect pages to browsers.
    pub browsers: Browsers,
    /// How clients and people reach this installation, without a slash at the end.
    pub public_url: String,
    /// Servers, for management.
    pub servers: ServerService<SystemClock>,
    /// Access policies and groups.
    pub policies: PolicyService<SystemClock>,
    /// Projects.
    pub projects: ProjectService<SystemClock>,
    /// Workflows.
    pub workflows: WorkflowService<SystemClock>,
    /// Proposed changes of workflows.
    pub proposals: ProposalService<SystemClock>,
    /// Workflows, for whoever runs them.
    pub definitions: Arc<dyn Definitions>,
    /// When workflows run by themselves.
    pub schedules: Arc<dyn Schedules>,
    /// Runs, for those who ask for them and look at them.
    pub runs: RunService<SystemClock>,
    /// Runs, for the nodes that do them.
    pub run_queue: Arc<dyn RunQueue>,
    /// How whoever began a run stands now.
    pub standings: Arc<dyn Standings>,
    /// Lets this node know that a run waits.
    pub run_bell: RunBell,
    /// The audit log.
    pub audit: Arc<dyn AuditLog>,
    /// The audit log, for those who read it.
    pub audit_reader: Arc<dyn AuditReader>,
    /// Writes checkpoints of the audit log.
    pub checkpoints: SqlCheckpoints,
    /// The public keys of checkpoints that were signed under earlier root secrets.
    pub retired_signers: Vec<[u8; 32]>,
    /// Signs checkpoints of the audit log.
    pub checkpoint_signer: Arc<Ed25519CheckpointSigner>,
    /// Takes the records of finished calls.
    pub calls: CallQueue,
    /// The records of calls, for those who read them.
    pub call_records: Arc<dyn CallRecords>,
    /// Tells the calls of one session from those of another.
    pub session_tags: SessionTags,
    /// When keys were last used.
    pub last_used: LastUsed,
    /// Tenants, for management.
    pub tenants: TenantService<SqlTenants, SystemClock>,
    /// What this node remembers to decide by; tests look in.
    pub caches: Caches,
    /// Tenants that were suspended while calls of theirs may be under way.
    pub suspended: Arc<SuspendedTenants>,
    /// Makes claims to writes that may be repeated.
    pub claims: Claims,
    /// Claims to writes, and their answers.
    pub idempotency: Arc<dyn IdempotencyStore>,
    /// Counts calls, errors and latencies.
    pub usage: UsageMeter,
    /// Use, as it is kept.
    pub usage_store: SqlUsage,
    /// Insights.
    pub insights: InsightService<SystemClock>,
    /// Folds calls into insights; tests do not wait for it.
    pub insight_fold: SqlInsightFold,
    /// Counts the requests of what has a limit.
    pub limiter: Arc<dyn RateLimiter>,
    /// The keys that sign assertions, and their change.
    pub assertion_keys: AssertionKeys,
    /// Whether the server stops.
    pub stopping: Arc<Stopping>,
    /// Whether this node may trust what it remembers.
    pub lease: Arc<Lease>,
    /// How servers do.
    pub health: Arc<HealthBook>,
    /// Assertions and credentials, ready to send.
    pub passports: Passports,
    /// Seals session ids.
    pub sealer: Arc<Sealer>,
    /// When MCP sessions were last used on this node.
    pub sessions_in_use: SessionUses,
    /// Where upstream servers may be.
    pub egress: Arc<EgressPolicy>,
    /// What servers offer, and what was approved of it.
    pub capabilities: Arc<dyn CapabilityStore>,
    /// For our own requests to servers.
    pub visitor: SharedUpstream,
    /// Servers, as requests find them.
    pub server_directory: Arc<SqlServers>,
    /// The tools that servers list.
    pub tool_lists: ToolLists,
    /// The names that this installation has.
    pub names: Names,
    /// The database, for readiness.
    pub database: Database,
    /// For tests and operators: how often a key was looked up in the database.
    pub key_lookups: SqlKeyDirectory,
    /// The audit log's rows, for those who check them.
    pub audit_rows: SqlAuditRows,
    /// Arranges the audit log; tests do not wait for it.
    pub audit_blocks: SqlAuditBlocks,
    /// What the operator set.
    pub settings: Settings,
}

/// Work beside requests, to be ended in order.
pub struct Background {
    audit: AuditWriter,
    checkpoints: SqlCheckpoints,
    signing: tokio::task::JoinHandle<()>,
    arranging: tokio::task::JoinHandle<()>,
    purge: tokio::task::JoinHandle<()>,
    last_used: tokio::task::JoinHandle<()>,
    uses: LastUsed,
    last_used_store: SqlLastUsed,
    forgetter: tokio::task::JoinHandle<()>,
    assertion_keys: tokio::task::JoinHandle<()>,
    folding: tokio::task::JoinHandle<()>,
    settling: Option<tokio::task::JoinHandle<()>>,
    usage_writer: tokio::task::JoinHandle<()>,
    usage: UsageMeter,
    usage_store: SqlUsage,
    cluster: Option<Cluster>,
    database: Database,
}

/// This node among those that serve from its database.
pub struct Node {
    /// Commits what nodes remember.
    pub changes: Changes,
    /// Whether what is remembered may be trusted.
    pub lease: Arc<Lease>,
    /// The others; none where the database is this process's own.
    pub cluster: Option<Cluster>,
    /// What it decided and has not written; only who serves keeps one.
    pub journal: Journal,
}

impl Node {
    /// Joins the others, if there can be any, as one that knows these root secrets.
    ///
    /// # Errors
    /// [`JoinFault`]
    pub async fn join(
        settings: &Settings,
        database: &Database,
        known: &Obtained,
        overlap: &Overlap,
    ) -> Result<Self, JoinFault> {
        let alone = settings.database().kind() == DatabaseKind::Sqlite;
        let lease = Arc::new(if alone { Lease::always() } else { Lease::none() });
        let caches = Caches::new(settings.cache_entries, &lease);
        let moves = matches!(known.beside, Some(Beside::Previous(_)));
        let tells = Known {
            name: settings.node_name.clone(),
            prints: known.prints(),
            leaving: matches!(known.beside, Some(Beside::Next(_))),
            overlap: moves.then(|| overlap.clone()),
        };
        let outdated = Arc::clone(database.outdated());
        let (url, trusted) = (settings.database(), Arc::clone(&lease));
        let cluster = Cluster::join(&url, tells, caches.clone(), trusted, outdated).await?;
        let changes = match &cluster {
            Some(cluster) => Changes::among(caches, cluster.clone()),
            None => Changes::alone(caches, &settings.node_name),
        };
        Ok(Self { changes, lease, cluster, journal: Journal::none() })
    }
}

impl Services {
    /// Puts everything together over an open, migrated database. `public_url` is how clients reach it.
    #[expect(clippy::too_many_lines, reason = "one place that names every part")]
    #[must_use]
    pub fn compose(
        settings: Settings,
        roots: &Roots,
        database: Database,
        public_url: &url::Url,
        Node { changes, lease, cluster, journal }: Node,
    ) -> (Arc<Self>, Background) {
        let retention = Retention {
            calls: settings.call_retention_days,
            usage: settings.usage_retention_days,
            insights: settings.insight_retention_days,
            runs: settings.run_retention_days,
        };
        let database = database.with_lease(Arc::clone(&lease));
        let (root, other) = (&roots.current, roots.other());
        let fingerprint = root.fingerprint();
        let token_keys = TokenKeys::of(roots);
        let caches = changes.caches().clone();
        let tenants = SqlTenants::new(database.clone(), changes.clone());
        let sealer = Arc::new(Sealer::derive(root).with_other(other));
        let servers = Arc::new(SqlServers::new(database.clone(), changes.clone(), Arc::clone(&sealer)));
        let last_used = LastUsed::default();
        let connections =
            SqlConnections::new(database.clone(), changes.clone(), Arc::clone(&sealer), last_used.clone());
        let access = SqlAccess::new(database.clone(), Arc::clone(&caches.access));
        let access_directory: Arc<dyn AccessDirectory> = Arc::new(access.clone());
        let accounts = Arc::new(SqlAccounts::new(database.clone()));
        let passwords =
            Arc::new(Passwords::new(Arc::<SqlAccounts>::clone(&accounts), Arc::new(Argon2Hasher::new()), SystemClock));
        let page = public_url.join(ACCEPT_PAGE).map_or_else(|_| ACCEPT_PAGE.to_owned(), String::from);
        let access_tokens: Arc<dyn AccessTokens> =
            Arc::new(AccessTokenSigner::derive(root).with_other(other, &roots.overlap));
        let members: Arc<dyn Members> = Arc::<SqlAccounts>::clone(&accounts);
        let gathered = Arc::<Gathered>::default();
        let audit_rows = SqlAuditRows::new(database.clone(), Arc::clone(&gathered));
        let audit_blocks = SqlAuditBlocks::new(database.clone(), gathered);
        let (call_queue, finished_calls) = calls::queue();
        let (audit, audit_writer) = AuditQueue::start(audit_rows.clone(), journal, finished_calls);
        let checkpoint_signer = Arc::new(Ed25519CheckpointSigner::derive(root));
        let checkpoints =
            SqlCheckpoints::new(database.clone(), Arc::<Ed25519CheckpointSigner>::clone(&checkpoint_signer));
        // Whoever serves takes over the database's keys first (`server`).
        let assertions = AssertionSigner::new(root, KeySchedule::new(vec![]), SystemClock.now());
        let assertions = Arc::new(assertions.with_other(other, &roots.overlap));
        let assertion_keys = AssertionKeys::new(
            Arc::new(SqlAssertionKeys::new(database.clone())),
            Arc::clone(&assertions),
            settings.assertion_key_lifetime,
        );
        let health = Arc::new(HealthBook::new(settings.cache_entries));
        let egress = Arc::new(settings.egress());
        let last_used_store = SqlLastUsed::new(database.clone());
        let base = public_url.as_str().trim_end_matches('/').to_owned();
        let visitor = SharedUpstream::start(&egress);
        let consent_store = SqlConsents::new(database.clone(), Arc::clone(&sealer), Arc::clone(&accounts));
        let oauth = Arc::new(OAuthClient::new(
            Arc::new(visitor.clone()),
            Arc::clone(&egress),
            format!("{base}{}", connect::CALLBACK),
        ));
        let renewals = Arc::new(OAuthRenewals::new(Arc::clone(&oauth), connections.clone(), consent_store.clone()));
        let idempotency = Arc::new(SqlIdempotency::new(database.clone()));
        let usage = UsageMeter::new(settings.cache_entries);
        let usage_store = SqlUsage::new(database.clone());
        let insight_fold = SqlInsightFold::new(database.clone());
        let key_store = Arc::new(SqlKeyStore::new(database.clone(), changes.clone(), &fingerprint));
        let key_directory = SqlKeyDirectory::new(database.clone(), changes.clone(), roots);
        let projects = Arc::new(SqlProjects::new(database.clone()));
        let capabilities: Arc<dyn CapabilityStore> = Arc::new(SqlCapabilities::new(database.clone()));
        let workflows = Arc::new(SqlWorkflows::new(database.clone()));
        let checker = Checker::new(
            Arc::<SqlProjects>::clone(&projects),
            Arc::<SqlServers>::clone(&servers),
            Arc::clone(&access_directory),
            Arc::clone(&capabilities),
            token_keys.clone(),
        );
        let runs = SqlRuns::new(database.clone(), Arc::clone(&sealer), Arc::clone(&accounts), settings.runs_waiting);
        let runs = Arc::new(runs);
        let services = Arc::new(Self {
            verifier: Verifier::new(token_keys.clone(), key_directory.clone(), SystemClock),
            gate: Gate::new(tenants.clone(), Arc::clone(&servers), access),
            token_keys: token_keys.clone(),
            sessions: SessionReader::new(Arc::clone(&access_tokens), Arc::clone(&members)),
            accounts: AccountService::new(
                accounts,
                Arc::clone(&members),
                Arc::clone(&passwords),
                access_tokens,
                root,
                settings.signup,
                SystemClock,
            )
            .with_other(other),
            instance_keys: InstanceKeyService::new(
                Arc::<SqlKeyStore>::clone(&key_store) as Arc<dyn InstanceKeyStore>,
                SystemClock,
            ),
            members: MemberService::new(
                Arc::new(SqlMembers::new(database.clone(), changes.clone())),
                Arc::clone(&passwords),
                SystemClock,
            ),
            invitations: InvitationService::new(
                Arc::new(SqlInvitations::new(database.clone(), changes.clone())),
                passwords,
                mailer(&settings),
                root,
                page,
                SystemClock,
            )
            .with_other(other),
            organizations: OrganizationService::new(
                Arc::new(SqlOrganizations::new(database.clone(), changes.clone())),
                members,
                settings.signup,
                SystemClock,
            ),
            keys: KeyService::new(
                key_store,
                Arc::clone(&access_directory),
                token_keys,
                settings.key_prefix.clone(),
                SystemClock,
            ),
            connections: ConnectionService::new(
                Arc::new(connections.clone()) as Arc<dyn ConnectionStore>,
                connections,
                Arc::clone(&servers),
                Arc::clone(&access_directory),
                renewals,
                SystemClock,
            ),
            consents: Consents::new(oauth, consent_store.clone()),
            consent_store,
            browsers: Browsers::derive(root).with_other(other),
            projects: ProjectService::new(projects, Arc::clone(&access_directory), SystemClock),
            workflows: WorkflowService::new(Arc::<SqlWorkflows>::clone(&workflows), checker.clone(), SystemClock),
            proposals: ProposalService::new(
                Arc::new(SqlWorkflowProposals::new(database.clone())),
                checker,
                SystemClock,
            ),
            runs: RunService::new(
                Arc::<SqlRuns>::clone(&runs),
                Arc::<SqlWorkflows>::clone(&workflows),
                Arc::clone(&access_directory),
                SystemClock,
            ),
            run_queue: Arc::<SqlRuns>::clone(&runs),
            standings: runs,
            run_bell: RunBell::default(),
            definitions: Arc::<SqlWorkflows>::clone(&workflows),
            schedules: workflows,
            servers: ServerService::new(Arc::clone(&servers) as Arc<dyn ServerStore>, access_directory, SystemClock),
            policies: PolicyService::new(
                Arc::new(SqlPolicies::new(database.clone(), changes.clone())),
                Arc::new(SqlGroups::new(database.clone(), changes)),
                SystemClock,
            ),
            audit: Arc::new(audit),
            audit_reader: Arc::new(SqlAuditReader::new(database.clone())),
            checkpoints: checkpoints.clone(),
            checkpoint_signer,
            retired_signers: roots.retired_signers.clone(),
            calls: call_queue,
            call_records: Arc::new(SqlCalls::new(database.clone())),
            session_tags: SessionTags::derive(root),
            last_used: last_used.clone(),
            suspended: Arc::clone(&caches.suspended),
            caches,
            tenants: TenantService::new(Arc::new(tenants.clone()), tenants.clone(), SystemClock),
            claims: Claims::derive(root).with_other(other),
            idempotency: Arc::<SqlIdempotency>::clone(&idempotency),
            usage: usage.clone(),
            usage_store: usage_store.clone(),
            insights: InsightService::new(Arc::new(SqlInsights::new(database.clone())), SystemClock),
            insight_fold: insight_fold.clone(),
            limiter: Arc::new(LocalLimiter::new(settings.cache_entries)),
            assertion_keys: assertion_keys.clone(),
            passports: Passports::new(assertions, base.clone(), settings.cache_entries, Arc::clone(&health)),
            stopping: Arc::default(),
            lease,
            health,
            sealer,
            sessions_in_use: SessionUses::new(
                settings.session_lifetime,
                settings.session_idle_timeout,
                settings.cache_entries,
            ),
            capabilities,
            visitor,
            egress,
            public_url: base,
            server_directory: Arc::clone(&servers),
            tool_lists: ToolLists::new(settings.cache_entries, settings.tool_list_ttl),
            names: Names::new(&settings, public_url),
            database: database.clone(),
            key_lookups: key_directory,
            audit_rows,
            audit_blocks: audit_blocks.clone(),
            settings,
        });
        let background = Background {
            audit: audit_writer,
            signing: tokio::spawn(infra::checkpoints::run(checkpoints.clone())),
            arranging: tokio::spawn(infra::audit_blocks::run(audit_blocks)),
            checkpoints,
            purge: tokio::spawn(infra::purge::run(SqlPurge::new(database.clone()), retention)),
            last_used: tokio::spawn(last_used.clone().run(last_used_store.clone())),
            uses: last_used,
            last_used_store,
            forgetter: tokio::spawn(forget_claims(idempotency)),
            assertion_keys: tokio::spawn(assertion_keys.run()),
            folding: tokio::spawn(infra::insights::run(insight_fold)),
            settling: settling(&database, roots),
            usage_writer: tokio::spawn(usage.clone().run(usage_store.clone())),
            usage,
            usage_store,
            cluster,
            database,
        };
        (services, background)
    }
}

fn settling(database: &Database, roots: &Roots) -> Option<tokio::task::JoinHandle<()>> {
    let Some(Beside::Previous(previous)) = &roots.beside else { return None };
    let (previous, current) = (previous.clone(), roots.current.clone());
    Some(tokio::spawn(infra::root_settling::run(database.clone(), previous, current, roots.overlap.clone())))
}

fn mailer(settings: &Settings) -> Option<Arc<dyn Mailer>> {
    let (url, from) = settings.smtp_url.as_ref().zip(settings.smtp_from.clone())?;
    Some(Arc::new(SmtpMailer::new(url, from)))
}

impl Background {
    /// Whether other nodes may serve from the database, and stand in for this one.
    #[must_use]
    pub const fn has_others(&self) -> bool {
        self.cluster.is_some()
    }

    /// Writes what is still to be written, and closes the database. Call it when no request is left: the audit log is
    /// finished when the last holder of `services` lets go.
    pub async fn finish(self, services: Arc<Services>) {
        self.purge.abort();
        self.last_used.abort();
        self.signing.abort();
        self.arranging.abort();
        // A pooled connection may have ended with the worker that opened it; the next one is new.
        for _ in 0..3 {
            if self.uses.flush(&self.last_used_store).await {
                break;
            }
        }
        self.forgetter.abort();
        self.assertion_keys.abort();
        self.folding.abort();
        if let Some(settling) = &self.settling {
            settling.abort();
        }
        self.usage_writer.abort();
        for _ in 0..3 {
            match self.usage.flush(&self.usage_store).await {
                Ok(()) => break,
                Err(fault) => {
                    tracing::error!(error = &fault as &dyn std::error::Error, "use of keys could not be written");
                }
            }
        }
        // No request is left, and nobody has to wait for this node.
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        drop(services);
        self.audit.finished().await;
        infra::checkpoints::close(&self.checkpoints).await;
        if let Err(fault) = self.database.close().await {
            tracing::error!(error = &fault as &dyn std::error::Error, "the database did not close well");
        }
    }
}

/// How often old claims to writes are forgotten. What is too old is not used before that either.
const FORGETTING: Duration = Duration::from_mins(10);

async fn forget_claims(store: Arc<SqlIdempotency>) {
    let mut interval = tokio::time::interval(FORGETTING);
    loop {
        interval.tick().await;
        let now = SystemClock.now().as_micros();
        let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        if let Err(fault) = store.forget(Timestamp::from_micros(now.saturating_sub(kept))).await {
            tracing::warn!(error = &fault as &dyn std::error::Error, "old claims to writes wait to be forgotten");
        }
    }
}
