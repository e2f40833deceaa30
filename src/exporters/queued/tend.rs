//! What a queue does beside delivering: figures, readiness, dead letters that come back, and the end.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::dead_letter::DeadLetters;
use super::explain;
use super::shared::Shared;

/// How often figures are brought up to date, and dead letters looked for.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tends the queue until it stops.
pub(super) async fn tend(shared: Arc<Shared>) {
    let left = shared.left();
    if left.records > 0 {
        tracing::info!(
            queue = shared.name,
            requests = left.records,
            bytes = left.bytes,
            "an earlier run left requests in the queue; they are delivered now"
        );
    }
    let mut waiting = false;
    loop {
        if let Some(letters) = &shared.dead_letters {
            take_back(&shared, letters, &mut waiting).await;
        }
        shared.report();
        if shared.stop.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_none() {
            return;
        }
    }
}

/// Puts the dead letters into the queue that the command line wants delivered. Says once that they have to wait.
async fn take_back(shared: &Shared, letters: &DeadLetters, waiting: &mut bool) {
    for path in letters.to_retry() {
        match take_file_back(shared, letters, &path).await {
            Ok(requests) => {
                *waiting = false;
                tracing::info!(queue = shared.name, requests, "dead letters are delivered again");
            }
            Err(reason) => {
                if !std::mem::replace(waiting, true) {
                    tracing::warn!(queue = shared.name, "dead letters wait in {}: {reason}", path.display());
                }
                return;
            }
        }
    }
}

async fn take_file_back(shared: &Shared, letters: &DeadLetters, path: &Path) -> Result<usize, String> {
    let entries = letters.read(path).map_err(|error| error.to_string())?;
    let mut taken = 0;
    for (at, letter) in entries.letters.iter().enumerate() {
        let Some(request) = letter.request() else {
            tracing::error!(
                queue = shared.name,
                id = letter.id,
                "a dead letter is damaged and cannot be delivered"
            );
            continue;
        };
        if let Err(error) = shared.log.append(request.encode()).await {
            // What is in the log already must not be put there with every further try.
            let left = entries.letters.get(at..).unwrap_or_default();
            letters.replace(path, left).map_err(|error| error.to_string())?;
            return Err(explain(&error));
        }
        taken += 1;
    }
    std::fs::remove_file(path).map_err(|error| error.to_string())?;
    Ok(taken)
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
