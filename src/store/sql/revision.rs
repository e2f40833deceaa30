//! Which databases may be written to.

use crate::store::StoreError;

/// Alembic revisions whose tables the writer knows: the head of MLflow 3.17.2.
const SUPPORTED: &[&str] = &["dc11669786a5"];

/// What is in a database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// No table.
    Empty,
    /// Tables, and the revision that `alembic_version` gives, if it is there.
    Tables {
        /// Whether MLflow's `trace_info` or `experiments` is among them.
        mlflow: bool,
        /// Content of `alembic_version`.
        revision: Option<String>,
    },
}

/// Says whether the database has to be created first; refuses what the writer does not know.
pub(super) fn must_create(contents: &Contents, shown: &str) -> Result<bool, StoreError> {
    match contents {
        Contents::Empty => Ok(true),
        Contents::Tables { mlflow: true, revision: Some(found) } if SUPPORTED.contains(&found.as_str()) => {
            Ok(false)
        }
        Contents::Tables { mlflow: false, .. } => Err(StoreError::fatal(format!(
            "{shown} holds tables, but not MLflow's; it is left alone. Use an empty database, or MLflow's own"
        ))),
        Contents::Tables { revision, .. } => Err(unsupported(revision.as_deref(), shown)),
    }
}

/// Asked in every transaction: somebody may upgrade the database while it is open.
pub(super) fn check(found: Option<&str>) -> Result<(), StoreError> {
    match found {
        Some(found) if SUPPORTED.contains(&found) => Ok(()),
        found => Err(unsupported(found, "the database")),
    }
}

fn unsupported(found: Option<&str>, shown: &str) -> StoreError {
    StoreError::fatal(format!(
        "the schema of {shown} has revision {}, and only {} (MLflow 3.17.2) can be written to; run \
         `mlflow db upgrade` with MLflow 3.17.2 on it, or start `mlflow server` on it and use the server's http:// URI \
         as tracking URI",
        found.unwrap_or("none"),
        SUPPORTED.join(", ")
    ))
}

/// The revision of a database that has the table.
pub(super) const SELECT_REVISION: &str = "SELECT version_num FROM alembic_version";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(mlflow: bool, revision: Option<&str>) -> String {
        let contents = Contents::Tables { mlflow, revision: revision.map(str::to_owned) };
        must_create(&contents, "sqlite:///x.db").unwrap_err().to_string()
    }

    #[test]
    fn only_an_empty_database_is_created() {
        assert!(must_create(&Contents::Empty, "x").unwrap());
        let current = Contents::Tables { mlflow: true, revision: Some("dc11669786a5".to_owned()) };
        assert!(!must_create(&current, "x").unwrap());
    }

    #[test]
    fn another_revision_is_refused_with_every_way_out() {
        let message = refusal(true, Some("bf29a5ff90ea"));
        for part in ["bf29a5ff90ea", "dc11669786a5", "mlflow db upgrade", "http://"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(refusal(true, None).contains("revision none"));
    }

    #[test]
    fn a_database_of_somebody_else_is_left_alone() {
        assert!(refusal(false, Some("dc11669786a5")).contains("not MLflow's"));
        assert!(refusal(false, None).contains("left alone"));
    }
}
