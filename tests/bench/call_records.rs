//! What the record of a call costs: on the worker, from its begin to its end; and in the writer, rows into an SQLite file
//! on disk, alone and together with the rows of the audit log.
//!
//! `cargo bench -p keyrack-tests --bench call_records`

use std::hint::black_box;
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::test::TestRequest;
use api::gateway::recorder::CallUnderWay;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use domain::access::Actor;
use domain::audit::entry::AuditEntry;
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::call::{AnswerFault, CallKind, CallRecord, Label, Method, Outcome};
use domain::id::{EventId, ServerId};
use domain::key::KeyFacts;
use domain::key::verify::Recalled;
use domain::mcp::Envelope;
use domain::tenant::{Surface, Tenant, TenantParams};
use domain::time::{Clock, SystemClock};
use domain::usage::{Hour, Slot};
use futures_util::FutureExt;
use mimalloc::MiMalloc;
use serde_json::json;
use support::App;
use uuid::Uuid;

// As in the product.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Calls between two looks at whether the writer keeps up; half of those that may wait.
const CALLS: u64 = infra::calls::ROOM as u64 / 2;
/// Rows of one transaction.
const ROWS: u64 = 1_000;
const MESSAGE: &[u8] =
    br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_weather","arguments":{"city":"Bern"}}}"#;
const ANSWER: &[u8] =
    br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"12 degrees"}],"isError":false}}"#;

fn on_the_worker(
    criterion: &mut Criterion,
    runtime: &tokio::runtime::Runtime,
    app: &App,
    key: &KeyFacts,
    tenant: &Tenant,
) {
    let services = app.services();
    let request = TestRequest::post().insert_header(("mcp-protocol-version", "2025-11-25")).to_http_request();
    let envelope = Envelope::read(MESSAGE).expect("a message");
    let server = ServerId::new();
    let call = || {
        let begun = CallUnderWay::begin(services, &request, key, tenant, server).now_or_never();
        let mut call = begun.expect("there is room").expect("there is room");
        call.received(MESSAGE.len());
        call.understood(&envelope, &services.token_keys);
        call.answered(StatusCode::OK);
        call.passed(ANSWER.len(), AnswerFault::in_json(black_box(ANSWER)));
        call.ended(Outcome::Answered);
    };
    criterion.bench_function("record of a call, begin to end", |bench| {
        bench.iter_custom(|iterations| {
            let mut took = Duration::ZERO;
            let mut left = iterations;
            while left > 0 {
                let now = left.min(CALLS);
                let began = Instant::now();
                (0..now).for_each(|_| call());
                took += began.elapsed();
                left -= now;
                runtime.block_on(app.settled());
            }
            took
        });
    });
    // What a call cost before there were records: two looks at clocks and the count.
    criterion.bench_function("use alone", |bench| {
        bench.iter(|| {
            let slot =
                Slot { organization: key.organization.id, key: key.id, server, hour: Hour::of(SystemClock.now()) };
            services.usage.count(slot, black_box(Instant::now()).elapsed(), false);
        });
    });
    criterion.bench_function("what an answer says of a failure", |bench| {
        bench.iter(|| AnswerFault::in_json(black_box(ANSWER)));
    });
}

fn record(key: &KeyFacts, tenant: &Tenant) -> CallRecord {
    CallRecord {
        at: SystemClock.now(),
        request_id: Uuid::now_v7(),
        organization: key.organization.id,
        key: key.id,
        server: ServerId::new(),
        tenant_org: tenant.org().cloned(),
        tenant_user: tenant.user().cloned(),
        kind: CallKind::Request,
        method: Some(Method::ToolsCall),
        tool: Some(Label::of_stored("get_weather")),
        version: Some(Label::of_stored("2025-11-25")),
        session: None,
        outcome: Outcome::Answered,
        status: Some(200),
        fault: None,
        request_bytes: 188,
        response_bytes: 75,
        first_byte: Some(Duration::from_micros(700)),
        took: Duration::from_micros(710),
        telemetry: None,
    }
}

fn in_the_writer(
    criterion: &mut Criterion,
    runtime: &tokio::runtime::Runtime,
    app: &App,
    actor: &Actor,
    tenant: &Tenant,
) {
    let Actor::Key(key) = actor else { return };
    let rows = &app.services().audit_rows;
    let call = record(key, tenant);
    let calls = || {
        (0..ROWS).map(|_| CallRecord { at: SystemClock.now(), request_id: Uuid::now_v7(), ..call.clone() }).collect()
    };
    let event = AuditEvent {
        organization: Some(key.organization.id),
        tenant: tenant.clone(),
        request_id: Some(Uuid::now_v7()),
        ..AuditEvent::unproven(AuditActor::Proven(actor.clone()), "mcp.connect", SystemClock.now())
    }
    .about(AuditTarget::Server(ServerId::new()));
    let event = AuditEntry::from(&event);
    let events = || (0..ROWS).map(|_| AuditEntry { id: EventId::new(), ..event.clone() }).collect();
    let mut group = criterion.benchmark_group("writer");
    group.throughput(Throughput::Elements(ROWS));
    let none: fn() -> Vec<AuditEntry> = Vec::new;
    let append = |events: Vec<AuditEntry>, calls: Vec<CallRecord>| {
        runtime.block_on(rows.append(&events, &calls)).expect("stored");
    };
    group.bench_function("calls", |bench| {
        bench.iter_batched(calls, |calls| append(none(), calls), criterion::BatchSize::PerIteration);
    });
    group.bench_function("audit rows", |bench| {
        bench.iter_batched(events, |events| append(events, Vec::new()), criterion::BatchSize::PerIteration);
    });
    group.bench_function("audit rows and calls", |bench| {
        bench.iter_batched(
            || (events(), calls()),
            |(events, calls)| append(events, calls),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn call_records(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (app, token) = runtime.block_on(async {
        let app = App::spawn().await;
        let acme = app.organization("acme").await;
        let token = acme.key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await.token;
        app.key(&token).get("/api/v1/me?org_id=customer-7&user_id=user-7").await.expect(200);
        (app, token)
    });
    let verified = match app.services().verifier.verify_cached(&token).expect("a valid key") {
        Recalled::Verified(verified) => verified,
        Recalled::AskStore { .. } => panic!("the key is not remembered"),
    };
    let params = TenantParams::parse("org_id=customer-7&user_id=user-7").expect("good parameters");
    let scope =
        app.services().gate.resolve_cached(&verified, Surface::Tenant, params).expect("allowed").expect("known");
    on_the_worker(criterion, &runtime, &app, verified.facts(), scope.tenant());
    in_the_writer(criterion, &runtime, &app, scope.actor(), scope.tenant());
}

criterion_group!(benches, call_records);
criterion_main!(benches);
