//! Sessions as rows.

use std::collections::HashMap;
use std::sync::LazyLock;

use domain::access::{SystemScope, WithinOrganization};
use domain::call::SessionTag;
use domain::id::CallSessionId;
use domain::insight::{CallSession, IntakeCall, LENGTH_MAX, SessionBook, Slice, TenantName, tenant_scope};
use domain::key::KeyId;
use domain::store::StoreFault;
use domain::tenant::TenantText;
use domain::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, QueryFilter, Value};
use uuid::Uuid;

use super::super::entity::insight_session::{Column, Entity, Model};
use super::super::fault::store_fault;
use super::super::insertion::Insertion;
use super::super::patience::DatabaseTransaction;
use super::super::{CHUNK, scoped};

const COLUMNS: usize = 12;

static ROWS: LazyLock<Insertion> = LazyLock::new(|| {
    let mut again = OnConflict::columns([Column::OrganizationId, Column::Id]);
    Insertion::of::<Entity>(Some(again.update_columns([Column::StartedAt, Column::LastAt, Column::Content])))
});

/// Puts calls into their sessions; they come in the order of their beginnings.
pub async fn fold(
    transaction: &DatabaseTransaction,
    scope: &SystemScope,
    calls: &[IntakeCall],
) -> Result<(), StoreFault> {
    let (Some(first), Some(last)) = (calls.first(), calls.last()) else { return Ok(()) };
    let mut callers = HashMap::new();
    let of_calls: Vec<Uuid> = calls
        .iter()
        .map(|call| {
            let told = (call.key, call.tenant.as_ref(), call.session);
            *callers.entry(told).or_insert_with(|| SessionBook::caller(call))
        })
        .collect();
    let from = CallSession::lowest_id(first.at.before(LENGTH_MAX)).as_uuid();
    let to = CallSession::lowest_id(last.at.after(LENGTH_MAX)).as_uuid();
    let (mut known, ids) = (Vec::new(), callers.into_values().collect::<Vec<Uuid>>());
    for chunk in ids.chunks(CHUNK) {
        let rows = scoped::find::<Entity>(scope)
            .filter(Column::Caller.is_in(chunk.iter().copied()))
            .filter(Column::Id.gte(from))
            .filter(Column::Id.lt(to))
            .all(transaction)
            .await
            .map_err(store_fault)?;
        for row in rows {
            known.push(read(row)?);
        }
    }
    let mut book = SessionBook::of(known);
    for (call, caller) in calls.iter().zip(of_calls) {
        book.add(call, caller);
    }
    let organization = scope.organization_id().as_uuid();
    ROWS.run(transaction, &book.changed(), |session| values(organization, session)).await?;
    Ok(())
}

/// A row's values, in the order of the entity's columns.
fn values(organization: Uuid, session: &CallSession) -> [Value; COLUMNS] {
    let tenant = session.tenant.as_ref();
    let text = |text: Option<&TenantText>| Value::String(text.map(|text| text.as_str().to_owned()));
    [
        organization.into(),
        session.id.as_uuid().into(),
        session.caller.into(),
        session.key.as_token_part().into(),
        text(tenant.and_then(|tenant| tenant.org.as_ref())),
        text(tenant.and_then(|tenant| tenant.user.as_ref())),
        Value::Uuid(tenant.map(tenant_scope)),
        Value::Uuid(tenant.and_then(TenantName::whole_org).as_ref().map(tenant_scope)),
        Value::BigInt(session.tag.map(SessionTag::number)),
        session.started_at.as_micros().into(),
        session.last_at.as_micros().into(),
        session.calls.to_bytes().into(),
    ]
}

/// The session that a row holds.
pub fn read(row: Model) -> Result<CallSession, StoreFault> {
    let corrupt = |what: &str| StoreFault::Corrupt(format!("{what} of a session"));
    let tenant = |text: Option<String>| text.map(|text| TenantText::new(&text)).transpose();
    let org = tenant(row.tenant_org).map_err(|_| corrupt("tenant org"))?;
    let user = tenant(row.tenant_user).map_err(|_| corrupt("tenant user"))?;
    Ok(CallSession {
        id: CallSessionId::from_uuid(row.id),
        caller: row.caller,
        key: KeyId::from_token_part(&row.key_id).map_err(|_| corrupt("key"))?,
        tenant: TenantName::of(org.as_ref(), user.as_ref()),
        tag: row.tag.map(SessionTag::of_stored),
        started_at: Timestamp::from_micros(row.started_at),
        last_at: Timestamp::from_micros(row.last_at),
        calls: Slice::from_bytes(&row.content).map_err(|_| corrupt("calls"))?,
    })
}
