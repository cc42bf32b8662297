//! Very many rows of the audit log, written as the product writes them, and what a page of them costs.

use std::time::{Duration, Instant};

use domain::audit::entry::AuditEntry;
use domain::audit::{AuditActor, AuditEvent, AuditTarget};
use domain::id::{EventId, ServerId};
use domain::key::KeyId;
use domain::time::{Clock, SystemClock, Timestamp};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use support::{App, Organization};
use uuid::Uuid;

use crate::page;

/// Rows of one transaction, which is what the writer takes at most.
const BATCH: u64 = 4_096;
const KEYS: u64 = 5_000;
const SERVERS: u64 = 40;
const DAYS: u32 = 90;
/// One of so many rows is of something else than calls are.
const SELDOM: u64 = 1_000_000;

/// What is looked for, of which there are few.
pub struct Rare {
    key: KeyId,
    request: Uuid,
}

/// Adds so many rows to the organization's chain, of the last ninety days, and waits until they can be found.
pub async fn fill(app: &App, of: &Organization, rows: u64) -> Rare {
    let organization = of.id.parse().expect("an id");
    let key = |number: u64| KeyId::from_token_part(&format!("0123456789a{number:05}")).expect("an id");
    let servers: Vec<ServerId> = (0..SERVERS).map(|_| ServerId::new()).collect();
    let rare = Rare { key: key(99_999), request: Uuid::now_v7() };
    let (end, days) = (SystemClock.now(), Duration::from_hours(24) * DAYS);
    let step = days / u32::try_from(rows).expect("not so many");
    let mut at = end.before(days);
    let made = |number: u64, at: Timestamp| {
        let seldom = number % SELDOM == SELDOM / 2;
        let by = if seldom { rare.key } else { key(number * 7_919 % KEYS) };
        let action = if seldom { "key.revoke" } else { "mcp.connect" };
        let server = servers[usize::try_from(number % SERVERS).expect("few")];
        let event = AuditEvent {
            organization: Some(organization),
            request_id: Some(if seldom { rare.request } else { Uuid::now_v7() }),
            ..AuditEvent::unproven(AuditActor::Key(by), action, at)
        };
        AuditEntry { id: EventId::new(), ..AuditEntry::from(&event.about(AuditTarget::Server(server))) }
    };
    let (mut number, began) = (0, Instant::now());
    while number < rows {
        let batch: Vec<AuditEntry> = (number..rows.min(number + BATCH))
            .map(|number| {
                at = at.after(step);
                made(number, at)
            })
            .collect();
        number += batch.len() as u64;
        app.services().audit_rows.append(&batch, &[]).await.expect("written");
        if number % (BATCH * 100) < BATCH {
            eprintln!("{number} of {rows} rows of the audit log after {:.0?}", began.elapsed());
        }
    }
    while waits(app).await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    eprintln!("they can be found after {:.0?}", began.elapsed());
    rare
}

/// Whether what occurs in whole blocks is still being written.
async fn waits(app: &App) -> bool {
    let connection = app.sql().await;
    let sql = "SELECT count(*) AS chains FROM audit_heads WHERE seq >= indexed + 1024";
    let row =
        connection.query_one_raw(Statement::from_sql_and_values(connection.get_database_backend(), sql, [])).await;
    let chains: i64 = row.expect("an answer").expect("a row").try_get("", "chains").expect("a number");
    connection.close().await.expect("closed");
    chains > 0
}

/// Pages of 50 and 200: the newest, those of the middle of the time, and those that few rows fit.
pub async fn pages(of: &Organization, rare: &Rare) -> Vec<Value> {
    let owner = of.owner();
    let middle = SystemClock.now().before(Duration::from_hours(24) * (DAYS / 2));
    let cases = [
        ("the newest", String::new(), None),
        ("of the middle of the time", format!("&to={middle}"), None),
        ("of a key that did little", format!("&actorId={}", rare.key), Some(())),
        ("of a request", format!("&requestId={}", rare.request), Some(())),
        ("of a seldom action", "&action=key.revoke".to_owned(), Some(())),
        ("of a tenant that never was", "&tenantOrg=nobody".to_owned(), Some(())),
    ];
    let mut measured = Vec::new();
    for (name, query, few) in cases {
        for limit in [50, 200] {
            let path = format!("/api/v1/audit-events?limit={limit}{query}");
            let (median, worst) = page(&owner, &path, few.is_none().then_some(limit)).await;
            eprintln!("audit, {name}, {limit}: {median:.1} ms, at most {worst:.1} ms");
            measured.push(
                json!({"list": "audit log", "place": name, "limit": limit, "medianMs": median, "worstMs": worst}),
            );
        }
    }
    measured
}
