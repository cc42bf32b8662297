//! Sealing anew what another root secret has sealed: credentials of servers, connections, clients of OAuth, and what consents
//! and runs under way have to remember.
//!
//! Others may be changing the same rows. Each is written under the condition that it still is what was read: what is another
//! now was sealed meanwhile by somebody who knows under what.

use domain::id::{OrganizationId, RunId, ServerId};
use domain::store::StoreFault;
use sea_orm::sea_query::{Expr, SimpleExpr};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::entity::{connection, oauth_authorization, oauth_client, run_step, server};
use super::fault::store_fault;
use super::patience::DatabaseTransaction;
use super::scoped::unscoped;
use super::{CHUNK, connection_rows};
use crate::seal::{ConsentPlace, DoesNotOpen, RunPlace, Sealer, ServerPlace};

const REASON: &str = "the root secret is the installation's";

/// Seals everything anew that `own` does not open, and `both` does; how many rows.
pub async fn reseal(db: &DatabaseTransaction, own: &Sealer, both: &Sealer) -> Result<usize, StoreFault> {
    Ok(servers(db, own, both).await?
        + connections(db, own, both).await?
        + clients(db, own, both).await?
        + authorizations(db, own, both).await?
        + runs(db, own, both).await?)
}

/// What is sealed for good.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sealed {
    /// So many credentials.
    pub things: usize,
    /// So many of them do not open.
    pub closed: usize,
}

impl Sealed {
    fn count<T>(&mut self, opened: Result<T, DoesNotOpen>) {
        self.things += 1;
        self.closed += usize::from(opened.is_err());
    }
}

/// Opens everything that is sealed for good.
pub async fn sealed(db: &impl ConnectionTrait, sealer: &Sealer) -> Result<Sealed, StoreFault> {
    let mut seen = Sealed::default();
    let servers = unscoped(REASON).find::<server::Entity>().filter(server::Column::AuthSealed.is_not_null());
    for row in servers.all(db).await.map_err(store_fault)? {
        seen.count(sealer.open_server(place_of_server(&row), row.auth_sealed.as_deref().unwrap_or_default()));
    }
    for row in unscoped(REASON).find::<oauth_client::Entity>().all(db).await.map_err(store_fault)? {
        seen.count(sealer.open_consent(place_of_client(&row), &row.sealed));
    }
    let mut last = None;
    while let Some(page) = page_of_connections(db, last).await? {
        last = page.last().map(|row| row.id);
        for row in &page {
            seen.count(sealer.open_connection(connection_rows::place_of(row)?, &row.sealed));
        }
    }
    Ok(seen)
}

fn place_of_server(row: &server::Model) -> ServerPlace {
    ServerPlace { organization: OrganizationId::from_uuid(row.organization_id), server: ServerId::from_uuid(row.id) }
}

fn place_of_client(row: &oauth_client::Model) -> ConsentPlace<'static> {
    ConsentPlace::Client(OrganizationId::from_uuid(row.organization_id), ServerId::from_uuid(row.server_id))
}

/// The connections after this one, none when there are no more. There can be one for each tenant and server: not all in
/// memory at once.
async fn page_of_connections(
    db: &impl ConnectionTrait,
    last: Option<Uuid>,
) -> Result<Option<Vec<connection::Model>>, StoreFault> {
    use connection::Column;
    let mut page = unscoped(REASON).find::<connection::Entity>();
    if let Some(last) = last {
        page = page.filter(Column::Id.gt(last));
    }
    let page = page.order_by(Column::Id, Order::Asc).limit(CHUNK as u64).all(db).await.map_err(store_fault)?;
    Ok((!page.is_empty()).then_some(page))
}

/// What `own` makes of something that it does not open itself; none when it does.
fn anew<T>(
    open: impl Fn(&Sealer) -> Result<T, DoesNotOpen>,
    seal: impl Fn(&T) -> Result<Vec<u8>, DoesNotOpen>,
    (own, both): (&Sealer, &Sealer),
    what: impl Fn() -> String,
) -> Result<Option<Vec<u8>>, StoreFault> {
    if open(own).is_ok() {
        return Ok(None);
    }
    let opened = open(both).map_err(|_| StoreFault::Corrupt(what()))?;
    seal(&opened).map(Some).map_err(|fault| StoreFault::Broken(Box::new(fault)))
}

/// What soon passes must not keep anything from being moved: it is left as it is when it does not open.
fn passing(after: Result<Option<Vec<u8>>, StoreFault>) -> Result<Option<Vec<u8>>, StoreFault> {
    match after {
        Err(StoreFault::Corrupt(_)) => Ok(None),
        other => other,
    }
}

async fn write<E: EntityTrait>(
    db: &impl ConnectionTrait,
    row: Condition,
    column: E::Column,
    before: Option<Vec<u8>>,
    after: Vec<u8>,
) -> Result<usize, StoreFault> {
    let unchanged: SimpleExpr = column.eq(before);
    let done = unscoped(REASON)
        .update::<E>()
        .filter(row)
        .filter(unchanged)
        .col_expr(column, Expr::value(after))
        .exec(db)
        .await
        .map_err(store_fault)?;
    Ok(usize::try_from(done.rows_affected).unwrap_or(usize::MAX))
}

async fn servers(db: &DatabaseTransaction, own: &Sealer, both: &Sealer) -> Result<usize, StoreFault> {
    use server::Column;
    let rows = unscoped(REASON).find::<server::Entity>().filter(Column::AuthSealed.is_not_null());
    let mut resealed = 0;
    for row in rows.all(db).await.map_err(store_fault)? {
        let place = place_of_server(&row);
        let sealed = row.auth_sealed.as_deref().unwrap_or_default();
        let after = anew(
            |sealer| sealer.open_server(place, sealed),
            |opened| own.seal_server(place, secrecy::ExposeSecret::expose_secret(opened)),
            (own, both),
            || format!("server {}: credential", place.server),
        )?;
        if let Some(after) = after {
            let this = Condition::all().add(Column::Id.eq(row.id));
            resealed += write::<server::Entity>(db, this, Column::AuthSealed, row.auth_sealed, after).await?;
        }
    }
    Ok(resealed)
}

async fn connections(db: &DatabaseTransaction, own: &Sealer, both: &Sealer) -> Result<usize, StoreFault> {
    use connection::Column;
    let (mut resealed, mut last) = (0, None);
    while let Some(page) = page_of_connections(db, last).await? {
        last = page.last().map(|row| row.id);
        for row in page {
            let place = connection_rows::place_of(&row)?;
            let after = anew(
                |sealer| sealer.open_connection(place, &row.sealed),
                |opened| own.seal_connection(place, opened),
                (own, both),
                || format!("connection {}: credential", row.id),
            )?;
            if let Some(after) = after {
                let this = Condition::all().add(Column::Id.eq(row.id));
                resealed += write::<connection::Entity>(db, this, Column::Sealed, Some(row.sealed), after).await?;
            }
        }
    }
    Ok(resealed)
}

async fn clients(db: &DatabaseTransaction, own: &Sealer, both: &Sealer) -> Result<usize, StoreFault> {
    use oauth_client::Column;
    let rows = unscoped(REASON).find::<oauth_client::Entity>().order_by_asc(Column::ServerId);
    let mut resealed = 0;
    for row in rows.all(db).await.map_err(store_fault)? {
        let place = place_of_client(&row);
        let after = anew(
            |sealer| sealer.open_consent(place, &row.sealed),
            |opened| own.seal_consent(place, opened),
            (own, both),
            || format!("server {}: its client of OAuth", ServerId::from_uuid(row.server_id)),
        )?;
        if let Some(after) = after {
            let this = Condition::all().add(Column::ServerId.eq(row.server_id));
            resealed += write::<oauth_client::Entity>(db, this, Column::Sealed, Some(row.sealed), after).await?;
        }
    }
    Ok(resealed)
}

async fn authorizations(db: &DatabaseTransaction, own: &Sealer, both: &Sealer) -> Result<usize, StoreFault> {
    use oauth_authorization::Column;
    let rows = unscoped(REASON).find::<oauth_authorization::Entity>();
    let mut resealed = 0;
    for row in rows.all(db).await.map_err(store_fault)? {
        let corrupt = || StoreFault::Corrupt("an authorization that is under way".to_owned());
        let digest = blake3::Hash::from_bytes(row.digest.as_slice().try_into().map_err(|_| corrupt())?);
        let place = ConsentPlace::Authorization(&digest);
        let after = anew(
            |sealer| sealer.open_consent(place, &row.sealed),
            |opened| own.seal_consent(place, opened),
            (own, both),
            || "an authorization that is under way".to_owned(),
        );
        if let Some(after) = passing(after)? {
            let this = Condition::all().add(Column::Digest.eq(row.digest));
            resealed += write::<oauth_authorization::Entity>(db, this, Column::Sealed, Some(row.sealed), after).await?;
        }
    }
    Ok(resealed)
}

async fn runs(db: &DatabaseTransaction, own: &Sealer, both: &Sealer) -> Result<usize, StoreFault> {
    use run_step::Column;
    let rows = unscoped(REASON).find::<run_step::Entity>().filter(Column::Carried.is_not_null());
    let mut resealed = 0;
    for row in rows.all(db).await.map_err(store_fault)? {
        let corrupt = || format!("run {}: what it carries", RunId::from_uuid(row.run_id));
        let place = RunPlace {
            organization: OrganizationId::from_uuid(row.organization_id),
            run: RunId::from_uuid(row.run_id),
            position: u32::try_from(row.position).map_err(|_| StoreFault::Corrupt(corrupt()))?,
        };
        let sealed = row.carried.as_deref().unwrap_or_default();
        let after =
            anew(|sealer| sealer.open_run(place, sealed), |opened| own.seal_run(place, opened), (own, both), corrupt);
        if let Some(after) = passing(after)? {
            let this = Condition::all().add(Column::RunId.eq(row.run_id)).add(Column::Position.eq(row.position));
            resealed += write::<run_step::Entity>(db, this, Column::Carried, row.carried, after).await?;
        }
    }
    Ok(resealed)
}
