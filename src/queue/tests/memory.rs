//! A log in memory lets go of what is not needed by itself: it has no thread for that.

use std::time::Duration;

use super::fake::FakeDisk;
use super::harness::{CURSORS, append, deliver, drain, options};
use crate::queue::{Log, Options, Stats, WhenFull};

fn memory(options: Options) -> (FakeDisk, Log) {
    let disk = FakeDisk::default();
    let log = Log::memory_with_clock(options, disk.clone()).unwrap();
    (disk, log)
}

/// The figures as they stand, without the look at ages that asking for them is.
fn held(log: &Log) -> Stats {
    log.figures()
}

/// Guarantees: what every cursor acknowledged is not held, however little it is, and whoever asks for nothing else.
#[test]
fn what_is_delivered_is_not_held() {
    for when_full in [WhenFull::Refuse, WhenFull::DropOldest] {
        let (_, log) = memory(Options { max_bytes: 1000, when_full, ..options() });
        for round in 0..100 {
            append(&log, round * 3..round * 3 + 3, 60);
            assert_eq!(deliver(&log, CURSORS[0]).len(), 3);
            assert_eq!(held(&log).bytes, 300, "the other cursor needs them");
            assert_eq!(deliver(&log, CURSORS[1]).len(), 3);
            assert_eq!(held(&log).bytes, 0);
        }
        assert!(log.stats().cursors.iter().all(|cursor| cursor.dropped_records == 0));
    }
}

/// Guarantees: in the default sizes, one record that is not delivered keeps little else.
#[test]
fn one_record_keeps_little_else() {
    let (_, log) = memory(Options { cursors: vec![CURSORS[0].to_owned()], ..Options::default() });
    append(&log, 0..200, 60_000);
    let mut reader = log.reader(CURSORS[0]).unwrap();
    for record in drain(&mut reader).iter().skip(1) {
        reader.acker().ack(record.position);
    }
    let held = held(&log).bytes;
    assert!(held <= 1 << 20, "{held} bytes are held for one record of 60000");
}

/// Guarantees: what is too old goes when something is appended, or the figures are asked for.
#[test]
fn what_is_too_old_is_not_held() {
    let (disk, log) = memory(Options { max_age: Some(Duration::from_secs(60)), ..options() });
    append(&log, 0..3, 60);
    disk.advance(Duration::from_secs(61));
    append(&log, 3..4, 60);
    assert_eq!(held(&log).records, 1);
    disk.advance(Duration::from_secs(61));
    assert_eq!(log.stats().records, 0);
    assert_eq!(log.stats().cursors[1].expired_records, 4);
}
