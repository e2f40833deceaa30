//! What a queue does beside delivering: figures, readiness, dead letters that come back, and the end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::explain;
use super::returning::Returning;
use super::shared::Shared;

/// How often figures are brought up to date, and dead letters looked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// Starts what goes on until the queue stops.
pub(super) fn start(shared: &Arc<Shared>) {
    let (tended, returning) = (Arc::clone(shared), Arc::clone(shared));
    shared.tasks.spawn(async move { tended.watch_over("queue_tender", tend(Arc::clone(&tended))).await });
    let taking = async move { returning.watch_over("dead_letters", take_back(Arc::clone(&returning))).await };
    shared.tasks.spawn(taking);
}

/// Tends the queue until it stops.
async fn tend(shared: Arc<Shared>) {
    let left = shared.left();
    if left.records > 0 {
        tracing::info!(
            queue = shared.name,
            requests = left.records,
            bytes = left.bytes,
            "an earlier run left requests in the queue; they are delivered now"
        );
    }
    loop {
        if shared.directory.is_none() {
            // Nobody else lets go of what is delivered; there is no file that could fail.
            let _ = shared.log.upkeep();
        }
        shared.try_disk().await;
        shared.report();
        if shared.stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// Puts dead letters into the queue that the command line wants delivered, away from the runtime's workers, until it
/// stops.
async fn take_back(shared: Arc<Shared>) {
    let Some(mut letters) = shared.dead_letters.clone().map(Returning::new) else { return };
    loop {
        let stops = shared.stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none();
        let taker = Arc::clone(&shared);
        let taking = tokio::task::spawn_blocking(move || {
            if stops {
                letters.forget_taken();
            } else {
                letters.take_back(&taker);
            }
            letters
        });
        match taking.await {
            Ok(back) if !stops => letters = back,
            Ok(_) => return,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends.
                Err(_) => return,
            },
        }
    }
}

/// Waits until everything is delivered, or it is plain that this will not happen soon.
pub(super) async fn drain(shared: &Shared) {
    loop {
        let settled = shared.settled.notified();
        if shared.left().records == 0 {
            return;
        }
        // What is on disk is safe there; what is in memory has this last chance.
        if shared.directory.is_some() && shared.gate.is_down() {
            return;
        }
        // Records can also go by age or damage, which nobody announces.
        let _ = tokio::time::timeout(Duration::from_millis(100), settled).await;
    }
}

/// Ends the deliveries and closes the log; says what stays.
pub(super) async fn stop(shared: &Arc<Shared>, reader: Option<JoinHandle<()>>, late: bool) {
    shared.stop.cancel();
    shared.gate.close();
    shared.window.close();
    shared.log.wake_readers();
    if let Some(reader) = reader {
        // It does not panic; if it did, what it was reading stays in the log.
        let _ = tokio::task::spawn_blocking(move || reader.join()).await;
    }
    shared.tasks.close();
    shared.tasks.wait().await;
    let left = shared.left();
    let closing = Arc::clone(shared);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || closing.log.close()).await {
        tracing::warn!(queue = shared.name, "{}", explain(&error));
    }
    shared.report();
    say_left(shared, left.records, left.bytes, late);
}

fn say_left(shared: &Shared, requests: u64, bytes: u64, late: bool) {
    let queue = &shared.name;
    match (requests, &shared.directory) {
        (0, _) => tracing::info!(queue, "the queue is empty"),
        (_, Some(directory)) => tracing::warn!(
            queue,
            requests,
            bytes,
            "not everything was delivered{}; it stays in {} and is delivered after the next start",
            if late { " in time" } else { "" },
            directory.display()
        ),
        (_, None) => {
            tracing::error!(
                queue,
                requests,
                bytes,
                "not everything was delivered; it was in memory and is lost"
            );
        }
    }
}
