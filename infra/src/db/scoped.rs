//! The only door to the tables. What belongs to organizations is reached through a scope, which puts the organization
//! into every statement; the rest through [`unscoped`], which states why.
//!
//! `clippy.toml` closes the other doors (`EntityTrait::find` and its siblings) everywhere but here.

#![expect(clippy::disallowed_methods, reason = "this is the door")]

use domain::access::WithinOrganization;
use sea_orm::{ActiveModelTrait, ColumnTrait, DeleteMany, EntityTrait, Insert, QueryFilter, Select, UpdateMany};

/// A table whose rows belong to organizations.
pub trait TenantOwned: EntityTrait {
    /// The column that says which.
    const ORGANIZATION: Self::Column;
}

/// Rows of the scope's organization.
pub fn find<E: TenantOwned>(scope: &(impl WithinOrganization + ?Sized)) -> Select<E> {
    E::find().filter(E::ORGANIZATION.eq(scope.organization_id().as_uuid()))
}

/// An update of rows of the scope's organization.
pub fn update<E: TenantOwned>(scope: &impl WithinOrganization) -> UpdateMany<E> {
    E::update_many().filter(E::ORGANIZATION.eq(scope.organization_id().as_uuid()))
}

/// A deletion of rows of the scope's organization.
pub fn delete<E: TenantOwned>(scope: &impl WithinOrganization) -> DeleteMany<E> {
    E::delete_many().filter(E::ORGANIZATION.eq(scope.organization_id().as_uuid()))
}

/// An insertion of rows, each of which is put into the scope's organization whatever it says itself.
pub fn insert<E, A>(scope: &impl WithinOrganization, rows: impl IntoIterator<Item = A>) -> sea_orm::InsertMany<A>
where
    E: TenantOwned,
    A: ActiveModelTrait<Entity = E>,
{
    let organization = scope.organization_id().as_uuid();
    E::insert_many(rows.into_iter().map(|mut row| {
        row.set(E::ORGANIZATION, organization.into());
        row
    }))
}

/// Statements that belong to no organization, or are the ones that find out which. The reason stands where it is used.
pub struct Unscoped;

/// Steps around the scope, for a stated reason.
pub const fn unscoped(_reason: &'static str) -> Unscoped {
    Unscoped
}

#[expect(clippy::unused_self, reason = "the value stands for the stated reason")]
impl Unscoped {
    /// Any rows.
    pub fn find<E: EntityTrait>(&self) -> Select<E> {
        E::find()
    }

    /// An update of any rows.
    pub fn update<E: EntityTrait>(&self) -> UpdateMany<E> {
        E::update_many()
    }

    /// A deletion of any rows.
    pub fn delete<E: EntityTrait>(&self) -> DeleteMany<E> {
        E::delete_many()
    }

    /// An insertion.
    pub fn insert<E, A>(&self, row: A) -> Insert<A>
    where
        E: EntityTrait,
        A: ActiveModelTrait<Entity = E>,
    {
        E::insert(row)
    }
}
