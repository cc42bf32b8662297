//! Keeping organizations.

use async_trait::async_trait;
use domain::access::permission::{OrganizationAdminister, OrganizationsUse};
use domain::access::{Grant, Role, SystemScope, WithinOrganization};
use domain::audit::AuditEvent;
use domain::organization::OrganizationRef;
use domain::organization::change::{NewOrganization, OrganizationChange, OrganizationStore, differences};
use domain::store::{StoreFault, WriteFault};
use sea_orm::sea_query::LockType;
use sea_orm::{ActiveValue, QuerySelect};

use super::audit::record;
use super::commit::Changes;
use super::entity::{membership, organization};
use super::fault::{store_fault, write_fault};
use super::people_rows::{features_to_text, hold_actor, organization_ref, take_slug};
use super::policies::insert_first;
use super::scoped::unscoped;
use super::{Database, DatabaseKind, scoped};
use crate::cache::Change;

/// Organizations in the database.
pub struct SqlOrganizations {
    db: Database,
    changes: Changes,
}

impl SqlOrganizations {
    /// Keeps organizations in this database.
    #[must_use]
    pub const fn new(db: Database, changes: Changes) -> Self {
        Self { db, changes }
    }
}

#[async_trait]
impl OrganizationStore for SqlOrganizations {
    async fn change(
        &self,
        grant: &Grant<OrganizationAdminister>,
        change: OrganizationChange,
        event: AuditEvent,
    ) -> Result<OrganizationRef, WriteFault> {
        use organization::Column;
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        hold_actor(&self.db, &transaction, grant).await?;
        let mut found = scoped::find::<organization::Entity>(grant);
        if self.db.kind() == DatabaseKind::Postgres {
            found = found.lock(LockType::Update);
        }
        let row = found.one(&transaction).await.map_err(store_fault)?;
        let row = row.ok_or_else(|| StoreFault::Corrupt("a member's organization is not there".to_owned()))?;
        let before = organization_ref(row.id, &row.slug, &row.name, &row.features);
        let features =
            change.features.iter().fold(before.features, |features, (feature, on)| features.with(*feature, *on));
        let features = features_to_text(features);
        let slug = change.slug.map_or(row.slug, |slug| slug.to_string());
        let name = change.name.map_or(row.name, |name| name.to_string());
        let after = organization_ref(row.id, &slug, &name, &features);
        let differences = differences(&before, &after);
        if differences.is_empty() {
            return Ok(after);
        }
        take_slug(&transaction, grant, &slug, "slug").await?;
        scoped::update::<organization::Entity>(grant)
            .col_expr(Column::Slug, slug.into())
            .col_expr(Column::Name, name.into())
            .col_expr(Column::Features, features.into())
            .exec(&transaction)
            .await
            .map_err(|error| write_fault(error, "slug"))?;
        record(&transaction, [AuditEvent { reason: Some(differences.join(", ")), ..event }]).await?;
        self.changes.commit(transaction, vec![Change::OrganizationChanged(grant.organization_id())]).await?;
        Ok(after)
    }

    async fn found(
        &self,
        grant: &Grant<OrganizationsUse>,
        new: NewOrganization,
        event: AuditEvent,
    ) -> Result<(), WriteFault> {
        let begins = unscoped("an organization begins");
        let transaction = self.db.writer().begin().await.map_err(store_fault)?;
        let scope = SystemScope::new(new.id, "an organization begins");
        take_slug(&transaction, &scope, new.slug.as_str(), "slug").await?;
        begins
            .insert(organization::ActiveModel {
                id: ActiveValue::Set(new.id.as_uuid()),
                slug: ActiveValue::Set(new.slug.to_string()),
                name: ActiveValue::Set(new.name.to_string()),
                features: ActiveValue::Set(String::new()),
                created_at: ActiveValue::Set(new.at.as_micros()),
            })
            .exec_without_returning(&transaction)
            .await
            .map_err(|error| write_fault(error, "slug"))?;
        begins
            .insert(membership::ActiveModel {
                organization_id: ActiveValue::Set(new.id.as_uuid()),
                user_id: ActiveValue::Set(grant.user().id.as_uuid()),
                role: ActiveValue::Set(Role::Owner.as_str().to_owned()),
                disabled_at: ActiveValue::Set(None),
                created_at: ActiveValue::Set(new.at.as_micros()),
            })
            .exec_without_returning(&transaction)
            .await
            .map_err(store_fault)?;
        insert_first(&transaction, &scope, new.at).await?;
        record(&transaction, [event]).await?;
        transaction.commit().await.map_err(store_fault)?;
        Ok(())
    }
}
