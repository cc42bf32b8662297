//! Insertions of very many rows: the audit log's, the calls' and what they are folded into. Their texts are made once,
//! since building them anew for every batch cost as much as storing the rows. Nobody's text is in them.

use domain::store::StoreFault;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{ConnectionTrait, DbBackend, EntityTrait, Iterable, Statement, Value};

use super::fault::store_fault;
use super::patience::DatabaseTransaction;

/// Rows per statement, largest first. A few sizes and not any, so that the databases know each statement by its text and
/// parse it once; the largest is stored within a fraction of a millisecond, after which others get their turn on the core.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];

type Texts = [String; CHUNKS.len()];

/// An insertion of rows that name their organization themselves, around [`super::scoped`].
pub struct Insertion {
    sqlite: Texts,
    postgres: Texts,
}

impl Insertion {
    /// Of rows with all columns of an entity, in its order.
    pub fn of<E: EntityTrait>(conflict: Option<&OnConflict>) -> Self {
        let texts = |backend| CHUNKS.map(|rows| text::<E>(backend, rows, conflict));
        Self { sqlite: texts(DbBackend::Sqlite), postgres: texts(DbBackend::Postgres) }
    }

    /// Inserts rows in their order; `values` is asked once for each. How many were not there yet.
    pub async fn run<R, const COLUMNS: usize>(
        &self,
        transaction: &DatabaseTransaction,
        rows: &[R],
        mut values: impl FnMut(&R) -> [Value; COLUMNS],
    ) -> Result<u64, StoreFault> {
        let backend = transaction.get_database_backend();
        let texts = if backend == DbBackend::Postgres { &self.postgres } else { &self.sqlite };
        let (mut rest, mut inserted) = (rows, 0);
        while let Some(place) = CHUNKS.iter().position(|size| *size <= rest.len()) {
            let (chunk, left) = rest.split_at(CHUNKS[place]);
            let values: Vec<Value> = chunk.iter().flat_map(&mut values).collect();
            let statement = Statement::from_sql_and_values(backend, &texts[place], values);
            inserted += transaction.execute_raw(statement).await.map_err(store_fault)?.rows_affected();
            rest = left;
        }
        Ok(inserted)
    }
}

fn text<E: EntityTrait>(backend: DbBackend, rows: usize, conflict: Option<&OnConflict>) -> String {
    let mut insert = Query::insert();
    insert.into_table(E::default()).columns(E::Column::iter());
    for _ in 0..rows {
        insert.values_panic(E::Column::iter().map(|_| Expr::value(0)));
    }
    if let Some(conflict) = conflict {
        insert.on_conflict(conflict.clone());
    }
    backend.build(&insert).sql
}
