//! Tracking in PostgreSQL: transactions that are tried again where another writer was in the way.

use std::error::Error as StdError;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::try_join_all;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Statement};

use super::error::failure;
use super::session::Session as Connection;
use super::{ATTEMPTS, BEGIN, PostgresStore, TRANSACTION_TIMEOUT};
use crate::store::StoreError;
use crate::store::sql::Failure;
use crate::store::sql::revision::check;
use crate::store::sql::tracking::session::{Access, Fault, Row, Session, Step, Value, Work};

/// All queries of a reader see the same state.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Statements that are sent before the first of them is answered.
const PIPELINED: usize = 500;

/// Statements that a connection keeps prepared; those of searches vary with what is searched for.
const PREPARED: usize = 200;

/// What became of an attempt.
enum Outcome<T> {
    Done(T),
    Failed(Fault),
    /// The commit was sent, and nobody knows whether it was made.
    Unknown(Failure),
}

impl PostgresStore {
    /// Runs one transaction.
    pub(in crate::store::sql) async fn track<A, T>(
        &self,
        access: Access,
        arguments: &A,
        work: Work<A, T>,
    ) -> Result<T, Fault> {
        let mut lease = self.lease().await?;
        let mut attempt = 1;
        loop {
            let connection = lease.session().await?;
            let outcome =
                tokio::time::timeout(TRANSACTION_TIMEOUT, transact(connection, access, arguments, work));
            let Ok(outcome) = outcome.await else {
                return Err(StoreError::retry("PostgreSQL did not answer in time").into());
            };
            let lost = lease.session.as_ref().is_none_or(|session| session.client.is_closed());
            match outcome {
                Outcome::Failed(Fault::Database(Failure::Conflict(_))) if attempt < ATTEMPTS => {}
                Outcome::Failed(Fault::Database(Failure::Store(StoreError::Retry { .. })))
                    if lost && attempt == 1 => {}
                Outcome::Unknown(failure) => return Err(failure.into()),
                Outcome::Done(done) => {
                    lease.give_back();
                    return Ok(done);
                }
                Outcome::Failed(fault) => {
                    if !lost {
                        lease.give_back();
                    }
                    return Err(fault);
                }
            }
            tokio::time::sleep(Duration::from_millis(rand::random_range(1..=20 * attempt as u64))).await;
            attempt += 1;
        }
    }
}

async fn transact<A, T>(
    connection: &mut Connection,
    access: Access,
    arguments: &A,
    work: Work<A, T>,
) -> Outcome<T> {
    match run(connection, access, arguments, work).await {
        Ok(done) => match connection.client.batch_execute("COMMIT").await {
            Ok(()) => Outcome::Done(done),
            // The server said no, so nothing was kept.
            Err(error) if error.as_db_error().is_some() => Outcome::Failed(failure(error).into()),
            Err(error) => Outcome::Unknown(failure(error)),
        },
        Err(fault) => {
            if connection.client.batch_execute("ROLLBACK").await.is_err() {
                // The connection is lost, and the transaction with it.
                tracing::debug!("PostgreSQL could not be told to roll back");
            }
            Outcome::Failed(fault)
        }
    }
}

async fn run<A, T>(
    connection: &mut Connection,
    access: Access,
    arguments: &A,
    work: Work<A, T>,
) -> Result<T, Fault> {
    let begin = if access == Access::Write { BEGIN } else { BEGIN_READ };
    connection.client.batch_execute(begin).await.map_err(failure)?;
    if access == Access::Write {
        let row = connection.client.query_opt(&connection.select_revision, &[]).await.map_err(failure)?;
        let revision: Option<&str> = row.as_ref().map(|row| row.try_get(0)).transpose().map_err(failure)?;
        check(revision)?;
    }
    work(&mut PostgresSession { connection }, arguments).await
}

struct PostgresSession<'a> {
    connection: &'a mut Connection,
}

impl PostgresSession<'_> {
    async fn statement(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.connection.prepared.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.connection.client.prepare(sql).await?;
        if self.connection.prepared.len() < PREPARED {
            self.connection.prepared.insert(sql.to_owned(), statement.clone());
        }
        Ok(statement)
    }

    async fn all(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<u64, Error> {
        let statement = self.statement(sql).await?;
        let client = &self.connection.client;
        let mut changed = 0;
        for chunk in rows.chunks(PIPELINED) {
            let sent = chunk.iter().map(|row| client.execute_raw(&statement, row.iter()));
            changed += try_join_all(sent).await?.iter().sum::<u64>();
        }
        Ok(changed)
    }

    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, Error> {
        let statement = self.statement(sql).await?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        self.connection.client.query(&statement, &values).await?.iter().map(row).collect()
    }
}

impl Session for PostgresSession<'_> {
    fn query<'a>(&'a mut self, sql: &'a str, values: Vec<Value>) -> Step<'a, Vec<Row>> {
        Box::pin(async move { self.rows(sql, &values).await.map_err(failure) })
    }

    fn execute_all<'a>(&'a mut self, sql: &'a str, rows: Vec<Vec<Value>>) -> Step<'a, u64> {
        Box::pin(async move { self.all(sql, &rows).await.map_err(failure) })
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, Error> {
    row.columns()
        .iter()
        .enumerate()
        .map(|(at, column)| value(row, at, column.type_()))
        .collect::<Result<_, _>>()
        .map(Row)
}

fn value(row: &tokio_postgres::Row, at: usize, of: &Type) -> Result<Value, Error> {
    Ok(match *of {
        Type::INT4 => row.try_get::<_, Option<i32>>(at)?.map(i64::from).into(),
        Type::INT8 => row.try_get::<_, Option<i64>>(at)?.into(),
        Type::FLOAT8 => row.try_get::<_, Option<f64>>(at)?.into(),
        Type::BOOL => row.try_get::<_, Option<bool>>(at)?.into(),
        _ => row.try_get::<_, Option<String>>(at)?.into(),
    })
}

impl ToSql for Value {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self, of) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Int(value), &Type::INT4) => i32::try_from(*value)?.to_sql(of, out),
            (Self::Int(value), &Type::FLOAT8) => (*value as f64).to_sql(of, out),
            (Self::Int(value), _) => value.to_sql(of, out),
            (Self::Real(value), _) => value.to_sql(of, out),
            (Self::Bool(value), _) => value.to_sql(of, out),
            (Self::Text(value), _) => value.to_sql(of, out),
        }
    }

    fn accepts(of: &Type) -> bool {
        matches!(*of, Type::INT4 | Type::INT8 | Type::FLOAT8 | Type::BOOL | Type::TEXT | Type::VARCHAR)
    }

    to_sql_checked!();
}
