//! A thread with a runtime of its own, so that nothing here needs or blocks the application's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError, mpsc};
use std::task::{Context as TaskContext, Poll};

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

/// A future that finds the given runtime wherever it is polled.
#[derive(Debug)]
#[cfg_attr(not(feature = "autolog"), expect(dead_code, reason = "only exporters of others need it"))]
pub(crate) struct Within<F> {
    handle: Handle,
    future: Pin<Box<F>>,
}

impl<F: Future> Within<F> {
    #[cfg_attr(not(feature = "autolog"), expect(dead_code, reason = "only exporters of others need it"))]
    pub(crate) fn new(handle: &Handle, future: F) -> Self {
        Self { handle: handle.clone(), future: Box::pin(future) }
    }
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let _inside = this.handle.enter();
        this.future.as_mut().poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn timers_work_without_a_runtime_of_the_caller() {
        let thread = IoThread::start(false).unwrap();
        let sleeping =
            Within::new(thread.handle(), async { tokio::time::sleep(Duration::from_millis(1)).await });
        let (done, waiting) = mpsc::sync_channel(1);
        let polled = std::thread::spawn(move || {
            // A runtime without timers: only the thread's own has them.
            Builder::new_current_thread().build().unwrap().block_on(sleeping);
            done.send(()).unwrap();
        });
        waiting.recv_timeout(Duration::from_secs(60)).unwrap();
        polled.join().unwrap();
    }

    #[test]
    fn the_thread_starts_once_and_only_when_asked_for() {
        let io = LazyIo::new(true);
        assert!(io.thread.lock().unwrap().is_none());
        let (first, second) = (io.handle().unwrap(), io.handle().unwrap());
        assert_eq!(first.id(), second.id());
    }
}
