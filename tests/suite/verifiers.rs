//! The programs that upstream servers can copy (docs/verifiers), each against a live gateway: they take what it signs, and
//! refuse everything else.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::assertion::AssertionClaims;
use domain::assertion::keys::KeySchedule;
use domain::root::RootSecret;
use domain::time::{Clock, SystemClock};
use infra::token::AssertionSigner;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use support::{App, Upstream};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;

const AUDIENCE: &str = "https://notes.example.com/mcp";
/// PKCS#8 (RFC 8410) before the 32 bytes of an Ed25519 seed.
const PKCS8: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// A verifier, and what must stay for as long as it runs.
struct Program {
    name: &'static str,
    command: Vec<PathBuf>,
    _folder: Option<TempDir>,
}

fn programs() -> [Program; 3] {
    let docs = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verifiers"));
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/test-tools").to_owned();
    let tools = PathBuf::from(std::env::var("KEYRACK_TEST_TOOLS").unwrap_or(default));
    // Node finds packages beside the program alone.
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::os::unix::fs::symlink(tools.join("node/node_modules"), folder.path().join("node_modules")).expect("a link");
    for file in ["verify.ts", "package.json"] {
        std::fs::copy(docs.join("typescript").join(file), folder.path().join(file)).expect("a copy");
    }
    let node = tools.join("node-runtime/bin/node");
    let node = if node.exists() { node } else { "node".into() };
    let typescript = vec![node, "--experimental-strip-types".into(), folder.path().join("verify.ts")];
    let python = vec![tools.join("mcp2/bin/python"), docs.join("python/verify.py")];
    [
        Program { name: "rust", command: vec![env!("CARGO_BIN_EXE_verify_assertions").into()], _folder: None },
        Program { name: "python", command: python, _folder: None },
        Program { name: "typescript", command: typescript, _folder: Some(folder) },
    ]
}

impl Program {
    /// What it prints for each token, and whether it ended well.
    async fn verify(&self, issuer: &str, audience: &str, tokens: &[String]) -> (Vec<Value>, bool) {
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args([issuer, audience])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `tests/run`, which installs what it needs", self.name));
        let mut input = child.stdin.take().expect("its input");
        input.write_all(format!("{}\n", tokens.join("\n")).as_bytes()).await.expect("it reads");
        drop(input);
        let output = tokio::time::timeout(Duration::from_mins(1), child.wait_with_output());
        let output = output.await.expect("in time").expect("it ran");
        let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let read =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}: {line}\n{errors}", self.name));
        let lines: Vec<Value> = out.lines().map(read).collect();
        assert_eq!(lines.len(), tokens.len(), "{}: {out}{errors}", self.name);
        (lines, output.status.success())
    }
}

/// Serves a copy of the published keys, and counts how often it is fetched.
async fn counting_issuer(set: String) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let fetched = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&fetched);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0_u8; 4096];
            let length = stream.read(&mut head).await.unwrap_or_default();
            assert!(head[..length].starts_with(b"GET /.well-known/jwks.json "), "the published keys alone are fetched");
            counter.fetch_add(1, Ordering::SeqCst);
            let length = set.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{set}"
            );
            stream.write_all(answer.as_bytes()).await.expect("the keys are taken");
        }
    });
    (base, fetched)
}

fn claims(issuer: &str) -> AssertionClaims {
    let now = SystemClock.now().as_seconds();
    AssertionClaims {
        iss: issuer.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: "tus_1".to_owned(),
        organization: "acme".to_owned(),
        tenant_org: Some("customer-7".to_owned()),
        tenant_user: Some("marina".to_owned()),
        role: "editor",
        key_id: None,
        iat: now,
        exp: now + 60,
    }
}

/// A JWT with any header and claims, signed with any seed.
fn signed(header: &Header, claims: &Value, seed: &[u8; 32]) -> String {
    encode(header, claims, &EncodingKey::from_ed_der(&[&PKCS8[..], seed].concat())).expect("it can be signed")
}

/// Tokens that must be refused, each with what is wrong with it.
fn wrong(issuer: &str, root: &RootSecret, public_key: &str) -> Vec<(&'static str, String)> {
    let now = SystemClock.now();
    let signer = AssertionSigner::new(root, KeySchedule::new(vec![]), now);
    let sign = |claims: AssertionClaims| signer.sign(&claims, now);
    let good = sign(claims(issuer));
    let parts: Vec<&str> = good.split('.').collect();
    let [header, body, signature] = parts[..] else { panic!("three parts") };
    let other_body = sign(AssertionClaims { tenant_user: Some("mallory".to_owned()), ..claims(issuer) });
    let other_body = other_body.split('.').nth(1).expect("three parts");
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let own = jsonwebtoken::decode_header(&good).expect("a header");
    let seed = root.assertion_seed(0);
    let foreign = RootSecret::new([42; 32]).expect("long enough");
    let foreign_signer = AssertionSigner::new(&foreign, KeySchedule::new(vec![]), now);
    let said = json!(claims(issuer));
    let without = |name: &str| {
        let mut claims = said.clone();
        claims.as_object_mut().expect("an object").remove(name);
        claims
    };
    // The classic confusion, with the public key's text as the secret.
    let hmac = EncodingKey::from_secret(public_key.as_bytes());
    let as_hmac = Header { alg: Algorithm::HS256, ..own.clone() };
    let none = base64url(json!({"alg": "none", "kid": own.kid, "typ": "JWT"}).to_string().as_bytes());
    vec![
        ("an altered claim", format!("{header}.{other_body}.{signature}")),
        ("an altered signature", format!("{header}.{body}.{flipped}{}", &signature[1..])),
        ("no signature", format!("{header}.{body}.")),
        ("over", sign(AssertionClaims { iat: now.as_seconds() - 120, exp: now.as_seconds() - 60, ..claims(issuer) })),
        (
            "for another server",
            sign(AssertionClaims { aud: "https://other.example.com/mcp".to_owned(), ..claims(issuer) }),
        ),
        (
            "of another installation",
            sign(AssertionClaims { iss: "https://keys.example.org".to_owned(), ..claims(issuer) }),
        ),
        ("of a key that is not published", foreign_signer.sign(&claims(issuer), now)),
        ("of another key under a published name", signed(&own, &said, &foreign.assertion_seed(0))),
        ("without a name of its key", signed(&Header { kid: None, ..own.clone() }, &said, &seed)),
        ("without an end", signed(&own, &without("exp"), &seed)),
        ("without an audience", signed(&own, &without("aud"), &seed)),
        ("without an issuer", signed(&own, &without("iss"), &seed)),
        ("alg none", format!("{none}.{body}.")),
        ("alg none, with a signature", format!("{none}.{body}.{signature}")),
        ("HMAC with the public key", encode(&as_hmac, &said, &hmac).expect("it can be signed")),
        ("no token", "eyJ".to_owned()),
    ]
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let group = |chunk: &[u8]| {
        let number =
            chunk.iter().fold(0_u32, |number, byte| (number << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        let letter = move |place: usize| char::from(LETTERS[(number >> (18 - 6 * place)) as usize & 63]);
        (0..=chunk.len()).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[tokio::test]
async fn every_verifier_takes_what_a_live_gateway_signs() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let token = acme.platform().await.token;
    let query = "?org_id=customer-7&user_id=marina";
    app.key(&token).mcp("up", query, "tools/list", json!({})).await.expect(200);
    let assertion = upstream.last().header("x-keyrack-assertion").expect("an assertion").to_owned();
    for program in programs() {
        let tokens = [assertion.clone()];
        let (claims, well) = program.verify(&app.base, &upstream.url("/echo"), &tokens).await;
        let claims = &claims[0];
        let seen = [&claims["organization"], &claims["tenantOrg"], &claims["tenantUser"], &claims["aud"]];
        assert_eq!(seen, ["acme", "customer-7", "marina", &upstream.url("/echo")], "{}: {claims}", program.name);
        assert!(well, "{}", program.name);
        let (refused, well) = program.verify(&app.base, AUDIENCE, &tokens).await;
        assert!(refused[0]["refused"].is_string() && !well, "{}: it is for another server", program.name);
    }
}

#[tokio::test]
async fn every_verifier_refuses_everything_else_and_fetches_the_keys_once() {
    let app = App::spawn().await;
    let set = app.anonymous().get("/.well-known/jwks.json").await;
    let public_key = set.expect(200)["keys"][0]["x"].as_str().expect("a key").to_owned();
    let root = std::fs::read_to_string(app.data.path().join("root.secret")).expect("the root secret");
    let root = RootSecret::new(root.trim()).expect("long enough");
    for program in programs() {
        let (issuer, fetched) = counting_issuer(set.body.clone()).await;
        let wrong = wrong(&issuer, &root, &public_key);
        let now = SystemClock.now();
        let good = AssertionSigner::new(&root, KeySchedule::new(vec![]), now).sign(&claims(&issuer), now);
        let mut tokens = vec![good.clone()];
        tokens.extend(wrong.iter().map(|(_, token)| token.clone()));
        tokens.push(good);
        let (answers, well) = program.verify(&issuer, AUDIENCE, &tokens).await;
        for ((what, _), answer) in wrong.iter().zip(&answers[1..]) {
            assert!(answer["refused"].is_string(), "{} took a token {what}: {answer}", program.name);
        }
        for good in [&answers[0], &answers[tokens.len() - 1]] {
            assert_eq!(good["tenantUser"], "marina", "{}", program.name);
        }
        assert!(!well, "{} says that it refused", program.name);
        assert_eq!(fetched.load(Ordering::SeqCst), 1, "{}: keys are kept", program.name);
    }
}
