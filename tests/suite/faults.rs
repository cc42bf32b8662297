//! A dependency that is down is 503 and never 401.

use serde_json::json;
use support::{App, Store, Upstream, postgres};

#[tokio::test]
async fn a_database_that_is_gone_is_503_for_a_valid_key_and_an_unknown_one_alike() {
    let (app, upstream) = (App::on(Store::Postgres).await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let (remembered, cold) = (acme.solo().await.token, acme.solo().await.token);
    app.key(&remembered).mcp("up", "", "ping", json!({})).await.expect(200);
    postgres::drop_database(app.database_url.as_deref().expect("its url")).await;
    for path in ["/api/v1/me", "/api/v1/org"] {
        let answer = app.key(&cold).get(path).await;
        answer.refused(503, "unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    app.key(&cold).mcp("up", "", "ping", json!({})).await.refused(503, "unavailable");
    acme.owner().get("/api/v1/me").await.refused(503, "unavailable");
    app.anonymous().get("/ready").await.refused(503, "unavailable");
    app.anonymous().get("/health").await.expect(200);
    // What was remembered goes on, and what was never a key is still none.
    app.key(&remembered).get("/api/v1/me").await.expect(200);
    app.key("kr_nonsense").get("/api/v1/me").await.refused(401, "unauthenticated");
}
