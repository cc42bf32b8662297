//! An export proves itself: whatever is done to it is found, with nothing but the public key.

use api::command::audit_verify::verify_export;
use api::v1::audit_events::lines;
use domain::audit::chain::ChainHash;
use domain::audit::checkpoint::{Checkpoint, CheckpointSigner, Closing, Content};
use domain::audit::verify::{Finding, Record, Report};
use domain::root::RootSecret;
use domain::time::{Clock, SystemClock};
use infra::token::{Ed25519CheckpointSigner, JwkSet, PublicKeys};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use support::{App, Organization, Store, Upstream};

const EXPORT: &str = "/api/v1/audit-events/export";
const MUTATIONS: usize = 10_000;

/// An organization with a checkpoint in the middle of its log, and the keys that the installation publishes.
async fn exported(app: &App, upstream: &Upstream) -> (Organization, PublicKeys, String) {
    let acme = app.organization("acme").await;
    acme.server("up", &upstream.url("/echo")).await;
    let caller = app.key(&acme.platform().await.token);
    for user in ["marina", "otto", "Ümläut \"quoted\""] {
        let query = format!("?org_id=globex&user_id={}", percent(user));
        caller.mcp("up", &query, "ping", json!({})).await.expect(200);
    }
    app.settled().await;
    app.services().checkpoints.sign_all(SystemClock.now()).await.expect("signed");
    caller.mcp("nothing", "?org_id=globex&user_id=marina", "ping", json!({})).await.refused(404, "server_not_found");
    acme.revoke(&acme.solo().await.id).await;
    let answer = acme.owner().get(EXPORT).await;
    answer.expect_status(200);
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    (acme, keys(app).await, answer.body)
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn keys(app: &App) -> PublicKeys {
    let set = app.anonymous().get("/.well-known/jwks.json").await.expect(200);
    let set: JwkSet = serde_json::from_value(set).expect("a key set");
    assert_eq!(set.keys.len(), 2);
    let mut keys = PublicKeys::Known(vec![]);
    keys.add_all(&set).expect("keys");
    keys
}

fn verify(text: &[u8], keys: &PublicKeys) -> Report {
    verify_export(text, keys.clone()).expect("memory can be read")
}

fn split(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

fn is_row(line: &[u8]) -> bool {
    !line.starts_with(b"{\"checkpoint\"")
}

/// What was done, and what it has to be called among other things.
type Mutation = (Vec<u8>, Option<&'static str>);

/// Changes one value somewhere inside.
fn edit(value: &mut Value, random: &mut StdRng) {
    match value {
        Value::Object(fields) => {
            let which = random.random_range(0..fields.len());
            edit(fields.iter_mut().nth(which).expect("a field").1, random);
        }
        Value::String(text) => match random.random_range(0..3) {
            0 => text.push('0'),
            1 => *text = text.chars().rev().collect::<String>() + "x",
            _ => *value = Value::Null,
        },
        Value::Number(number) => {
            let by: i64 = if random.random() { 1 } else { -1 };
            *value = (number.as_i64().expect("an integer") + by).into();
        }
        _ => *value = json!("x"),
    }
}

/// Computes the chain anew from line `from` on, as somebody would who may write but has no key.
fn rechained(lines: &mut [Vec<u8>], from: usize) {
    let mut previous: Option<ChainHash> = None;
    for line in &mut lines[from..] {
        if let Some(Record::Row(mut link)) = lines::read_unchecked(line) {
            link.previous = previous.unwrap_or(link.previous);
            link.hash = link.entry.link(link.previous, link.seq);
            previous = Some(link.hash);
            *line = lines::write(&Record::Row(link));
        }
    }
}

fn mutated(original: &[u8], random: &mut StdRng) -> Mutation {
    let mut lines = split(original);
    let rows: Vec<usize> = (0..lines.len()).filter(|line| is_row(&lines[*line])).collect();
    let row = rows[random.random_range(0..rows.len())];
    let any = random.random_range(0..lines.len());
    let mut expected = None;
    match random.random_range(0..14) {
        0 => {
            // one bit
            let mut text = original.to_vec();
            let place = random.random_range(0..text.len());
            text[place] ^= 1 << random.random_range(0..8);
            return (text, None);
        }
        1 => {
            // any other byte
            let mut text = original.to_vec();
            let place = random.random_range(0..text.len());
            text[place] = random.random();
            return (text, None);
        }
        2 => {
            // bytes put in or taken out
            let mut text = original.to_vec();
            let place = random.random_range(0..text.len());
            if random.random() {
                text.insert(place, random.random());
            } else {
                text.remove(place);
            }
            return (text, None);
        }
        3 => {
            // the end cut off, anywhere
            let end = random.random_range(0..original.len());
            return (original[..end].to_vec(), Some("truncated"));
        }
        4 => {
            // the last lines cut off
            lines.truncate(any);
            expected = Some("truncated");
        }
        5 => {
            // rows taken out before the end, neighbours
            let count = random.random_range(1..=3);
            lines.drain(row..(row + count).min(lines.len() - 1));
            let rows_left = lines[row..].iter().any(|line| is_row(line));
            expected = Some(if rows_left { "removed" } else { "truncated" });
        }
        6 => {
            // a line taken out, whichever
            lines.remove(any);
        }
        7 => {
            // two rows exchanged
            let other = rows[random.random_range(0..rows.len())];
            lines.swap(row, other);
            expected = Some("reordered");
        }
        8 => {
            // a line moved
            let line = lines.remove(any);
            lines.insert(random.random_range(0..=lines.len()), line);
        }
        9 => {
            // a line twice
            let line = lines[any].clone();
            lines.insert(random.random_range(0..=lines.len()), line);
        }
        10 => {
            // a value of a row
            let mut value: Value = serde_json::from_slice(&lines[row]).expect("JSON");
            edit(&mut value, random);
            lines[row] = value.to_string().into_bytes();
            lines[row].push(b'\n');
            expected = Some("edited");
        }
        11 => {
            // a value of any line, in the form that Keyrack writes, where it still has one
            let mut value: Value = serde_json::from_slice(&lines[any]).expect("JSON");
            edit(&mut value, random);
            let text = value.to_string();
            lines[any] =
                lines::read_unchecked(text.as_bytes()).map_or(text.into_bytes(), |record| lines::write(&record));
            if lines[any].last() != Some(&b'\n') {
                lines[any].push(b'\n');
            }
        }
        kind => {
            // a row's reason, with its own hash computed anew, or those of all after it too
            let Some(Record::Row(mut link)) = lines::read(&lines[row]) else { panic!("a row") };
            link.entry.reason = Some(format!("because of {}", random.random::<u32>()));
            link.hash = link.entry.link(link.previous, link.seq);
            lines[row] = lines::write(&Record::Row(link));
            if kind == 13 {
                rechained(&mut lines, row);
            }
            expected = Some("edited");
        }
    }
    (lines.concat(), expected)
}

#[tokio::test]
async fn ten_thousand_changes_of_an_export_are_all_found() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (_, keys, text) = exported(&app, &upstream).await;
    let original = text.as_bytes();
    let report = verify(original, &keys);
    assert!(report.is_sound() && report.range.is_none(), "{report:?}");
    assert_eq!((report.checkpoints, report.rows.map(|(first, _)| first)), (2, Some(1)));

    let mut random = StdRng::seed_from_u64(20_261_121);
    let mut tried = 0;
    while tried < MUTATIONS {
        let (text, expected) = mutated(original, &mut random);
        if text == original {
            continue;
        }
        tried += 1;
        let report = verify(&text, &keys);
        let shown = || String::from_utf8_lossy(&text).into_owned();
        assert!(!report.is_sound(), "change {tried} was not found:\n{}", shown());
        if let Some(word) = expected {
            // That the bytes differ is known of every change; the chain tells which.
            let mut findings = report.faults.iter().map(|fault| fault.finding);
            let named = findings.any(|finding| finding != Finding::Content && finding.word() == word);
            assert!(named, "change {tried} is called {:?} and not {word}:\n{}", report.faults, shown());
        }
    }
}

#[tokio::test]
async fn a_whole_new_chain_with_another_key_is_a_forgery() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (_, keys, text) = exported(&app, &upstream).await;
    let forger = Ed25519CheckpointSigner::derive(&RootSecret::new([7; 32]).expect("long enough"));
    let mut lines = split(text.as_bytes());
    lines.retain(|line| is_row(line));
    let Some(Record::Row(mut first)) = lines::read(&lines[0]) else { panic!("a row") };
    first.entry.actor_name = Some("somebody else".to_owned());
    lines[0] = lines::write(&Record::Row(first));
    rechained(&mut lines, 0);
    let Some(Record::Row(last)) = lines.last().and_then(|line| lines::read(line)) else { panic!("a row") };
    let mut content = Content::default();
    content.update(&lines.concat());
    let closing = forger.sign(Checkpoint {
        organization: last.entry.organization,
        seq: last.seq,
        hash: last.hash,
        at: SystemClock.now(),
        closes: Some(Closing { first: 1, previous: ChainHash::GENESIS, from: None, to: None, content: content.hash() }),
    });
    lines.push(lines::write(&Record::Checkpoint(closing)));
    let forged = lines.concat();
    assert!(verify(&forged, &PublicKeys::AnyOne).is_sound(), "only the key tells it from a true one");
    let report = verify(&forged, &keys);
    assert!(report.faults.iter().any(|fault| fault.finding == Finding::Forged), "{report:?}");
    assert!(report.faults.iter().any(|fault| fault.finding == Finding::Unclosed), "{report:?}");
}

async fn a_part_is_a_segment_that_proves_itself(store: Store) {
    let (app, upstream) = (App::on(store).await, Upstream::start());
    let (acme, keys, text) = exported(&app, &upstream).await;
    let rows: Vec<Value> = text
        .lines()
        .filter(|line| is_row(line.as_bytes()))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let time = |row: usize| rows[row]["at"].as_str().expect("a time");
    let (from, to) = (time(2), time(rows.len() - 2));
    for (query, first, last) in [
        (format!("from={from}"), 3, None),
        (format!("to={to}"), 1, i64::try_from(rows.len()).ok().map(|rows| rows - 2)),
        (format!("from={from}&to={to}"), 3, i64::try_from(rows.len()).ok().map(|rows| rows - 2)),
    ] {
        let part = acme.owner().get(&format!("{EXPORT}?{query}")).await;
        part.expect_status(200);
        let report = verify(part.body.as_bytes(), &keys);
        assert!(report.is_sound() && report.range.is_some(), "{query}: {report:?}");
        let (from, to) = report.rows.expect("rows");
        assert!(from == first && last.is_none_or(|last| last == to), "{query}: {from} to {to}");
        for cut in [split(part.body.as_bytes())[1..].concat(), split(part.body.as_bytes())[..3].concat()] {
            assert!(!verify(&cut, &keys).is_sound(), "{query}");
        }
    }
    let nothing = acme.owner().get(&format!("{EXPORT}?to=2020-01-01T00:00:00Z")).await;
    let report = verify(nothing.body.as_bytes(), &keys);
    assert!(report.is_sound() && report.range.is_some() && report.rows.is_none(), "{report:?}");
}

#[tokio::test]
async fn a_part_is_a_segment_that_proves_itself_on_sqlite() {
    a_part_is_a_segment_that_proves_itself(Store::Sqlite).await;
}

#[tokio::test]
async fn a_part_is_a_segment_that_proves_itself_on_postgres() {
    a_part_is_a_segment_that_proves_itself(Store::Postgres).await;
}

#[tokio::test]
async fn what_the_list_shows_is_what_the_export_has() {
    let (app, upstream) = (App::spawn().await, Upstream::start());
    let (acme, _, text) = exported(&app, &upstream).await;
    let listed = acme.owner().get("/api/v1/audit-events?order=asc&limit=200").await.expect(200);
    let exported = text.lines().filter(|line| is_row(line.as_bytes()));
    for (line, shown) in exported.zip(listed["items"].as_array().expect("items")) {
        assert_eq!(&serde_json::from_str::<Value>(line).expect("JSON"), shown);
    }
}
