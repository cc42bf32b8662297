//! Call records as rows. Below sea-orm's entity: with the audit log's this is the busiest statement of all, and its text
//! is made once, not for every batch.

use std::time::Duration;

use domain::call::{AnswerFault, CallKind, CallRecord, Label, Method, Outcome, SessionTag};
use domain::id::{OrganizationId, ServerId};
use domain::key::KeyId;
use domain::redact;
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Iterable, Statement, Value};

use super::entity::call_record::{Column, Entity, Model};
use super::fault::store_fault;

/// Rows per statement, largest first, like the audit log's.
const CHUNKS: [usize; 4] = [256, 32, 4, 1];
const COLUMNS: usize = 21;

/// The statements that insert rows, by their number of rows.
pub struct Insertion {
    backend: DbBackend,
    texts: [String; CHUNKS.len()],
}

impl Insertion {
    /// The statements for this kind of database.
    pub fn new(backend: DbBackend) -> Self {
        Self { backend, texts: CHUNKS.map(|rows| text(backend, rows)) }
    }

    /// Inserts rows. A row that is there already stays as it is: whoever could not tell whether a commit took place
    /// commits again.
    pub async fn run(&self, transaction: &DatabaseTransaction, calls: &[CallRecord]) -> Result<(), StoreFault> {
        let mut rest = calls;
        while let Some(place) = CHUNKS.iter().position(|size| *size <= rest.len()) {
            let (chunk, left) = rest.split_at(CHUNKS[place]);
            let values = chunk.iter().flat_map(values);
            let statement = Statement::from_sql_and_values(self.backend, &self.texts[place], values);
            transaction.execute_raw(statement).await.map_err(store_fault)?;
            rest = left;
        }
        Ok(())
    }
}

fn text(backend: DbBackend, rows: usize) -> String {
    let mut insert = Query::insert();
    insert.into_table(Entity).columns(Column::iter());
    for _ in 0..rows {
        insert.values_panic((0..COLUMNS).map(|_| Expr::value(0)));
    }
    insert.on_conflict(OnConflict::new().do_nothing().to_owned());
    backend.build(&insert).sql
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
    })
}
