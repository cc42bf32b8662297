//! What goes wrong, as the caller is told. Every fault of the domain becomes a [`Problem`] here and nowhere else; the
//! cause is logged once, at this boundary, and never sent.

use std::fmt;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError};
use domain::access::Denied;
use domain::access::decide::{DecisionFault, Refusal};
use domain::audit::Saturated;
use domain::capability::port::KeepFault;
use domain::connection::service::ConnectionFault;
use domain::field::{FieldError, FieldErrors};
use domain::guard::Refused;
use domain::insight::InsightFault;
use domain::invitation::InvitationFault;
use domain::key::service::KeyFault;
use domain::key::token::NoRandomness;
use domain::mcp::ReadFault;
use domain::mcp::mirror::HeaderMismatch;
use domain::member::MemberFault;
use domain::organization::change::OrganizationFault;
use domain::organization::service::AccountFault;
use domain::organization::session::SessionFault;
use domain::policy::service::PolicyFault;
use domain::project::service::ProjectFault;
use domain::redact;
use domain::run::service::RunFault;
use domain::server::service::ServerFault;
use domain::store::{Overtaken, StoreFault, WriteFault};
use domain::tenant::registry::TenantFault;
use domain::tenant::{InvalidTenant, TenantRefusal};
use domain::workflow::proposal::service::ProposalFault;
use domain::workflow::service::WorkflowFault;
use infra::mcp_client::{ClientFault, HttpFault};
use infra::upstream::UpstreamFault;
use infra::upstream::health::LeftAlone;
use serde::Serialize;
use tracing_actix_web::RequestId;
use utoipa::ToSchema;

use crate::code::{Code, ProtocolError};

/// A time as headers have it: rounded up, since whoever comes earlier comes too early.
#[must_use]
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The methods of MCP paths; OPTIONS is for pages of other origins.
pub const MCP_METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// How much of an upstream server's own message is passed on, in characters.
const SAID_MAX: usize = 200;

/// Seconds after which a caller may try again when a dependency is down.
const RETRY_AFTER_SECONDS: &str = "1";

/// A refusal or failure on its way to the caller.
#[derive(Debug)]
pub struct Problem {
    code: Code,
    message: String,
    fields: Vec<FieldError>,
    // Where the protocol has a number of its own.
    protocol: Option<ProtocolError>,
    // Where whoever is meant connects, for `connection_required`.
    connect_url: Option<String>,
    // Seconds, for codes that do not always have the same.
    retry_after: Option<u64>,
    // Boxed and optional: only faults of our own or of dependencies have one.
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The body of every error answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorContent,
}

/// An error.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorContent {
    /// What went wrong, in a word.
    pub code: Code,
    /// What went wrong and what to do, for a person.
    #[schema(example = "this needs the role editor or a higher one")]
    pub message: String,
    /// Quote it when you report a problem; logs and audit rows have it too.
    #[schema(example = "01985a7c-0000-7000-8000-000000000000")]
    pub request_id: String,
    /// More, where there is more.
    pub details: Details,
}

/// More about an error.
#[derive(Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The wrong fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub field_errors: Vec<FieldProblem>,
    /// With `connection_required`: where a person connects the tenant to the server. The link works once and for ten
    /// minutes. There is none for callers who may not connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://keyrack.example.com/connect/…")]
    pub connect_url: Option<String>,
}

/// A wrong field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// The field, as the request named it.
    #[schema(example = "name")]
    pub field: String,
    /// What is wrong with it.
    #[schema(example = "must not be empty")]
    pub message: String,
}

impl Problem {
    /// A problem with the code's general meaning as its message.
    #[must_use]
    pub fn new(code: Code) -> Self {
        let message = code.meaning().to_owned();
        Self { code, message, fields: Vec::new(), protocol: None, connect_url: None, retry_after: None, cause: None }
    }

    /// A problem with a message of its own.
    #[must_use]
    pub fn because(code: Code, message: impl ToString) -> Self {
        Self { message: message.to_string(), ..Self::new(code) }
    }

    /// A problem with one field.
    #[must_use]
    pub fn field(code: Code, field: &str, message: impl ToString) -> Self {
        let message = message.to_string();
        Self {
            fields: vec![FieldError { field: field.to_owned(), message: message.clone() }],
            ..Self::because(code, format!("{field} {message}"))
        }
    }

    /// A problem with these fields.
    #[must_use]
    pub fn fields(code: Code, errors: FieldErrors) -> Self {
        Self { message: errors.to_string(), fields: errors.0, ..Self::new(code) }
    }

    /// A message that the protocol itself calls wrong.
    #[must_use]
    pub fn protocol(error: ProtocolError, message: impl ToString) -> Self {
        Self { protocol: Some(error), ..Self::because(Code::InvalidRequest, message) }
    }

    /// The same, with the time after which the caller may try again; in whole seconds, and at least one.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self { retry_after: Some(whole_seconds(wait).max(1)), ..self }
    }

    /// The same, with the link on which whoever is meant connects.
    #[must_use]
    pub fn with_connect_url(self, url: String) -> Self {
        Self { message: format!("{} at {url}", self.message), connect_url: Some(url), ..self }
    }

    /// A fault of our own, which the caller is told nothing of.
    #[must_use]
    pub fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::caused(Code::Internal, cause)
    }

    fn caused(code: Code, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Box::new(cause)), ..Self::new(code) }
    }

    /// Its code.
    #[must_use]
    pub const fn code(&self) -> Code {
        self.code
    }

    /// What the caller is told.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The number inside a JSON-RPC error.
    #[must_use]
    pub fn number(&self) -> i64 {
        self.protocol.map_or_else(|| self.code.number(), ProtocolError::number)
    }

    /// Logs the cause, if there is one: the end of the chain, once.
    pub fn log(&self, request_id: Option<RequestId>) {
        if let Some(cause) = &self.cause {
            let error = cause.as_ref() as &dyn std::error::Error;
            let id = request_id.map(tracing::field::display);
            tracing::error!(code = self.code.as_str(), request_id = id, error, "request failed");
        }
    }

    /// The content for a REST body.
    #[must_use]
    pub fn content(&self, request_id: Option<RequestId>) -> ErrorContent {
        ErrorContent {
            code: self.code,
            message: self.message.clone(),
            request_id: request_id.map(|id| id.to_string()).unwrap_or_default(),
            details: Details {
                field_errors: self
                    .fields
                    .iter()
                    .map(|error| FieldProblem { field: error.field.clone(), message: error.message.clone() })
                    .collect(),
                connect_url: self.connect_url.clone(),
            },
        }
    }

    /// Adds the headers that go with the code.
    pub fn decorate(&self, response: &mut HttpResponse) {
        let headers = response.headers_mut();
        match self.code {
            Code::Unauthenticated => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="keyrack""#));
            }
            Code::MethodNotAllowed => {
                headers.insert(ALLOW, HeaderValue::from_static(MCP_METHODS));
            }
            Code::Unavailable => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    /// The whole REST answer.
    #[must_use]
    pub fn respond(&self, request: &HttpRequest) -> HttpResponse {
        let id = request.extensions().get::<RequestId>().copied();
        self.log(id);
        self.body(id)
    }

    fn body(&self, request_id: Option<RequestId>) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status())
            .insert_header((CONTENT_TYPE, "application/json"))
            .json(ErrorBody { error: self.content(request_id) });
        self.decorate(&mut response);
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    // actix calls this without the request; `layer::finish` answers again with the request's id.
    fn error_response(&self) -> HttpResponse {
        self.body(None)
    }
}

// === from the domain ===

impl From<FieldErrors> for Problem {
    fn from(errors: FieldErrors) -> Self {
        Self::fields(Code::ValidationFailed, errors)
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        match fault {
            StoreFault::Unavailable(_) => Self::caused(Code::Unavailable, fault),
            StoreFault::Corrupt(_) | StoreFault::Broken(_) => Self::caused(Code::Internal, fault),
            // As the next request would be answered.
            StoreFault::Overtaken(Overtaken::Gone) => Self::new(Code::Unauthenticated),
            StoreFault::Overtaken(Overtaken::Demoted) => Self::because(Code::ForbiddenRole, fault),
        }
    }
}

impl From<WriteFault> for Problem {
    fn from(fault: WriteFault) -> Self {
        match fault {
            WriteFault::Taken { what } => Self::field(Code::Conflict, what, "is already taken"),
            WriteFault::Store(fault) => fault.into(),
        }
    }
}

impl From<NoRandomness> for Problem {
    fn from(fault: NoRandomness) -> Self {
        Self::caused(Code::Unavailable, fault)
    }
}

impl From<Saturated> for Problem {
    fn from(fault: Saturated) -> Self {
        Self::caused(Code::Unavailable, fault)
    }
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let code = match denied {
            Denied::Feature { .. } => Code::FeatureDisabled,
            Denied::Role { .. } | Denied::InstanceAdmin => Code::ForbiddenRole,
            Denied::Permission { .. } => Code::ForbiddenPermission,
            Denied::ServerNotFound => Code::ServerNotFound,
            Denied::ServerNotAllowed => Code::ServerNotAllowed,
        };
        Self::because(code, denied)
    }
}

impl From<InvalidTenant> for Problem {
    fn from(invalid: InvalidTenant) -> Self {
        Self::field(Code::InvalidTenant, invalid.field.as_str(), invalid.fault)
    }
}

impl From<TenantRefusal> for Problem {
    fn from(refusal: TenantRefusal) -> Self {
        match refusal {
            TenantRefusal::Required { field } => {
                Self::field(Code::TenantRequired, field.as_str(), "is required for this key")
            }
            TenantRefusal::NotAllowed => Self::because(Code::TenantNotAllowed, refusal),
            TenantRefusal::Suspended => Self::because(Code::TenantSuspended, refusal),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidTenant(invalid) => invalid.into(),
            Refusal::Tenant(refusal) => refusal.into(),
            Refusal::Denied(denied) => denied.into(),
        }
    }
}

impl From<DecisionFault> for Problem {
    fn from(fault: DecisionFault) -> Self {
        match fault {
            DecisionFault::Refused(refusal) => refusal.into(),
            DecisionFault::Store(fault) => fault.into(),
        }
    }
}

impl From<SessionFault> for Problem {
    fn from(fault: SessionFault) -> Self {
        match fault {
            SessionFault::Unauthenticated => Self::new(Code::Unauthenticated),
            SessionFault::Store(fault) => fault.into(),
        }
    }
}

impl From<AccountFault> for Problem {
    fn from(fault: AccountFault) -> Self {
        match fault {
            AccountFault::Unauthenticated | AccountFault::Reused(_) => Self::new(Code::Unauthenticated),
            AccountFault::Throttled(throttled) => Self::because(Code::RateLimited, throttled).after(throttled.wait),
            AccountFault::NoSuchOrganization => Self::new(Code::NotFound),
            AccountFault::BootstrapToken => Self::field(
                Code::ValidationFailed,
                "bootstrapToken",
                "must be the token that the first start printed; it works once. `keyrack admin create-owner` works too",
            ),
            AccountFault::Write(fault) => fault.into(),
            AccountFault::NoRandomness(fault) => fault.into(),
        }
    }
}

impl From<OrganizationFault> for Problem {
    fn from(fault: OrganizationFault) -> Self {
        match fault {
            OrganizationFault::Denied(denied) => denied.into(),
            OrganizationFault::Write(fault) => fault.into(),
        }
    }
}

impl From<MemberFault> for Problem {
    fn from(fault: MemberFault) -> Self {
        match fault {
            MemberFault::Invalid(errors) => errors.into(),
            MemberFault::NotFound => Self::new(Code::NotFound),
            MemberFault::Denied(denied) => denied.into(),
            MemberFault::Owner | MemberFault::Oneself => Self::because(Code::Conflict, fault),
            MemberFault::Account(fault) => fault.into(),
            MemberFault::Store(fault) => fault.into(),
        }
    }
}

impl From<InvitationFault> for Problem {
    fn from(fault: InvitationFault) -> Self {
        match fault {
            InvitationFault::Invalid(errors) => errors.into(),
            InvitationFault::NotFound => Self::new(Code::NotFound),
            InvitationFault::Token => Self::field(
                Code::ValidationFailed,
                "token",
                "must be of an invitation that works: it works once, until it is revoked, replaced or over",
            ),
            InvitationFault::Member => Self::because(Code::Conflict, fault),
            InvitationFault::Account(fault) => fault.into(),
            InvitationFault::Write(fault) => fault.into(),
            InvitationFault::NoRandomness(fault) => fault.into(),
        }
    }
}

impl From<KeyFault> for Problem {
    fn from(fault: KeyFault) -> Self {
        match fault {
            KeyFault::Invalid(errors) => errors.into(),
            KeyFault::NotFound => Self::new(Code::NotFound),
            KeyFault::Denied(denied) => denied.into(),
            KeyFault::Revoked => Self::because(Code::Conflict, "the key is revoked and can no longer change"),
            KeyFault::Expired | KeyFault::TooManyTokens(_) => Self::because(Code::Conflict, fault),
            KeyFault::NoRandomness(fault) => fault.into(),
            KeyFault::Write(fault) => fault.into(),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Secret(argument) => Self::because(Code::SecretArgument, argument),
            Refused::Unreadable => Self::protocol(ProtocolError::Parse, refused),
        }
    }
}

impl From<ReadFault> for Problem {
    fn from(fault: ReadFault) -> Self {
        let error = match fault {
            ReadFault::NotJson => ProtocolError::Parse,
            ReadFault::NotAnObject | ReadFault::TwoWays(_) | ReadFault::Method | ReadFault::BatchLength => {
                ProtocolError::InvalidRequest
            }
        };
        Self::protocol(error, fault)
    }
}

impl From<HeaderMismatch> for Problem {
    fn from(mismatch: HeaderMismatch) -> Self {
        Self::protocol(ProtocolError::HeaderMismatch, mismatch)
    }
}

impl From<PolicyFault> for Problem {
    fn from(fault: PolicyFault) -> Self {
        match fault {
            PolicyFault::Invalid(errors) => errors.into(),
            PolicyFault::NotFound => Self::new(Code::NotFound),
            PolicyFault::Write(fault) => fault.into(),
        }
    }
}

impl From<ProjectFault> for Problem {
    fn from(fault: ProjectFault) -> Self {
        match fault {
            ProjectFault::Invalid(errors) => errors.into(),
            ProjectFault::NotFound => Self::new(Code::NotFound),
            ProjectFault::Archived(archived) => Self::because(Code::Conflict, archived),
            ProjectFault::Write(fault) => fault.into(),
        }
    }
}

impl From<InsightFault> for Problem {
    fn from(fault: InsightFault) -> Self {
        match fault {
            InsightFault::Invalid(errors) => errors.into(),
            InsightFault::NotFound => Self::new(Code::NotFound),
            InsightFault::Store(fault) => fault.into(),
        }
    }
}

impl From<WorkflowFault> for Problem {
    fn from(fault: WorkflowFault) -> Self {
        match fault {
            WorkflowFault::Invalid(errors) => errors.into(),
            WorkflowFault::Secret(errors) => Self::fields(Code::SecretArgument, errors),
            WorkflowFault::NotFound => Self::new(Code::NotFound),
            WorkflowFault::NotChanged(why) => Self::because(Code::Conflict, why),
            WorkflowFault::Store(fault) => fault.into(),
        }
    }
}

impl From<ProposalFault> for Problem {
    fn from(fault: ProposalFault) -> Self {
        match fault {
            ProposalFault::Invalid(errors) => errors.into(),
            ProposalFault::Secret(errors) => Self::fields(Code::SecretArgument, errors),
            ProposalFault::NotFound => Self::new(Code::NotFound),
            ProposalFault::Denied(denied) => denied.into(),
            ProposalFault::NotChanged(why) => Self::because(Code::Conflict, why),
            ProposalFault::Refused(_) => Self::because(Code::Conflict, fault),
            ProposalFault::NoLongerFits(errors) => Self {
                message: format!("the proposal no longer fits: {errors}"),
                ..Self::fields(Code::Conflict, errors)
            },
            ProposalFault::Store(fault) => fault.into(),
        }
    }
}

impl From<RunFault> for Problem {
    fn from(fault: RunFault) -> Self {
        match fault {
            RunFault::NotFound => Self::new(Code::NotFound),
            RunFault::Reused => Self::because(Code::IdempotencyConflict, fault),
            RunFault::Archived | RunFault::Over | RunFault::NotPassed | RunFault::NoBaseline | RunFault::Different => {
                Self::because(Code::Conflict, fault)
            }
            RunFault::Store(fault) => fault.into(),
        }
    }
}

impl From<ServerFault> for Problem {
    fn from(fault: ServerFault) -> Self {
        match fault {
            ServerFault::Invalid(errors) => errors.into(),
            ServerFault::NotFound => Denied::ServerNotFound.into(),
            ServerFault::Archived => Self::because(Code::Conflict, fault),
            ServerFault::Denied(denied) => denied.into(),
            ServerFault::Write(fault) => fault.into(),
        }
    }
}

impl From<KeepFault> for Problem {
    fn from(fault: KeepFault) -> Self {
        match fault {
            KeepFault::Invalid(errors) => errors.into(),
            KeepFault::Changed(_) | KeepFault::NeverSynced | KeepFault::ServerChanged => {
                Self::because(Code::Conflict, fault)
            }
            KeepFault::Store(fault) => fault.into(),
        }
    }
}

impl From<TenantFault> for Problem {
    fn from(fault: TenantFault) -> Self {
        match fault {
            TenantFault::Invalid(errors) => errors.into(),
            TenantFault::Refused(refusal) => refusal.into(),
            TenantFault::NotFound => Self::new(Code::NotFound),
            TenantFault::Store(fault) => fault.into(),
        }
    }
}

impl From<LeftAlone> for Problem {
    fn from(left: LeftAlone) -> Self {
        Self::because(Code::UpstreamError, &left).after(left.wait)
    }
}

impl From<ClientFault> for Problem {
    fn from(fault: ClientFault) -> Self {
        match fault {
            ClientFault::Unreachable(HttpFault::Upstream(fault)) => fault.into(),
            ClientFault::Unreachable(_) => {
                Self::because(Code::UpstreamError, "the server closed the connection before its answer was complete")
            }
            ClientFault::TimedOut => Self::because(Code::UpstreamTimeout, fault),
            ClientFault::Refused(_) => Self::because(Code::UpstreamError, format!("{fault}; check its auth")),
            ClientFault::Server(ref error) => {
                // Its own words, and not many of them; they must not bring a secret back.
                let said: String = error.message.chars().take(SAID_MAX).filter(|letter| !letter.is_control()).collect();
                Self::because(Code::UpstreamError, format!("{fault}: {}", redact::text(&said)))
            }
            ClientFault::Status { .. }
            | ClientFault::Redirected
            | ClientFault::Protocol(_)
            | ClientFault::Cancelled => Self::because(Code::UpstreamError, fault),
            ClientFault::Headers(_) => Self::caused(Code::Internal, fault),
        }
    }
}

impl From<ConnectionFault> for Problem {
    fn from(fault: ConnectionFault) -> Self {
        match fault {
            ConnectionFault::Invalid(errors) => errors.into(),
            ConnectionFault::Denied(denied) => denied.into(),
            ConnectionFault::NotFound => Self::because(Code::NotFound, fault),
            ConnectionFault::NoHolder => Self::because(Code::InvalidRequest, fault),
            ConnectionFault::Required { .. } => Self::because(Code::ConnectionRequired, fault),
            ConnectionFault::NotRenewed { .. } => Self::because(Code::UpstreamError, fault),
            ConnectionFault::Store(fault) => fault.into(),
        }
    }
}

impl From<UpstreamFault> for Problem {
    fn from(fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::Egress(refusal) => {
                Self::because(Code::UpstreamError, format!("the server's address is not allowed: {refusal}"))
            }
            UpstreamFault::Unreachable(_) => {
                Self::because(Code::UpstreamError, "cannot connect to the server; check its URL and that it runs")
            }
            UpstreamFault::ConnectTimeout => {
                Self::because(Code::UpstreamTimeout, "connecting to the server took too long")
            }
            UpstreamFault::Tls(_) => Self::because(
                Code::UpstreamError,
                "TLS with the server failed; check that its certificate is good for its name and publicly trusted",
            ),
            UpstreamFault::Broken(_) | UpstreamFault::Switched | UpstreamFault::Ended => {
                Self::because(Code::UpstreamError, "the server closed the connection or did not answer in HTTP")
            }
        }
    }
}
