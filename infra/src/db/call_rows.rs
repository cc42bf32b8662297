//! Call records as rows.

use std::sync::LazyLock;
use std::time::Duration;

use domain::call::{AnswerFault, CallKind, CallRecord, Label, Method, Outcome, SessionTag};
use domain::id::{OrganizationId, ServerId};
use domain::key::KeyId;
use domain::redact;
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::Value;
use sea_orm::sea_query::OnConflict;

use super::entity::call_record::{Entity, Model};
use super::entity::call_telemetry;
use super::insertion::Insertion;
use super::insights::intake;
use super::patience::DatabaseTransaction;

const COLUMNS: usize = 21;
const TELEMETRY_COLUMNS: usize = 6;

/// A row that is there already stays as it is: whoever could not tell whether a commit took place commits again.
static ROWS: LazyLock<Insertion> =
    LazyLock::new(|| Insertion::of::<Entity>(Some(&OnConflict::new().do_nothing().to_owned())));

static TELEMETRY: LazyLock<Insertion> =
    LazyLock::new(|| Insertion::of::<call_telemetry::Entity>(Some(&OnConflict::new().do_nothing().to_owned())));

/// Stores calls, and leaves them for the fold.
pub async fn insert(transaction: &DatabaseTransaction, calls: &[CallRecord]) -> Result<(), StoreFault> {
    let inserted = ROWS.run(transaction, calls, values).await?;
    let said: Vec<&CallRecord> = calls.iter().filter(|call| call.telemetry.is_some()).collect();
    TELEMETRY.run(transaction, &said, |call| telemetry_values(call)).await?;
    // A batch is stored as a whole. One that was there already was left for the fold with it, and may be folded by now.
    if inserted > 0 { intake::insert(transaction, calls).await } else { Ok(()) }
}

/// What a model said of a call, without secrets. In a table of its own: few calls have any.
fn telemetry_values(call: &CallRecord) -> [Value; TELEMETRY_COLUMNS] {
    let said = call.telemetry.as_deref();
    let written = |text: Option<&String>| Value::String(text.map(|text| redact::text(text).into_owned()));
    [
        call.organization.as_uuid().into(),
        call.at.as_micros().into(),
        call.request_id.into(),
        written(said.and_then(|said| said.intent.as_ref())),
        written(said.and_then(|said| said.context.as_ref())),
        written(said.and_then(|said| said.frustration.as_ref())),
    ]
}

/// A row's values, in the order of the entity's columns.
fn values(call: &CallRecord) -> [Value; COLUMNS] {
    let text = |text: Option<&str>| Value::String(text.map(str::to_owned));
    // Whatever a caller wrote there. What the protocol knows by name passes as it is.
    let written = |text: Option<&str>| Value::String(text.map(|text| redact::text(text).into_owned()));
    let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
    let number = |number: u64| Value::BigInt(Some(i64::try_from(number).unwrap_or(i64::MAX)));
    let (rpc_error, tool_error) = match call.fault {
        Some(AnswerFault::Rpc(code)) => (Some(code), false),
        Some(AnswerFault::Tool) => (None, true),
        None => (None, false),
    };
    [
        call.organization.as_uuid().into(),
        call.at.as_micros().into(),
        call.request_id.into(),
        text(Some(call.key.as_token_part())),
        call.server.as_uuid().into(),
        text(call.tenant_org.as_ref().map(TenantText::as_str)),
        text(call.tenant_user.as_ref().map(TenantText::as_str)),
        call.kind.number().into(),
        written(call.method.as_ref().map(Method::as_str)),
        written(call.tool.as_ref().map(Label::as_str)),
        written(call.version.as_ref().map(Label::as_str)),
        Value::BigInt(call.session.map(SessionTag::number)),
        call.outcome.number().into(),
        text(call.outcome.reason()),
        // A status has three digits.
        Value::SmallInt(call.status.and_then(|status| i16::try_from(status).ok())),
        Value::BigInt(rpc_error),
        tool_error.into(),
        number(call.request_bytes),
        number(call.response_bytes),
        Value::BigInt(call.first_byte.map(micros)),
        micros(call.took).into(),
    ]
}

/// The record that a row holds.
pub fn read(row: Model) -> Result<CallRecord, StoreFault> {
    let corrupt = |what: &str| StoreFault::Corrupt(format!("{what} of a call"));
    let tenant = |text: Option<String>| text.map(|text| TenantText::new(&text)).transpose();
    let label = |text: Option<String>| text.map(|text| Label::of_stored(&text));
    let number = |number: i64| u64::try_from(number);
    let micros = |time: i64| u64::try_from(time).map(Duration::from_micros);
    Ok(CallRecord {
        at: Timestamp::from_micros(row.at),
        request_id: row.request_id,
        organization: OrganizationId::from_uuid(row.organization_id),
        key: KeyId::from_token_part(&row.key_id).map_err(|_| corrupt("key"))?,
        server: ServerId::from_uuid(row.server_id),
        tenant_org: tenant(row.tenant_org).map_err(|_| corrupt("tenant org"))?,
        tenant_user: tenant(row.tenant_user).map_err(|_| corrupt("tenant user"))?,
        kind: CallKind::numbered(row.kind).ok_or_else(|| corrupt("kind"))?,
        method: row.method.as_deref().map(Method::of_stored),
        tool: label(row.tool),
        version: label(row.version),
        session: row.session.map(SessionTag::of_stored),
        outcome: Outcome::of_stored(row.outcome, row.reason).ok_or_else(|| corrupt("outcome"))?,
        status: row.status.map(u16::try_from).transpose().map_err(|_| corrupt("status"))?,
        fault: match (row.rpc_error, row.tool_error) {
            (Some(code), _) => Some(AnswerFault::Rpc(code)),
            (None, true) => Some(AnswerFault::Tool),
            (None, false) => None,
        },
        request_bytes: number(row.request_bytes).map_err(|_| corrupt("size"))?,
        response_bytes: number(row.response_bytes).map_err(|_| corrupt("size"))?,
        first_byte: row.first_byte.map(micros).transpose().map_err(|_| corrupt("time"))?,
        took: micros(row.took).map_err(|_| corrupt("time"))?,
        // Apart, and read by those who ask for it.
        telemetry: None,
    })
}
