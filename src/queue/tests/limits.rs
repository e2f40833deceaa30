//! Limits, what happens at them, and cursors that do not hold each other back.

use std::time::Duration;

use super::fake::FakeDisk;
use super::harness::{CURSORS, append, both, deliver, drain, left, numbers, open, options, payload};
use crate::queue::{Log, Options, QueueError, WhenFull};

/// Tries until there is room: it is made in the background.
fn append_when_possible(log: &Log, number: u64) {
    while let Err(error) = log.append(payload(number, 60)).wait() {
        assert!(matches!(error, QueueError::Full { .. }), "{error}");
        log.upkeep().unwrap();
    }
}

/// Guarantees: a full log refuses with a hint; what every cursor delivered makes room, what only one did does not.
#[test]
fn a_full_log_refuses_until_something_is_delivered() {
    for (_, log) in both(&Options { max_bytes: 1000, ..options() }) {
        append(&log, 0..10, 60);
        let refused = log.append(payload(10, 60)).wait().unwrap_err();
        assert!(matches!(refused, QueueError::Full { bytes: 1000, limit: 1000, .. }));
        assert!(refused.retry_after().is_some());
        deliver(&log, CURSORS[0]);
        log.upkeep().unwrap();
        assert!(log.append(payload(10, 60)).wait().is_err());
        deliver(&log, CURSORS[1]);
        append_when_possible(&log, 11);
        assert_eq!(left(&log, CURSORS[1]), [11]);
        assert_eq!(log.stats().cursors[1].dropped_records, 0);
    }
}

/// Guarantees: with `DropOldest` the newest are kept, and each cursor counts what it lost, not what it had.
#[test]
fn the_oldest_make_room() {
    for (_, log) in both(&Options { max_bytes: 1000, when_full: WhenFull::DropOldest, ..options() }) {
        append(&log, 0..4, 60);
        assert_eq!(deliver(&log, CURSORS[0]), [0, 1, 2, 3]);
        append(&log, 4..20, 60);
        assert_eq!(left(&log, CURSORS[0]), (10..20).collect::<Vec<_>>());
        let stats = log.stats();
        let dropped: Vec<_> = stats
            .cursors
            .iter()
            .map(|cursor| (cursor.dropped_records, cursor.dropped_bytes, cursor.dropped_weight))
            .collect();
        assert_eq!(dropped, [(6, 600, 4 + 5 + 6 + 7 + 8 + 9), (10, 1000, 45)]);
        assert!(stats.bytes <= 1000);
    }
}

/// Guarantees: what an earlier run left and nobody read is weighed, too, when it makes room.
#[test]
fn what_an_earlier_run_left_is_weighed() {
    let disk = FakeDisk::default();
    let options = Options { max_bytes: 1000, when_full: WhenFull::DropOldest, ..options() };
    append(&open(&disk, options.clone()).0, 0..10, 60);
    let (log, _) = open(&disk, options);
    append(&log, 10..15, 60);
    let lost: Vec<_> =
        log.stats().cursors.iter().map(|cursor| (cursor.dropped_records, cursor.dropped_weight)).collect();
    assert_eq!(lost, [(5, 1 + 2 + 3 + 4); 2]);
}

/// Guarantees: what is too old is not delivered, but counted.
#[test]
fn old_records_are_given_up() {
    for (disk, log) in both(&Options { max_age: Some(Duration::from_secs(60)), ..options() }) {
        append(&log, 0..3, 60);
        disk.advance(Duration::from_secs(40));
        append(&log, 3..5, 60);
        disk.advance(Duration::from_secs(40));
        assert_eq!(log.stats().cursors[0].oldest, Some(Duration::from_secs(80)));
        assert_eq!(left(&log, CURSORS[0]), [3, 4]);
        assert_eq!(log.stats().cursors[0].dropped_records, 3);
        assert_eq!(log.stats().cursors[0].expired_weight, 1 + 2);
        disk.advance(Duration::from_secs(40));
        log.upkeep().unwrap();
        let stats = log.stats();
        assert_eq!(stats.records, 0);
        assert!(stats.cursors.iter().all(|cursor| cursor.dropped_records == 5));
        assert!(stats.cursors.iter().all(|cursor| cursor.expired_weight == 1 + 2 + 3 + 4));
        assert!(stats.cursors.iter().all(|cursor| cursor.dropped_weight == 1 + 2 + 3 + 4));
    }
}

/// Guarantees: a delivered segment that is still written is deleted only once it has some size, and nothing is
/// written to it after that.
#[test]
fn a_deleted_segment_is_not_written_any_more() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    for (number, files) in [(0, 1), (1, 0), (2, 1), (3, 0)] {
        append(&log, number..number + 1, 60);
        for cursor in CURSORS {
            assert_eq!(deliver(&log, cursor), [number]);
        }
        log.upkeep().unwrap();
        assert_eq!(disk.files(".segment").len(), files, "after record {number}");
    }
    append(&log, 4..6, 60);
    log.close().unwrap();
    assert_eq!(left(&open(&disk, options()).0, CURSORS[0]), [4, 5]);
}

/// Guarantees: a cursor that stands still holds back its segments, and nobody else.
#[test]
fn a_slow_cursor_holds_no_other_back() {
    for (_, log) in both(&options()) {
        append(&log, 0..50, 60);
        assert_eq!(deliver(&log, CURSORS[0]).len(), 50);
        log.upkeep().unwrap();
        assert_eq!(log.stats().records, 50);
        assert_eq!(log.stats().cursors[0].records, 0);
        assert_eq!(log.stats().cursors[1].records, 50);
        assert_eq!(deliver(&log, CURSORS[1]).len(), 50);
        log.upkeep().unwrap();
        assert!(log.stats().segments <= 1);
    }
}

/// Guarantees: records may be acknowledged in any order; the next reader gets what was left out.
#[test]
fn acknowledgements_come_in_any_order() {
    for (_, log) in both(&options()) {
        append(&log, 0..30, 60);
        let mut reader = log.reader(CURSORS[0]).unwrap();
        let records = drain(&mut reader);
        let acker = reader.acker();
        for at in [29, 3, 17, 4, 3, 0] {
            acker.ack(records[at].position);
        }
        acker.ack_range(records[5].position..=records[15].position);
        drop(reader);
        let expected: Vec<u64> = [1, 2, 16].into_iter().chain(18..29).collect();
        assert_eq!(left(&log, CURSORS[0]), expected);
        assert_eq!(log.stats().cursors[0].acked_records, 16);
    }
}

/// Guarantees: a reader gives no more than may be outstanding, and goes on after an acknowledgement.
#[test]
fn outstanding_records_are_limited() {
    for (_, log) in both(&Options { outstanding: 3, ..options() }) {
        append(&log, 0..5, 60);
        let mut reader = log.reader(CURSORS[0]).unwrap();
        let records = drain(&mut reader);
        assert_eq!(numbers(&records), [0, 1, 2]);
        assert!(!reader.changed().wait_timeout(Duration::ZERO));
        reader.acker().ack(records[1].position);
        assert!(reader.changed().wait_timeout(Duration::ZERO));
        assert_eq!(numbers(&drain(&mut reader)), [3]);
    }
}

/// Guarantees: a reader that waits learns of a new record.
#[test]
fn a_reader_is_told_of_new_records() {
    for (_, log) in both(&options()) {
        let mut reader = log.reader(CURSORS[0]).unwrap();
        assert!(reader.next().unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| reader.changed().wait_timeout(Duration::from_secs(600)));
            append(&log, 0..1, 10);
            assert!(waiting.join().unwrap());
        });
        assert!(reader.next().unwrap().is_some());
    }
}

/// Guarantees: what can never be taken is told apart from what can later.
#[test]
fn a_record_too_large_is_refused_for_good() {
    for (_, log) in both(&Options { record_bytes: 100, ..options() }) {
        let refused = log.append(payload(0, 200)).wait().unwrap_err();
        assert!(matches!(refused, QueueError::TooLarge { bytes: 208, limit: 100 }));
        assert_eq!(refused.retry_after(), None);
        assert_eq!(log.stats().refused_records, 1);
    }
}

/// Guarantees: a cursor has one reader, and must be known.
#[test]
fn a_cursor_has_one_reader() {
    for (_, log) in both(&options()) {
        let reader = log.reader(CURSORS[0]).unwrap();
        assert!(matches!(log.reader(CURSORS[0]), Err(QueueError::CursorInUse { .. })));
        assert!(matches!(log.reader("other"), Err(QueueError::UnknownCursor { .. })));
        drop(reader);
        assert!(log.reader(CURSORS[0]).is_ok());
    }
}

/// Guarantees: a cursor that is not named any more holds nothing back, and is reported.
#[test]
fn an_unused_cursor_is_reported() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..50, 60);
    deliver(&log, CURSORS[1]);
    log.close().unwrap();
    let (log, recovery) = open(&disk, Options { cursors: vec![CURSORS[0].to_owned()], ..options() });
    assert_eq!(recovery.unused_cursors, [CURSORS[1]]);
    deliver(&log, CURSORS[0]);
    log.upkeep().unwrap();
    assert!(log.stats().segments <= 1);
}
