use proptest::prelude::*;
use serde_json::json;

use super::rules::{Class, MIDDLES, SHAPES};
use super::*;
use crate::key::token::exposed;
use crate::key::{IssuedToken, KeyPrefix, TokenKeys};
use crate::root::RootSecret;

/// Characters of a class, none of which is like what may stand around it.
fn of(class: Class, length: usize) -> String {
    let letters = match class {
        Class::Hex => "0123456789abcdef",
        Class::Upper => "ABCDEFGHJKLMNPQRSTUVWXYZ234567",
        _ => "0Az9By8Cx7Dw6Ev5Fu4Gt3Hs2Ir1Jq",
    };
    letters.chars().cycle().take(length).collect()
}

/// One secret of each rule of the table, with the part that must not survive.
fn of_the_table() -> Vec<(String, String)> {
    let shapes = SHAPES.iter().map(|it| {
        let secret = of(it.class, it.least);
        (format!("{}{secret}", it.begin), secret)
    });
    let middles = MIDDLES.iter().map(|it| {
        let secret = of(it.after.0, it.after.1);
        let whole = format!("{}{}{secret}", of(it.before.0, it.before.1), it.sign);
        (whole.clone(), whole)
    });
    shapes.chain(middles).collect()
}

fn own_key() -> String {
    let keys = TokenKeys::derive(&RootSecret::new([9; 32]).expect("long enough"));
    exposed(&IssuedToken::issue(&KeyPrefix::default(), &keys).expect("randomness").reveal()).to_owned()
}

const JWT: &str = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJtYXJpbmEifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIEbVjJJ0\n-----END PRIVATE KEY-----";

#[test]
fn every_shape_of_the_table_is_redacted_between_other_words() {
    for (secret, must_go) in of_the_table() {
        for whole in [secret.clone(), format!("use {secret} please"), format!("x=\"{secret}\","), format!("({secret})")]
        {
            let redacted = text(&whole);
            assert!(!redacted.contains(&must_go) && redacted.contains("[redacted:"), "{whole} became {redacted}");
        }
    }
}

#[test]
fn a_rule_names_itself() {
    for (secret, redacted) in [
        (own_key(), "[redacted:keyrack]"),
        (JWT.to_owned(), "[redacted:jwt]"),
        (format!("a {JWT}. b"), "a [redacted:jwt]. b"),
        (PEM.to_owned(), "[redacted:pem]"),
        (format!("see\n{PEM}\nend"), "see\n[redacted:pem]\nend"),
        (PEM[..40].to_owned(), "[redacted:pem]"),
        (PEM.replace('\n', "\\n"), "[redacted:pem]"),
        (PEM.replace("PRIVATE", "OPENSSH PRIVATE"), "[redacted:pem]"),
        (format!("ghp_{}", of(Class::Alnum, 36)), "[redacted:github]"),
        ("curl -H bearer\u{20}0123456789abcdef0123".to_owned(), "curl -H bearer [redacted:bearer]"),
        ("Basic dXNlcjpwYXNz".to_owned(), "Basic [redacted:basic]"),
        ("postgres://app:hunter2@db/app?x=1".to_owned(), "postgres://app:[redacted:url_password]@db/app?x=1"),
        ("DB_PASSWORD=hunter2 ./run".to_owned(), "DB_PASSWORD=[redacted:assignment] ./run"),
        ("https://h/?a=1&access_token=abc&b=2".to_owned(), "https://h/?a=1&access_token=[redacted:assignment]&b=2"),
        (r#"{"user":"a","password":"hunter2"}"#.to_owned(), r#"{"user":"a","password":"[redacted:assignment]"}"#),
        (r#"{\"apiKey\": \"x y\", \"b\": 1}"#.to_owned(), r#"{\"apiKey\": \"[redacted:assignment]\", \"b\": 1}"#),
        ("GET /\nAuthorization: Digest a=b\nx: y".to_owned(), "GET /\nAuthorization: [redacted:assignment]\nx: y"),
        ("curl -H 'Cookie: sid=1; b=2' u".to_owned(), "curl -H 'Cookie: [redacted:assignment]' u"),
        ("secret_key = \"abc\"".to_owned(), "secret_key = \"[redacted:assignment]\""),
        ("token: 9f8e7d6c5b4a".to_owned(), "token: [redacted:assignment]"),
        ("aws_secret_access_key=wJalr/bPx+K".to_owned(), "aws_secret_access_key=[redacted:assignment]"),
        (own_key().replace('_', "%5F"), "[redacted:encoded]"),
    ] {
        assert_eq!(text(&secret), redacted, "{secret}");
    }
}

#[test]
fn speech_of_secrets_is_none() {
    for plain in [
        "",
        "Reset your password: click the link we sent.",
        "The bearer token is missing; use bearer authentication or Basic auth.",
        "password = get_password()\nif password == other.password:",
        "let token = tokens.next();",
        "secret: true, token=None, password=password",
        "password=${DB_PASSWORD} token=$(pass show x) apiKey={{key}}",
        "pageToken=CAUQAA author=marina max_tokens=5",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "eyJournal.of.things and eyJhbGciOiJub25lIn0 alone",
        "https://example.com:8080/a@b and mailto://user@example.com",
        "postgres://app:${PASSWORD}@db",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "123e4567-e89b-12d3-a456-426614174000 sk-learn task-force risk-free",
        "chunk_1a2b3c4d5e6f7a8b_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "AKIA and ghp_ and xoxb- and sk_live_ begin keys",
        "100 % of \\d+ in C:\\users",
    ] {
        assert_eq!(text(plain), plain);
    }
}

#[test]
fn values_lose_what_stands_under_names_of_secrets_and_in_texts() {
    let key = own_key();
    let redacted = value(json!({
        "password": "x", "apiKey": 7, "token": {"a": 1}, "secret": null, "auth": {"kind": "none"}, "sessionToken": ["x"],
        "aws_secret_access_key": "x", "list": [format!("use {key}"), 1, true, null], "n": {(key.as_str()): "kept"},
        "pageToken": "CAUQAA",
    }));
    let name = "[redacted:name]";
    assert_eq!(
        redacted,
        json!({
            "password": name, "apiKey": name, "token": name, "secret": null, "auth": {"kind": "none"},
            "sessionToken": name, "aws_secret_access_key": name, "list": ["use [redacted:keyrack]", 1, true, null],
            "n": {"[redacted:keyrack]": "kept"}, "pageToken": "CAUQAA",
        })
    );
}

#[test]
fn texts_that_were_made_to_cost_much_end() {
    const LENGTH: usize = 1 << 18;
    for part in [
        "eyJ",
        "eyJ.",
        "eyJ-.",
        "basic+",
        "basic%20",
        "bearer+",
        "eyJhbGciOiJub25lIn0.",
        "bearer ",
        "bearer",
        "basic b",
        "password=",
        "password=password=$",
        "password:\"",
        "password=\\\"",
        "://a:",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "sk-ant-",
        "ghp_",
        "_",
        "=",
        "8Q~",
        ":AA",
        "-us",
        "%5F",
        "\\",
        "\\u005f",
        "aa_0123456789abcdef_",
        "X-Amz-Credential=",
        "1//0",
        "A",
        "hooks.slack.com/services/",
    ] {
        // What looks at the rest of the text at each of its parts would go on for hours.
        assert!(text(&part.repeat(LENGTH / part.len())).len() <= 4 * LENGTH, "{part}");
    }
}

proptest! {
    #[test]
    fn nothing_of_a_secret_survives_between_any_texts(
        before in "(.{0,40}[^0-9A-Za-z])?", after in "([^0-9A-Za-z].{0,40})?", pick in 0..10_000_usize
    ) {
        let mut secrets = of_the_table();
        let key = own_key();
        secrets.push((key.clone(), key[20..].to_owned()));
        secrets.push((JWT.to_owned(), JWT.to_owned()));
        secrets.push((PEM.to_owned(), "MC4CAQAwBQYDK2VwBCIEIEbVjJJ0".to_owned()));
        let (secret, must_go) = &secrets[pick % secrets.len()];
        let whole = format!("{before}{secret}{after}");
        let redacted = text(&whole);
        prop_assert!(!redacted.contains(must_go.as_str()), "{} became {}", whole, redacted);
    }

    #[test]
    fn no_key_of_ours_survives_whatever_it_is_glued_to(before in ".{0,40}", after in ".{0,40}") {
        let key = own_key();
        let whole = format!("{before}{key}{after}");
        prop_assert!(!text(&whole).contains(&key[20..]), "{}", whole);
    }

    #[test]
    fn what_is_too_plain_to_be_looked_at_has_nothing_in_it(
        known in prop::sample::select(vec!["", "eyJhIjoxfQ", "basic", "bearer", "pwd", "AKIA", "ghp_", "-us", "8Q~"]),
        more in "[0-9A-Za-z_.%:=+@ -]{0,16}",
        first in any::<bool>(),
    ) {
        let whole = if first { format!("{known}{more}") } else { format!("{more}{known}") };
        if is_plain(&whole) {
            prop_assert_eq!(&*looked_through(&whole), whole.as_str());
        }
    }

    #[test]
    fn what_was_redacted_stays_as_it_is(before in ".{0,20}", after in ".{0,20}", pick in 0..10_000_usize) {
        let secrets = of_the_table();
        let whole = format!("{before} {} password={after}", secrets[pick % secrets.len()].0);
        let once = text(&whole).into_owned();
        let twice = text(&once);
        prop_assert_eq!(&*twice, once.as_str());
    }
}
