//! Damage costs what is damaged, and nothing else.

use std::time::Duration;

use super::fake::{FakeDisk, Fault};
use super::harness::{
    CURSORS, append, deliver, directory, drain, left, number, numbers, open, options, payload,
};
use crate::queue::{Durability, Options, QueueError};

const LENGTH: usize = 40;

/// Bytes of a record: header, number, filler.
const RECORD: usize = 32 + 8 + LENGTH;

/// One segment with five records, closed.
fn five() -> FakeDisk {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..5, LENGTH);
    log.close().unwrap();
    disk
}

fn change(disk: &FakeDisk, at: usize) {
    let (path, content) = disk.files(".segment").remove(0);
    assert_eq!(content.len(), 5 * RECORD);
    disk.damage(&path, |content| content[at] ^= 0x10);
}

/// Guarantees: whichever byte of a record is changed, all other records are delivered, and the damage is counted
/// once, however many cursors meet it.
#[test]
fn a_changed_byte_costs_its_record() {
    for at in 2 * RECORD..3 * RECORD {
        let disk = five();
        change(&disk, at);
        let (log, recovery) = open(&disk, options());
        assert_eq!(recovery.damaged_bytes, RECORD as u64, "byte {at}");
        for cursor in CURSORS {
            assert_eq!(left(&log, cursor), [0, 1, 3, 4], "byte {at}");
        }
        let stats = log.stats();
        assert_eq!((stats.damaged_records, stats.damaged_bytes), (1, RECORD as u64));
        assert!(stats.cursors.iter().all(|cursor| cursor.damaged_records == 1));
        let aside = disk.files(".bin");
        assert_eq!(aside.len(), 1);
        assert_eq!(aside[0].1.len(), RECORD);
    }
}

/// Guarantees: the same, where the damage is met while delivering: in a segment that is not read at start.
#[test]
fn damage_in_an_old_segment_is_met_when_it_is_delivered() {
    let disk = five();
    let (log, _) = open(&disk, options());
    append(&log, 5..6, LENGTH);
    log.close().unwrap();
    change(&disk, 2 * RECORD + 40);
    let (log, recovery) = open(&disk, options());
    assert_eq!(recovery.damaged_bytes, 0);
    assert_eq!(left(&log, CURSORS[0]), [0, 1, 3, 4, 5]);
    assert_eq!(log.stats().damaged_records, 1);
    assert_eq!(disk.files(".bin").len(), 1);
}

/// Guarantees: a record that was acknowledged is not delivered again because the one before it is damaged, in its
/// header or its payload.
#[test]
fn what_follows_damage_is_not_delivered_again() {
    for at in [2 * RECORD + 5, 2 * RECORD + 40] {
        let disk = five();
        let (log, _) = open(&disk, options());
        let mut reader = log.reader(CURSORS[0]).unwrap();
        let records = drain(&mut reader);
        reader.acker().ack_range(records[3].position..=records[3].position);
        log.close().unwrap();
        change(&disk, at);
        let (log, _) = open(&disk, options());
        assert_eq!(left(&log, CURSORS[0]), [0, 1, 4]);
    }
}

/// Guarantees: whatever the last record is cut to, the others are kept, the rest is cut off, and the next record
/// is delivered after them.
#[test]
fn a_torn_tail_is_cut() {
    for kept in 0..RECORD {
        let disk = five();
        let (path, _) = disk.files(".segment").remove(0);
        disk.damage(&path, |content| content.truncate(4 * RECORD + kept));
        let (log, recovery) = open(&disk, options());
        assert_eq!(recovery.torn_bytes, kept as u64);
        assert_eq!(disk.files(".segment")[0].1.len(), 4 * RECORD);
        append(&log, 9..10, LENGTH);
        assert_eq!(left(&log, CURSORS[0]), [0, 1, 2, 3, 9]);
        assert_eq!(log.stats().damaged_records, 0);
    }
}

/// Guarantees: a last record whose header is damaged is no unfinished write: it is counted as damaged, once, unless it
/// was delivered; and its number is not given again.
#[test]
fn a_rotten_tail_is_counted() {
    for at in 4 * RECORD..4 * RECORD + 32 {
        let disk = five();
        let (log, _) = open(&disk, options());
        let mut reader = log.reader(CURSORS[1]).unwrap();
        let last = drain(&mut reader).remove(4);
        reader.acker().ack(last.position);
        log.close().unwrap();
        change(&disk, at);
        let (log, recovery) = open(&disk, options());
        assert_eq!((recovery.torn_bytes, recovery.damaged_bytes), (0, RECORD as u64), "byte {at}");
        append(&log, 9..10, LENGTH);
        for cursor in CURSORS {
            assert_eq!(left(&log, cursor), [0, 1, 2, 3, 9]);
        }
        let stats = log.stats();
        let damaged: Vec<_> = stats.cursors.iter().map(|cursor| cursor.damaged_records).collect();
        assert_eq!((stats.damaged_records, damaged), (1, vec![1, 0]));
        assert_eq!(disk.files(".bin")[0].1.len(), RECORD);
        log.close().unwrap();
        let (log, _) = open(&disk, options());
        assert_eq!(left(&log, CURSORS[0]), [0, 1, 2, 3, 9]);
        assert_eq!(log.stats().damaged_records, 0);
    }
}

/// Guarantees: a payload that is itself a record of some log is never taken for one, even if its own header is
/// damaged: a client cannot plant records.
#[test]
fn a_record_in_a_payload_is_no_record() {
    let planted = five().files(".segment").remove(0).1;
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    log.append(planted.into()).wait().unwrap();
    append(&log, 7..8, LENGTH);
    log.close().unwrap();
    let (path, _) = disk.files(".segment").remove(0);
    disk.damage(&path, |content| content[5] ^= 1);
    let (log, _) = open(&disk, options());
    assert_eq!(left(&log, CURSORS[0]), [7]);
}

/// Guarantees: segments that are gone, empty or nonsense cost their records.
#[test]
fn lost_segments_cost_their_records() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, Options { segment_bytes: 1, ..options() });
    append(&log, 0..6, LENGTH);
    log.close().unwrap();
    let segments = disk.files(".segment");
    assert_eq!(segments.len(), 6);
    disk.delete(&segments[1].0);
    disk.damage(&segments[2].0, Vec::clear);
    disk.damage(&segments[3].0, |content| content.fill(0xF6));
    disk.put(&directory().join("notes.txt"), b"not ours".to_vec());
    let (log, _) = open(&disk, options());
    assert_eq!(left(&log, CURSORS[0]), [0, 4, 5]);
    assert_eq!(log.stats().damaged_records, 3);
}

/// Guarantees: a write whose remains could not be cut off is not delivered in place of what came after it.
#[test]
fn remains_of_a_failed_write_are_passed_over() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..1, LENGTH);
    // The write works; its sync, the cut, and the file for the second attempt fail.
    disk.fail_after(1, 3, Fault::Error(std::io::ErrorKind::Other));
    let refused = log.append(payload(1, LENGTH)).wait();
    assert!(matches!(refused, Err(QueueError::Write { .. })));
    append(&log, 2..4, LENGTH);
    log.close().unwrap();
    let (path, content) = disk.files(".segment").remove(0);
    assert_eq!(content.len(), 2 * RECORD, "the remains are there");
    let (log, _) = open(&disk, options());
    assert_eq!(left(&log, CURSORS[0]), [0, 2, 3]);
    // Not even if the record before them is damaged.
    disk.damage(&path, |content| content[0] ^= 1);
    assert_eq!(left(&log, CURSORS[0]), [2, 3]);
}

/// Guarantees: a cursor without its file delivers everything again; the other one does not.
#[test]
fn a_damaged_cursor_file_means_delivery_again() {
    let disk = five();
    let (log, _) = open(&disk, options());
    deliver(&log, CURSORS[0]);
    let mut reader = log.reader(CURSORS[1]).unwrap();
    let first = reader.next().unwrap().unwrap();
    reader.acker().ack(first.position);
    log.close().unwrap();
    let files = disk.files(".cursor");
    assert_eq!(files.len(), 2);
    disk.damage(&files[0].0, |content| content[10] ^= 1);
    let (log, recovery) = open(&disk, options());
    assert_eq!(recovery.reset_cursors, [CURSORS[0]]);
    assert_eq!(left(&log, CURSORS[0]), [0, 1, 2, 3, 4]);
    assert_eq!(left(&log, CURSORS[1]), [1, 2, 3, 4]);
}

/// Guarantees: what the medium does not give is reported for a while, then passed over.
#[test]
fn an_unreadable_place_is_passed_over_in_the_end() {
    let disk = FakeDisk::default();
    let options = Options { segment_bytes: 1 << 20, ..options() };
    let (log, _) = open(&disk, options.clone());
    append(&log, 0..5, 8192 - 40);
    let mut reader = log.reader(CURSORS[0]).unwrap();
    disk.make_unreadable(Some(2 * 8192 + 100..2 * 8192 + 101));
    assert_eq!(number(&reader.next().unwrap().unwrap().payload), 0);
    assert_eq!(number(&reader.next().unwrap().unwrap().payload), 1);
    assert!(matches!(reader.next(), Err(QueueError::Read { .. })));
    assert!(matches!(reader.next(), Err(QueueError::Read { .. })));
    disk.advance(options.read_patience);
    assert_eq!(numbers(&drain(&mut reader)), [3, 4]);
    assert_eq!(log.stats().damaged_records, 1);
}

/// Guarantees: a passing failure to read costs nothing, at start either.
#[test]
fn a_place_that_can_be_read_again_costs_nothing() {
    let disk = five();
    disk.make_unreadable(Some(0..1));
    let (log, _) = open(&disk, Options { durability: Durability::Written, ..options() });
    let mut reader = log.reader(CURSORS[0]).unwrap();
    assert!(reader.next().is_err());
    disk.advance(Duration::from_secs(1));
    append(&log, 5..6, LENGTH);
    disk.make_unreadable(None);
    assert_eq!(numbers(&drain(&mut reader)), [0, 1, 2, 3, 4, 5]);
}
