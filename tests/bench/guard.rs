//! What the guard costs per message of 64 KiB, in several shapes, and what the redactor costs per text of that length.
//!
//! `tests/bench/guard` runs it, compares with the bound and writes the result down.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::guard::{AllowedFields, inspect_message};
use domain::key::TokenKeys;
use domain::mcp::Envelope;
use domain::redact;
use domain::root::RootSecret;
use mimalloc::MiMalloc;
use serde_json::{Value, json};

// As in the product.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const LENGTH: usize = 64 << 10;

/// A text of the whole length, made of this part again and again.
fn text(part: &str) -> String {
    let mut text = part.repeat(LENGTH / part.len() + 1);
    let end = (0..=LENGTH).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.truncate(end);
    text
}

/// Letters as of random bytes, from a fixed seed.
fn base64(alphabet: &[u8; 64]) -> String {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(alphabet[(state >> 40) as usize % alphabet.len()])
    };
    (0..LENGTH).map(|_| next()).collect()
}

/// As many items as have the whole length together.
fn items(item: impl Fn(usize) -> (String, Value)) -> Value {
    let mut fields = serde_json::Map::new();
    let mut length = 0;
    for number in 0.. {
        let (name, value) = item(number);
        length += name.len() + value.to_string().len() + 4;
        if length > LENGTH {
            break;
        }
        fields.insert(name, value);
    }
    Value::Object(fields)
}

fn texts() -> Vec<(&'static str, String)> {
    let standard = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let url = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    vec![
        ("one base64 text", base64(standard)),
        ("one base64url text", base64(url)),
        ("one text of letters and digits", text("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        ("prose", text("The old token works until six; whoever signs in later needs a new password. ")),
        ("a diff with many underscores", text("-    let access_token_count = max_tokens_of(user_id, page_token)?;\n")),
        ("underscores alone", text("_")),
        ("JSON within a text", text(r#"{"user_id":"u_17","next_token":"CAUQAA","tags":["a","b"],"n":1.5},"#)),
        ("a percent-encoded text", text("name%3D%C3%A9t%C3%A9%26page%5Fsize%3D50%26q%3Dpass%20word%26")),
        ("Japanese", text("パスワードは90日ごとに変更してください。トークンの有効期限は15分です。")),
    ]
}

fn values() -> Vec<(&'static str, Value)> {
    let deep = |number: usize| {
        let inner =
            (0..60).fold(json!({"page_token": number}), |inner, level| json!({(format!("level_{level}")): inner}));
        (format!("branch_{number}"), inner)
    };
    vec![
        ("deep objects", items(deep)),
        ("many small names", items(|number| (format!("k{number}"), json!(number)))),
        ("many fields of a table", {
            let row = |n: usize| json!({"id": n, "author": "marina", "created_at": "2026-11-21", "max_tokens": 512, "body": "ok"});
            items(|number| (format!("row_{number}"), row(number)))
        }),
        (
            "numbers",
            json!(
                (0..LENGTH / 8)
                    .map(|n| f64::from(u32::try_from(n).unwrap_or(0)) / 7.0)
                    .map(|n| (n * 1e3).round() / 1e3)
                    .collect::<Vec<_>>()
            ),
        ),
    ]
}

fn message(arguments: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": arguments}})
        .to_string()
}

fn guard(criterion: &mut Criterion) {
    let keys = TokenKeys::derive(&RootSecret::new([7_u8; 32]).expect("long enough"));
    let allowed = AllowedFields::default();
    let mut bench = |name: &str, message: String| {
        let envelope = Envelope::read(message.as_bytes()).expect("a message");
        assert_eq!(inspect_message(&envelope, &allowed, &keys), Ok(()), "{name}");
        criterion.bench_function(&format!("guard, {name}"), |bench| {
            bench.iter(|| inspect_message(black_box(&envelope), &allowed, &keys));
        });
    };
    for (name, value) in values() {
        bench(name, message(&value));
    }
    for (name, text) in texts() {
        bench(name, message(&json!({"text": text})));
    }
    // Made to cost: each needs fifteen keyed hashes.
    let look_alike = "a234567890123456_0123456789abcdef_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM ";
    bench("look-alikes of keys", message(&json!({"text": text(look_alike)})));
    for (name, text) in texts() {
        criterion.bench_function(&format!("redactor, {name}"), |bench| bench.iter(|| redact::text(black_box(&text))));
    }
}

criterion_group!(benches, guard);
criterion_main!(benches);
