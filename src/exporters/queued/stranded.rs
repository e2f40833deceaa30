//! Queues that an earlier run left in a place where no pipeline looks any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::config::{QueueStorage, SendingQueueConfig, id_of};
use super::dead_letter::DeadLetters;
use super::explain;
use crate::queue::{Log, Options, QueueError, SystemDisk};

/// A queue whose requests nobody delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stranded {
    /// Its directory.
    pub directory: PathBuf,
    /// Requests that are not delivered.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of its dead letters.
    pub dead_letter_bytes: u64,
}

/// Finds queues with something in them below the directories of `queues`, each the settings with the ids of a pipeline
/// and an exporter, that are the queue of none of these, nor of another process. Blocks.
pub fn stranded<'a>(
    queues: impl IntoIterator<Item = (&'a SendingQueueConfig, &'a str, &'a str)>,
) -> Vec<Stranded> {
    let (mut roots, mut logs, mut letters) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (queue, pipeline, exporter) in queues {
        roots.extend(queue.root().canonicalize());
        let directory = queue.directory_of(pipeline, exporter).and_then(|path| path.canonicalize().ok());
        logs.extend(directory.clone().filter(|_| queue.storage == QueueStorage::Disk));
        letters.extend(directory);
    }
    let below = roots.iter().flat_map(|root| directories(root)).flat_map(|pipeline| directories(&pipeline));
    let unknown = below.filter(|directory| !logs.contains(directory));
    let found = unknown.map(|directory| {
        let (requests, bytes) = undelivered(&directory);
        let has_letters = !letters.contains(&directory);
        let dead_letter_bytes = if has_letters { DeadLetters::new(&directory).bytes() } else { 0 };
        Stranded { directory, requests, bytes, dead_letter_bytes }
    });
    found.filter(|one| one.requests + one.dead_letter_bytes > 0).collect()
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    paths
}

/// Requests and bytes of a log that are not delivered.
fn undelivered(directory: &Path) -> (u64, u64) {
    let mut files = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let name = directory.file_name().and_then(|name| name.to_str());
    let Some(cursor) = name.map(id_of) else { return (0, 0) };
    if !files.any(|file| file.path().extension().is_some_and(|end| end == "segment")) {
        return (0, 0);
    }
    let options = Options { cursors: vec![cursor], ..Options::default() };
    match Log::open(directory, options, SystemDisk::new()) {
        Ok((log, _)) => {
            let left = log.stats().cursors.into_iter().next().unwrap_or_default();
            (left.records, left.bytes)
        }
        // Another process delivers it.
        Err(QueueError::Locked { .. }) => (0, 0),
        Err(error) => {
            tracing::warn!("cannot look into {}: {}", directory.display(), explain(&error));
            (0, 0)
        }
    }
}
