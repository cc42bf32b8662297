//! Verifies Keyrack's assertions, one per line of standard input: prints the claims, or why it refused.
//!
//!     verify-assertions https://keys.example.com https://notes.example.com/mcp

use std::collections::HashMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

/// How long fetched keys are kept, and how soon an unknown one makes us fetch again.
const KEEP: Duration = Duration::from_mins(5);
const AGAIN: Duration = Duration::from_secs(30);

struct Verifier {
    http: reqwest::Client,
    address: String,
    expected: Validation,
    keys: HashMap<String, DecodingKey>,
    fetched: Option<Instant>,
}

impl Verifier {
    fn new(issuer: &str, audience: &str) -> Result<Self, reqwest::Error> {
        // One algorithm, whatever the token says.
        let mut expected = Validation::new(Algorithm::EdDSA);
        expected.set_issuer(&[issuer]);
        expected.set_audience(&[audience]);
        expected.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        expected.leeway = 5;
        Ok(Self {
            http: reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?,
            address: format!("{}/.well-known/jwks.json", issuer.trim_end_matches('/')),
            expected,
            keys: HashMap::new(),
            fetched: None,
        })
    }

    async fn verify(&mut self, assertion: &str) -> Result<Value, Box<dyn Error>> {
        let kid = decode_header(assertion)?.kid.ok_or("the header names no key")?;
        let age = self.fetched.map(|fetched| fetched.elapsed());
        let stale = age.is_none_or(|age| age > KEEP || (age > AGAIN && !self.keys.contains_key(&kid)));
        if stale {
            self.fetch().await?;
        }
        let key = self.keys.get(&kid).ok_or("the key is not published")?;
        Ok(decode::<Value>(assertion, key, &self.expected)?.claims)
    }

    async fn fetch(&mut self) -> Result<(), Box<dyn Error>> {
        let set: JwkSet = self.http.get(&self.address).send().await?.error_for_status()?.json().await?;
        let named =
            set.keys.iter().filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(key).ok()?)));
        self.keys = named.collect();
        self.fetched = Some(Instant::now());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, audience] = arguments.as_slice() else {
        return Err("usage: verify-assertions ISSUER AUDIENCE".into());
    };
    let mut verifier = Verifier::new(issuer, audience)?;
    let mut all_good = true;
    for line in std::io::stdin().lines() {
        match verifier.verify(&line?).await {
            Ok(claims) => println!("{claims}"),
            Err(error) => {
                all_good = false;
                println!("{}", json!({"refused": error.to_string()}));
            }
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
