//! What waits for what in PostgreSQL: two changes of one thing come one after the other, changes of many things take them
//! in one order, and whoever reads in several statements reads one state. With SQLite one connection writes.
//!
//! Each test is somebody else's transaction that is under way, and lets go once the product waits for it.

use std::sync::Arc;
use std::time::Duration;

use domain::key::KeyId;
use domain::policy::port::AccessDirectory;
use domain::time::{Clock, SystemClock};
use infra::cache::AccessCache;
use infra::db::{SqlAccess, SqlLastUsed};
use reqwest::Method;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait};
use serde_json::{Value, json};
use support::{Answer, App, Organization, Store, Upstream};
use tokio::task::JoinHandle;

async fn count(db: &DatabaseConnection, what: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {what}");
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.expect("an answer");
    row.expect("a row").try_get("", "n").expect("a number")
}

/// Returns when a connection waits for somebody's lock.
async fn waiting(db: &DatabaseConnection) {
    so_many_wait(db, 1).await;
}

/// Returns when so many connections wait for somebody's lock.
async fn so_many_wait(db: &DatabaseConnection, how_many: i64) {
    let stuck = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    for _ in 0..200 {
        if count(db, stuck).await >= how_many {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody waits for a lock\n{}", support::logs::tail());
}

/// A transaction of somebody else in which this has happened.
async fn under_way(app: &App, statements: &[&str]) -> DatabaseTransaction {
    let transaction = app.sql().await.begin().await.expect("a transaction");
    for sql in statements {
        transaction.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    transaction
}

struct Scene {
    app: App,
    acme: Organization,
    db: DatabaseConnection,
}

impl Scene {
    async fn new() -> Self {
        let app = App::on(Store::Postgres).await;
        let (acme, db) = (app.organization("acme").await, app.sql().await);
        Self { app, acme, db }
    }

    fn asked(&self, method: Method, path: &str, body: Value) -> JoinHandle<Answer> {
        let (owner, path) = (self.acme.owner(), path.to_owned());
        tokio::spawn(async move { owner.with_body(method, &path, &body).await })
    }

    /// Asks, waits until it waits, lets the other go on, and takes the answer.
    async fn after(&self, other: DatabaseTransaction, asked: JoinHandle<Answer>) -> Answer {
        waiting(&self.db).await;
        other.commit().await.expect("committed");
        asked.await.expect("an answer")
    }

    async fn made(&self, area: &str, body: Value) -> String {
        let made = self.acme.owner().post(&format!("/api/v1/{area}"), &body).await.expect(201);
        format!("/api/v1/{area}/{}", made["id"].as_str().expect("an id"))
    }
}

const OURS: &str = "(SELECT id FROM policies WHERE name = 'ours')";

#[tokio::test]
async fn a_change_of_a_policy_waits_for_its_deletion_and_leaves_nothing_of_it() {
    let scene = Scene::new().await;
    let path = scene.made("access-policies", json!({"name": "ours", "subjects": [], "resources": []})).await;
    let deletion = under_way(&scene.app, &["DELETE FROM policies WHERE name = 'ours'"]).await;
    let parts = json!({"subjects": [{"type": "everyone"}], "resources": [{"type": "every_server"}]});
    let change = scene.asked(Method::PATCH, &path, parts);
    scene.after(deletion, change).await.refused(404, "not_found");
    // Those of the first policy.
    assert_eq!((count(&scene.db, "policy_subjects").await, count(&scene.db, "policy_resources").await), (1, 1));
}

#[tokio::test]
async fn two_changes_of_a_policy_come_one_after_the_other() {
    let scene = Scene::new().await;
    let path = scene.made("access-policies", json!({"name": "ours", "subjects": [], "resources": []})).await;
    let member = "INSERT INTO policy_subjects (organization_id, policy_id, kind, subject_id) \
                  SELECT organization_id, id, 'member', organization_id FROM policies WHERE name = 'ours'";
    let other = under_way(&scene.app, &["UPDATE policies SET name = name WHERE name = 'ours'", member]).await;
    let change = scene.asked(Method::PATCH, &path, json!({"subjects": [{"type": "everyone"}]}));
    let changed = scene.after(other, change).await.expect(200);
    assert_eq!(changed["subjects"], json!([{"type": "everyone"}]), "the later change replaces the earlier one's");
    assert_eq!(count(&scene.db, &format!("policy_subjects WHERE policy_id = {OURS}")).await, 1);
}

#[tokio::test]
async fn a_deletion_of_a_policy_waits_for_its_change_and_leaves_nothing_of_it() {
    let scene = Scene::new().await;
    let path = scene.made("access-policies", json!({"name": "ours", "subjects": [], "resources": []})).await;
    let subject = "INSERT INTO policy_subjects (organization_id, policy_id, kind, subject_id) \
                   SELECT organization_id, id, 'everyone', organization_id FROM policies WHERE name = 'ours'";
    let resource = "INSERT INTO policy_resources (organization_id, policy_id, kind, server_id) \
                    SELECT organization_id, id, 'every_server', organization_id FROM policies WHERE name = 'ours'";
    let lock = "UPDATE policies SET name = name WHERE name = 'ours'";
    let change = under_way(&scene.app, &[lock, subject, resource]).await;
    let deletion = scene.asked(Method::DELETE, &path, Value::Null);
    scene.after(change, deletion).await.expect(200);
    assert_eq!((count(&scene.db, "policy_subjects").await, count(&scene.db, "policy_resources").await), (1, 1));
}

#[tokio::test]
async fn a_deletion_of_a_group_waits_for_its_change_and_leaves_nobody_in_it() {
    let scene = Scene::new().await;
    let path = scene.made("groups", json!({"name": "ours"})).await;
    let member = "INSERT INTO group_members (organization_id, group_id, user_id) \
                  SELECT organization_id, id, organization_id FROM groups WHERE name = 'ours'";
    let change = under_way(&scene.app, &["UPDATE groups SET name = name WHERE name = 'ours'", member]).await;
    let deletion = scene.asked(Method::DELETE, &path, Value::Null);
    scene.after(change, deletion).await.expect(200);
    assert_eq!(count(&scene.db, "group_members").await, 0);
}

#[tokio::test]
async fn a_policy_for_a_group_waits_for_the_groups_deletion_and_is_refused() {
    let scene = Scene::new().await;
    let path = scene.made("groups", json!({"name": "ours"})).await;
    let id = path.rsplit('/').next().expect("an id");
    let deletion = under_way(&scene.app, &["DELETE FROM groups WHERE name = 'ours'"]).await;
    let body = json!({"name": "a policy", "subjects": [{"type": "group", "id": id}], "resources": []});
    let creation = scene.asked(Method::POST, "/api/v1/access-policies", body);
    scene.after(deletion, creation).await.refused(400, "validation_failed").names_field("subjects");
    assert_eq!(count(&scene.db, "policies").await, 1, "the first one");
}

#[tokio::test]
async fn nobody_who_is_being_removed_gets_into_a_group_or_a_policy() {
    let scene = Scene::new().await;
    let policy = scene.made("access-policies", json!({"name": "ours", "subjects": [], "resources": []})).await;
    let group = scene.made("groups", json!({"name": "ours"})).await;
    for (number, (method, path, field)) in [
        (Method::POST, "/api/v1/groups", "members"),
        (Method::PATCH, group.as_str(), "add"),
        (Method::POST, "/api/v1/access-policies", "subjects"),
        (Method::PATCH, policy.as_str(), "subjects"),
    ]
    .into_iter()
    .enumerate()
    {
        let ann = scene.acme.member(&format!("ann{number}"), "viewer").await;
        let of_ann = format!("(SELECT id FROM users WHERE email = '{}')", ann.email);
        let removal = under_way(&scene.app, &[&format!("DELETE FROM memberships WHERE user_id = {of_ann}")]).await;
        let who = match field {
            "subjects" => json!([{"type": "member", "id": ann.id}]),
            _ => json!([ann.id]),
        };
        let mut body = json!({ field: who });
        if method == Method::POST {
            body["name"] = json!("another");
            if field == "subjects" {
                body["resources"] = json!([]);
            }
        }
        let asked = scene.asked(method, path, body);
        scene.after(removal, asked).await.refused(400, "validation_failed").names_field(field);
    }
    assert_eq!(count(&scene.db, "group_members").await, 0);
    assert_eq!(count(&scene.db, "policy_subjects WHERE kind = 'member'").await, 0);
}

#[tokio::test]
async fn two_changes_of_a_projects_servers_come_one_after_the_other() {
    let scene = Scene::new().await;
    let one = scene.acme.server("one", "https://a.example.com").await;
    scene.acme.server("two", "https://a.example.com").await;
    let path = scene.made("projects", json!({"name": "ours"})).await;
    let put_two_in = "INSERT INTO project_servers (organization_id, project_id, server_id) \
                      SELECT projects.organization_id, projects.id, servers.id FROM projects, servers \
                      WHERE servers.slug = 'two'";
    let other = under_way(&scene.app, &["UPDATE projects SET name = name", put_two_in]).await;
    let change = scene.asked(Method::PATCH, &path, json!({"servers": [one["id"]]}));
    let changed = scene.after(other, change).await.expect(200);
    assert_eq!(changed["servers"].as_array().map(Vec::len), Some(1), "{}", changed["servers"]);
    assert_eq!(count(&scene.db, "project_servers").await, 1, "the later change replaces the earlier one's");
}

#[tokio::test]
async fn two_changes_of_a_keys_servers_come_one_after_the_other() {
    let scene = Scene::new().await;
    let one = scene.acme.server("one", "https://a.example.com").await;
    scene.acme.server("two", "https://a.example.com").await;
    let key = scene.acme.key(json!({"servers": []})).await;
    let list_two = "INSERT INTO api_key_servers (key_id, server_id, organization_id) \
                    SELECT api_keys.id, servers.id, servers.organization_id FROM api_keys, servers WHERE slug = 'two'";
    let other = under_way(&scene.app, &["UPDATE api_keys SET name = name", list_two]).await;
    let path = format!("/api/v1/api-keys/{}", key.id);
    let change = scene.asked(Method::PATCH, &path, json!({"servers": [one["id"]]}));
    let changed = scene.after(other, change).await.expect(200);
    assert_eq!(changed["servers"].as_array().map(Vec::len), Some(1), "{}", changed["servers"]);
    assert_eq!(count(&scene.db, "api_key_servers").await, 1, "the later change replaces the earlier one's");
}

/// The ids of so many keys in the order of their bytes, of which the first was not made first.
async fn keys(acme: &Organization, how_many: usize) -> Vec<KeyId> {
    let mut ids = Vec::new();
    while ids.len() < how_many || ids.first() == ids.iter().min() {
        ids.push(acme.solo().await.id.trim_start_matches("key_").to_owned());
    }
    ids.sort_unstable();
    ids.iter().map(|id| KeyId::from_token_part(id).expect("an id")).collect()
}

async fn lock(app: &App, key: KeyId) -> DatabaseTransaction {
    under_way(app, &[&format!("SELECT id FROM api_keys WHERE id = '{}' FOR UPDATE", key.as_token_part())]).await
}

/// Fails when somebody has locked one of the others.
async fn nobody_has_locked_another(app: &App, key: KeyId) {
    let sql = format!("SELECT id FROM api_keys WHERE id <> '{}' FOR UPDATE NOWAIT", key.as_token_part());
    under_way(app, &[&sql]).await.rollback().await.expect("let go");
}

#[tokio::test]
async fn many_keys_are_revoked_in_the_order_of_their_ids() {
    let scene = Scene::new().await;
    let ids = keys(&scene.acme, 12).await;
    let tenants = json!({"users": ["marina"]});
    let by_tenant = json!({"tenant": {"userId": "marina"}});
    let by_owner = json!({"ownerId": scene.acme.owner_id});
    for body in [by_owner, by_tenant] {
        let ids = if body.get("tenant").is_some() {
            let mut ids = Vec::new();
            while ids.len() < 12 || ids.first() == ids.iter().min() {
                let key = scene.acme.key(json!({"type": "client", "tenants": tenants})).await;
                ids.push(key.id.trim_start_matches("key_").to_owned());
            }
            ids.sort_unstable();
            ids.iter().map(|id| KeyId::from_token_part(id).expect("an id")).collect()
        } else {
            ids.clone()
        };
        let other = lock(&scene.app, ids[0]).await;
        let revocation = scene.asked(Method::POST, "/api/v1/api-keys/revoke", body);
        waiting(&scene.db).await;
        nobody_has_locked_another(&scene.app, ids[0]).await;
        other.commit().await.expect("let go");
        let revoked = revocation.await.expect("an answer").expect(200);
        assert_eq!(count(&scene.db, "api_keys WHERE revoked_at IS NULL").await, 0, "{revoked}");
    }
}

#[tokio::test]
async fn a_removed_members_keys_are_revoked_in_the_order_of_their_ids() {
    let scene = Scene::new().await;
    let ann = scene.acme.member("ann", "editor").await;
    let mut made = Vec::new();
    while made.len() < 12 || made.first() == made.iter().min() {
        made.push(ann.key(json!({})).await.id.trim_start_matches("key_").to_owned());
    }
    let first = KeyId::from_token_part(made.iter().min().expect("keys")).expect("an id");
    let other = lock(&scene.app, first).await;
    let removal = scene.asked(Method::DELETE, &format!("/api/v1/org/members/{}", ann.id), Value::Null);
    waiting(&scene.db).await;
    nobody_has_locked_another(&scene.app, first).await;
    assert_eq!(scene.after(other, removal).await.status, 204);
}

#[tokio::test]
async fn last_uses_are_written_in_the_order_of_their_keys_and_few_at_a_time() {
    let scene = Scene::new().await;
    let ids = keys(&scene.acme, 120).await;
    let uses: Vec<_> = ids.iter().rev().map(|id| ((*id, None), SystemClock.now())).collect();
    let write = || {
        let (store, uses) = (SqlLastUsed::new(scene.app.services().database.clone()), uses.clone());
        tokio::spawn(async move { store.write(&uses).await })
    };
    let noted = "api_keys WHERE last_used_at IS NOT NULL";
    let other = lock(&scene.app, ids[0]).await;
    let writing = write();
    waiting(&scene.db).await;
    nobody_has_locked_another(&scene.app, ids[0]).await;
    assert_eq!(count(&scene.db, noted).await, 0);
    other.commit().await.expect("let go");
    writing.await.expect("it ends").expect("written");
    assert_eq!(usize::try_from(count(&scene.db, noted).await), Ok(ids.len()));

    scene.app.run_sql("UPDATE api_keys SET last_used_at = NULL").await;
    let other = lock(&scene.app, ids[110]).await;
    let writing = write();
    waiting(&scene.db).await;
    assert_eq!(count(&scene.db, noted).await, 100, "those before are committed");
    other.commit().await.expect("let go");
    writing.await.expect("it ends").expect("written");
}

/// A policy that was for Ann and one server, and is for everyone and another server: nobody was ever to reach the other
/// server alone, nor everyone the first.
#[tokio::test]
async fn policies_are_read_as_they_were_at_one_moment() {
    let scene = Scene::new().await;
    let id = |server: &Value| server["id"].as_str().expect("an id").to_owned();
    let one = id(&scene.acme.server("one", "https://a.example.com").await);
    let two = id(&scene.acme.server("two", "https://a.example.com").await);
    let ann = scene.acme.member("ann", "viewer").await;
    let first = scene.acme.owner().get("/api/v1/access-policies").await.expect(200)["items"][0].clone();
    let path = format!("/api/v1/access-policies/{}", first["id"].as_str().expect("an id"));
    let parts = json!({"subjects": [{"type": "member", "id": ann.id}], "resources": [{"type": "server", "id": one}]});
    scene.acme.owner().with_body(Method::PATCH, &path, &parts).await.expect(200);

    // The reader is held up between subjects and resources.
    let change = under_way(
        &scene.app,
        &[
            "LOCK TABLE policy_resources IN ACCESS EXCLUSIVE MODE",
            "UPDATE policy_subjects SET kind = 'everyone', subject_id = '00000000-0000-0000-0000-000000000000'",
            "UPDATE policy_resources SET server_id = (SELECT id FROM servers WHERE slug = 'two')",
        ],
    )
    .await;
    let directory = SqlAccess::new(scene.app.services().database.clone(), Arc::new(AccessCache::new(10)));
    let organization = scene.acme.id.parse().expect("an id");
    let reading = tokio::spawn(async move { directory.load(organization).await });
    waiting(&scene.db).await;
    change.commit().await.expect("committed");
    let access = reading.await.expect("it ends").expect("read");
    let (member, owner) = (ann.id.parse().expect("an id"), scene.acme.owner_id.parse().expect("an id"));
    let reaches = |user, server: &str| access.permits(user, server.parse().expect("an id"));
    assert_eq!((reaches(member, &one), reaches(member, &two)), (true, false), "as it was when reading began");
    assert_eq!((reaches(owner, &one), reaches(owner, &two)), (false, false));
}

/// Suspending what is suspended changes nothing, and is announced all the same: what nodes are told last must be what the row
/// says. Both wait for the counter of changes here, in the order in which they came to the row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_suspending_and_resuming_a_tenant_at_once_all_nodes_know_which_came_last() {
    let (scene, upstream) = (Scene::new().await, Upstream::start());
    scene.acme.server("up", &upstream.url("/echo")).await;
    let other = scene.app.beside("other").await;
    let (platform, client) = (scene.acme.platform().await.token, scene.acme.client().await.token);
    for (token, query, area) in [(platform, "?org_id=globex&user_id=ann", "orgs"), (client, "?user_id=marina", "users")]
    {
        let call = async |node: &App| node.key(&token).mcp("up", query, "ping", json!({})).await;
        call(&scene.app).await.expect(200);
        let list = format!("/api/v1/tenants/{area}");
        // The newest: the one that was made by the call.
        let tenant = async || {
            let all = scene.acme.owner().get(&list).await.expect(200);
            all["items"].as_array().and_then(|all| all.last()).expect("a tenant").clone()
        };
        let path = format!("{list}/{}", tenant().await["id"].as_str().expect("an id"));
        scene.acme.owner().post(&format!("{path}/suspend"), &Value::Null).await.expect(200);
        let counter = under_way(&scene.app, &["SELECT number FROM cache_change_counter FOR UPDATE"]).await;
        let resumed = scene.asked(Method::POST, &format!("{path}/resume"), Value::Null);
        waiting(&scene.db).await;
        let suspended = {
            let owner = scene.acme.owner().at(&other);
            tokio::spawn(async move { owner.post(&format!("{path}/suspend"), &Value::Null).await })
        };
        so_many_wait(&scene.db, 2).await;
        counter.commit().await.expect("let go");
        resumed.await.expect("an answer").expect(200);
        suspended.await.expect("an answer").expect(200);
        let expected = if tenant().await["status"] == "suspended" { 403 } else { 200 };
        for node in [&scene.app, &other] {
            call(node).await.expect(expected);
        }
        let path = format!("{list}/{}", tenant().await["id"].as_str().expect("an id"));
        scene.acme.owner().post(&format!("{path}/resume"), &Value::Null).await.expect(200);
        for node in [&scene.app, &other] {
            call(node).await.expect(200);
        }
    }
}
