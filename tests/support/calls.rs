//! Calls that nobody made, for what is told from calls.

use std::sync::Arc;
use std::time::Duration;

use api::compose::Services;
use domain::call::{CallKind, CallRecord, Label, Method, Outcome, Telemetry};
use domain::id::ServerId;
use domain::key::KeyId;
use domain::tenant::TenantText;
use domain::time::{Clock, SystemClock, Timestamp};
use reqwest::Method as Http;
use serde_json::json;
use uuid::Uuid;

use crate::Organization;

/// A call of a tool that went well, a moment ago.
#[must_use]
pub fn call(of: &Organization, tool: &str) -> CallRecord {
    CallRecord {
        at: SystemClock.now(),
        request_id: Uuid::now_v7(),
        organization: of.id.parse().expect("an id"),
        key: KeyId::from_token_part("0123456789abcdef").expect("an id"),
        server: ServerId::from_uuid(Uuid::from_u128(1)),
        tenant_org: None,
        tenant_user: None,
        kind: CallKind::Request,
        method: Some(Method::ToolsCall),
        tool: Some(Label::of_stored(tool)),
        version: None,
        session: None,
        outcome: Outcome::Answered,
        status: Some(200),
        fault: None,
        request_bytes: 100,
        response_bytes: 100,
        first_byte: Some(Duration::from_millis(10)),
        took: Duration::from_millis(11),
        telemetry: None,
    }
}

/// The same with what its model said.
#[must_use]
pub fn saying(call: CallRecord, intent: &str, frustration: Option<&str>) -> CallRecord {
    let frustration = frustration.map(str::to_owned);
    let telemetry = Telemetry { intent: Some(intent.to_owned()), context: None, frustration };
    CallRecord { telemetry: Some(Box::new(telemetry)), ..call }
}

/// The same of a tenant.
#[must_use]
pub fn of_tenant(call: CallRecord, org: Option<&str>, user: Option<&str>) -> CallRecord {
    let text = |text: Option<&str>| text.map(|text| TenantText::new(text).expect("an id"));
    CallRecord { tenant_org: text(org), tenant_user: text(user), ..call }
}

/// The same at another time.
#[must_use]
pub fn at(call: CallRecord, at: Timestamp) -> CallRecord {
    CallRecord { at, ..call }
}

/// Writes calls as if they had been made, and folds them.
pub async fn record(services: &Arc<Services>, calls: Vec<CallRecord>) {
    for call in calls {
        services.calls.room().await.expect("the store keeps up");
        services.calls.add(call);
    }
    services.audit.settle().await.expect("the audit log keeps up");
    fold(services).await;
}

/// Folds the calls that are written. Keyrack does so by itself every few seconds; what it is at now is waited for.
pub async fn fold(services: &Arc<Services>) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        infra::insights::once(&services.insight_fold, SystemClock.now()).await.expect("folded");
        if services.insight_fold.waiting().await.expect("an answer") == 0 {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "calls are not folded");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

impl Organization {
    /// Switches insights on, or off.
    pub async fn switch_insights(&self, on: bool) {
        let body = json!({"features": {"mcp_analytics": on}});
        self.owner().with_body(Http::PATCH, "/api/v1/org", &body).await.expect(200);
    }

    /// Records calls of this organization, folded.
    pub async fn record(&self, calls: Vec<CallRecord>) {
        record(&self.services.upgrade().expect("Keyrack runs"), calls).await;
    }
}
