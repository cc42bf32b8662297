//! Signing up, in, refreshing and out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::organization::passwords::Passwords;
use domain::organization::port::{AccessTokens, PasswordHasher};
use domain::organization::service::{AccountFault, AccountService, SignUp, SignUpMode};
use domain::organization::{AccessClaims, Password};
use domain::root::RootSecret;
use domain::time::{SystemClock, Timestamp};
use infra::db::SqlAccounts;
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use support::{Answer, App, AppOptions, PASSWORD, Store};

fn cookie(answer: &Answer) -> String {
    let set = answer.headers["set-cookie"].to_str().expect("text");
    set.split(';').next().expect("a pair").to_owned()
}

async fn refresh(app: &App, cookie: &str) -> Answer {
    app.anonymous().and("cookie", cookie).post("/api/v1/auth/refresh", &json!({})).await
}

#[tokio::test]
async fn the_first_owner_signs_up_with_the_bootstrap_token_once() {
    let app = App::with(AppOptions::default()).await;
    assert!(app.bootstrap_token.starts_with("krb_"));
    app.sign_up("acme", &json!({})).await.refused(400, "validation_failed").names_field("bootstrapToken");
    app.sign_up("acme", &json!({"bootstrapToken": "krb_wrong"})).await.refused(400, "validation_failed");
    let session = app.sign_up("acme", &json!({"bootstrapToken": app.bootstrap_token})).await.expect(201);
    assert_eq!(session["organization"]["role"], "owner");
    assert_eq!(session["expiresIn"], 900);
    app.sign_up("globex", &json!({"bootstrapToken": app.bootstrap_token})).await.refused(400, "validation_failed");
}

/// Counts what it is asked to hash.
#[derive(Default)]
struct CountingHasher(AtomicUsize);

#[async_trait::async_trait]
impl PasswordHasher for CountingHasher {
    async fn hash(&self, _: &Password) -> String {
        self.0.fetch_add(1, Ordering::Relaxed);
        "a hash".to_owned()
    }

    async fn verify(&self, _: SecretString, _: Option<String>) -> bool {
        false
    }
}

struct NoTokens;

impl AccessTokens for NoTokens {
    fn sign(&self, _: AccessClaims, _: Timestamp) -> SecretString {
        SecretString::default()
    }

    fn verify(&self, _: &str) -> Option<AccessClaims> {
        None
    }
}

/// Hashing a password is made to be slow; no stranger may have it done for nothing.
#[tokio::test]
async fn no_password_is_hashed_for_whoever_has_no_bootstrap_token() {
    for store in [Store::Sqlite, Store::Postgres] {
        let app = App::with(AppOptions { store, ..AppOptions::default() }).await;
        let (accounts, hasher) =
            (Arc::new(SqlAccounts::new(app.services().database.clone())), Arc::new(CountingHasher::default()));
        let passwords =
            Passwords::new(Arc::<SqlAccounts>::clone(&accounts), Arc::<CountingHasher>::clone(&hasher), SystemClock);
        let service = AccountService::new(
            Arc::<SqlAccounts>::clone(&accounts),
            accounts,
            Arc::new(passwords),
            Arc::new(NoTokens),
            &RootSecret::new([1_u8; 32]).expect("long enough"),
            SignUpMode::Bootstrap,
            SystemClock,
        );
        let armed = service.arm_bootstrap().await.expect("the store answers").expect("nobody has signed up");
        let sign_up = async |token: Option<SecretString>| {
            let request = SignUp {
                email: "ann@example.com".parse().expect("an address"),
                password: Password::new(PASSWORD.to_owned().into()).expect("long enough"),
                display_name: None,
                organization_name: "Acme".parse().expect("a name"),
                organization_slug: "acme".parse().expect("a slug"),
                bootstrap_token: token,
            };
            service.sign_up(request, None, None).await
        };
        for wrong in [None, Some(SecretString::default()), Some("krb_wrong".to_owned().into())] {
            assert!(matches!(sign_up(wrong).await, Err(AccountFault::BootstrapToken)));
        }
        assert_eq!(hasher.0.load(Ordering::Relaxed), 0);
        sign_up(Some(armed.clone())).await.expect("the right one");
        assert_eq!(hasher.0.load(Ordering::Relaxed), 1);
        assert!(matches!(sign_up(Some(armed)).await, Err(AccountFault::BootstrapToken)), "used");
        assert_eq!(hasher.0.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn a_restart_of_a_used_installation_prints_no_bootstrap_token() {
    let mut app = App::with(AppOptions::default()).await;
    app.sign_up("acme", &json!({"bootstrapToken": app.bootstrap_token})).await.expect(201);
    app.stop().await;
    let settings = vec![("data-dir", app.data.path().display().to_string())];
    let again = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    assert_eq!(again.bootstrap_token, "");
}

#[tokio::test]
async fn slugs_and_emails_are_unique() {
    let app = App::spawn().await;
    app.organization("acme").await;
    app.sign_up("acme", &json!({"email": "b@example.com"}))
        .await
        .refused(409, "conflict")
        .names_field("organization.slug");
    app.sign_up("globex", &json!({"email": "OWNER@acme.example.com"}))
        .await
        .refused(409, "conflict")
        .names_field("email");
}

#[tokio::test]
async fn signing_in_needs_the_right_password_and_never_says_what_was_wrong() {
    let app = App::spawn().await;
    app.organization("acme").await;
    let login = async |body| app.anonymous().post("/api/v1/auth/login", &body).await;
    let good = json!({"email": "Owner@acme.example.com", "password": "correct horse battery"});
    let session = login(good.clone()).await.expect(200);
    assert_eq!(session["user"]["email"], "owner@acme.example.com");
    login(json!({"email": "owner@acme.example.com", "password": "correct horse battery", "organization": "acme"}))
        .await
        .expect(200);
    let wrong = login(json!({"email": "owner@acme.example.com", "password": "wrong horse battery"})).await;
    wrong.refused(401, "unauthenticated");
    for body in [
        json!({"email": "nobody@acme.example.com", "password": "correct horse battery"}),
        json!({"email": "owner@acme.example.com", "password": "correct horse battery", "organization": "globex"}),
    ] {
        assert_eq!(login(body).await.body_without_request_id(), wrong.body_without_request_id());
    }
    login(json!({"email": "no address", "password": "x"})).await.refused(400, "validation_failed").names_field("email");
}

#[tokio::test]
async fn refresh_tokens_rotate_and_a_reused_one_ends_the_whole_family() {
    let app = App::spawn().await;
    let signed_up = app.sign_up("acme", &json!({})).await;
    let set = signed_up.headers["set-cookie"].to_str().expect("text").to_owned();
    for attribute in ["HttpOnly", "SameSite=Lax", "Path=/api"] {
        assert!(set.contains(attribute), "{set}");
    }
    let first = cookie(&signed_up);
    let answer = refresh(&app, &first).await;
    answer.expect(200);
    let second = cookie(&answer);
    assert_ne!(first, second);
    let third = cookie(&refresh(&app, &second).await);
    refresh(&app, &first).await.refused(401, "unauthenticated");
    refresh(&app, &third).await.refused(401, "unauthenticated");
    refresh(&app, "keyrack_refresh=krr_unknown").await.refused(401, "unauthenticated");
    app.anonymous().post("/api/v1/auth/refresh", &json!({})).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn of_two_refreshes_at_once_at_most_one_succeeds() {
    let app = App::spawn().await;
    let first = cookie(&app.sign_up("acme", &json!({})).await);
    let (a, b) = tokio::join!(refresh(&app, &first), refresh(&app, &first));
    let mut statuses = [a.status, b.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let app = App::spawn().await;
    let first = cookie(&app.sign_up("acme", &json!({})).await);
    let out = app.anonymous().and("cookie", &first);
    let answer = out.send("logout".into(), out.request(Method::POST, "/api/v1/auth/logout")).await;
    assert_eq!(answer.status, 204);
    assert!(answer.headers["set-cookie"].to_str().expect("text").contains("Max-Age=0"));
    refresh(&app, &first).await.refused(401, "unauthenticated");
    let again = app.anonymous();
    assert_eq!(again.send("logout".into(), again.request(Method::POST, "/api/v1/auth/logout")).await.status, 204);
}

#[tokio::test]
async fn the_cookie_is_secure_where_clients_come_by_https() {
    let settings = vec![("signup", "open".to_owned()), ("public-url", "https://keys.example.com".to_owned())];
    let app = App::with(AppOptions { settings, ..AppOptions::default() }).await;
    let set = app.sign_up("acme", &json!({})).await.headers["set-cookie"].to_str().expect("text").to_owned();
    assert!(set.contains("Secure"), "{set}");
}
