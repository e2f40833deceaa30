//! Whether an `mlflow` exporter could write where it is told to, without writing anything.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use std::error::Error as _;
use std::path::Path;

use secrecy::ExposeSecret as _;

use super::doctor::Finding;
use crate::exporters::mlflow::{FallbackExperiment, MlflowConfig, find_fallback};
use crate::mlflow::tracking_uri::TrackingUri;
use crate::store::ExperimentDirectory;
use crate::store::rest::{Protocol, RestStore};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::sql::{SqlOptions, SqlStore};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::{EmptyDatabase, StoreError};

/// Checks the destination of an exporter.
pub(super) async fn check(exporter: &str, config: &MlflowConfig) -> Vec<Finding> {
    let uri = match TrackingUri::parse(config.tracking_uri.expose_secret()) {
        Ok(uri) => uri,
        Err(error) => return vec![Finding::bad(format!("{exporter}.tracking_uri"), error.to_string())],
    };
    let subject = format!("{exporter}: {uri}");
    let mut findings = match &uri {
        TrackingUri::Http(_) => server(&subject, config).await,
        TrackingUri::Sqlite(location) if is_new(location.path()) => vec![new_file(&subject, location.path())],
        _ => database(&subject, &uri, config).await,
    };
    findings.extend(config.read_prices().map(|read| match read {
        Ok(models) => {
            Finding::good(format!("{exporter}.prices"), format!("has the prices of {models} models"))
        }
        Err(error) => Finding::bad(format!("{exporter}.prices"), error.to_string()),
    }));
    findings
}

/// Version first, then a call that needs the credentials.
async fn server(subject: &str, config: &MlflowConfig) -> Vec<Finding> {
    let store = match config.rest_options() {
        Ok(options) => RestStore::connect(config.tracking_uri.expose_secret(), options),
        Err(error) => Err(error),
    };
    let store = match store {
        Ok(store) => store,
        Err(error) => return vec![Finding::bad(subject, error.to_string())],
    };
    let mut findings = match store.probe().await {
        Ok(info) => {
            let how = match info.protocol {
                Protocol::Otlp => "takes spans as OTLP",
                _ => "takes traces over its REST API, their spans as artifacts",
            };
            vec![Finding::good(subject, format!("is MLflow {} and {how}", info.version))]
        }
        Err(error) => return vec![Finding::bad(subject, error.to_string())],
    };
    findings.push(experiment(subject, config, &store).await);
    findings
}

/// Reading it needs the credentials.
async fn experiment(subject: &str, config: &MlflowConfig, directory: &dyn ExperimentDirectory) -> Finding {
    match find_fallback(&config.experiment, directory).await {
        Ok(FallbackExperiment::Exists(id)) => {
            Finding::good(subject, format!("has experiment {id}, for traces that nothing else places"))
        }
        Ok(FallbackExperiment::Missing(name)) => Finding::good(
            subject,
            format!("has no experiment '{name}'; otel-mlflow will create it when it runs"),
        ),
        Err(error) => Finding::bad(subject, error.to_string()),
    }
}

/// Opening an MLflow database checks its revision and the right to write, in a transaction.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn database(subject: &str, uri: &TrackingUri, config: &MlflowConfig) -> Vec<Finding> {
    let options = SqlOptions { create: false, ..SqlOptions::default() };
    match SqlStore::connect(uri, options).await {
        Ok(store) => {
            let experiment = experiment(subject, config, &store).await;
            store.close().await;
            let found = "is an MLflow database of a known revision, and can be written to";
            vec![Finding::good(subject, found), experiment]
        }
        Err(error) if is_empty(&error) => {
            vec![Finding::good(subject, "is empty; otel-mlflow will create MLflow's tables when it runs")]
        }
        Err(error) => vec![Finding::bad(subject, error.to_string())],
    }
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
async fn database(subject: &str, _: &TrackingUri, _: &MlflowConfig) -> Vec<Finding> {
    let advice = "this program was built without a database driver; build it with `--features full`";
    vec![Finding::bad(subject, advice)]
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_empty(error: &StoreError) -> bool {
    error.source().is_some_and(|source| source.is::<EmptyDatabase>())
}

/// A file that does not exist, or that nothing was written to.
fn is_new(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0)
}

/// Whether the file can be created: SQLite needs to create files beside it, too.
fn new_file(subject: &str, path: &Path) -> Finding {
    match try_folder(parent(path)) {
        Ok(()) => Finding::good(subject, "does not exist yet; otel-mlflow will create it when it runs"),
        Err(advice) => Finding::bad(subject, advice),
    }
}

/// Whether the queue of an exporter could be kept in a folder; those that lead to it are made when it is opened.
pub(super) fn queue(subject: &str, directory: &Path) -> Finding {
    let mut folder = directory;
    while !folder.exists() && folder != parent(folder) {
        folder = parent(folder);
    }
    match try_folder(folder) {
        Ok(()) => Finding::good(subject, format!("can be kept in {}", directory.display())),
        Err(advice) => Finding::bad(subject, advice),
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether files can be created in a folder; or what to do.
fn try_folder(folder: &Path) -> Result<(), String> {
    let probe = folder.join(format!(".otel-mlflow-doctor-{}", std::process::id()));
    let created = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    created.and_then(|_| std::fs::remove_file(&probe)).map_err(|error| {
        let folder = folder.display();
        format!(
            "cannot create files in {folder}: {error}; create the folder or give the right to write there"
        )
    })
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    async fn lines(uri: &str) -> Vec<String> {
        let config = MlflowConfig { tracking_uri: uri.into(), ..MlflowConfig::default() };
        check("exporters.mlflow", &config).await.iter().map(Finding::line).collect()
    }

    #[tokio::test]
    async fn a_new_file_is_good_and_stays_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.db");
        let lines = lines(&format!("sqlite:///{}", path.display())).await;
        assert!(lines[0].starts_with("ok    exporters.mlflow: sqlite:///"), "{lines:?}");
        assert!(
            lines[0].ends_with("does not exist yet; otel-mlflow will create it when it runs"),
            "{lines:?}"
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_missing_folder_is_bad() {
        let lines = lines("sqlite:////none/such/new.db").await;
        assert!(lines[0].starts_with("FAIL  exporters.mlflow: "), "{lines:?}");
        assert!(lines[0].contains("cannot create files in /none/such"), "{lines:?}");
    }

    #[tokio::test]
    async fn an_mlflow_database_is_good_and_any_other_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let good = folder.path().join("good.db");
        let uri = format!("sqlite:///{}", good.display());
        let store =
            SqlStore::connect(&TrackingUri::parse(&uri).unwrap(), SqlOptions::default()).await.unwrap();
        store.close().await;
        assert!(lines(&uri).await[0].ends_with("known revision, and can be written to"));

        let bad = folder.path().join("bad.db");
        std::fs::write(&bad, "not a database at all, but long enough to be read as the header of one")
            .unwrap();
        assert!(lines(&format!("sqlite:///{}", bad.display())).await[0].starts_with("FAIL  "));
    }

    #[tokio::test]
    async fn an_experiment_that_cannot_be_had_is_bad_and_one_that_will_be_made_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite:///{}", folder.path().join("good.db").display());
        let store =
            SqlStore::connect(&TrackingUri::parse(&uri).unwrap(), SqlOptions::default()).await.unwrap();
        store.close().await;
        let mut config = MlflowConfig { tracking_uri: uri.as_str().into(), ..MlflowConfig::default() };
        let found = async |config: &MlflowConfig| check("e", config).await.last().map(Finding::line).unwrap();
        assert!(found(&config).await.ends_with("has experiment 0, for traces that nothing else places"));
        config.experiment.name = Some("chat".to_owned());
        assert!(
            found(&config)
                .await
                .ends_with("has no experiment 'chat'; otel-mlflow will create it when it runs")
        );
        config.experiment.create = false;
        assert!(found(&config).await.starts_with("FAIL  e: "), "{}", found(&config).await);
        config.prices = Some(folder.path().join("none.json"));
        assert!(found(&config).await.starts_with("FAIL  e.prices: "), "{}", found(&config).await);
    }

    #[test]
    fn a_queue_needs_a_folder_that_can_be_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let good = queue("q", &folder.path().join("a/b"));
        assert!(good.line().starts_with("ok    q: can be kept in "), "{}", good.line());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let bad = queue("q", Path::new("/proc/none/such"));
        assert!(bad.line().starts_with("FAIL  q: cannot create files in /proc"), "{}", bad.line());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_bad() {
        // Bound and dropped: a port that nobody listens on.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let lines = lines(&format!("http://{free}")).await;
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("FAIL  exporters.mlflow: http://{free}: ")), "{lines:?}");
    }
}
