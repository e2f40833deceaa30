//! From configuration to a running exporter.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::assembly::Assembly;
use super::batcher::{BatchLimits, Batcher, Weight};
use super::config::{Compat, MlflowConfig};
use super::connection::Connection;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::finaliser::Finaliser;
use super::mapper::Mapper;
use super::report::Reporter;
use super::rest::{Rest, Server};
use super::rest_sink::RestSink;
use super::route::Router;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::runs::DatabaseBackend;
use super::runs::{Follower, ServerBackend};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::sql::{Database, Sql, SqlSink};
use super::{Backend, MlflowExporter, Writer};
use crate::mapping::prices::{PriceCatalogue, PricesError};
use crate::mapping::{self, MapOptions, Repairs};
use crate::mlflow::tracking_uri::{TrackingUri, TrackingUriError};
use crate::pipeline::ComponentId;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::ExperimentDirectory;
use crate::store::StoreError;
use crate::store::rest::{RestError, RestOptions, RestStore, fill_from_environment};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::sql::{SqlOptions, SqlStore};
use crate::telemetry::Telemetry;

/// Why the exporter cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The tracking URI says nothing usable.
    #[error("tracking_uri: {0}")]
    TrackingUri(#[from] TrackingUriError),
    /// The file of prices cannot be used.
    #[error("prices: {0}")]
    Prices(#[from] PricesError),
    /// The client of the MLflow server cannot be set up.
    #[error(transparent)]
    Client(#[from] RestError),
    /// The destination cannot be used as it is.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MlflowExporter {
    /// Connects to MLflow and starts the writers. A destination that does not answer now is tried
    /// again until it does; requests are refused with a hint to retry until then.
    ///
    /// # Errors
    ///
    /// What will not pass without somebody changing the configuration or the destination.
    pub async fn start(
        id: ComponentId,
        config: MlflowConfig,
        telemetry: &Telemetry,
    ) -> Result<Self, StartError> {
        let reporter = Reporter {
            metrics: telemetry.metrics.exporter(&id.to_string()),
            health: telemetry.health.register(format!("exporters.{id}")),
            losses: Arc::default(),
        };
        let uri = TrackingUri::parse(config.tracking_uri.expose_secret())?;
        reporter.health.about(uri.to_string());
        let stop = CancellationToken::new();
        let backend = match &uri {
            TrackingUri::Http(_) => server(&config, &uri, &reporter, &stop).await?,
            _ => database(&config, &uri, &reporter, &stop).await?,
        };
        let writer = Arc::new(Writer { reporter, backend, batch: whole_batch(&config, &uri) });
        let assembly = config.trace_assembly.enabled.then(|| {
            Assembly::start(config.trace_assembly, Arc::clone(&writer) as _, writer.reporter.clone())
        });
        Ok(Self {
            id,
            assembly,
            target: uri.to_string(),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            finaliser: Finaliser::start(&config, &writer, &stop),
            stop,
            writer,
            #[cfg(feature = "client")]
            models: super::models::Watch::start(&config),
        })
    }
}

impl MlflowConfig {
    /// How to talk to an MLflow server: what is configured, and MLflow's own environment variables.
    ///
    /// # Errors
    ///
    /// A variable of MLflow has a value that cannot be used.
    pub fn rest_options(&self) -> Result<RestOptions, RestError> {
        let mut options = RestOptions {
            auth: self.auth.clone(),
            tls: self.tls.clone(),
            headers: self.headers.clone(),
            workspace: self.workspace.clone(),
            timeout: self.timeout,
            retry_on_failure: self.client_retry(),
            compression: self.compression,
            max_request_bytes: self.batch.max_bytes,
            ..RestOptions::default()
        };
        fill_from_environment(&mut options, |name| std::env::var(name).ok())?;
        Ok(options)
    }
}

async fn server(
    config: &MlflowConfig,
    uri: &TrackingUri,
    reporter: &Reporter,
    stop: &CancellationToken,
) -> Result<Backend, StartError> {
    let options = config.rest_options()?;
    let writers = options.max_concurrent_requests;
    let store = RestStore::connect(config.tracking_uri.expose_secret(), options)?;
    let (rule, runs, reports) = (config.experiment.clone(), config.runs.clone(), reporter.clone());
    let connect = move || {
        let (store, rule, runs, reports) = (store.clone(), rule.clone(), runs.clone(), reports.clone());
        Box::pin(async move {
            store.probe().await?;
            let router = Router::new(rule, Arc::new(store.clone())).await?;
            let follower = Follower::start(Arc::new(ServerBackend { store: store.clone() }), runs, &reports);
            Ok(Server { store, router, follower })
        }) as BoxFuture<'static, _>
    };
    let connection = Connection::start(Box::new(connect), reporter, stop.clone()).await?;
    // Every request is a write of its own in MLflow, and counts as one.
    let joins = config.compat == Compat::Enriched;
    let retries = config.retry_on_failure.enabled;
    let sink = RestSink { connection: Arc::clone(&connection), reporter: reporter.clone(), joins, retries };
    let batch = match config.compat {
        Compat::Strict => Weight { spans: 1, bytes: 1 },
        Compat::Enriched => whole_batch(config, uri),
    };
    let limits = BatchLimits { batch, waiting_bytes: config.batch.max_bytes, writers };
    // Which database the server has is not known: what it cannot store, it refuses itself.
    let mapper = mapper(config, mapping::Backend::Sqlite)?;
    let alive = reporter.task("writer");
    Ok(Backend::Rest(Rest { connection, mapper }, Batcher::start(Arc::new(sink), limits, Some(alive))))
}

fn mapper(config: &MlflowConfig, backend: mapping::Backend) -> Result<Mapper, PricesError> {
    let prices = match &config.prices {
        Some(path) => Arc::new(PriceCatalogue::from_file(path)?),
        None => PriceCatalogue::bundled(),
    };
    let repairs = match config.compat {
        Compat::Strict => Repairs::NONE,
        Compat::Enriched => Repairs {
            unfinished_traces: config.repairs.unfinished_traces
                && !config.trace_assembly.close_after.is_zero(),
            ..config.repairs
        },
    };
    Ok(Mapper::new(MapOptions { backend, prices, repairs }))
}

/// The two transactions of PostgreSQL share what may be written at once.
fn whole_batch(config: &MlflowConfig, uri: &TrackingUri) -> Weight {
    let parts = if matches!(uri, TrackingUri::Postgresql(_)) { 2 } else { 1 };
    Weight { spans: config.batch.max_spans.div_ceil(parts), bytes: config.batch.max_bytes.div_ceil(parts) }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn database(
    config: &MlflowConfig,
    uri: &TrackingUri,
    reporter: &Reporter,
    stop: &CancellationToken,
) -> Result<Backend, StartError> {
    let backend = match uri {
        TrackingUri::Postgresql(_) => mapping::Backend::Postgres,
        _ => mapping::Backend::Sqlite,
    };
    let (target, rule, runs) = (uri.clone(), config.experiment.clone(), config.runs.clone());
    let reports = reporter.clone();
    let artifacts = config.artifacts_destination.clone().or_else(|| beside(uri));
    let connect = move || {
        let (target, rule) = (target.clone(), rule.clone());
        let (runs, artifacts, reports) = (runs.clone(), artifacts.clone(), reports.clone());
        Box::pin(async move {
            let store = Arc::new(SqlStore::connect(&target, SqlOptions::default()).await?);
            let directory: Arc<dyn ExperimentDirectory> = Arc::clone(&store) as _;
            let router = Router::new(rule, directory).await?;
            let backend = DatabaseBackend { store: Arc::clone(&store), artifacts };
            let follower = Follower::start(Arc::new(backend), runs, &reports);
            Ok(Database { router, store, follower })
        }) as BoxFuture<'static, _>
    };
    let connection = Connection::start(Box::new(connect), reporter, stop.clone()).await?;
    let sql = Sql { connection: Arc::clone(&connection), mapper: mapper(config, backend)? };
    let sink = SqlSink { connection, reporter: reporter.clone() };
    Ok(Backend::Sql(sql, Batcher::start(Arc::new(sink), limits(config, uri), Some(reporter.task("writer")))))
}

/// PostgreSQL has two transactions at a time, which keeps the other core of its server busy. SQLite has one writer: while
/// it works on a batch, the next one waits, and joins its transaction.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn limits(config: &MlflowConfig, uri: &TrackingUri) -> BatchLimits {
    let batch = whole_batch(config, uri);
    let writers = if matches!(uri, TrackingUri::Postgresql(_)) { 2 } else { 1 };
    BatchLimits { batch, waiting_bytes: batch.bytes, writers }
}

/// Where `mlflow ui` and `mlflow server` keep artifacts, if they are started beside the database file.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn beside(uri: &TrackingUri) -> Option<std::path::PathBuf> {
    match uri {
        TrackingUri::Sqlite(location) => Some(location.path().with_file_name("mlartifacts")),
        _ => None,
    }
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
async fn database(
    _: &MlflowConfig,
    uri: &TrackingUri,
    _: &Reporter,
    _: &CancellationToken,
) -> Result<Backend, StartError> {
    Err(StoreError::fatal(format!(
        "{uri}: this program was built without a database driver; build it with `--features full`, or use the \
         http:// URI of an MLflow server"
    ))
    .into())
}
