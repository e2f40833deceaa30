//! What tracking asks of a database, whichever it is: statements in one dialect, and their values
//! and rows in one form.
//!
//! Statements are PostgreSQL's (`$1`, `FOR UPDATE`) as far as SQLite has the same; its session
//! translates the rest.

use crate::store::sql::Failure;
use crate::store::tracking::TrackingError;
use crate::store::{BoxFuture, StoreError};

/// What one statement gives.
pub(in crate::store::sql) type Step<'a, T> = BoxFuture<'a, Result<T, Failure>>;

/// The work of one transaction. It may run more than once, so it changes nothing but the database.
pub(in crate::store::sql) type Work<A, T> =
    for<'a> fn(&'a mut dyn Session, &'a A) -> BoxFuture<'a, Result<T, Fault>>;

/// Whether a transaction changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sql) enum Access {
    /// It only looks.
    Read,
    /// It writes.
    Write,
}

/// An open transaction.
pub(in crate::store::sql) trait Session: Send {
    /// The rows of a query.
    fn query<'a>(&'a mut self, sql: &'a str, values: Vec<Value>) -> Step<'a, Vec<Row>>;
    /// Runs a statement once for each of some rows; tells how many rows of the table it changed.
    fn execute_all<'a>(&'a mut self, sql: &'a str, rows: Vec<Vec<Value>>) -> Step<'a, u64>;

    /// Runs a statement; tells how many rows of the table it changed.
    fn execute<'a>(&'a mut self, sql: &'a str, values: Vec<Value>) -> Step<'a, u64> {
        self.execute_all(sql, vec![values])
    }
}

/// Why a transaction was not committed.
pub(in crate::store::sql) enum Fault {
    /// What the caller asked for is not possible.
    Refused(TrackingError),
    /// The database did not do it.
    Database(Failure),
}

impl From<TrackingError> for Fault {
    fn from(error: TrackingError) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::Database(failure)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Database(Failure::Store(error))
    }
}

impl From<Fault> for TrackingError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(error) => error,
            Fault::Database(Failure::Data(message)) => Self::Invalid { message },
            Fault::Database(Failure::Conflict(message)) => {
                Self::Unavailable { message, after: None, source: None }
            }
            Fault::Database(Failure::Store(error)) => error.into(),
        }
    }
}

/// A value of a statement or of a row.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store::sql) enum Value {
    /// NULL.
    Null,
    /// An integer of any width.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// A truth value; SQLite has 0 and 1.
    Bool(bool),
    /// Text.
    Text(String),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement.
macro_rules! values {
    ($($value:expr),* $(,)?) => {
        vec![$($crate::store::sql::tracking::session::Value::from($value)),*]
    };
}
pub(in crate::store::sql) use values;

/// Places for so many values in a list, such as `$1, $2`.
pub(super) fn places(count: usize) -> String {
    (1..=count).map(|at| format!("${at}")).collect::<Vec<_>>().join(", ")
}

/// A row of a query. Columns that a statement does not have, and NULL where a value is asked for,
/// read as the type's zero: MLflow's own rows have NULL in many columns that are never empty in its API.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::store::sql) struct Row(pub(in crate::store::sql) Vec<Value>);

impl Row {
    /// A text, or an empty one.
    pub(super) fn text(&self, column: usize) -> String {
        self.optional_text(column).unwrap_or_default()
    }

    /// A text, if there is one.
    pub(super) fn optional_text(&self, column: usize) -> Option<String> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        }
    }

    /// A text that is not empty, if there is one.
    pub(super) fn filled_text(&self, column: usize) -> Option<String> {
        self.optional_text(column).filter(|text| !text.is_empty())
    }

    /// An integer, or 0.
    pub(super) fn int(&self, column: usize) -> i64 {
        self.optional_int(column).unwrap_or_default()
    }

    /// An integer, if there is one.
    pub(super) fn optional_int(&self, column: usize) -> Option<i64> {
        match self.0.get(column) {
            Some(Value::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// A number, or 0.
    pub(super) fn real(&self, column: usize) -> f64 {
        self.optional_real(column).unwrap_or_default()
    }

    /// A number, if there is one.
    #[expect(clippy::cast_precision_loss, reason = "SQLite may give a whole number as an integer")]
    pub(super) fn optional_real(&self, column: usize) -> Option<f64> {
        match self.0.get(column) {
            Some(Value::Real(value)) => Some(*value),
            Some(Value::Int(value)) => Some(*value as f64),
            _ => None,
        }
    }

    /// A truth value; NULL is false.
    pub(super) fn flag(&self, column: usize) -> bool {
        matches!(self.0.get(column), Some(Value::Bool(true) | Value::Int(1..)))
    }
}
