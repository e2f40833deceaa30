//! The end of traces whose root never comes.
//!
//! ```text
//! write without a root ─> tag `otel_mlflow.end_awaited` = when     (in the same transaction)
//! write with the root  ─> the tag goes, the root gives the state
//! sweep, now and then  ─> an old tag: state STATE_UNSPECIFIED, tag `otel_mlflow.end_not_received`
//! root after that      ─> both tags go, the root gives the state
//! ```
//!
//! All that is known about open traces stands in the database, so a restart forgets nothing, and several
//! gateways see one another's writes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::report::Reporter;
use super::sql::Database;
use super::{Backend, Compat, MlflowConfig, Writer};

/// How often a trace is looked at before it is closed.
const LOOKS: u32 = 4;
/// The longest time between two looks.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// The shortest time between two looks.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Closes traces in the background.
pub(super) struct Finaliser(Mutex<Option<JoinHandle<()>>>);

impl Finaliser {
    /// Starts to look for traces to close, if that is wanted, until `stop`. Over an MLflow server nothing
    /// is closed: it has no call that gives a trace such a state and leaves it open to late spans.
    pub(super) fn start(config: &MlflowConfig, writer: &Writer, stop: &CancellationToken) -> Option<Self> {
        let after = config.trace_assembly.close_after;
        let wanted = config.compat == Compat::Enriched && config.repairs.unfinished_traces;
        let Backend::Sql(sql, _) = &writer.backend else { return None };
        if !wanted || after.is_zero() {
            return None;
        }
        let sweeps = sweeps(Arc::clone(&sql.connection), after, writer.reporter.clone(), stop.clone());
        Some(Self(Mutex::new(Some(tokio::spawn(sweeps)))))
    }

    /// Waits for the end of the last look.
    pub(super) async fn stopped(&self) {
        let task = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            // That it has died is told by its guard.
            let _ = task.await;
        }
    }
}

async fn sweeps(
    connection: Arc<Connection<Database>>,
    after: Duration,
    reporter: Reporter,
    stop: CancellationToken,
) {
    let alive = reporter.task("finaliser");
    let mut ticks = tokio::time::interval((after / LOOKS).clamp(MIN_INTERVAL, MAX_INTERVAL));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Some(database) = connection.established() {
            sweep(database, after, &reporter, &stop).await;
        }
    }
    alive.finished();
}

/// Closes what is to be closed, some traces at a time.
async fn sweep(database: &Database, after: Duration, reporter: &Reporter, stop: &CancellationToken) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let before_ms = i64::try_from(now.saturating_sub(after).as_millis()).unwrap_or(i64::MAX);
    let mut closed = 0;
    while !stop.is_cancelled() {
        match database.store.close_unfinished_traces(before_ms).await {
            Ok(swept) => {
                closed += swept.closed;
                if !swept.more {
                    break;
                }
            }
            Err(error) => {
                // A destination in trouble shows in the writes; the next look tries again.
                tracing::debug!(%error, "traces without an end could not be closed");
                break;
            }
        }
    }
    if closed > 0 {
        reporter.metrics.closed_traces(closed);
        tracing::info!(closed, "closed traces whose root span has not come");
    }
}
