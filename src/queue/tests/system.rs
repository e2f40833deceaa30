//! The log on the machine's own files.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::harness::{CURSORS, append, deliver, left, options, payload};
use crate::queue::{Durability, Log, Options, QueueError, SystemDisk};

fn open(directory: &Path, options: Options) -> Log {
    Log::open(directory, options, SystemDisk::new()).unwrap().0
}

/// Guarantees: what was appended is there after a restart, less what was acknowledged, at every durability.
#[test]
fn records_survive_a_restart() {
    for durability in [Durability::Memory, Durability::Written, Durability::Fsynced] {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("made/if/missing");
        let options = Options { durability, segment_bytes: 100_000, ..options() };
        let log = open(&directory, options.clone());
        append(&log, 0..3, 70_000);
        append(&log, 3..40, 100);
        log.close().unwrap();
        let log = open(&directory, options.clone());
        assert_eq!(deliver(&log, CURSORS[0]), (0..40).collect::<Vec<_>>());
        append(&log, 40..41, 100);
        drop(log);
        let log = open(&directory, options);
        assert_eq!(left(&log, CURSORS[0]), [40]);
        assert_eq!(left(&log, CURSORS[1]).len(), 41);
    }
}

/// Guarantees: delivered segments are deleted, and the directory can be opened after that.
#[test]
fn delivered_files_are_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), options());
    append(&log, 0..50, 100);
    for cursor in CURSORS {
        deliver(&log, cursor);
    }
    log.close().unwrap();
    let names = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let segments = names.filter(|name| name.to_str().unwrap().ends_with(".segment")).count();
    assert!(segments <= 1, "{segments} segments are left");
    let log = open(directory.path(), options());
    append(&log, 50..51, 100);
    assert_eq!(left(&log, CURSORS[0]), [50]);
}

/// Guarantees: what is deleted is not kept open, by the writer or by a reader that looks for more: it would keep its room.
#[cfg(target_os = "linux")]
#[test]
fn deleted_files_are_closed_though_nobody_appends() {
    let directory = tempfile::tempdir().unwrap();
    let cursors = vec![CURSORS[0].to_owned()];
    let log = open(directory.path(), Options { cursors, ..options() });
    let mut reader = log.reader(CURSORS[0]).unwrap();
    append(&log, 0..10, 100);
    while let Some(record) = reader.next().unwrap() {
        reader.acker().ack(record.position);
    }
    log.upkeep().unwrap();
    assert!(reader.next().unwrap().is_none());
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let deleted =
        |path: &PathBuf| path.starts_with(directory.path()) && path.to_string_lossy().ends_with("(deleted)");
    assert_eq!(open.filter(deleted).collect::<Vec<_>>(), Vec::<PathBuf>::new());
    assert_eq!(log.stats().segments, 0, "nothing was deleted");
}

/// Guarantees: many threads at once lose nothing, and each gets its answer.
#[test]
fn many_threads_append() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), Options { segment_bytes: 20_000, ..options() });
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let log = &log;
            scope.spawn(move || append(log, thread * 25..thread * 25 + 25, 100));
        }
    });
    let mut numbers = left(&log, CURSORS[0]);
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
}

/// Guarantees: the second opener is told the process that has the directory.
#[test]
fn the_holder_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let _log = open(directory.path(), options());
    let error = Log::open(directory.path(), options(), SystemDisk::new()).unwrap_err();
    let QueueError::Locked { holder, .. } = error else { panic!("{error}") };
    assert_eq!(holder, Some(format!("process {}", std::process::id())));
}

/// Guarantees: what senders say is for nobody else on the machine.
#[cfg(unix)]
#[test]
fn the_directories_that_are_made_are_for_their_user_alone() {
    use std::os::unix::fs::MetadataExt as _;

    let directory = tempfile::tempdir().unwrap();
    let _log = open(&directory.path().join("queue/traces"), options());
    for made in ["queue", "queue/traces"] {
        let mode = std::fs::metadata(directory.path().join(made)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
}

/// Guarantees: a directory that cannot be used is an error that names it.
#[test]
fn an_unusable_directory_is_an_error() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Log::open(&file.path().join("queue"), options(), SystemDisk::new()).unwrap_err();
    assert!(matches!(error, QueueError::Open { .. }));
    assert!(error.to_string().contains(file.path().to_str().unwrap()));
}

/// Guarantees: a payload is given as it was appended, empty ones too.
#[test]
fn an_empty_record_is_a_record() {
    let directory = tempfile::tempdir().unwrap();
    let log = open(directory.path(), options());
    log.append(bytes::Bytes::new()).wait().unwrap();
    log.append(payload(1, 5)).wait().unwrap();
    let mut reader = log.reader(CURSORS[0]).unwrap();
    assert!(reader.next().unwrap().unwrap().payload.is_empty());
    assert_eq!(reader.next().unwrap().unwrap().payload, payload(1, 5));
}

/// Where the process that is killed keeps its log, and the number it begins with.
const CHILD: [&str; 2] = ["QUEUE_TEST_DIRECTORY", "QUEUE_TEST_FIRST"];

/// No test, but the process that `a_killed_process_loses_nothing` kills: appends from two threads, and says which
/// records it was promised.
#[test]
fn child() {
    let [Ok(directory), Ok(first)] = CHILD.map(std::env::var) else { return };
    let first: u64 = first.parse().unwrap();
    let log = open(Path::new(&directory), Options { segment_bytes: 30_000, max_bytes: 1 << 30, ..options() });
    std::thread::scope(|scope| {
        for numbers in [first..first + 5000, first + 5000..first + 10_000] {
            let log = &log;
            scope.spawn(move || {
                for number in numbers {
                    append(log, number..number + 1, number as usize * 37 % 3000);
                    println!("promised {number}");
                }
            });
        }
    });
}

/// Guarantees: what a process was promised is there after it was killed with -9 at any moment, for every cursor,
/// once, and through many such deaths.
#[test]
fn a_killed_process_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut promised = BTreeSet::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "queue::tests::system::child", "--nocapture", "--test-threads=1"])
            .env(CHILD[0], directory.path())
            .env(CHILD[1], (round * 10_000).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let numbers = lines.filter_map(|line| line.strip_prefix("promised ")?.parse::<u64>().ok());
        for (count, number) in numbers.enumerate() {
            promised.insert(number);
            if count == round as usize * 17 {
                child.kill().unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().code(), None, "the child ended by itself");
    }
    let log = open(directory.path(), options());
    for cursor in CURSORS {
        let delivered = left(&log, cursor);
        let unique: BTreeSet<_> = delivered.iter().copied().collect();
        assert_eq!(unique.len(), delivered.len());
        assert!(promised.is_subset(&unique), "lost: {:?}", promised.difference(&unique));
    }
    assert_eq!(log.stats().damaged_records, 0);
}
