//! What a limit takes while a reader has it: counted once, as lost or as delivered.

use std::time::Duration;

use super::harness::{CURSORS, append, both, drain, options};
use crate::queue::{CursorStats, Log, Options, WhenFull};

fn first(log: &Log) -> CursorStats {
    log.stats().cursors.remove(0)
}

/// Guarantees: what is dropped while it is being delivered is not wanted any more, and counted as lost when its
/// delivery ends for that; what was delivered all the same is counted as delivered; neither is counted twice.
#[test]
fn what_is_dropped_while_it_is_delivered_is_counted_once() {
    let one = CURSORS[..1].iter().map(|&name| name.to_owned()).collect();
    let options = Options { max_bytes: 1000, when_full: WhenFull::DropOldest, cursors: one, ..options() };
    for (_, log) in both(&options) {
        append(&log, 0..4, 60);
        let mut reader = log.reader(CURSORS[0]).unwrap();
        let records = drain(&mut reader);
        let acker = reader.acker();
        assert!(acker.is_wanted(records[0].position));
        append(&log, 4..14, 60);
        assert_eq!(first(&log).dropped_records, 0, "the reader still has them");
        assert!(!acker.is_wanted(records[0].position));
        assert!(!acker.is_wanted(records[0].position), "asking again changes nothing");
        assert_eq!((first(&log).dropped_records, first(&log).dropped_bytes), (1, 100));
        acker.ack(records[0].position);
        acker.ack(records[1].position);
        assert!(!acker.is_wanted(records[1].position));
        assert_eq!((first(&log).acked_records, first(&log).dropped_records), (1, 1));
        log.close().unwrap();
        acker.ack(records[3].position);
        assert_eq!((first(&log).acked_records, first(&log).dropped_records), (1, 3));
        assert_eq!((first(&log).expired_records, first(&log).dropped_bytes), (0, 300));
        assert_eq!(
            (first(&log).expired_weight, first(&log).dropped_weight),
            (0, 2 + 3),
            "0, 2 and 3 are lost"
        );
    }
}

/// Guarantees: a record is given up at its age, also while it is tried and though its segment has newer ones.
#[test]
fn what_becomes_too_old_while_it_is_delivered_is_not_wanted() {
    for (disk, log) in both(&Options { max_age: Some(Duration::from_secs(60)), outstanding: 2, ..options() })
    {
        append(&log, 0..1, 60);
        disk.advance(Duration::from_secs(40));
        append(&log, 1..3, 60);
        let mut reader = log.reader(CURSORS[0]).unwrap();
        let records = drain(&mut reader);
        disk.advance(Duration::from_secs(40));
        let wanted: Vec<_> = records.iter().map(|record| reader.acker().is_wanted(record.position)).collect();
        assert_eq!(wanted, [false, true]);
        assert_eq!((first(&log).expired_records, first(&log).dropped_records), (1, 1));
        assert!(reader.changed().wait_timeout(Duration::ZERO), "the reader may go on");
        assert_eq!(drain(&mut reader).len(), 1);
        disk.advance(Duration::from_secs(40));
        log.upkeep().unwrap();
        assert_eq!(
            first(&log).expired_records,
            1,
            "the whole segment is too old; the reader has the other two"
        );
        assert_eq!(first(&log).outstanding, 2);
        assert!(!reader.acker().is_wanted(records[1].position));
        drop(reader);
        let _next = log.reader(CURSORS[0]).unwrap();
        assert_eq!((first(&log).expired_records, first(&log).dropped_records), (3, 3));
        assert_eq!((first(&log).expired_weight, first(&log).dropped_weight), (3, 3), "0, 1 and 2 are lost");
    }
}
