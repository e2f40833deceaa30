//! Full and failing disks, and two who want the same directory.

use std::io::ErrorKind;

use super::fake::{FakeDisk, Fault, Restart};
use super::harness::{CURSORS, Harness, append, deliver, drain, left, numbers, open, options, payload};
use crate::queue::{Durability, Log, Options, QueueError, WhenFull};

/// Guarantees: a full disk refuses with a hint, delivery goes on, what is delivered makes room although the cursors
/// cannot be persisted, and then appends work again.
#[test]
fn a_full_disk_recovers_by_itself() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..20, 100);
    disk.leave_room(Some(60));
    for number in 20..25 {
        let refused = log.append(payload(number, 100)).wait().unwrap_err();
        assert!(matches!(refused, QueueError::DiskFull { .. }) && refused.retry_after().is_some());
    }
    let used: usize = disk.files(".segment").iter().map(|(_, content)| content.len()).sum();
    assert_eq!(used, 20 * 140, "the part that was written is cut off");
    disk.leave_room(Some(0));
    for cursor in CURSORS {
        assert_eq!(deliver(&log, cursor), (0..20).collect::<Vec<_>>());
    }
    // The first time the cursors do not fit, the second time there is room.
    let _ = log.upkeep();
    log.upkeep().unwrap();
    append(&log, 30..32, 100);
    log.close().unwrap();
    let (log, _) = open(&disk, options());
    assert_eq!(left(&log, CURSORS[0]), [30, 31]);
}

/// Guarantees: also a segment that is too small to be worth a new file makes room where there is no other.
#[test]
fn a_full_disk_gets_back_the_room_of_a_small_segment() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, Options { segment_bytes: 4_000, ..options() });
    append(&log, 0..1, 800);
    disk.leave_room(Some(0));
    assert!(matches!(log.append(payload(1, 800)).wait(), Err(QueueError::DiskFull { .. })));
    for cursor in CURSORS {
        assert_eq!(deliver(&log, cursor), [0]);
    }
    let _ = log.upkeep();
    log.upkeep().unwrap();
    append(&log, 2..3, 60);
    // With room again, a small segment is kept for the next records.
    for cursor in CURSORS {
        assert_eq!(deliver(&log, cursor), [2]);
    }
    log.upkeep().unwrap();
    assert_eq!(log.stats().segments, 1);
}

/// Guarantees: whether the disk takes anything is found out without an append, and leaves nothing behind.
#[test]
fn a_probe_tells_whether_there_is_room() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    disk.leave_room(Some(1000));
    assert!(matches!(log.probe(), Err(QueueError::DiskFull { .. })));
    disk.leave_room(None);
    for _ in 0..2 {
        log.probe().unwrap();
    }
    assert_eq!(disk.files("probe"), []);
}

/// Scenario: a file system smaller than a quarter of a segment, in the default sizes.
/// Guarantees: once everything is delivered there is room again, by itself, also after a restart.
#[test]
fn a_small_disk_that_is_full_recovers_by_itself() {
    let disk = FakeDisk::default();
    let options = Options { cursors: vec![CURSORS[0].to_owned()], ..Options::default() };
    disk.leave_room(Some(100_000));
    let fill = |log: &Log| {
        let appended = (0..).take_while(|&number| log.append(payload(number, 2000)).wait().is_ok()).count();
        let refused = log.append(payload(0, 2000)).wait().unwrap_err();
        assert!(matches!(refused, QueueError::DiskFull { .. }), "{refused}");
        assert!(appended > 40, "there was room for {appended} only");
    };
    let (log, _) = open(&disk, options.clone());
    for _ in 0..3 {
        fill(&log);
        assert!(deliver(&log, CURSORS[0]).len() > 40);
        while log.stats().bytes > 0 {
            std::thread::yield_now();
        }
    }
    fill(&log);
    // There may be no room for the cursor.
    let _ = log.close();
    let (log, _) = open(&disk, options);
    assert!(deliver(&log, CURSORS[0]).len() > 40);
    while log.append(payload(0, 2000)).wait().is_err() {
        std::thread::yield_now();
    }
    fill(&log);
}

/// Scenario: on a full disk the only records are delivered and deleted, no cursor can be persisted, and the file for
/// the next record stays empty.
/// Guarantees: the log goes on where it was, so later records are not mistaken for remains of the empty file.
#[test]
fn an_empty_file_says_where_the_log_is() {
    let mut harness = Harness::new(options());
    assert!(harness.open());
    harness.disk.leave_room(Some(722));
    harness.append(651);
    harness.append(0);
    for cursor in 0..CURSORS.len() {
        harness.deliver(cursor);
    }
    harness.reopen();
    harness.disk.leave_room(None);
    harness.append(0);
    harness.append(0);
    harness.restart(Restart::Killed);
}

/// Guarantees: after a sync failed, the record is written again to another file before it is promised.
#[test]
fn a_failed_sync_is_not_tried_again_on_the_same_file() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..2, 20);
    disk.fail_after(1, 1, Fault::Error(ErrorKind::Other));
    append(&log, 2..3, 20);
    assert_eq!(disk.files(".segment").len(), 2);
    assert_eq!(log.stats().write_errors, 1);
    assert_eq!(left(&log, CURSORS[0]), [0, 1, 2]);
}

/// Guarantees: with `DropOldest` a full disk makes room too.
#[test]
fn a_full_disk_drops_the_oldest_if_told_to() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, Options { when_full: WhenFull::DropOldest, ..options() });
    append(&log, 0..20, 100);
    // It keeps the oldest file open.
    let mut reader = log.reader(CURSORS[1]).unwrap();
    assert!(reader.next().unwrap().is_some());
    disk.leave_room(Some(60));
    append(&log, 20..21, 100);
    let left = left(&log, CURSORS[0]);
    assert_eq!(left, (4..21).collect::<Vec<_>>());
    assert_eq!(log.stats().cursors[0].dropped_records, 4);
    // What is gone is not taken for damage by the one that had it open.
    assert_eq!(numbers(&drain(&mut reader)), left);
    assert_eq!(log.stats().damaged_records, 0);
}

/// Guarantees: what was accepted into memory waits for the disk, and is counted if it waits in vain.
#[test]
fn records_in_memory_wait_for_the_disk() {
    let disk = FakeDisk::default();
    let options = Options { durability: Durability::Memory, pending_bytes: 400, ..options() };
    let (log, _) = open(&disk, options.clone());
    disk.fail_after(0, u64::MAX / 2, Fault::Error(ErrorKind::Other));
    append(&log, 0..2, 100);
    let refused = std::iter::repeat_with(|| log.append(payload(2, 200)).wait()).find(Result::is_err);
    assert!(matches!(refused, Some(Err(QueueError::Busy { .. }))));
    disk.heal();
    log.close().unwrap();
    let (log, _) = open(&disk, options);
    assert_eq!(left(&log, CURSORS[0]), [0, 1]);
}

/// Guarantees: two never share a directory, and the second learns who has it; it is free once closed.
#[test]
fn the_second_opener_is_told_who_has_it() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    let error = Log::open(super::harness::directory(), options(), disk.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the queue directory /queue is in use by a test: stop that process, or give this one a directory of its own"
    );
    let reader = log.reader(CURSORS[0]).unwrap();
    log.close().unwrap();
    // Even with a reader left over.
    open(&disk, options());
    drop(reader);
}

/// Guarantees: a closed log says so, to those who append and to readers that have read all.
#[test]
fn a_closed_log_says_so() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..1, 10);
    let mut reader = log.reader(CURSORS[0]).unwrap();
    log.close().unwrap();
    assert!(reader.next().unwrap().is_some());
    assert!(matches!(reader.next(), Err(QueueError::Closed)));
}
