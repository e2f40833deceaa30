//! Work on a request that may be large, and that may panic.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::pipeline::ExportError;

/// Above this size, changing a request would hold a worker of the runtime for milliseconds.
pub(super) const LARGE_BYTES: usize = 256 << 10;

/// Does work on a request of so many bytes: here if that is quick, else on a blocking thread.
///
/// # Errors
///
/// The work has panicked, which it would do again; or the process ends.
pub(super) async fn careful<R: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, ExportError> {
    if bytes < LARGE_BYTES {
        return catch_unwind(AssertUnwindSafe(work)).map_err(|_| panicked());
    }
    tokio::task::spawn_blocking(work).await.map_err(|error| match error.is_panic() {
        true => panicked(),
        false => ExportError::retry("a processor stopped before it finished"),
    })
}

/// The answer to a request over which a processor, or what comes after it, has panicked.
pub(super) fn panicked() -> ExportError {
    ExportError::reject("a processor panicked over this request; please report it")
}
