//! Whoever is removed, disabled or demoted while their change is under way does not get it through.

use std::time::Duration;

use api::code::Code;
use api::problem::Problem;
use domain::access::{PermissionKind, Role, TenantScope};
use domain::audit::{AuditEvent, AuditTarget};
use domain::invitation::service::InvitationRequest;
use domain::key::model::Grace;
use domain::key::port::{KeysOf, TenantsChange};
use domain::key::service::{KeyChangeRequest, KeyRequest};
use domain::key::{KeyId, KeyType};
use domain::member::port::MemberChange;
use domain::organization::change::OrganizationChange;
use domain::policy::port::{GroupChange, PolicyChange};
use domain::policy::service::{GroupRequest, PolicyRequest};
use domain::tenant::{AllowedTenants, Allowing};
use domain::time::{Clock, SystemClock};
use reqwest::Method;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement, TransactionTrait};
use serde_json::{Value, json};
use support::{App, Organization, PASSWORD, Person, Store};

fn grant<P: PermissionKind>(scope: &TenantScope) -> domain::access::Grant<P> {
    scope.clone().grant::<P>().expect("an admin may")
}

/// What there is to change, made by the owner.
struct Things {
    key: KeyId,
    own_key: KeyId,
    invitation: String,
    group: String,
    policy: String,
    bob: Person,
    joe: Person,
}

impl Things {
    async fn of(acme: &Organization, ann: &Person) -> Self {
        let key_id = |id: &str| KeyId::from_token_part(id.trim_start_matches("key_")).expect("an id");
        let id = |made: &Value| made["id"].as_str().expect("an id").to_owned();
        let owner = acme.owner();
        let group = owner.post("/api/v1/groups", &json!({"name": "a group"})).await.expect(201);
        let policy = json!({"name": "a policy", "subjects": [], "resources": []});
        let policy = owner.post("/api/v1/access-policies", &policy).await.expect(201);
        Self {
            key: key_id(&acme.key(json!({"type": "client", "role": "viewer", "tenants": {"users": ["a"]}})).await.id),
            own_key: key_id(&ann.key(json!({})).await.id),
            invitation: id(&acme.invite("x@example.com", "viewer").await["invitation"]),
            group: id(&group),
            policy: id(&policy),
            bob: acme.member("bob", "viewer").await,
            joe: acme.member("joe", "viewer").await,
        }
    }
}

/// Every change that only people make, each with what comes of it.
async fn every_change(app: &App, scope: &TenantScope, things: &Things) -> Vec<(&'static str, Result<(), Problem>)> {
    let services = app.services();
    let event = |action| AuditEvent::allowed(scope, action, AuditTarget::Organization, SystemClock.now());
    let key = || KeyRequest {
        name: "x".parse().expect("a name"),
        description: None,
        kind: KeyType::Solo,
        role: Some(Role::Viewer),
        permissions: None,
        servers: None,
        tenants: None,
        rate_limit: None,
        expires_at: None,
    };
    let tenants = TenantsChange::Replace(AllowedTenants::Users(Allowing::Any));
    let rename = KeyChangeRequest { name: Some("y".parse().expect("a name")), ..KeyChangeRequest::default() };
    let invitation =
        InvitationRequest { email: "y@example.com".parse().expect("an address"), role: Role::Viewer, hours: None };
    let (bob, joe) = (things.bob.id.parse().expect("an id"), things.joe.id.parse().expect("an id"));
    let promotion = MemberChange { role: Some(Role::Editor), disabled: None };
    let policy = PolicyRequest { name: "another".parse().expect("a name"), subjects: vec![], resources: vec![] };
    let policy_change = PolicyChange { name: Some("renamed".parse().expect("a name")), ..PolicyChange::default() };
    let group = GroupRequest { name: "another".parse().expect("a name"), description: None, members: vec![] };
    let group_change = GroupChange { add: vec![bob], ..GroupChange::default() };
    let (policy_id, group_id) = (things.policy.parse().expect("an id"), things.group.parse().expect("an id"));
    let organization = OrganizationChange { name: Some("Taken over".parse().expect("a name")), ..Default::default() };
    macro_rules! tried {
        ($($action:literal: $call:expr,)+) => { vec![$(($action, $call.await.map(drop).map_err(Problem::from))),+] };
    }
    tried! {
        "key.create": services.keys.create(&grant(scope), key(), event("key.create")),
        "key.change": services.keys.change(&grant(scope), things.key, rename, event("key.change")),
        "key.rotate": services.keys.rotate(&grant(scope), things.own_key, Grace::default(), event("key.rotate")),
        "key.tenants.change": services.keys.change_tenants(&grant(scope), things.key, tenants, event("key.tenants.change")),
        "key.revoke": services.keys.revoke(&grant(scope), things.key, event("key.revoke")),
        "keys.revoke": services.keys.revoke_many(&grant(scope), &KeysOf::Owner(bob), event("key.revoke")),
        "invitation.create": services.invitations.invite(&grant(scope), invitation, event("invitation.create")),
        "invitation.revoke": services.invitations.revoke(
            &grant(scope),
            things.invitation.parse().expect("an id"),
            event("invitation.revoke"),
        ),
        "member.change": services.members.change(&grant(scope), bob, promotion, event("member.change")),
        "member.remove": services.members.remove(&grant(scope), joe, event("member.remove")),
        "policy.create": services.policies.create(&grant(scope), policy, event("policy.create")),
        "policy.change": services.policies.change(&grant(scope), policy_id, policy_change, event("policy.change")),
        "policy.delete": services.policies.delete(&grant(scope), policy_id, event("policy.delete")),
        "group.create": services.policies.create_group(&grant(scope), group, event("group.create")),
        "group.change": services.policies.change_group(&grant(scope), group_id, group_change, event("group.change")),
        "group.delete": services.policies.delete_group(&grant(scope), group_id, event("group.delete")),
        "organization.change": services.organizations.change(&grant(scope), organization, event("organization.change")),
    }
}

async fn changes_in_the_log(app: &App) -> i64 {
    app.settled().await;
    count(&app.sql().await, "audit_events WHERE action NOT LIKE '%:%'").await
}

async fn count(db: &DatabaseConnection, what: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {what}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer");
    row.expect("a row").try_get("", "n").expect("a number")
}

on_both! {
    whoever_lost_their_place_since_the_request_began_changes_nothing
    whoever_keeps_their_place_gets_every_change_through
}

async fn whoever_lost_their_place_since_the_request_began_changes_nothing(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let (remove, change) = (Method::DELETE, Method::PATCH);
    for (round, (name, method, body, code)) in [
        ("gone", &remove, Value::Null, Code::Unauthenticated),
        ("disabled", &change, json!({"disabled": true}), Code::Unauthenticated),
        ("demoted", &change, json!({"role": "editor"}), Code::ForbiddenRole),
    ]
    .into_iter()
    .enumerate()
    {
        let acme = if round == 0 { acme.clone() } else { app.organization(name).await };
        let ann = acme.member(&format!("ann-{name}"), "admin").await;
        let things = Things::of(&acme, &ann).await;
        let scope = app.scope(&ann.access_token).await;
        let path = format!("/api/v1/org/members/{}", ann.id);
        let lost = acme.owner().with_body(method.clone(), &path, &body).await;
        assert!(matches!(lost.status, 200 | 204), "{}", lost.body);
        let before = changes_in_the_log(&app).await;
        for (action, outcome) in every_change(&app, &scope, &things).await {
            match outcome {
                // Her own keys went with her.
                Err(problem) if name == "gone" && action == "key.rotate" => {
                    assert_eq!(problem.code(), Code::Conflict, "{name}: {action}");
                }
                Err(problem) => assert_eq!(problem.code(), code, "{name}: {action}: {problem}"),
                Ok(()) => panic!("{name}: {action} got through"),
            }
        }
        assert_eq!(changes_in_the_log(&app).await, before, "{name}: nothing was changed");
        assert_eq!(count(&app.sql().await, "invitations WHERE email = 'y@example.com'").await, 0, "{name}");
    }
}

/// The same changes by somebody who kept their place, so that the refusals above are for its loss and nothing else.
async fn whoever_keeps_their_place_gets_every_change_through(store: Store) {
    let app = App::on(store).await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "admin").await;
    let things = Things::of(&acme, &ann).await;
    let scope = app.scope(&ann.access_token).await;
    for (action, outcome) in every_change(&app, &scope, &things).await {
        assert!(outcome.is_ok(), "{action}: {outcome:?}");
    }
}

/// Returns when so many connections wait for somebody's lock.
async fn waiting(db: &DatabaseConnection, how_many: i64) {
    let stuck = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..200 {
        if count(db, stuck).await >= how_many {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody waits for a lock\n{}", support::logs::tail());
}

#[tokio::test]
async fn a_change_waits_for_a_removal_that_is_under_way_and_then_is_refused() {
    let app = App::on(Store::Postgres).await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "admin").await;
    let (remover, watcher) = (app.sql().await, app.sql().await);
    let requests = [
        ("/api/v1/api-keys", json!({"name": "x"})),
        ("/api/v1/org/invitations", json!({"email": "y@example.com", "role": "admin"})),
        ("/api/v1/groups", json!({"name": "x"})),
    ];
    let removal = remover.begin().await.expect("a transaction");
    let sql = "DELETE FROM memberships WHERE user_id = (SELECT id FROM users WHERE email = 'ann@example.com')";
    removal.execute_unprepared(sql).await.expect("removed, and not yet committed");
    let answers: Vec<_> = requests
        .into_iter()
        .map(|(path, body)| {
            let ann = ann.actor();
            tokio::spawn(async move { ann.post(path, &body).await })
        })
        .collect();
    waiting(&watcher, 3).await;
    removal.commit().await.expect("removed");
    for answer in answers {
        answer.await.expect("an answer").refused(401, "unauthenticated");
    }
    for table in ["api_keys", "invitations", "groups"] {
        assert_eq!(count(&watcher, table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn a_removal_waits_for_a_key_that_is_being_made_and_revokes_it() {
    let app = App::on(Store::Postgres).await;
    let acme = app.organization("acme").await;
    let ann = acme.member("ann", "editor").await;
    app.settled().await;
    let (blocker, watcher) = (app.sql().await, app.sql().await);
    // The key is stored and waits to be recorded, as the last thing before its commit.
    let block = blocker.begin().await.expect("a transaction");
    block.execute_unprepared("LOCK TABLE audit_heads IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let creation = {
        let ann = ann.actor();
        tokio::spawn(async move { ann.post("/api/v1/api-keys", &json!({"name": "x"})).await })
    };
    // The key's row and the decision's.
    waiting(&watcher, 2).await;
    let removal = {
        let (owner, path) = (acme.owner(), format!("/api/v1/org/members/{}", ann.id));
        tokio::spawn(async move { owner.delete(&path).await })
    };
    waiting(&watcher, 3).await;
    block.rollback().await.expect("let go");
    let created = creation.await.expect("an answer").expect(201);
    assert_eq!(removal.await.expect("an answer").status, 204);
    assert_eq!(count(&watcher, "api_keys WHERE revoked_at IS NULL").await, 0);
    assert_eq!(count(&watcher, "api_key_digests").await, 0);
    // And it stays dead when its maker comes back.
    acme.member("ann", "editor").await;
    app.key(created["token"].as_str().expect("a token")).get("/api/v1/me").await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn changes_of_members_by_each_other_never_wait_for_ever() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::on(store).await;
        let acme = app.organization("acme").await;
        let (ann, bob) = (acme.member("ann", "admin").await, acme.member("bob", "admin").await);
        let (first, second) = (ann.actor(), bob.actor());
        let path = |person: &Person| format!("/api/v1/org/members/{}", person.id);
        let (of_ann, of_bob) = (path(&ann), path(&bob));
        for _ in 0..10 {
            let body = json!({"disabled": false});
            let (a, b) = tokio::join!(
                first.with_body(Method::PATCH, &of_bob, &body),
                second.with_body(Method::PATCH, &of_ann, &body)
            );
            assert_eq!((a.status, b.status), (200, 200), "{} {}", a.body, b.body);
        }
        // Each takes the other's place away: one of them is quicker, and the other has none any more.
        let body = json!({"role": "viewer"});
        let (a, b) = tokio::join!(
            first.with_body(Method::PATCH, &of_bob, &body),
            second.with_body(Method::PATCH, &of_ann, &body)
        );
        let mut statuses = [a.status, b.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403], "{} {}", a.body, b.body);
        // Handing over while the one who gets it changes somebody.
        let admin = acme.member("eve", "admin").await;
        let (owner, eve) = (acme.owner(), admin.actor());
        let hand_over = json!({"userId": admin.id, "password": PASSWORD});
        let body = json!({"disabled": false});
        let (a, b) = tokio::join!(
            owner.post("/api/v1/org/transfer-ownership", &hand_over),
            eve.with_body(Method::PATCH, &of_bob, &body)
        );
        assert_eq!((a.status, b.status), (200, 200), "{} {}", a.body, b.body);
    }
}
