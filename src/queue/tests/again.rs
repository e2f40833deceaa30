//! A record is read again while nobody has acknowledged it.

use super::fake::FakeDisk;
use super::harness::{CURSORS, append, both, directory, drain, open, options};
use crate::queue::QueueError;

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
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..3, 100);
    let records = drain(&mut log.reader(CURSORS[0]).unwrap());
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
fn a_record_whose_file_is_gone_is_an_error_that_names_it() {
    let disk = FakeDisk::default();
    let (log, _) = open(&disk, options());
    append(&log, 0..1, 100);
    let records = drain(&mut log.reader(CURSORS[0]).unwrap());
    let name = disk.files(".segment").remove(0).0;
    crate::queue::Disk::remove(&disk, &directory().join(&name)).unwrap();
    let error = log.read_again(&records[0].origin).unwrap_err();
    assert!(error.to_string().contains(".segment"), "{error}");
}
