//! Topics as rows.

use domain::access::WithinOrganization;
use domain::id::TopicId;
use domain::insight::topic::{Topic, TopicChanges, Words};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, QueryFilter};

use super::super::entity::insight_topic::{ActiveModel, Column, Entity, Model};
use super::super::fault::store_fault;
use super::super::patience::DatabaseTransaction;
use super::super::{CHUNK, scoped};

/// All topics of an organization; there is a bound to them.
pub async fn all(
    db: &impl ConnectionTrait,
    scope: &(impl WithinOrganization + ?Sized),
) -> Result<Vec<Topic>, StoreFault> {
    let rows = scoped::find::<Entity>(scope).all(db).await.map_err(store_fault)?;
    rows.into_iter().map(read).collect()
}

/// What nobody touched: what an editor did meanwhile is not undone.
pub fn untouched() -> Condition {
    Condition::all().add(Column::Name.is_null()).add(Column::UnmetDemand.eq(false)).add(Column::ArchivedAt.is_null())
}

/// Stores what became of topics, and nothing of what editors do.
pub async fn store(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    changes: TopicChanges,
) -> Result<(), StoreFault> {
    for chunk in changes.gone.chunks(CHUNK) {
        scoped::delete::<Entity>(scope)
            .filter(Column::Id.is_in(chunk.iter().map(TopicId::as_uuid)))
            .filter(untouched())
            .exec(transaction)
            .await
            .map_err(store_fault)?;
    }
    for chunk in changes.changed.chunks(100) {
        let mut rows = Vec::with_capacity(chunk.len());
        for topic in chunk {
            let examples = serde_json::to_string(&topic.examples);
            rows.push(ActiveModel {
                organization_id: ActiveValue::NotSet,
                id: ActiveValue::Set(topic.id.as_uuid()),
                words: ActiveValue::Set(topic.words.stored()),
                name: ActiveValue::Set(None),
                unmet_demand: ActiveValue::Set(false),
                archived_at: ActiveValue::Set(None),
                first_seen: ActiveValue::Set(topic.first_seen.as_micros()),
                last_seen: ActiveValue::Set(topic.last_seen.as_micros()),
                calls: ActiveValue::Set(i64::try_from(topic.calls).unwrap_or(i64::MAX)),
                examples: ActiveValue::Set(examples.map_err(|error| StoreFault::Broken(Box::new(error)))?),
            });
        }
        let mut again = OnConflict::columns([Column::OrganizationId, Column::Id]);
        again.update_columns([Column::FirstSeen, Column::LastSeen, Column::Calls, Column::Examples]);
        scoped::insert::<Entity, _>(scope, rows)
            .on_conflict(again)
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

/// The topic that a row holds.
pub fn read(row: Model) -> Result<Topic, StoreFault> {
    let corrupt = |what: &str| StoreFault::Corrupt(format!("{what} of a topic"));
    Ok(Topic {
        id: TopicId::from_uuid(row.id),
        words: Words::of_stored(&row.words),
        name: row.name.as_deref().map(str::parse).transpose().map_err(|_| corrupt("name"))?,
        unmet_demand: row.unmet_demand,
        archived_at: row.archived_at.map(Timestamp::from_micros),
        first_seen: Timestamp::from_micros(row.first_seen),
        last_seen: Timestamp::from_micros(row.last_seen),
        calls: u64::try_from(row.calls).map_err(|_| corrupt("calls"))?,
        examples: serde_json::from_str(&row.examples).map_err(|_| corrupt("examples"))?,
    })
}
