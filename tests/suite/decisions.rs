//! Decisions for others: `POST /keys/verify`, and `POST /authorize`, which says what the live request would get.
//!
//! `KEYRACK_TEST_CASES` is the number of generated cases of the comparison; `tests/dry_run` runs a hundred thousand.

use std::time::Duration;

use domain::time::{Clock, SystemClock};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use support::{Actor, App, Key, Organization, Upstream};

#[tokio::test]
async fn a_verified_token_tells_its_key_and_tenant() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    acme.server("notes", "https://x.example.com/mcp").await;
    let service = app.key(&acme.key(json!({"permissions": ["keys:verify"]})).await.token);
    let key = acme.client().await;
    let ask = async |changes: Value| {
        let mut body = json!({"token": key.token, "userId": "marina", "server": "notes"});
        body.as_object_mut().expect("an object").extend(changes.as_object().expect("an object").clone());
        service.post("/api/v1/keys/verify", &body).await.expect(200)
    };
    let good = ask(json!({})).await;
    assert_eq!((&good["valid"], &good["code"]), (&json!(true), &Value::Null));
    assert_eq!(good["apiKey"]["id"], json!(key.id));
    assert_eq!(good["tenant"], json!({"org": null, "user": {"id": "marina"}}));
    for (changes, code) in [
        (json!({"userId": null}), "tenant_required"),
        (json!({"userId": ""}), "invalid_tenant"),
        (json!({"orgId": "globex"}), "tenant_not_allowed"),
        (json!({"server": "unknown"}), "server_not_found"),
        (json!({"server": "???"}), "server_not_found"),
    ] {
        let refused = ask(changes.clone()).await;
        assert_eq!((&refused["valid"], &refused["code"]), (&json!(false), &json!(code)), "{changes}");
        assert_eq!((&refused["apiKey"]["id"], &refused["tenant"]), (&json!(key.id), &Value::Null), "{changes}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_key_of_the_organization_is_just_not_valid() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let service = app.key(&acme.key(json!({"permissions": ["keys:verify"]})).await.token);
    let revoked = acme.solo().await;
    acme.revoke(&revoked.id).await;
    let mut answers = Vec::new();
    for token in [globex.solo().await.token, revoked.token, "nonsense".to_owned(), String::new()] {
        let answer = service.post("/api/v1/keys/verify", &json!({"token": token})).await;
        answers.push(answer.expect(200));
    }
    for answer in &answers {
        assert_eq!(answer, &json!({"valid": false, "code": "unauthenticated", "apiKey": null, "tenant": null}));
    }
}

#[tokio::test]
async fn what_verify_refuses_stands_in_the_audit_log_with_its_reason() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let service = app.key(&acme.key(json!({"permissions": ["keys:verify"]})).await.token);
    let revoked = acme.solo().await;
    acme.revoke(&revoked.id).await;
    service.post("/api/v1/keys/verify", &json!({"token": revoked.token})).await.expect(200);
    app.settled().await;
    let path = format!("/api/v1/audit-events?action=key.verify&targetId={}", revoked.id);
    let events = acme.owner().get(&path).await.expect(200);
    assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "{events}");
    assert_eq!(
        (&events["items"][0]["outcome"], &events["items"][0]["code"]),
        (&json!("refused"), &json!("unauthenticated"))
    );
    assert_eq!(events["items"][0]["reason"], json!("no such key"));
}

#[tokio::test]
async fn verify_tells_the_resolved_tenant_and_not_the_parameters() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let (service, solo) = (app.key(&acme.key(json!({"permissions": ["keys:verify"]})).await.token), acme.solo().await);
    let own = json!({"token": solo.token, "orgId": "acme", "userId": acme.owner_id});
    let answer = service.post("/api/v1/keys/verify", &own).await.expect(200);
    assert_eq!((&answer["valid"], &answer["tenant"]), (&json!(true), &Value::Null), "a solo key speaks for its owner");
    let client = json!({"token": acme.client().await.token, "orgId": "acme", "userId": "marina"});
    let answer = service.post("/api/v1/keys/verify", &client).await.expect(200);
    assert_eq!(
        answer["tenant"],
        json!({"org": null, "user": {"id": "marina"}}),
        "one's own organization is no tenant org"
    );
}

#[tokio::test]
async fn a_rehearsed_decision_says_which_rule_decided() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let notes = acme.server("notes", "https://x.example.com/mcp").await;
    acme.server("files", "https://y.example.com/mcp").await;
    let listing = acme.key(json!({"type": "client", "servers": [notes["id"]], "role": "viewer"})).await;
    let ask = async |body: Value| {
        let mut request = json!({"apiKeyId": listing.id});
        request.as_object_mut().expect("an object").extend(body.as_object().expect("an object").clone());
        acme.owner().post("/api/v1/authorize", &request).await.expect(200)
    };
    let passed = ask(json!({"userId": "a", "server": "notes"})).await;
    assert_eq!((&passed["allowed"], &passed["code"]), (&json!(true), &Value::Null));
    let checks: Vec<_> =
        passed["trail"].as_array().expect("a trail").iter().map(|step| step["check"].clone()).collect();
    let expected = ["key", "tenant_syntax", "tenant", "feature", "role", "permission", "resource", "server"];
    assert_eq!(json!(checks), json!(expected));
    for (body, code, check) in [
        (json!({"server": "notes"}), "tenant_required", "tenant"),
        (json!({"userId": "\u{7}", "server": "notes"}), "invalid_tenant", "tenant_syntax"),
        (json!({"userId": "a", "permission": "insights:write"}), "feature_disabled", "feature"),
        (json!({"userId": "a", "permission": "servers:write"}), "forbidden_role", "role"),
        (json!({"userId": "a", "server": "files"}), "server_not_allowed", "server"),
        (json!({"userId": "a", "server": "gone"}), "server_not_found", "resource"),
    ] {
        let refused = ask(body.clone()).await;
        assert_eq!((&refused["allowed"], &refused["code"]), (&json!(false), &json!(code)), "{body}");
        let last = refused["trail"].as_array().and_then(|trail| trail.last()).expect("a trail").clone();
        assert_eq!((&last["check"], &last["outcome"]), (&json!(check), &json!("refused")), "{body}");
        assert!(last["detail"].is_string(), "{body}");
    }
    acme.revoke(&listing.id).await;
    let ended = ask(json!({"userId": "a", "server": "notes"})).await;
    assert_eq!((&ended["code"], &ended["trail"][0]["check"]), (&json!("unauthenticated"), &json!("key")));
}

#[tokio::test]
async fn a_rehearsal_makes_nothing_and_needs_a_key_of_ones_own() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    acme.server("notes", &upstream.url("/echo")).await;
    let key = acme.client().await;
    let body = json!({"apiKeyId": key.id, "userId": "never-seen", "server": "notes"});
    acme.owner().post("/api/v1/authorize", &body).await.expect(200);
    assert_eq!(upstream.seen().len(), 0, "nothing was sent");
    let service = app.key(&acme.key(json!({"permissions": ["keys:verify"]})).await.token);
    assert_eq!(service.post("/api/v1/authorize", &body).await.expect(200)["allowed"], json!(true));
    let foreign = globex.owner().post("/api/v1/authorize", &body).await;
    let unknown = json!({"apiKeyId": "key_0000000000000000", "userId": "never-seen", "server": "notes"});
    let unknown = globex.owner().post("/api/v1/authorize", &unknown).await;
    assert_eq!(foreign.refused(404, "not_found").body_without_request_id(), unknown.body_without_request_id());
}

// === the dry run and the live request ===

struct World {
    app: App,
    acme: Organization,
    service: Actor,
    keys: Vec<Key>,
    servers: Vec<String>,
    server_ids: Vec<String>,
    _upstream: Upstream,
}

async fn world() -> World {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let mut servers = vec!["no-such".to_owned(), "???".to_owned(), "mcp_01kafx5tgyf1na07m4q6nf1sgb".to_owned()];
    let mut server_ids = Vec::new();
    for slug in ["one", "two", "three", "four"] {
        let id = acme.server(slug, &upstream.url("/echo")).await["id"].as_str().expect("an id").to_owned();
        servers.extend([slug.to_owned(), id.clone()]);
        server_ids.push(id);
    }
    acme.owner().post("/api/v1/mcp-servers/four/archive", &json!({})).await.expect(200);
    let foreign = globex.server("theirs", &upstream.url("/echo")).await["id"].as_str().expect("an id").to_owned();
    servers.push(foreign);
    let mut keys = Vec::new();
    let kinds = [
        json!({"type": "solo"}),
        json!({"type": "client"}),
        json!({"type": "client", "tenants": {"users": ["marina"]}}),
        json!({"type": "platform", "tenants": {"orgs": "*"}}),
        json!({"type": "platform", "tenants": {"orgs": [{"id": "north", "users": "*"}, {"id": "south", "users": ["marina"]}]}}),
    ];
    let variants = [
        json!({}),
        json!({"permissions": "mcp_only"}),
        json!({"permissions": ["servers:read"]}),
        json!({"servers": [server_ids[0], server_ids[3]]}),
        json!({"role": "viewer", "servers": []}),
    ];
    for kind in &kinds {
        for variant in &variants {
            let mut body = kind.clone();
            body.as_object_mut().expect("an object").extend(variant.as_object().expect("an object").clone());
            keys.push(acme.key(body).await);
        }
    }
    let revoked = acme.client().await;
    acme.revoke(&revoked.id).await;
    let soon = SystemClock.now().after(Duration::from_secs(1));
    let expired = acme.key(json!({"type": "client", "expiresAt": soon.to_string()})).await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    keys.extend([revoked, expired]);
    let service = app.key(&acme.key(json!({"permissions": ["keys:verify"]})).await.token);
    World { app, acme, service, keys, servers, server_ids, _upstream: upstream }
}

#[derive(Debug, Clone)]
struct Case {
    key: usize,
    org: Option<String>,
    user: Option<String>,
    server: usize,
}

fn case(world: &World, random: &mut StdRng) -> Case {
    Case {
        key: random.random_range(0..world.keys.len()),
        org: tenant_id(random),
        user: tenant_id(random),
        server: random.random_range(0..world.servers.len()),
    }
}

fn tenant_id(random: &mut StdRng) -> Option<String> {
    const USUAL: [&str; 6] = ["north", "south", "west", "marina", "otto", "acme"];
    match random.random_range(0..20) {
        0..6 => None,
        6 => Some(String::new()),
        7 => Some("x".repeat(random.random_range(127..131))),
        8 => Some("a\u{7}b".to_owned()),
        9 => Some("mé %+&=".to_owned()),
        _ => Some(USUAL[random.random_range(0..USUAL.len())].to_owned()),
    }
}

/// Other policies: some of everyone, the owner, a group with or without the owner; some of the servers.
async fn shuffle(world: &World, random: &mut StdRng, round: usize) {
    let owner = world.acme.owner();
    let policies = owner.get("/api/v1/access-policies").await.expect(200);
    for policy in policies["items"].as_array().expect("items") {
        owner.delete(&format!("/api/v1/access-policies/{}", policy["id"].as_str().expect("an id"))).await.expect(200);
    }
    let members = if random.random_bool(0.5) { json!([]) } else { json!([world.acme.owner_id]) };
    let group = owner.post("/api/v1/groups", &json!({"name": format!("group {round}"), "members": members})).await;
    let group = group.expect(201)["id"].clone();
    for number in 0..random.random_range(0..4) {
        let subject = match random.random_range(0..3) {
            0 => json!({"type": "everyone"}),
            1 => json!({"type": "member", "id": world.acme.owner_id}),
            _ => json!({"type": "group", "id": group}),
        };
        let resource = match random.random_range(0..=world.server_ids.len()) {
            0 => json!({"type": "every_server"}),
            server => json!({"type": "server", "id": world.server_ids[server - 1]}),
        };
        let body = json!({"name": format!("policy {round} {number}"), "subjects": [subject], "resources": [resource]});
        owner.post("/api/v1/access-policies", &body).await.expect(201);
    }
}

async fn live(world: &World, case: &Case) -> String {
    let encode = |text: &str| percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string();
    let named = [("org_id", &case.org), ("user_id", &case.user)];
    let parameters = named.iter().filter_map(|(name, id)| Some(format!("{name}={}", encode(id.as_deref()?))));
    let query = format!("?{}", parameters.collect::<Vec<_>>().join("&"));
    let server = encode(&world.servers[case.server]);
    let answer = world.app.key(&world.keys[case.key].token).mcp(&server, &query, "ping", json!({})).await;
    if answer.status == 200 { String::new() } else { answer.code() }
}

async fn rehearsed(world: &World, case: &Case) -> String {
    let body = json!({
        "apiKeyId": world.keys[case.key].id,
        "orgId": case.org,
        "userId": case.user,
        "server": world.servers[case.server],
    });
    let answer = world.service.post("/api/v1/authorize", &body).await.expect(200);
    assert_eq!(answer["allowed"], json!(answer["code"].is_null()), "{answer}");
    answer["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_dry_run_says_what_the_live_request_gets() {
    const ROUND: usize = 250;
    const SIDE_BY_SIDE: usize = 8;
    let count: usize = std::env::var("KEYRACK_TEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000);
    let world = world().await;
    let mut random = StdRng::seed_from_u64(3);
    let mut codes = std::collections::BTreeMap::<String, usize>::new();
    for round in 0..count.div_ceil(ROUND) {
        shuffle(&world, &mut random, round).await;
        let drawn: Vec<Case> = (0..ROUND).map(|_| case(&world, &mut random)).collect();
        for some in drawn.chunks(SIDE_BY_SIDE) {
            // The dry run first: it must not need what the live request makes.
            let both = futures_util::future::join_all(some.iter().map(async |case| {
                let rehearsed = rehearsed(&world, case).await;
                (case, rehearsed, live(&world, case).await)
            }));
            for (case, rehearsed, live) in both.await {
                assert_eq!(rehearsed, live, "{case:?} of {:?}", world.keys[case.key].view);
                *codes.entry(live).or_default() += 1;
            }
        }
    }
    println!("{} cases agree: {codes:?}", codes.values().sum::<usize>());
    for code in [
        "",
        "unauthenticated",
        "tenant_required",
        "invalid_tenant",
        "tenant_not_allowed",
        "forbidden_permission",
        "server_not_found",
        "server_not_allowed",
    ] {
        assert!(codes.contains_key(code), "no case came to {code:?}: {codes:?}");
    }
}
