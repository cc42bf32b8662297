//! Keeping projects.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use domain::access::permission::{ProjectsRead, ProjectsWrite};
use domain::access::{Grant, TenantScope, WithinOrganization};
use domain::audit::AuditEvent;
use domain::id::{ProjectId, ServerId};
use domain::page::{Page, PageRequest};
use domain::policy::Reach;
use domain::project::change::{ProjectChange, by_slug, events};
use domain::project::port::{NewProject, ProjectName, ProjectRefusal, ProjectStore};
use domain::project::{Project, ProjectServer};
use domain::server::ServerStatus;
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::{
    ActiveValue, ColumnTrait, ConnectionTrait, FromQueryResult, JoinType, Order, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait, Select,
};
use uuid::Uuid;

use super::audit::record;
use super::entity::{project, project_server, server, workflow};
use super::fault::{store_fault, write_fault};
use super::patience::DatabaseTransaction;
use super::{CHUNK, Database, scoped};

/// Projects in the database.
pub struct SqlProjects {
    db: Database,
}

impl SqlProjects {
    /// Keeps projects in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }
}

#[derive(Debug, FromQueryResult)]
struct ListedRow {
    project_id: Uuid,
    server_id: Uuid,
    slug: String,
    name: String,
    archived_at: Option<i64>,
}

fn corrupt(what: &str) -> StoreFault {
    StoreFault::Corrupt(format!("{what} of a project"))
}

fn listed(id: Uuid, slug: &str, name: &str, archived_at: Option<i64>) -> Result<ProjectServer, StoreFault> {
    Ok(ProjectServer {
        id: ServerId::from_uuid(id),
        slug: slug.parse().map_err(|_| corrupt("server's slug"))?,
        name: name.parse().map_err(|_| corrupt("server's name"))?,
        status: if archived_at.is_some() { ServerStatus::Archived } else { ServerStatus::Active },
    })
}

fn named(projects: Select<project::Entity>, name: &ProjectName) -> Select<project::Entity> {
    match name {
        ProjectName::Id(id) => projects.filter(project::Column::Id.eq(id.as_uuid())),
        ProjectName::Slug(slug) => projects.filter(project::Column::Slug.eq(slug.as_str())),
    }
}

async fn with_servers(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    rows: Vec<project::Model>,
) -> Result<Vec<Project>, StoreFault> {
    let servers = scoped::find::<project_server::Entity>(scope)
        .join(JoinType::InnerJoin, project_server::Relation::Server.def())
        .filter(project_server::Column::ProjectId.is_in(rows.iter().map(|row| row.id)))
        .select_only()
        .columns([project_server::Column::ProjectId, project_server::Column::ServerId])
        .columns([server::Column::Slug, server::Column::Name, server::Column::ArchivedAt])
        .into_model::<ListedRow>()
        .all(db)
        .await
        .map_err(store_fault)?;
    let mut by_project: HashMap<Uuid, Vec<ProjectServer>> = HashMap::new();
    for row in servers {
        let server = listed(row.server_id, &row.slug, &row.name, row.archived_at)?;
        by_project.entry(row.project_id).or_default().push(server);
    }
    let workflows = workflow_counts(db, scope, rows.iter().map(|row| row.id).collect()).await?;
    rows.into_iter()
        .map(|row| {
            Ok(Project {
                id: ProjectId::from_uuid(row.id),
                slug: row.slug.parse().map_err(|_| corrupt("slug"))?,
                name: row.name.parse().map_err(|_| corrupt("name"))?,
                description: row
                    .description
                    .as_deref()
                    .map(str::parse)
                    .transpose()
                    .map_err(|_| corrupt("description"))?,
                servers: by_slug(by_project.remove(&row.id).unwrap_or_default()),
                workflows: workflows.get(&row.id).copied().unwrap_or_default(),
                archived: row.archived_at.is_some(),
                created_at: Timestamp::from_micros(row.created_at),
            })
        })
        .collect()
}

/// How many workflows these projects have that are not archived; nothing of those that have none.
async fn workflow_counts(
    db: &impl ConnectionTrait,
    scope: &impl WithinOrganization,
    projects: Vec<Uuid>,
) -> Result<HashMap<Uuid, u64>, StoreFault> {
    use workflow::Column;
    let counts: Vec<(Uuid, i64)> = scoped::find::<workflow::Entity>(scope)
        .filter(Column::ProjectId.is_in(projects))
        .filter(Column::ArchivedAt.is_null())
        .select_only()
        .column(Column::ProjectId)
        .column_as(Column::Id.count(), "workflows")
        .group_by(Column::ProjectId)
        .into_tuple()
        .all(db)
        .await
        .map_err(store_fault)?;
    Ok(counts.into_iter().map(|(project, count)| (project, u64::try_from(count).unwrap_or_default())).collect())
}

/// The servers that a request names, if the organization has them all and whoever asks sees them. They are archived and
/// never deleted: they need no lock.
async fn asked(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    ids: &[ServerId],
    sees: &Reach,
) -> Result<Vec<ProjectServer>, ProjectRefusal> {
    let mut found = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let seen = chunk.iter().filter(|id| sees.permits(**id)).map(ServerId::as_uuid);
        let rows = scoped::find::<server::Entity>(scope)
            .filter(server::Column::Id.is_in(seen))
            .all(transaction)
            .await
            .map_err(store_fault)?;
        for row in rows {
            found.push(listed(row.id, &row.slug, &row.name, row.archived_at)?);
        }
    }
    let known: HashSet<ServerId> = found.iter().map(|server| server.id).collect();
    let unknown: HashSet<ServerId> = ids.iter().filter(|id| !known.contains(id)).copied().collect();
    if unknown.is_empty() { Ok(by_slug(found)) } else { Err(ProjectRefusal::Unknown(unknown)) }
}

async fn add(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    project: ProjectId,
    servers: &[ServerId],
) -> Result<(), StoreFault> {
    for chunk in servers.chunks(CHUNK) {
        let rows = chunk.iter().map(|server| project_server::ActiveModel {
            organization_id: ActiveValue::NotSet,
            project_id: ActiveValue::Set(project.as_uuid()),
            server_id: ActiveValue::Set(server.as_uuid()),
        });
        scoped::insert::<project_server::Entity, _>(scope, rows)
            .exec_without_returning(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

async fn remove(
    transaction: &DatabaseTransaction,
    scope: &impl WithinOrganization,
    project: ProjectId,
    servers: &[ServerId],
) -> Result<(), StoreFault> {
    for chunk in servers.chunks(CHUNK) {
        scoped::delete::<project_server::Entity>(scope)
            .filter(project_server::Column::ProjectId.eq(project.as_uuid()))
            .filter(project_server::Column::ServerId.is_in(chunk.iter().map(ServerId::as_uuid)))
            .exec(transaction)
            .await
            .map_err(store_fault)?;
    }
    Ok(())
}

/// The servers of the one project that are not in the other.
fn only_in(one: &Project, other: &Project) -> Vec<ServerId> {
    let others: HashSet<ServerId> = other.servers.iter().map(|server| server.id).collect();
    one.servers.iter().map(|server| server.id).filter(|server| !others.contains(server)).collect()
}

#[async_trait]
impl ProjectStore for SqlProjects {
    async fn insert(
        &self,
        grant: &Grant<ProjectsWrite>,
        new: NewProject,
        sees: &Reach,
        event: AuditEvent,
    ) -> Result<Project, ProjectRefusal> {
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let servers = asked(&transaction, grant, &new.servers, sees).await?;
        let row = project::ActiveModel {
            id: ActiveValue::Set(new.id.as_uuid()),
            organization_id: ActiveValue::NotSet,
            slug: ActiveValue::Set(new.slug.to_string()),
            name: ActiveValue::Set(new.name.to_string()),
            description: ActiveValue::Set(new.description.as_ref().map(ToString::to_string)),
            created_at: ActiveValue::Set(new.at.as_micros()),
            archived_at: ActiveValue::Set(None),
        };
        scoped::insert::<project::Entity, _>(grant, [row])
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "slug"))?;
        let ids: Vec<ServerId> = servers.iter().map(|server| server.id).collect();
        add(&transaction, grant, new.id, &ids).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        let NewProject { id, slug, name, description, at, .. } = new;
        Ok(Project { id, slug, name, description, servers, workflows: 0, archived: false, created_at: at })
    }

    async fn get(&self, grant: &Grant<ProjectsRead>, name: &ProjectName) -> Result<Option<Project>, StoreFault> {
        // Two statements, and a change between them must not be half seen.
        let snapshot = self.db.snapshot().await?;
        let row = named(scoped::find::<project::Entity>(grant), name).one(&snapshot).await.map_err(store_fault)?;
        Ok(with_servers(&snapshot, grant, row.into_iter().collect()).await?.pop())
    }

    async fn list(
        &self,
        grant: &Grant<ProjectsRead>,
        archived: bool,
        page: PageRequest<ProjectId>,
    ) -> Result<Page<Project, ProjectId>, StoreFault> {
        use project::Column;
        let mut projects = scoped::find::<project::Entity>(grant).filter(if archived {
            Column::ArchivedAt.is_not_null()
        } else {
            Column::ArchivedAt.is_null()
        });
        if let Some(after) = page.after {
            projects = projects.filter(Column::Id.gt(after.as_uuid()));
        }
        let snapshot = self.db.snapshot().await?;
        let rows = projects
            .order_by(Column::Id, Order::Asc)
            .limit(u64::from(page.limit.get()) + 1)
            .all(&snapshot)
            .await
            .map_err(store_fault)?;
        let projects = with_servers(&snapshot, grant, rows).await?;
        Ok(Page::of_overread(projects, page.limit, |project| project.id))
    }

    async fn change(
        &self,
        grant: &Grant<ProjectsWrite>,
        name: &ProjectName,
        change: ProjectChange,
        sees: &Reach,
        event: AuditEvent,
    ) -> Result<Option<Project>, ProjectRefusal> {
        use project::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        // Locked, so that what the change is compared with is still true when it is made.
        let found = named(scoped::find::<project::Entity>(grant), name).lock_exclusive().one(&transaction).await;
        let row = found.map_err(store_fault)?;
        let Some(before) = with_servers(&transaction, grant, row.into_iter().collect()).await?.pop() else {
            return Ok(None);
        };
        let asked = match &change.servers {
            Some(ids) => asked(&transaction, grant, ids, sees).await?,
            None => Vec::new(),
        };
        let after = change.apply(&before, asked, sees)?;
        let at = event.at.as_micros();
        let events = events(&before, &after, &event);
        if events.is_empty() {
            return Ok(Some(after));
        }
        let mut update = scoped::update::<project::Entity>(grant)
            .filter(Column::Id.eq(after.id.as_uuid()))
            .col_expr(Column::Name, after.name.as_str().into())
            .col_expr(Column::Description, after.description.as_ref().map(ToString::to_string).into());
        if before.archived != after.archived {
            update = update.col_expr(Column::ArchivedAt, after.archived.then_some(at).into());
        }
        update.exec(&transaction).await.map_err(store_fault)?;
        remove(&transaction, grant, after.id, &only_in(&before, &after)).await?;
        add(&transaction, grant, after.id, &only_in(&after, &before)).await?;
        record(&transaction, events).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(Some(after))
    }

    async fn servers_of(
        &self,
        scope: &TenantScope,
        name: &ProjectName,
    ) -> Result<Option<(ProjectId, Vec<ServerId>)>, StoreFault> {
        let project = named(scoped::find::<project::Entity>(scope), name)
            .filter(project::Column::ArchivedAt.is_null())
            .one(self.db.reader())
            .await
            .map_err(store_fault)?;
        let Some(project) = project else { return Ok(None) };
        let servers: Vec<Uuid> = scoped::find::<project_server::Entity>(scope)
            .filter(project_server::Column::ProjectId.eq(project.id))
            .select_only()
            .column(project_server::Column::ServerId)
            .into_tuple()
            .all(self.db.reader())
            .await
            .map_err(store_fault)?;
        Ok(Some((ProjectId::from_uuid(project.id), servers.into_iter().map(ServerId::from_uuid).collect())))
    }
}
