//! The thread that reads the log: a task for each request, as many as the window lets through.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::deliver::deliver;
use super::shared::Shared;
use crate::queue::{QueueError, Reader};

/// How long it may go unnoticed that there is nothing to do any more.
const LOOK: Duration = Duration::from_secs(1);

/// Reads until the window or the log is closed. A thread of its own, as files may block.
pub(super) fn read(shared: &Arc<Shared>, reader: Reader, runtime: &Handle) {
    let alive = shared.alive("queue_reader");
    read_on(shared, reader, runtime);
    alive.finished();
}

fn read_on(shared: &Arc<Shared>, mut reader: Reader, runtime: &Handle) {
    let mut failing = false;
    while shared.window.wait() {
        match reader.next() {
            Ok(Some(record)) => {
                failing = false;
                let slot = shared.window.take(record.payload.len());
                shared.tasks.spawn_on(deliver(Arc::clone(shared), record, slot), runtime);
            }
            Ok(None) => {
                let _ = reader.changed().wait_timeout(LOOK);
            }
            Err(QueueError::Closed) => return,
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(queue = shared.name, "{}", super::explain(&error));
                }
                let _ = reader.changed().wait_timeout(LOOK);
            }
        }
    }
}
