//! The record of a call, from the moment when its caller is admitted to the end of its answer.
//!
//! Whatever becomes of the call, its record is made once: when its end is known, or when what was under way is dropped,
//! which is how a caller that leaves shows. Use is counted from the same value, when the answer begins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;
use actix_web::http::{Method as HttpMethod, StatusCode};
use domain::audit::Saturated;
use domain::call::{AnswerFault, CallKind, CallRecord, Cut, Label, Method, Outcome};
use domain::id::ServerId;
use domain::key::{KeyFacts, TokenKeys};
use domain::mcp::{Envelope, Kind};
use domain::tenant::Tenant;
use domain::time::{Clock, SystemClock};
use domain::usage::{Hour, Slot};

use super::headers::MCP_PROTOCOL_VERSION;
use crate::authenticate::request_id;
use crate::compose::Services;
use crate::problem::Problem;

/// A call that was let begin.
pub struct CallUnderWay {
    services: Arc<Services>,
    // None once it is on its way to the store.
    record: Option<CallRecord>,
    began: Instant,
    counted: bool,
}

impl CallUnderWay {
    /// Begins, when there is room for what will be known of it. Nothing was sent upstream yet.
    ///
    /// # Errors
    /// [`Saturated`] when the store does not keep up.
    pub async fn begin(
        services: &Arc<Services>,
        request: &HttpRequest,
        key: &KeyFacts,
        tenant: &Tenant,
        server: ServerId,
    ) -> Result<Self, Saturated> {
        let mut call = Self::of(services, request_id(request), key, tenant, server).await?;
        let version = request.headers().get(MCP_PROTOCOL_VERSION).and_then(|version| version.to_str().ok());
        call.note(|record| {
            record.kind = match *request.method() {
                HttpMethod::GET => CallKind::Stream,
                HttpMethod::DELETE => CallKind::End,
                _ => CallKind::Other,
            };
            record.version = version.map(|version| Label::of(version, &services.token_keys));
        });
        Ok(call)
    }

    /// Begins a call of a tool that Keyrack itself makes on a caller's behalf, like [`CallUnderWay::begin`].
    ///
    /// # Errors
    /// [`Saturated`]
    pub async fn of_tool(
        services: &Arc<Services>,
        request_id: Option<uuid::Uuid>,
        key: &KeyFacts,
        tenant: &Tenant,
        (server, tool): (ServerId, &str),
    ) -> Result<Self, Saturated> {
        let mut call = Self::of(services, request_id, key, tenant, server).await?;
        call.note(|record| {
            record.kind = CallKind::Request;
            record.method = Some(Method::ToolsCall);
            record.tool = Some(Label::of(tool, &services.token_keys));
        });
        Ok(call)
    }

    async fn of(
        services: &Arc<Services>,
        request_id: Option<uuid::Uuid>,
        key: &KeyFacts,
        tenant: &Tenant,
        server: ServerId,
    ) -> Result<Self, Saturated> {
        if !services.calls.has_room() {
            services.calls.room().await?;
        }
        let record = CallRecord {
            at: SystemClock.now(),
            request_id: request_id.unwrap_or_else(uuid::Uuid::now_v7),
            organization: key.organization.id,
            key: key.id,
            server,
            tenant_org: tenant.org().cloned(),
            tenant_user: tenant.user().cloned(),
            kind: CallKind::Other,
            method: None,
            tool: None,
            version: None,
            session: None,
            outcome: Outcome::Cancelled,
            status: None,
            fault: None,
            request_bytes: 0,
            response_bytes: 0,
            first_byte: None,
            took: Duration::ZERO,
        };
        Ok(Self { services: Arc::clone(services), record: Some(record), began: Instant::now(), counted: false })
    }

    /// The caller's message was read.
    pub fn received(&mut self, length: usize) {
        self.note(|record| record.request_bytes = length as u64);
    }

    /// It was understood.
    pub fn understood(&mut self, envelope: &Envelope<'_>, keys: &TokenKeys) {
        self.note(|record| {
            record.kind = match envelope.kind {
                Kind::Request => CallKind::Request,
                Kind::Notification => CallKind::Notification,
                Kind::Response => CallKind::Response,
                Kind::Batch => CallKind::Batch,
            };
            record.method = envelope.method.as_deref().map(|method| Method::of(method, keys));
            if record.method == Some(Method::ToolsCall) {
                record.tool = envelope.name.as_deref().map(|name| Label::of(name, keys));
            }
            if record.version.is_none() {
                record.version = envelope.version.as_deref().map(|version| Label::of(version, keys));
            }
        });
    }

    /// It belongs to this session, by the server's own id of it.
    pub fn belongs_to(&mut self, services: &Services, tenant: &Tenant, session: &[u8]) {
        self.note(|record| {
            record.session = Some(services.session_tags.tag(record.key, tenant, record.server, session));
        });
    }

    /// The server's answer begins, and goes to the caller.
    pub fn answered(&mut self, status: StatusCode) {
        let took = self.began.elapsed();
        self.note(|record| {
            record.status = Some(status.as_u16());
            record.first_byte = Some(took);
        });
        self.count(took, status.is_server_error());
    }

    /// A part of the answer was passed on.
    pub fn passed(&mut self, length: usize, fault: Option<AnswerFault>) {
        self.note(|record| {
            record.response_bytes += length as u64;
            record.fault = fault.or(record.fault);
        });
    }

    /// It came to nothing, and the caller was told so.
    pub fn came_to_nothing(mut self, problem: &Problem) {
        let code = problem.code();
        self.note(|record| record.status = Some(code.mcp_status().as_u16()));
        let code_word = code.as_str().into();
        let failed = code.status().is_server_error();
        self.ended(if failed { Outcome::Failed(code_word) } else { Outcome::Refused(code_word) });
    }

    /// Its end is known: the record is on its way. What comes later changes nothing.
    pub fn ended(&mut self, outcome: Outcome) {
        if self.record.is_none() {
            return;
        }
        let took = self.began.elapsed();
        // A call that comes to nothing, or whose caller leaves before the answer, has failed.
        self.count(took, true);
        if let Some(record) = self.record.take() {
            self.services.calls.add(CallRecord { outcome, took, ..record });
        }
    }

    /// Whether the program stops.
    #[must_use]
    pub fn stops(&self) -> bool {
        self.services.calls.is_stopping()
    }

    fn note(&mut self, note: impl FnOnce(&mut CallRecord)) {
        if let Some(record) = &mut self.record {
            note(record);
        }
    }

    /// Counts the call as use, once.
    fn count(&mut self, took: Duration, failed: bool) {
        if let Some(record) = self.record.as_ref().filter(|_| !self.counted) {
            let hour = Hour::of(record.at);
            let slot = Slot { organization: record.organization, key: record.key, server: record.server, hour };
            self.services.usage.count(slot, took, failed);
            self.counted = true;
        }
    }
}

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.ended(if self.stops() { Outcome::Cut(Cut::Shutdown) } else { Outcome::Cancelled });
    }
}
