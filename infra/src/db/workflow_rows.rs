//! Workflows as the domain has them, from their rows, and the one way in which a workflow's row changes.

use std::collections::HashMap;

use domain::access::permission::WorkflowsWrite;
use domain::access::{Grant, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::{OrganizationId, ProjectId, UserId, WorkflowId};
use domain::organization::UserRef;
use domain::run::actor::Who;
use domain::store::StoreFault;
use domain::time::Timestamp;
use domain::workflow::change::{WorkflowChange, events};
use domain::workflow::port::ChangeFault;
use domain::workflow::{
    Definition, Schedule, ScheduleOwner, Scheduler, Workflow, WorkflowVersion, definition_from_json, definition_to_json,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, JoinType, QueryFilter, QuerySelect, RelationTrait};
use uuid::Uuid;

use super::entity::{user, workflow, workflow_version};
use super::fault::store_fault;
use super::key_rows::user_ref;
use super::patience::DatabaseTransaction;
use super::scoped::{self, unscoped};

fn corrupt(id: Uuid, what: &str) -> StoreFault {
    StoreFault::Corrupt(format!("{what} of the workflow {}", WorkflowId::from_uuid(id)))
}

fn definition(id: Uuid, text: &str) -> Result<Definition, StoreFault> {
    definition_from_json(text).map_err(|error| corrupt(id, &error.to_string()))
}

/// A version's number as the domain has it.
pub fn number(id: Uuid, number: i32) -> Result<u32, StoreFault> {
    u32::try_from(number).map_err(|_| corrupt(id, "version"))
}

/// A version's number as rows have it; what does not fit is no row's.
pub fn stored_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(-1)
}

/// A row's schedule.
pub fn schedule(row: &workflow::Model) -> Option<Schedule> {
    let (cron, time_zone) = row.cron.clone().zip(row.time_zone.clone())?;
    Some(Schedule { cron, time_zone })
}

/// On whose behalf a row's schedule runs. One that names a key is the key's, whatever else stands there.
///
/// # Errors
/// [`StoreFault::Corrupt`]
pub fn owner(row: &workflow::Model) -> Result<Option<ScheduleOwner>, StoreFault> {
    let who = match (&row.scheduled_by_key, row.scheduled_by) {
        (Some(key), _) => Who::Key(key.parse().map_err(|_| corrupt(row.id, "schedule's key"))?),
        (None, Some(person)) => Who::Person(UserId::from_uuid(person)),
        (None, None) => return Ok(None),
    };
    Ok(Some(ScheduleOwner { who, org: row.scheduled_org.clone(), user: row.scheduled_user.clone() }))
}

/// The same as the columns have it.
#[derive(Debug, Default)]
pub struct OwnerColumns {
    pub person: Option<Uuid>,
    pub key: Option<String>,
    pub org: Option<String>,
    pub user: Option<String>,
}

impl OwnerColumns {
    pub fn of(owner: Option<&ScheduleOwner>) -> Self {
        let Some(ScheduleOwner { who, org, user }) = owner else { return Self::default() };
        let (person, key) = match who {
            Who::Key(id) => (None, Some(id.to_string())),
            Who::Person(id) => (Some(id.as_uuid()), None),
        };
        Self { person, key, org: org.clone(), user: user.clone() }
    }
}

/// Workflows with their newest versions, in the order of the rows.
pub async fn workflows(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    rows: Vec<workflow::Model>,
) -> Result<Vec<Workflow>, StoreFault> {
    use workflow_version::Column;
    let newest = scoped::find::<workflow_version::Entity>(scope)
        .join(JoinType::InnerJoin, workflow_version::Relation::AtIt.def())
        .filter(Column::WorkflowId.is_in(rows.iter().map(|row| row.id)))
        .all(db)
        .await
        .map_err(store_fault)?;
    let mut newest: HashMap<Uuid, String> = newest.into_iter().map(|row| (row.workflow_id, row.definition)).collect();
    rows.into_iter()
        .map(|row| {
            let text = newest.remove(&row.id).ok_or_else(|| corrupt(row.id, "newest version"))?;
            Ok(Workflow {
                id: WorkflowId::from_uuid(row.id),
                name: row.name.parse().map_err(|_| corrupt(row.id, "name"))?,
                description: row
                    .description
                    .as_deref()
                    .map(str::parse)
                    .transpose()
                    .map_err(|_| corrupt(row.id, "description"))?,
                version: number(row.id, row.version)?,
                definition: definition(row.id, &text)?,
                schedule: schedule(&row),
                schedule_owner: owner(&row)?,
                due_at: row.due_at.map(Timestamp::from_micros),
                last_run_at: row.last_run_at.map(Timestamp::from_micros),
                project: row.project_id.map(ProjectId::from_uuid),
                archived_at: row.archived_at.map(Timestamp::from_micros),
                created_at: Timestamp::from_micros(row.created_at),
            })
        })
        .collect()
}

/// A version from its row.
pub fn version(row: &workflow_version::Model) -> Result<WorkflowVersion, StoreFault> {
    Ok(WorkflowVersion {
        workflow: WorkflowId::from_uuid(row.workflow_id),
        organization: OrganizationId::from_uuid(row.organization_id),
        number: number(row.workflow_id, row.number)?,
        definition: definition(row.workflow_id, &row.definition)?,
        created_at: Timestamp::from_micros(row.created_at),
    })
}

/// Writes a version.
pub async fn add_version(
    transaction: &DatabaseTransaction,
    grant: &Grant<WorkflowsWrite>,
    id: WorkflowId,
    number: u32,
    definition: &Definition,
    at: Timestamp,
) -> Result<(), StoreFault> {
    let row = workflow_version::ActiveModel {
        organization_id: ActiveValue::NotSet,
        workflow_id: ActiveValue::Set(id.as_uuid()),
        number: ActiveValue::Set(stored_number(number)),
        definition: ActiveValue::Set(definition_to_json(definition)),
        created_by: ActiveValue::Set(grant.user().id.as_uuid()),
        created_at: ActiveValue::Set(at.as_micros()),
    };
    scoped::insert::<workflow_version::Entity, _>(grant, [row])
        .exec_without_returning(transaction)
        .await
        .map_err(store_fault)?;
    Ok(())
}

/// Changes a workflow, under its row's lock; none when there is no such workflow. What there is to record comes back with
/// it, to be written last.
pub async fn change(
    transaction: &DatabaseTransaction,
    grant: &Grant<WorkflowsWrite>,
    id: WorkflowId,
    change: WorkflowChange,
    expected: Option<u32>,
    scheduler: &Scheduler,
    event: &AuditEvent,
) -> Result<Option<(Workflow, Vec<AuditEvent>)>, ChangeFault> {
    use workflow::Column;
    let found = scoped::find::<workflow::Entity>(grant)
        .filter(Column::Id.eq(id.as_uuid()))
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(store_fault)?;
    let Some(before) = workflows(transaction, grant, found.into_iter().collect()).await?.pop() else {
        return Ok(None);
    };
    let after = change.apply_by(scheduler, &before, expected, event.at)?;
    let events = events(&before, &after, event);
    if events.is_empty() {
        return Ok(Some((after, events)));
    }
    if after.version != before.version {
        add_version(transaction, grant, id, after.version, &after.definition, event.at).await?;
    }
    let mut update = scoped::update::<workflow::Entity>(grant)
        .filter(Column::Id.eq(id.as_uuid()))
        .col_expr(Column::Name, after.name.as_str().into())
        .col_expr(Column::Description, after.description.as_ref().map(ToString::to_string).into())
        .col_expr(Column::Version, stored_number(after.version).into())
        .col_expr(Column::ProjectId, after.project.map(|project| project.as_uuid()).into())
        .col_expr(Column::ArchivedAt, after.archived_at.map(Timestamp::as_micros).into());
    if after.schedule != before.schedule {
        let schedule = after.schedule.as_ref();
        update = update
            .col_expr(Column::Cron, schedule.map(|schedule| schedule.cron.clone()).into())
            .col_expr(Column::TimeZone, schedule.map(|schedule| schedule.time_zone.clone()).into());
    }
    if after.schedule_owner != before.schedule_owner {
        let OwnerColumns { person, key, org, user } = OwnerColumns::of(after.schedule_owner.as_ref());
        update = update
            .col_expr(Column::ScheduledBy, person.into())
            .col_expr(Column::ScheduledByKey, key.into())
            .col_expr(Column::ScheduledOrg, org.into())
            .col_expr(Column::ScheduledUser, user.into());
    }
    if after.due_at != before.due_at {
        update = update.col_expr(Column::DueAt, Expr::from(after.due_at.map(Timestamp::as_micros)));
    }
    update.exec(transaction).await.map_err(store_fault)?;
    Ok(Some((after, events)))
}

/// People as everything names them, also those who have left the organization.
pub async fn people(db: &impl ConnectionTrait, ids: Vec<Uuid>) -> Result<HashMap<Uuid, UserRef>, StoreFault> {
    let rows = unscoped("people are of the installation; who did a thing is told to those who see it")
        .find::<user::Entity>()
        .filter(user::Column::Id.is_in(ids))
        .all(db)
        .await
        .map_err(store_fault)?;
    let person = |row: user::Model| (row.id, user_ref(row.id, &row.email, row.display_name.as_deref()));
    Ok(rows.into_iter().map(person).collect())
}
