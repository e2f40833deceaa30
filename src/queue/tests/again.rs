//! A record is read again while nobody has acknowledged it.

use super::fake::FakeDisk;
use super::harness::{CURSORS, append, both, directory, drain, open, options};
use crate::queue::{Log, Options, QueueError, Record, WhenFull};

/// A log, and its first records as its reader has them.
fn read(count: u64, options: Options) -> (FakeDisk, Log, Vec<Record>) {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options);
    append(&log, 0..count, 100);
    let records = drain(&mut log.reader(CURSORS[0]).unwrap());
    assert_eq!(records.len() as u64, count);
    (disk, log, records)
}

#[test]
fn a_record_is_read_again_as_it_was_while_the_log_goes_on() {
    for (_, log) in both(&options()) {
        append(&log, 0..40, 100);
        let records = drain(&mut log.reader(CURSORS[0]).unwrap());
        append(&log, 40..80, 100);
        log.upkeep().unwrap();
        assert_eq!(records.len(), 40);
        for record in records.iter().rev() {
            assert_eq!(log.read_again(&record.origin).unwrap(), record.payload);
        }
    }
}

#[test]
fn a_record_that_is_damaged_meanwhile_is_not_given() {
    let (disk, log, records) = read(3, options());
    let (path, content) = disk.files(".segment").remove(0);
    let record_bytes = content.len() / 3;
    for at in record_bytes..2 * record_bytes {
        disk.damage(&path, |content| content[at] ^= 0x10);
        let again = log.read_again(&records[1].origin);
        assert!(matches!(again, Err(QueueError::Damaged { .. })), "byte {at}: {again:?}");
        disk.damage(&path, |content| content[at] ^= 0x10);
    }
    for record in &records {
        assert_eq!(log.read_again(&record.origin).unwrap(), record.payload);
    }
}

#[test]
fn a_record_whose_file_was_deleted_is_gone() {
    let (disk, log, records) = read(1, options());
    let name = disk.files(".segment").remove(0).0;
    crate::queue::Disk::remove(&disk, &directory().join(&name)).unwrap();
    let error = log.read_again(&records[0].origin).unwrap_err();
    assert!(matches!(error, QueueError::Gone { .. }), "{error}");
}

#[test]
fn a_record_that_a_limit_took_is_gone() {
    let options = Options { when_full: WhenFull::DropOldest, max_bytes: 4_000, ..options() };
    let (_disk, log, records) = read(1, options);
    append(&log, 1..100, 100);
    log.upkeep().unwrap();
    let error = log.read_again(&records[0].origin).unwrap_err();
    assert!(matches!(error, QueueError::Gone { .. }), "{error}");
}
