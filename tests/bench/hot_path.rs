//! The path that every request takes, by its steps: parse, digest, verify and resolve, all on a cache hit; and what a
//! key with very many allowed tenants costs more (nothing).
//!
//! `tests/bench/hot_path` runs it and writes the result down. `KEYRACK_TEST_MANY` is the number of allowed tenants of the
//! large key, a million when not given.

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::guard::{AllowedFields, inspect_message};
use domain::key::TokenKeys;
use domain::key::token::PresentedToken;
use domain::key::verify::{Recalled, VerifiedKey};
use domain::mcp::Envelope;
use domain::mcp::mirror::{Header, MirrorHeaders};
use domain::root::RootSecret;
use domain::tenant::{Surface, TenantParams};
use infra::cache::LiveKeyHandle;
use mimalloc::MiMalloc;
use reqwest::Method;
use serde_json::json;
use support::{App, Organization};

// As in the product.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Tenants per request, within the body limit.
const BATCH: usize = 50_000;
const QUERY: &str = "org_id=customer-7&user_id=user-7";

/// A platform key that lists this many tenant orgs.
async fn key_with(acme: &Organization, tenants: usize) -> String {
    let key = acme.key(json!({"type": "platform", "tenants": {"orgs": []}})).await;
    let path = format!("/api/v1/api-keys/{}/tenants", key.id);
    let began = Instant::now();
    for start in (0..tenants).step_by(BATCH) {
        let end = (start + BATCH).min(tenants);
        let orgs: Vec<_> = (start..end).map(|number| json!({"id": format!("customer-{number}")})).collect();
        acme.owner().with_body(Method::PATCH, &path, &json!({"add": {"orgs": orgs}})).await.expect(200);
        if tenants > BATCH {
            eprintln!("{end} of {tenants} allowed tenants after {:.0} s", began.elapsed().as_secs_f64());
        }
    }
    key.token
}

fn remembered(app: &App, token: &str) -> VerifiedKey<LiveKeyHandle> {
    match app.services().verifier.verify_cached(token).expect("a valid key") {
        Recalled::Verified(verified) => verified,
        Recalled::AskStore { .. } => panic!("the key is not remembered"),
    }
}

fn hot_path(criterion: &mut Criterion) {
    let many = std::env::var("KEYRACK_TEST_MANY").ok().and_then(|many| many.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (app, keys) = runtime.block_on(async {
        let app = App::spawn().await;
        let acme = app.organization("acme").await;
        let keys = [
            ("any", acme.platform().await.token),
            ("10", key_with(&acme, 10).await),
            ("many", key_with(&acme, many).await),
        ];
        for (_, token) in &keys {
            app.key(token).get(&format!("/api/v1/me?{QUERY}")).await.expect(200);
        }
        (app, keys)
    });
    let token_keys = TokenKeys::derive(&RootSecret::new([7_u8; 32]).expect("long enough"));
    let issued = domain::key::IssuedToken::issue(&domain::key::KeyPrefix::default(), &token_keys).expect("randomness");
    let text = issued.reveal();
    let text = domain::key::token::exposed(&text);
    criterion.bench_function("parse", |bench| bench.iter(|| PresentedToken::parse(black_box(text), &token_keys)));
    let presented = PresentedToken::parse(text, &token_keys).expect("our own");
    criterion.bench_function("digest", |bench| bench.iter(|| black_box(&presented).digest(&token_keys)));
    let (verifier, gate) = (&app.services().verifier, &app.services().gate);
    let (_, any) = &keys[0];
    criterion.bench_function("verify", |bench| bench.iter(|| verifier.verify_cached(black_box(any))));
    for (name, token) in &keys {
        let verified = remembered(&app, token);
        criterion.bench_function(&format!("resolve, {name} allowed tenants"), |bench| {
            bench.iter(|| {
                let params = TenantParams::parse(black_box(QUERY)).expect("good parameters");
                gate.resolve_cached(&verified, Surface::Tenant, params).expect("allowed").expect("remembered")
            });
        });
    }
    criterion.bench_function("verify and resolve", |bench| {
        bench.iter(|| {
            let verified = remembered(&app, black_box(any));
            let params = TenantParams::parse(black_box(QUERY)).expect("good parameters");
            gate.resolve_cached(&verified, Surface::Tenant, params).expect("allowed").expect("remembered")
        });
    });
}

/// What a message costs before it goes upstream: its envelope, the headers that must agree with it, and the guard of its
/// arguments.
fn message(criterion: &mut Criterion) {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let arguments =
        json!({"title": "Minutes", "text": "a".repeat(400), "tags": ["a", "b"], "options": {"pin": true, "due": 7}});
    let call = |params: serde_json::Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
    };
    let legacy = call(json!({"name": "add_note", "arguments": arguments}));
    let modern = call(json!({"name": "add_note", "arguments": arguments, "_meta": meta}));
    let keys = TokenKeys::derive(&RootSecret::new([7_u8; 32]).expect("long enough"));
    let header = |text: &'static str| Header::of(std::iter::once(text.as_bytes()));
    let headers =
        MirrorHeaders { version: header("2026-07-28"), method: header("tools/call"), name: header("add_note") };
    let read = |body: &str| drop(black_box(Envelope::read(black_box(body).as_bytes()).expect("a message")));
    criterion.bench_function("envelope, legacy", |bench| bench.iter(|| read(&legacy)));
    criterion.bench_function("envelope, modern", |bench| bench.iter(|| read(&modern)));
    let message = Envelope::read(modern.as_bytes()).expect("a message");
    criterion.bench_function("headers agree", |bench| bench.iter(|| black_box(&headers).check(&message)));
    criterion.bench_function("guard", |bench| {
        bench.iter(|| inspect_message(black_box(&message), &AllowedFields::default(), &keys));
    });
}

criterion_group!(benches, hot_path, message);
criterion_main!(benches);
