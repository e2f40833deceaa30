//! What SQLite's errors mean for the caller.

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;
use crate::store::sql::Failure;

/// What an error inside a transaction means.
pub(super) fn failure(error: Error) -> Failure {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
            Failure::Data(format!("the database refuses it: {error}"))
        }
        _ if matches!(
            error,
            Error::ToSqlConversionFailure(_)
                | Error::FromSqlConversionFailure(..)
                | Error::InvalidColumnType(..)
        ) =>
        {
            Failure::Data(error.to_string())
        }
        _ => Failure::Store(store_error(error)),
    }
}

/// What an error outside of data means.
pub(super) fn store_error(error: Error) -> StoreError {
    let Some(code) = error.sqlite_error_code() else {
        return StoreError::retry(format!("SQLite: {error}")).caused_by(error);
    };
    let (retry, advice) = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            (true, "another process holds the write lock of the SQLite database")
        }
        ErrorCode::DiskFull => (true, "the disk is full; free space for the SQLite database"),
        ErrorCode::SystemIoFailure => (true, "the disk of the SQLite database fails"),
        ErrorCode::ReadOnly => {
            (false, "the SQLite database is read-only; make the file and its folder writable")
        }
        ErrorCode::PermissionDenied => {
            (false, "no permission for the SQLite database; check the owner of the file")
        }
        ErrorCode::CannotOpen => {
            (false, "the SQLite database cannot be opened; check that its folder exists and is writable")
        }
        ErrorCode::NotADatabase => (false, "the file is not an SQLite database; use another file"),
        ErrorCode::DatabaseCorrupt => {
            (false, "the SQLite database is damaged; restore it, or use another file")
        }
        _ => (true, "SQLite failed"),
    };
    let reason = format!("{advice} ({error})");
    if retry {
        StoreError::retry(reason).caused_by(error)
    } else {
        StoreError::fatal(reason).caused_by(error)
    }
}
