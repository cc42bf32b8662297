//! Managing tenants: made before their first use, suspended at once however well they are remembered, resumed; and each
//! caller manages those that it may speak for.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Actor, App, Store, Upstream};

const ORGS: &str = "/api/v1/tenants/orgs";
const USERS: &str = "/api/v1/tenants/users";

fn id(tenant: &Value) -> &str {
    tenant["id"].as_str().expect("an id")
}

/// The tenants that a caller sees, in the callers' own words.
async fn seen(actor: &Actor, path: &str) -> Vec<String> {
    let page = actor.get(path).await.expect(200);
    let name = |item: &Value| match (item["orgId"].as_str(), item["userId"].as_str()) {
        (Some(org), Some(user)) => format!("{org}/{user}"),
        (None, Some(user)) => user.to_owned(),
        (org, None) => org.unwrap_or_default().to_owned(),
    };
    page["items"].as_array().expect("items").iter().map(name).collect()
}

#[tokio::test]
async fn a_tenant_is_made_once_and_answered_as_it_stands_after() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let owner = acme.owner();
        let made = owner.post(ORGS, &json!({"orgId": "globex"})).await.expect(201);
        assert!(id(&made).starts_with("ten_"));
        assert_eq!(
            (&made["orgId"], &made["status"], &made["suspendedAt"]),
            (&json!("globex"), &json!("active"), &Value::Null)
        );
        assert_eq!(owner.post(ORGS, &json!({"orgId": "globex"})).await.expect(200), made);
        let user = json!({"orgId": "globex", "userId": "marina"});
        let below = owner.post(USERS, &user).await.expect(201);
        assert!(id(&below).starts_with("tus_"));
        assert_eq!((&below["orgId"], &below["userId"]), (&json!("globex"), &json!("marina")));
        assert_eq!(owner.post(USERS, &user).await.expect(200), below);
        let own = owner.post(USERS, &json!({"userId": "marina"})).await.expect(201);
        assert!(own["orgId"].is_null() && id(&own) != id(&below));
        let unknown = owner.post(USERS, &json!({"orgId": "initech", "userId": "marina"})).await;
        unknown.refused(400, "validation_failed").names_field("orgId");
        for (path, body, field) in [
            (ORGS, json!({"orgId": ""}), "orgId"),
            (ORGS, json!({"orgId": "a\u{0}"}), "orgId"),
            (USERS, json!({"userId": "x".repeat(129)}), "userId"),
        ] {
            owner.post(path, &body).await.refused(400, "validation_failed").names_field(field);
        }
    }
}

#[tokio::test]
async fn a_suspended_tenant_org_is_refused_with_all_of_its_users_however_well_they_are_remembered() {
    for store in [Store::Sqlite, Store::Postgres] {
        let (app, upstream) = (App::on(store).await, Upstream::start());
        let acme = app.organization("acme").await;
        acme.server("up", &upstream.url("/echo")).await;
        let caller = app.key(&acme.platform().await.token);
        let call = async |query: &str| caller.mcp("up", query, "ping", json!({})).await;
        let globex = ["?org_id=globex&user_id=marina", "?org_id=globex&user_id=otto"];
        for query in globex.iter().chain(&["?org_id=initech&user_id=marina"]) {
            for _ in 0..2 {
                call(query).await.expect(200);
            }
        }
        let org = acme.owner().get(&format!("{ORGS}?orgId=globex")).await.expect(200)["items"][0].clone();
        let path = format!("{ORGS}/{}", id(&org));
        let suspended = acme.owner().post(&format!("{path}/suspend"), &Value::Null).await.expect(200);
        assert_eq!(suspended["status"], "suspended");
        for query in globex {
            call(query).await.refused(403, "tenant_suspended");
            caller.get(&format!("/api/v1/me{query}")).await.refused(403, "tenant_suspended");
        }
        call("?org_id=globex&user_id=never-seen").await.refused(403, "tenant_suspended");
        call("?org_id=initech&user_id=marina").await.expect(200);
        let again = acme.owner().post(&format!("{path}/suspend"), &Value::Null).await.expect(200);
        assert_eq!(again, suspended, "again changes nothing");
        assert_eq!(seen(&acme.owner(), &format!("{ORGS}?suspended=true")).await, ["globex"]);
        assert_eq!(seen(&acme.owner(), &format!("{ORGS}?suspended=false")).await, ["initech"]);
        let resumed = acme.owner().post(&format!("{path}/resume"), &Value::Null).await.expect(200);
        assert_eq!(resumed, org);
        for query in globex {
            call(query).await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_suspended_tenant_user_is_refused_and_its_namesakes_are_not() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let (platform, client) = (app.key(&acme.platform().await.token), app.key(&acme.client().await.token));
        let there = [
            (&platform, "/api/v1/me?org_id=globex&user_id=marina"),
            (&platform, "/api/v1/me?org_id=initech&user_id=marina"),
            (&client, "/api/v1/me?user_id=marina"),
        ];
        for (caller, path) in there {
            caller.get(path).await.expect(200);
        }
        assert_eq!(seen(&acme.owner(), USERS).await, ["globex/marina", "initech/marina", "marina"]);
        assert_eq!(seen(&acme.owner(), &format!("{USERS}?userId=marina&orgId=initech")).await, ["initech/marina"]);
        let user = acme.owner().get(&format!("{USERS}?orgId=globex")).await.expect(200)["items"][0].clone();
        acme.owner().post(&format!("{USERS}/{}/suspend", id(&user)), &Value::Null).await.expect(200);
        there[0].0.get(there[0].1).await.refused(403, "tenant_suspended");
        for (caller, path) in &there[1..] {
            caller.get(path).await.expect(200);
        }
        acme.owner().post(&format!("{USERS}/{}/resume", id(&user)), &Value::Null).await.expect(200);
        there[0].0.get(there[0].1).await.expect(200);
    }
}

#[tokio::test]
async fn a_key_manages_the_tenants_that_it_may_speak_for_and_no_others() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        for org in ["globex", "initech", "umbrella"] {
            acme.owner().post(ORGS, &json!({"orgId": org})).await.expect(201);
            for user in ["marina", "otto"] {
                acme.owner().post(USERS, &json!({"orgId": org, "userId": user})).await.expect(201);
            }
        }
        for user in ["marina", "otto"] {
            acme.owner().post(USERS, &json!({"userId": user})).await.expect(201);
        }
        let key = async |body: Value| app.key(&acme.key(body).await.token);
        let solo = key(json!({})).await;
        let client = key(json!({"type": "client", "tenants": {"users": ["otto"]}})).await;
        let orgs = json!([{"id": "globex", "users": "*"}, {"id": "initech", "users": ["otto"]}]);
        let platform = key(json!({"type": "platform", "tenants": {"orgs": orgs}})).await;
        let all = key(json!({"type": "platform", "tenants": {"orgs": "*"}})).await;
        let none: [&str; 0] = [];
        assert_eq!((seen(&solo, ORGS).await.len(), seen(&solo, USERS).await.len()), (3, 8), "as its owner");
        assert_eq!(seen(&client, ORGS).await, none);
        assert_eq!(seen(&client, USERS).await, ["otto"]);
        assert_eq!(seen(&platform, ORGS).await, ["globex", "initech"]);
        assert_eq!(seen(&platform, USERS).await, ["globex/marina", "globex/otto", "initech/otto"]);
        assert_eq!(seen(&all, ORGS).await, ["globex", "initech", "umbrella"]);
        assert_eq!(seen(&all, USERS).await.len(), 6);
        assert_eq!(seen(&all, &format!("{USERS}?org_id=umbrella")).await, ["umbrella/marina", "umbrella/otto"]);
        assert_eq!(seen(&all, &format!("{USERS}?org_id=umbrella&orgId=globex")).await, none);

        for (caller, path, body) in [
            (&client, USERS, json!({"userId": "marina"})),
            (&client, USERS, json!({"orgId": "globex", "userId": "otto"})),
            (&platform, USERS, json!({"userId": "otto"})),
            (&platform, USERS, json!({"orgId": "initech", "userId": "marina"})),
            (&platform, ORGS, json!({"orgId": "umbrella"})),
            (&platform, ORGS, json!({"orgId": "never-seen"})),
        ] {
            caller.post(path, &body).await.refused(403, "tenant_not_allowed");
        }
        platform.post(USERS, &json!({"orgId": "globex", "userId": "new"})).await.expect(201);
        client.post(USERS, &json!({"userId": "otto"})).await.expect(200);
        solo.post(USERS, &json!({"userId": "new"})).await.expect(201);

        let find = async |path: String| id(&acme.owner().get(&path).await.expect(200)["items"][0]).to_owned();
        let suspend = async |caller: &Actor, path: String| caller.post(&format!("{path}/suspend"), &Value::Null).await;
        let globex = find(format!("{ORGS}?orgId=globex")).await;
        let initech = find(format!("{ORGS}?orgId=initech")).await;
        let umbrella = find(format!("{ORGS}?orgId=umbrella")).await;
        suspend(&platform, format!("{ORGS}/{globex}")).await.expect(200);
        suspend(&platform, format!("{ORGS}/{initech}")).await.refused(403, "tenant_not_allowed");
        let foreign = suspend(&platform, format!("{ORGS}/{umbrella}")).await;
        let unknown = suspend(&platform, format!("{ORGS}/ten_01kafx5tgyf1na07m4q6nf1sgb")).await;
        foreign.refused(404, "not_found");
        assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id());
        let marina = find(format!("{USERS}?orgId=initech&userId=marina")).await;
        suspend(&platform, format!("{USERS}/{marina}")).await.refused(404, "not_found");
        let otto = find(format!("{USERS}?orgId=initech&userId=otto")).await;
        suspend(&client, format!("{USERS}/{otto}")).await.refused(404, "not_found");
        suspend(&platform, format!("{USERS}/{otto}")).await.expect(200);
    }
}

#[tokio::test]
async fn another_organizations_tenants_are_not_there() {
    let app = App::spawn().await;
    let (acme, globex) = (app.organization("acme").await, app.organization("globex").await);
    let org = acme.owner().post(ORGS, &json!({"orgId": "customer"})).await.expect(201);
    let user = acme.owner().post(USERS, &json!({"orgId": "customer", "userId": "marina"})).await.expect(201);
    let none: [&str; 0] = [];
    assert_eq!(seen(&globex.owner(), ORGS).await, none);
    assert_eq!(seen(&globex.owner(), &format!("{USERS}?orgId=customer")).await, none);
    for path in [format!("{ORGS}/{}", id(&org)), format!("{USERS}/{}", id(&user))] {
        let unknown = path.replace(path.rsplit('_').next().expect("an id"), "01kafx5tgyf1na07m4q6nf1sgb");
        for change in ["suspend", "resume"] {
            let foreign = globex.owner().post(&format!("{path}/{change}"), &Value::Null).await;
            let unknown = globex.owner().post(&format!("{unknown}/{change}"), &Value::Null).await;
            foreign.refused(404, "not_found");
            assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id());
        }
    }
}

#[tokio::test]
async fn pages_of_tenants_are_complete() {
    let app = App::spawn().await;
    let acme = app.organization("acme").await;
    let mut made = Vec::new();
    for number in 0..5 {
        let name = format!("customer-{number}");
        acme.owner().post(ORGS, &json!({"orgId": name})).await.expect(201);
        made.push(name);
    }
    let (mut found, mut path) = (Vec::new(), format!("{ORGS}?limit=2"));
    loop {
        found.extend(seen(&acme.owner(), &path).await);
        let page = acme.owner().get(&path).await.expect(200);
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        path = format!("{ORGS}?limit=2&cursor={cursor}");
    }
    assert_eq!(found, made);
}

#[tokio::test]
async fn what_is_under_way_for_a_suspended_tenant_ends_within_two_ticks_of_its_clock() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("sse", &upstream.url("/sse")).await;
    acme.server("hang", &upstream.url("/hang")).await;
    let token = acme.platform().await.token;
    let open = async |query: &str| {
        let path = format!("/mcp-connect/sse/mcp{query}");
        let response = app.key(&token).request(Method::GET, &path).send().await.expect("a stream");
        let mut chunks = response.bytes_stream();
        chunks.next().await.expect("an event").expect("bytes");
        chunks
    };
    let mut cut = open("?org_id=globex&user_id=marina").await;
    let mut kept = open("?org_id=initech&user_id=marina").await;
    let caller = app.key(&token);
    let hanging = tokio::spawn(async move { caller.mcp("hang", "?org_id=globex&user_id=otto", "x", json!({})).await });
    upstream.began(3).await;
    let org = acme.owner().get(&format!("{ORGS}?orgId=globex")).await.expect(200)["items"][0].clone();
    acme.owner().post(&format!("{ORGS}/{}/suspend", id(&org)), &Value::Null).await.expect(200);
    let suspended = Instant::now();
    while let Some(Ok(_)) = cut.next().await {}
    hanging.await.expect("an answer").refused(403, "tenant_suspended");
    assert!(suspended.elapsed() < Duration::from_secs(2), "{:?}", suspended.elapsed());
    for _ in 0..3 {
        kept.next().await.expect("other tenants' streams go on").expect("bytes");
    }
    acme.owner().post(&format!("{ORGS}/{}/resume", id(&org)), &Value::Null).await.expect(200);
    drop(open("?org_id=globex&user_id=marina").await);
}
