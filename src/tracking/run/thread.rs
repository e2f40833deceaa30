//! The thread that speaks to MLflow for all runs of the process. It has a runtime of its own, so that
//! it works beside any runtime of the application, a busy one, and none at all.

use std::io;
use std::sync::{Mutex, PoisonError, mpsc};

use tokio::runtime::{Builder, Handle};

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

/// The thread's runtime; the thread is started when it is first needed, and ends with the process.
///
/// # Errors
///
/// If the system gives no thread.
pub(super) fn handle() -> io::Result<Handle> {
    let mut running = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    match running.as_ref() {
        Some(handle) => Ok(handle.clone()),
        None => Ok(running.insert(start()?).clone()),
    }
}

fn start() -> io::Result<Handle> {
    let (report, started) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("otel-mlflow-runs".to_owned()).spawn(move || {
        match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                drop(report.send(Ok(runtime.handle().clone())));
                runtime.block_on(std::future::pending::<()>());
            }
            Err(error) => drop(report.send(Err(error))),
        }
    })?;
    started.recv().map_err(|_| io::Error::other("the thread ended early"))?
}
