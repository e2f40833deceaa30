//! What stops a log without being an answer to anybody, and how it is told.

use std::io;

use super::fake::{FakeDisk, Fault, Refusal};
use super::harness::{CURSORS, append, drain, left, numbers, open, options, payload};
use crate::queue::{Durability, Options, QueueError};

/// Guarantees: after the writer died nobody waits for it for ever, later appends are refused, and the log says why;
/// what it promised before is there after a restart.
#[test]
fn a_dead_writer_refuses_and_says_so() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..1, 60);
    assert_eq!(log.trouble(), None);
    disk.fail_after(0, 1, Fault::Panic);
    assert!(log.append(payload(1, 60)).wait().is_err());
    let refused = std::iter::repeat_with(|| log.append(payload(2, 60)).wait().unwrap_err())
        .find(|error| !matches!(error, QueueError::Closed));
    assert!(matches!(refused, Some(QueueError::Died { thread: "queue-writer", .. })));
    assert!(log.trouble().unwrap().contains("the thread queue-writer of the queue died"));
    log.close().unwrap();
    assert_eq!(left(&open(&disk, options()).0, CURSORS[0]), [0]);
}

/// Guarantees: what was accepted into memory and dies with the writer is counted.
#[test]
fn what_dies_with_the_writer_is_counted() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, Options { durability: Durability::Memory, ..options() });
    disk.fail_after(0, 1, Fault::Panic);
    let accepted =
        std::iter::repeat_with(|| log.append(payload(7, 60)).wait()).take_while(Result::is_ok).count();
    log.close().unwrap();
    assert_eq!(log.stats().unwritten_records, accepted as u64);
    assert_eq!(log.stats().unwritten_weight, 7 * accepted as u64);
    assert_eq!(log.stats().pending_bytes, 0);
}

/// Guarantees: a log whose upkeep died, and would fill for ever, refuses and says so.
#[test]
fn a_dead_upkeep_refuses_and_says_so() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..20, 60);
    for cursor in CURSORS {
        disk.fail_after(0, 1, Fault::Panic);
        super::harness::deliver(&log, cursor);
    }
    while log.trouble().is_none() {
        std::thread::yield_now();
    }
    let refused = log.append(payload(20, 60)).wait();
    assert!(matches!(refused, Err(QueueError::Died { thread: "queue-upkeep", .. })));
}

/// Guarantees: the log says that a reader cannot read, until it can.
#[test]
fn a_reader_that_cannot_read_is_told_of() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..2, 60);
    let mut reader = log.reader(CURSORS[0]).unwrap();
    disk.make_unreadable(Some(0..1));
    assert!(reader.next().is_err());
    assert!(log.trouble().unwrap().contains("bad sector"));
    disk.make_unreadable(None);
    assert_eq!(numbers(&drain(&mut reader)), [0, 1]);
    assert_eq!(log.trouble(), None);
}

/// Guarantees: a file that the medium does not open is reported for a while, then passed over, with what it has
/// counted; one that the machine does not open, for its rights or limits, is waited for.
#[test]
fn a_file_that_cannot_be_opened_is_told_of() {
    let cases: [(Refusal, &[u64]); 3] = [
        (|| io::Error::from_raw_os_error(5), &[5]),
        (|| io::ErrorKind::PermissionDenied.into(), &[0, 1, 2, 3, 4, 5]),
        (|| io::Error::from_raw_os_error(24), &[0, 1, 2, 3, 4, 5]),
    ];
    for (refusal, delivered) in cases {
        let disk = FakeDisk::default();
        let (log, _) = open(&disk, options());
        append(&log, 0..5, 60);
        append(&log, 5..6, 200);
        assert_eq!(log.stats().segments, 2);
        let mut reader = log.reader(CURSORS[0]).unwrap();
        disk.refuse_to_open(Some(refusal));
        assert!(matches!(reader.next(), Err(QueueError::Read { .. })));
        assert!(log.trouble().is_some());
        disk.advance(options().read_patience);
        // The next segment has a time of its own.
        assert!(matches!(reader.next(), Err(QueueError::Read { .. })));
        assert!(log.trouble().is_some());
        disk.refuse_to_open(None);
        assert_eq!(numbers(&drain(&mut reader)), delivered);
        assert_eq!(log.trouble(), None);
        assert_eq!(log.stats().damaged_records, 6 - delivered.len() as u64);
    }
}
