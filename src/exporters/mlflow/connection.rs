//! A connection that is made when the destination can be reached, which may be after the start.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::report::Reporter;
use crate::store::StoreError;
use crate::telemetry::{HealthHandle, TaskGuard};

/// How long to wait before a failed connection is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Makes a connection; called until it succeeds.
type Connect<T> = Box<dyn Fn() -> BoxFuture<'static, Result<T, StoreError>> + Send + Sync>;

/// Something that is connected once, as soon as that succeeds.
pub(super) struct Connection<T> {
    connected: OnceCell<Arc<T>>,
    connect: Connect<T>,
    health: HealthHandle,
}

impl<T: Send + Sync + 'static> Connection<T> {
    /// Tries to connect. A destination that does not answer now is tried again in the background,
    /// until `stop`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Fatal`] and [`StoreError::Reject`]: trying again would not help.
    pub(super) async fn start(
        connect: Connect<T>,
        reporter: &Reporter,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, StoreError> {
        let connection =
            Arc::new(Self { connected: OnceCell::new(), connect, health: reporter.health.clone() });
        match connection.get().await {
            Ok(_) => connection.health.ready(),
            Err(StoreError::Retry { .. }) => {
                tokio::spawn(Arc::clone(&connection).keep_trying(stop, reporter.task("connecting")));
            }
            Err(error) => return Err(error),
        }
        Ok(connection)
    }

    /// The connection; makes it if there is none yet.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn get(&self) -> Result<&Arc<T>, StoreError> {
        let connected =
            self.connected.get_or_try_init(|| async { (self.connect)().await.map(Arc::new) }).await;
        match &connected {
            Ok(_) => {}
            Err(error @ StoreError::Retry { .. }) => self.health.failing(error.to_string()),
            Err(error) => self.health.not_ready(error.to_string()),
        }
        connected
    }

    /// The connection, if it has been made.
    pub(super) fn established(&self) -> Option<&Arc<T>> {
        self.connected.get()
    }

    async fn keep_trying(self: Arc<Self>, stop: CancellationToken, alive: TaskGuard) {
        while stop.run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL)).await.is_some() {
            match self.get().await {
                Ok(_) => {
                    self.health.ready();
                    break;
                }
                Err(error) => tracing::debug!(%error, "cannot connect yet"),
            }
        }
        alive.finished();
    }
}
