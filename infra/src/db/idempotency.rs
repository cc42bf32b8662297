//! Claims to writes, and the answers that they got.

use async_trait::async_trait;
use domain::access::SystemScope;
use domain::idempotency::{Claim, Claimed, Ended, IdempotencyStore, KEPT, KeptAnswer, LONGEST};
use domain::store::StoreFault;
use domain::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, Condition, QueryFilter};

use super::Database;
use super::entity::idempotency_key::{self, Column};
use super::fault::store_fault;
use super::scoped::{self, unscoped};

/// How often a claim is tried again because the one that it met was given up meanwhile.
const ATTEMPTS: usize = 8;
const CLAIMED: i16 = 0;
const MADE: i16 = 1;
const UNKNOWN: i16 = 2;

/// Claims in the database.
#[derive(Clone)]
pub struct SqlIdempotency {
    db: Database,
}

impl SqlIdempotency {
    /// Keeps claims in this database.
    #[must_use]
    pub const fn new(db: Database) -> Self {
        Self { db }
    }

    /// Makes the claim, unless there is one.
    async fn insert(&self, scope: &SystemScope, claim: &Claim, at: Timestamp) -> Result<bool, StoreFault> {
        let row = idempotency_key::ActiveModel {
            organization_id: ActiveValue::NotSet,
            actor: ActiveValue::Set(claim.actor.clone()),
            digest: ActiveValue::Set(claim.digest.to_vec()),
            fingerprint: ActiveValue::Set(claim.fingerprint.to_vec()),
            state: ActiveValue::Set(CLAIMED),
            status: ActiveValue::Set(None),
            body: ActiveValue::Set(None),
            created_at: ActiveValue::Set(at.as_micros()),
        };
        let inserted = scoped::insert::<idempotency_key::Entity, _>(scope, [row])
            .on_conflict(
                OnConflict::columns([Column::OrganizationId, Column::Actor, Column::Digest]).do_nothing().to_owned(),
            )
            .exec_without_returning(self.db.writer())
            .await
            .map_err(store_fault)?;
        Ok(inserted == 1)
    }

    /// What a claim that was just made is, if the same one was made under the other root secret. It is looked for after this
    /// one was made: of two nodes that claim at once one sees the other's, or each does and neither makes the write.
    async fn first(&self, scope: &SystemScope, claim: &Claim, at: Timestamp) -> Result<Claimed, StoreFault> {
        let Some(other) = claim.other else { return Ok(Claimed::First) };
        let row = scoped::find::<idempotency_key::Entity>(scope)
            .filter(called(claim, &other.digest))
            .filter(Column::CreatedAt.gt(before(at, KEPT)))
            .one(self.db.writer())
            .await
            .map_err(store_fault)?;
        let Some(row) = row else { return Ok(Claimed::First) };
        self.end(claim, Ended::Refused).await?;
        met(row, &other.fingerprint, at)
    }
}

fn scope(claim: &Claim) -> SystemScope {
    SystemScope::new(claim.organization, "the claim was made of a proven scope")
}

fn named(claim: &Claim) -> Condition {
    called(claim, &claim.digest)
}

fn called(claim: &Claim, digest: &[u8; 32]) -> Condition {
    Condition::all().add(Column::Actor.eq(claim.actor.as_str())).add(Column::Digest.eq(digest.to_vec()))
}

/// The last moment of what is too old at `at`.
fn before(at: Timestamp, age: std::time::Duration) -> i64 {
    at.as_micros().saturating_sub(i64::try_from(age.as_micros()).unwrap_or(i64::MAX))
}

fn met(row: idempotency_key::Model, fingerprint: &[u8; 32], at: Timestamp) -> Result<Claimed, StoreFault> {
    if row.fingerprint != fingerprint {
        return Ok(Claimed::Other);
    }
    match row.state {
        CLAIMED if row.created_at > before(at, LONGEST) => Ok(Claimed::UnderWay),
        CLAIMED | UNKNOWN => Ok(Claimed::Unknown),
        MADE => {
            let status = row.status.and_then(|status| u16::try_from(status).ok());
            match status.zip(row.body) {
                Some((status, body)) => Ok(Claimed::Again(KeptAnswer { status, body })),
                None => Err(StoreFault::Corrupt("a kept answer".to_owned())),
            }
        }
        _ => Err(StoreFault::Corrupt("state of a claim".to_owned())),
    }
}

#[async_trait]
impl IdempotencyStore for SqlIdempotency {
    async fn claim(&self, claim: &Claim, at: Timestamp) -> Result<Claimed, StoreFault> {
        let scope = scope(claim);
        for _ in 0..ATTEMPTS {
            if self.insert(&scope, claim, at).await? {
                return self.first(&scope, claim, at).await;
            }
            // From the writer, which has seen what the insertion met.
            let row = scoped::find::<idempotency_key::Entity>(&scope)
                .filter(named(claim))
                .one(self.db.writer())
                .await
                .map_err(store_fault)?;
            match row {
                Some(row) if row.created_at > before(at, KEPT) => return met(row, &claim.fingerprint, at),
                Some(row) => {
                    scoped::delete::<idempotency_key::Entity>(&scope)
                        .filter(named(claim))
                        .filter(Column::CreatedAt.eq(row.created_at))
                        .exec(self.db.writer())
                        .await
                        .map_err(store_fault)?;
                }
                None => {}
            }
        }
        Err(StoreFault::Unavailable("the claim changed at every attempt to make it".into()))
    }

    async fn end(&self, claim: &Claim, ended: Ended) -> Result<(), StoreFault> {
        let scope = scope(claim);
        let (state, answer) = match ended {
            Ended::Refused => {
                return scoped::delete::<idempotency_key::Entity>(&scope)
                    .filter(named(claim))
                    .exec(self.db.writer())
                    .await
                    .map(drop)
                    .map_err(store_fault);
            }
            Ended::Unknown => (UNKNOWN, None),
            Ended::Made(answer) => (MADE, Some(answer)),
        };
        let (status, body) = answer.map(|answer| (i32::from(answer.status), answer.body)).unzip();
        scoped::update::<idempotency_key::Entity>(&scope)
            .filter(named(claim))
            .col_expr(Column::State, state.into())
            .col_expr(Column::Status, status.into())
            .col_expr(Column::Body, body.into())
            .exec(self.db.writer())
            .await
            .map(drop)
            .map_err(store_fault)
    }

    async fn forget(&self, before: Timestamp) -> Result<u64, StoreFault> {
        unscoped("what is too old is so in every organization")
            .delete::<idempotency_key::Entity>()
            .filter(Column::CreatedAt.lte(before.as_micros()))
            .exec(self.db.writer())
            .await
            .map(|deleted| deleted.rows_affected)
            .map_err(store_fault)
    }
}
