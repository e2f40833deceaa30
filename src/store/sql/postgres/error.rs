//! What PostgreSQL's errors mean for the caller.

use std::error::Error as _;

use tokio_postgres::Error;

use crate::store::StoreError;
use crate::store::sql::Failure;

/// What an error inside a transaction means.
pub(super) fn failure(error: Error) -> Failure {
    let code = error.code().map(|code| code.code().to_owned());
    match code.as_deref() {
        // Serialization, deadlock, lock timeout, and rows that another writer has just made or removed.
        Some("40001" | "40P01" | "55P03" | "23505" | "23503") => {
            Failure::Conflict(format!("another writer is in the way in PostgreSQL: {}", said(&error)))
        }
        Some(code)
            if code.starts_with("21")
                || code.starts_with("22")
                || code.starts_with("23")
                || code == "54000" =>
        {
            Failure::Data(format!("the database refuses it: {}", said(&error)))
        }
        None if is_encoding(&error) => Failure::Data(said(&error)),
        _ => Failure::Store(store_error(error)),
    }
}

/// What an error outside of data means.
pub(super) fn store_error(error: Error) -> StoreError {
    let said = said(&error);
    let Some(code) = error.code().map(|code| code.code().to_owned()) else {
        return without_code(error, &said);
    };
    let advice = match code.get(..2).unwrap_or_default() {
        "28" => "PostgreSQL refuses the credentials; check user and password in the tracking URI",
        "3D" => {
            "the PostgreSQL database does not exist; create it with `createdb`, or correct the tracking URI"
        }
        "42" if code == "42501" => {
            "the PostgreSQL user may not do this; grant it the rights on MLflow's tables"
        }
        "42" => "the PostgreSQL database is not as MLflow's migrations leave it; run `mlflow db upgrade`",
        "3F" => "the PostgreSQL schema does not exist; correct `search_path`",
        "25" => {
            return StoreError::retry(format!("PostgreSQL is read-only, perhaps a standby: {said}"))
                .caused_by(error);
        }
        "53" => return StoreError::retry(format!("PostgreSQL has no room left: {said}")).caused_by(error),
        _ => return StoreError::retry(format!("PostgreSQL failed: {said}")).caused_by(error),
    };
    StoreError::fatal(format!("{advice} ({said})")).caused_by(error)
}

fn without_code(error: Error, said: &str) -> StoreError {
    let network = error.is_closed() || error.source().is_none_or(|source| source.is::<std::io::Error>());
    if network {
        StoreError::retry(format!("PostgreSQL cannot be reached: {said}")).caused_by(error)
    } else {
        StoreError::fatal(format!("PostgreSQL cannot be used: {said}; check the tracking URI"))
            .caused_by(error)
    }
}

/// Whether a value could not be put into the protocol.
fn is_encoding(error: &Error) -> bool {
    error.to_string().starts_with("error serializing")
}

/// The server's own words, or the driver's with their cause; never holds a password.
fn said(error: &Error) -> String {
    match error.as_db_error() {
        Some(database) => match database.detail() {
            Some(detail) => format!("{} ({detail})", database.message()),
            None => database.message().to_owned(),
        },
        None => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}
