//! A thread with a runtime of its own, so that nothing here needs or blocks the application's.

use std::io;
use std::sync::{Mutex, PoisonError, mpsc};

use opentelemetry::Context;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A single thread that runs all I/O of exporters. Ends when dropped, without waiting.
#[derive(Debug)]
pub(crate) struct IoThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl IoThread {
    /// Starts the thread; a silent one never writes to the application's log.
    ///
    /// # Errors
    ///
    /// The system gives no thread, or no means to wait for the network.
    pub(crate) fn start(silent: bool) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (report, started) = mpsc::sync_channel(1);
        std::thread::Builder::new().name("otel-mlflow-io".to_owned()).spawn(move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(report.send(Err(error))),
            };
            drop(report.send(Ok(runtime.handle().clone())));
            // What an exporter does must not become telemetry itself.
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            let _quiet = silent
                .then(|| tracing::subscriber::set_default(tracing::subscriber::NoSubscriber::default()));
            // An error means that the owner is gone, which is the signal.
            let _ = runtime.block_on(stopped);
            // A write that hangs must not keep the process.
            runtime.shutdown_background();
        })?;
        let handle = started.recv().map_err(|_| io::Error::other("the thread ended early"))??;
        Ok(Self { handle, _stop: stop })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// An [`IoThread`] that starts when it is first needed.
#[derive(Debug)]
pub(crate) struct LazyIo {
    silent: bool,
    thread: Mutex<Option<IoThread>>,
}

impl LazyIo {
    pub(crate) fn new(silent: bool) -> Self {
        Self { silent, thread: Mutex::new(None) }
    }

    /// The runtime of the thread.
    ///
    /// # Errors
    ///
    /// As [`IoThread::start`].
    pub(crate) fn handle(&self) -> io::Result<Handle> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.as_ref() {
            Some(running) => Ok(running.handle().clone()),
            None => Ok(thread.insert(IoThread::start(self.silent)?).handle().clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_starts_once_and_only_when_asked_for() {
        let io = LazyIo::new(true);
        assert!(io.thread.lock().unwrap().is_none());
        let (first, second) = (io.handle().unwrap(), io.handle().unwrap());
        assert_eq!(first.id(), second.id());
    }
}
