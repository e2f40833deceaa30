//! A log on a fake disk beside a plain model of what it owes.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::fake::{FakeDisk, Restart};
use crate::queue::{Log, Options, Position, QueueError, Reader, Record, Recovery, WEIGHED_BYTES, WhenFull};

pub(super) const CURSORS: [&str; 2] = ["mlflow", "otlp/backup"];

pub(super) fn directory() -> &'static Path {
    Path::new("/queue")
}

/// Small segments, so that a few records fill some; upkeep only when told to.
pub(super) fn options() -> Options {
    Options {
        cursors: CURSORS.map(str::to_owned).to_vec(),
        segment_bytes: 600,
        max_bytes: 1 << 20,
        upkeep_interval: Duration::from_secs(3600),
        when_full: WhenFull::Refuse,
        weigh,
        ..Options::default()
    }
}

/// A record weighs its number.
fn weigh(head: &[u8], length: usize) -> u64 {
    assert!(head.len() <= WEIGHED_BYTES.min(length));
    head.first_chunk().map_or(0, |bytes| (u64::from_le_bytes(*bytes) ^ MARK) & 0xFFFF)
}

/// Keeps a payload from being found in a file where it is not.
const MARK: u64 = 0x5A17_C3E4_9B2D_F086;

/// The payload of a record: its number, and bytes that follow from it.
pub(super) fn payload(number: u64, length: usize) -> Bytes {
    let filler = (0..length).map(|at| (number as usize * 31 + at * 7) as u8);
    let marked = number ^ MARK;
    marked.to_le_bytes().into_iter().chain(filler).collect()
}

/// The number in a payload, which must be as it was appended.
pub(super) fn number(payload: &Bytes) -> u64 {
    let number = u64::from_le_bytes(payload[..8].try_into().unwrap()) ^ MARK;
    assert_eq!(*payload, self::payload(number, payload.len() - 8), "a record differs from what was appended");
    number
}

/// Opens a log on a disk that is well.
pub(super) fn open(disk: &FakeDisk, options: Options) -> (Log, Recovery) {
    Log::open(directory(), options, disk.clone()).unwrap()
}

/// The same log in files and in memory.
pub(super) fn both(options: &Options) -> [(FakeDisk, Log); 2] {
    let (files, memory) = (FakeDisk::default(), FakeDisk::default());
    let in_files = open(&files, options.clone()).0;
    let in_memory = Log::memory_with_clock(options.clone(), memory.clone()).unwrap();
    [(files, in_files), (memory, in_memory)]
}

/// Appends records with these numbers, all of one length.
pub(super) fn append(log: &Log, numbers: std::ops::Range<u64>, length: usize) {
    for number in numbers {
        log.append(payload(number, length)).wait().unwrap();
    }
}

/// The numbers that a cursor has to deliver.
pub(super) fn left(log: &Log, cursor: &str) -> Vec<u64> {
    numbers(&drain(&mut log.reader(cursor).unwrap()))
}

/// Delivers everything to a cursor.
pub(super) fn deliver(log: &Log, cursor: &str) -> Vec<u64> {
    let mut reader = log.reader(cursor).unwrap();
    let records = drain(&mut reader);
    for record in &records {
        reader.acker().ack(record.position);
    }
    numbers(&records)
}

/// All that a reader has to give.
pub(super) fn drain(reader: &mut Reader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

pub(super) fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| number(&record.payload)).collect()
}

/// The sides of the comparison.
pub(super) struct Harness {
    pub(super) disk: FakeDisk,
    pub(super) options: Options,
    log: Option<Log>,
    appended: Vec<Appended>,
    cursors: [Cursor; 2],
}

struct Appended {
    payload: Bytes,
    /// The log said that it is on the medium.
    promised: bool,
    /// The test damaged it.
    damaged: bool,
}

#[derive(Default)]
struct Cursor {
    reader: Option<Reader>,
    /// Handed out by this reader.
    handed_out: Vec<(Position, u64)>,
    /// Acknowledged at any time.
    acked: BTreeSet<u64>,
    /// Acknowledged, as far as the log knows since it was opened.
    known: BTreeSet<u64>,
    /// Acknowledged, and the log said that it is persisted.
    persisted: BTreeSet<u64>,
}

impl Harness {
    pub(super) fn new(options: Options) -> Self {
        let disk = FakeDisk::default();
        Self { disk, options, log: None, appended: Vec::new(), cursors: Default::default() }
    }

    /// Opens the log; `false` if the disk died of it.
    pub(super) fn open(&mut self) -> bool {
        match Log::open(directory(), self.options.clone(), self.disk.clone()) {
            Ok((log, _)) => {
                self.log = Some(log);
                true
            }
            Err(error) => {
                assert!(self.disk.crashed(), "damage prevents start: {error}");
                false
            }
        }
    }

    pub(super) fn append(&mut self, length: usize) {
        let Some(log) = &self.log else { return };
        let payload = payload(self.appended.len() as u64, length);
        let outcome = log.append(payload.clone()).wait();
        if let Err(error) = &outcome {
            assert!(error.retry_after().is_some(), "{error}");
        }
        self.appended.push(Appended { payload, promised: outcome.is_ok(), damaged: false });
    }

    pub(super) fn read(&mut self, cursor: usize) {
        let Some(log) = &self.log else { return };
        let Cursor { reader, handed_out, persisted, .. } = &mut self.cursors[cursor];
        let reader = reader.get_or_insert_with(|| log.reader(CURSORS[cursor]).unwrap());
        match reader.next() {
            Ok(Some(record)) => {
                let number = number(&record.payload);
                let last = handed_out.last();
                assert!(last.is_none_or(|(_, last)| *last < number), "out of order");
                assert!(last.is_none_or(|(last, _)| *last < record.position), "out of order");
                assert!(!persisted.contains(&number), "delivered though acknowledged");
                handed_out.push((record.position, number));
            }
            Ok(None) => {}
            Err(error) => assert!(matches!(error, QueueError::Read { .. }) && self.disk.crashed(), "{error}"),
        }
    }

    /// Acknowledges some of what was handed out.
    pub(super) fn ack(&mut self, cursor: usize, from: usize, count: usize) {
        let Cursor { reader: Some(reader), handed_out, acked, known, .. } = &mut self.cursors[cursor] else {
            return;
        };
        let from = if handed_out.is_empty() { return } else { from % handed_out.len() };
        let some = &handed_out[from..(from + count.max(1)).min(handed_out.len())];
        acked.extend(some.iter().map(|(_, number)| number));
        known.extend(some.iter().map(|(_, number)| number));
        reader.acker().ack_range(some[0].0..=some[some.len() - 1].0);
    }

    /// Reads and acknowledges all that is there.
    pub(super) fn deliver(&mut self, cursor: usize) {
        self.read_all(cursor);
        self.ack(cursor, 0, self.cursors[cursor].handed_out.len());
    }

    fn read_all(&mut self, cursor: usize) {
        let mut before = None;
        while before != Some(self.cursors[cursor].handed_out.len()) {
            before = Some(self.cursors[cursor].handed_out.len());
            self.read(cursor);
        }
    }

    /// Reads all that is there, and has every cursor acknowledge all but one of it, the same for each as far as they
    /// are as far.
    pub(super) fn deliver_all_but(&mut self, kept: usize) {
        for cursor in 0..CURSORS.len() {
            self.read_all(cursor);
            let count = self.cursors[cursor].handed_out.len();
            let kept = kept % count.max(1);
            if kept > 0 {
                self.ack(cursor, 0, kept);
            }
            if kept + 1 < count {
                self.ack(cursor, kept + 1, count);
            }
        }
        self.upkeep();
    }

    pub(super) fn upkeep(&mut self) {
        let Some(log) = &self.log else { return };
        if log.upkeep().is_ok() {
            self.note_persisted();
        }
    }

    fn note_persisted(&mut self) {
        for cursor in &mut self.cursors {
            cursor.persisted = cursor.known.clone();
        }
    }

    fn drop_readers(&mut self) {
        for cursor in &mut self.cursors {
            cursor.reader = None;
            cursor.handed_out.clear();
        }
    }

    /// Closes and opens the log, and compares.
    pub(super) fn reopen(&mut self) {
        self.drop_readers();
        if let Some(log) = self.log.take()
            && log.close().is_ok()
        {
            self.note_persisted();
        }
        for cursor in &mut self.cursors {
            cursor.known = cursor.persisted.clone();
        }
        if !self.disk.crashed() {
            self.disk.heal();
        }
        if self.open() {
            self.check();
        }
    }

    /// The disk dies, if it has not yet; starts again, and compares.
    pub(super) fn restart(&mut self, restart: Restart) {
        self.die();
        self.disk.restart(restart);
        assert!(self.open());
        self.check();
    }

    fn die(&mut self) {
        self.disk.crash();
        self.drop_readers();
        drop(self.log.take());
        for cursor in &mut self.cursors {
            cursor.known = cursor.persisted.clone();
        }
    }

    /// Changes a bit of a segment, and notes which records that may cost.
    pub(super) fn damage(&mut self, which: usize, at: usize, mask: u8) {
        let segments = self.disk.files(".segment");
        let Some((path, content)) = segments.get(which % segments.len().max(1)) else { return };
        if content.is_empty() {
            return;
        }
        let at = at % content.len();
        for record in &mut self.appended {
            let found = content.windows(record.payload.len()).position(|part| part == record.payload);
            if let Some(start) = found {
                record.damaged |= (start - 32..start + record.payload.len()).contains(&at);
            }
        }
        self.disk.damage(path, |content| {
            if let Some(byte) = content.get_mut(at) {
                *byte ^= mask.max(1);
            }
        });
    }

    /// The process is killed, and finds the file of a cursor damaged.
    pub(super) fn lose_cursor(&mut self, cursor: usize) {
        self.die();
        for (path, _) in self.disk.files(".cursor") {
            if path.to_str().unwrap().contains(&CURSORS[cursor][..4]) {
                self.disk.damage(&path, |content| content.truncate(9));
                self.cursors[cursor].persisted.clear();
                self.cursors[cursor].known.clear();
            }
        }
        self.restart(Restart::Killed);
    }

    /// Compares what every cursor has to deliver with what it should: all that was promised and not acknowledged,
    /// in order, unchanged, and nothing that was persisted as acknowledged.
    pub(super) fn check(&mut self) {
        self.drop_readers();
        let Some(log) = &self.log else { return };
        for (name, cursor) in CURSORS.into_iter().zip(&self.cursors) {
            let delivered = numbers(&drain(&mut log.reader(name).unwrap()));
            assert!(delivered.is_sorted_by(|one, other| one < other), "{name}: out of order: {delivered:?}");
            let delivered: BTreeSet<_> = delivered.into_iter().collect();
            for (number, appended) in (0..).zip(&self.appended) {
                let owed = appended.promised && !appended.damaged && !cursor.acked.contains(&number);
                assert!(!owed || delivered.contains(&number), "{name}: lost record {number}");
            }
            let again: Vec<_> = delivered.intersection(&cursor.persisted).collect();
            assert!(again.is_empty(), "{name}: delivered though acknowledged: {again:?}");
        }
    }
}
