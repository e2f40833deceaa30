//! A record that is never acknowledged keeps its own segment, and no other.

use std::io::ErrorKind;

use super::fake::{FakeDisk, Fault};
use super::harness::{CURSORS, append, both, deliver, drain, left, open, options};
use crate::queue::Log;

/// Delivers all but one record to every cursor.
fn deliver_all_but(log: &Log, kept: usize) {
    for cursor in CURSORS {
        let mut reader = log.reader(cursor).unwrap();
        let records = drain(&mut reader);
        for (at, record) in records.iter().enumerate() {
            if at != kept {
                reader.acker().ack(record.position);
            }
        }
    }
}

fn assert_nothing_is_damaged(log: &Log) {
    let stats = log.stats();
    assert_eq!(stats.damaged_records, 0);
    assert!(stats.cursors.iter().all(|cursor| cursor.damaged_records == 0));
}

/// Guarantees: later segments are deleted once they are delivered, whatever stays before them.
#[test]
fn what_is_delivered_is_let_go_of_though_something_before_it_is_not() {
    for (_, log) in both(&options()) {
        append(&log, 0..50, 60);
        assert!(log.stats().segments > 8);
        deliver_all_but(&log, 0);
        log.upkeep().unwrap();
        assert!(log.stats().segments <= 2, "{} segments", log.stats().segments);
        append(&log, 50..51, 60);
        assert_eq!(left(&log, CURSORS[0]), [0, 50]);
        assert_nothing_is_damaged(&log);
    }
}

/// Guarantees: the next run finds what is left, takes the gap for no damage, and goes on after it; also if nothing
/// is left behind the gap.
#[test]
fn a_gap_is_found_again() {
    for records in [12, 13, 50] {
        let disk = FakeDisk::default();
        let (log, _) = open(&disk, options());
        append(&log, 0..records, 60);
        deliver_all_but(&log, 0);
        log.close().unwrap();
        assert!(disk.files(".segment").len() <= 2);
        for round in 0..3 {
            let (log, recovery) = open(&disk, options());
            let expected: Vec<u64> = std::iter::once(0).chain(records..records + round).collect();
            for cursor in CURSORS {
                assert_eq!(left(&log, cursor), expected, "of {records} records");
            }
            assert_nothing_is_damaged(&log);
            assert!(recovery.reset_cursors.is_empty());
            append(&log, records + round..records + round + 1, 60);
            log.close().unwrap();
        }
        let (log, _) = open(&disk, options());
        for cursor in CURSORS {
            assert_eq!(deliver(&log, cursor).len(), 4);
        }
        log.close().unwrap();
        assert!(disk.files(".segment").len() <= 1, "the first is deleted as well");
    }
}

/// Guarantees: damage before a gap costs what is damaged, not what was delivered and deleted.
#[test]
fn damage_before_a_gap_costs_what_is_damaged() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..14, 60);
    // The last one of the first segment.
    deliver_all_but(&log, 5);
    log.upkeep().unwrap();
    append(&log, 14..15, 60);
    log.close().unwrap();
    let (path, content) = disk.files(".segment").remove(0);
    assert_eq!(content.len(), 600);
    disk.damage(&path, |content| content[502] ^= 1);
    let (log, _) = open(&disk, options());
    assert_eq!(left(&log, CURSORS[0]), [14]);
    assert_eq!(log.stats().damaged_records, 1);
    assert_eq!(log.stats().cursors[0].damaged_records, 1);
}

/// Guarantees: while no cursor can be persisted, nothing is deleted that would leave a gap.
#[test]
fn no_gap_is_made_that_the_cursors_do_not_explain() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..50, 60);
    let segments = log.stats().segments;
    disk.fail_after(0, u64::MAX / 2, Fault::Error(ErrorKind::Other));
    deliver_all_but(&log, 0);
    log.upkeep().unwrap_err();
    assert_eq!(log.stats().segments, segments);
    disk.heal();
    log.upkeep().unwrap();
    assert!(disk.files(".segment").len() <= 2);
}
