//! Tracking in SQLite: the work of a transaction, run to its end on the thread.

use futures_util::FutureExt as _;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Result, ToSql, params_from_iter};

use super::error::{failure, store_error};
use super::group::roll_back;
use super::open::Database;
use super::{SqliteStore, read};
use crate::store::StoreError;
use crate::store::sql::revision::check;
use crate::store::sql::tracking::session::{Access, Fault, Row, Session, Step, Value, Work};

impl SqliteStore {
    /// Runs one transaction.
    pub(in crate::store::sql) async fn track<A: Send + 'static, T: Send + 'static>(
        &self,
        access: Access,
        arguments: A,
        work: Work<A, T>,
    ) -> std::result::Result<T, Fault> {
        self.run(move |database| Ok(transact(database, access, &arguments, work))).await?
    }
}

fn transact<A, T>(
    database: &mut Database,
    access: Access,
    arguments: &A,
    work: Work<A, T>,
) -> std::result::Result<T, Fault> {
    database.check_unmoved()?;
    // A writer takes the write lock at once: a read lock that has to grow would fail beside another writer.
    let begin = if access == Access::Write { "BEGIN IMMEDIATE" } else { "BEGIN" };
    database.connection.execute_batch(begin).map_err(store_error)?;
    let outcome = in_transaction(&mut database.connection, access, arguments, work);
    if outcome.is_err() {
        roll_back(database);
    } else if access == Access::Write {
        database.note_commit();
    }
    outcome
}

fn in_transaction<A, T>(
    connection: &mut Connection,
    access: Access,
    arguments: &A,
    work: Work<A, T>,
) -> std::result::Result<T, Fault> {
    if access == Access::Write {
        let revision = read::revision(connection).map_err(failure)?;
        check(revision.as_deref())?;
    }
    let mut session = SqliteSession { connection };
    // Every step of this session is done when it returns, so the work never waits.
    let outcome = work(&mut session, arguments).now_or_never();
    let done =
        outcome.ok_or_else(|| StoreError::retry("a transaction in SQLite did not come to its end"))??;
    connection.execute_batch("COMMIT").map_err(failure)?;
    Ok(done)
}

struct SqliteSession<'a> {
    connection: &'a mut Connection,
}

impl Session for SqliteSession<'_> {
    fn query<'a>(&'a mut self, sql: &'a str, values: Vec<Value>) -> Step<'a, Vec<Row>> {
        let rows = query(self.connection, sql, &values).map_err(failure);
        Box::pin(std::future::ready(rows))
    }

    fn execute_all<'a>(&'a mut self, sql: &'a str, rows: Vec<Vec<Value>>) -> Step<'a, u64> {
        let changed = execute_all(self.connection, sql, &rows).map_err(failure);
        Box::pin(std::future::ready(changed))
    }
}

/// The whole database is locked, so rows need not be. `$` is never part of a statement's own text.
fn translate(sql: &str) -> String {
    sql.replace(" FOR UPDATE", "").replace('$', "?")
}

fn query(connection: &Connection, sql: &str, values: &[Value]) -> Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(&translate(sql))?;
    let columns = statement.column_count();
    let rows = statement.query_map(params_from_iter(values), |row| {
        (0..columns).map(|column| Ok(value(row.get_ref(column)?))).collect::<Result<_>>().map(Row)
    })?;
    rows.collect()
}

fn execute_all(connection: &Connection, sql: &str, rows: &[Vec<Value>]) -> Result<u64> {
    let mut statement = connection.prepare_cached(&translate(sql))?;
    let mut changed = 0;
    for row in rows {
        changed += statement.execute(params_from_iter(row))? as u64;
    }
    Ok(changed)
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Value::Text(String::from_utf8_lossy(text).into_owned())
        }
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Bool(value) => ValueRef::Integer((*value).into()),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}
