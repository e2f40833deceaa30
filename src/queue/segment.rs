//! A segment: consecutive records in one file, the unit in which space is freed.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::ops::Range;

use bytes::Bytes;

use super::record::SEQUENCE_LIMIT;
use super::sequences::Sequences;

/// The identity of a segment's file: its first sequence, and a tag that no other file of the log has.
///
/// The file holds the sequences from `base` up to the base of the next segment, or fewer if segments between them were
/// deleted. Whatever else is in it is left over from a write that failed, and is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentId {
    /// The first sequence.
    pub(super) base: u64,
    /// Which file of the log it is, counted from 1, in the upper half; the lower half is random.
    pub(super) tag: u64,
}

impl SegmentId {
    /// The identity of the file that is made after `generation` others.
    pub(super) fn new(base: u64, generation: u32) -> Self {
        let random = std::hash::RandomState::new().hash_one(base) & u64::from(u32::MAX);
        Self { base, tag: u64::from(generation) << 32 | random }
    }

    /// Which file of the log it is.
    pub(super) fn generation(self) -> u32 {
        (self.tag >> 32) as u32
    }

    /// The name of the file. Sorts as the segments do.
    pub(super) fn file_name(self) -> String {
        format!("{:020}-{:016x}.segment", self.base, self.tag)
    }

    /// The identity in the name of a file, if it is a segment's.
    pub(super) fn parse(file_name: &str) -> Option<Self> {
        let (base, tag) = file_name.strip_suffix(".segment")?.split_once('-')?;
        let id = Self { base: base.parse().ok()?, tag: u64::from_str_radix(tag, 16).ok()? };
        // Another spelling of the same numbers is another file.
        (id.file_name() == file_name && id.base < SEQUENCE_LIMIT).then_some(id)
    }
}

/// Where the records of a segment are.
#[derive(Debug)]
pub(super) enum Body {
    /// In the file of that name.
    File,
    /// In memory: when each was appended, and its payload.
    Memory(Vec<(u64, Bytes)>),
}

/// What is known of a segment without reading it.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    /// One past its last sequence.
    pub(super) end: u64,
    /// Bytes that may be read.
    pub(super) bytes: u64,
    /// When its first and its last record were appended, in milliseconds since the Unix epoch.
    pub(super) times: (u64, u64),
    pub(super) body: Body,
    /// Sequences that were found missing.
    pub(super) lost: Sequences,
    /// Offsets at which damage was found.
    pub(super) damage: BTreeSet<u64>,
}

impl Segment {
    /// An empty segment.
    pub(super) fn new(id: SegmentId, body: Body, now: u64) -> Self {
        Self {
            id,
            end: id.base,
            bytes: 0,
            times: (now, now),
            body,
            lost: Sequences::default(),
            damage: BTreeSet::new(),
        }
    }

    /// Its sequences.
    pub(super) fn sequences(&self) -> Range<u64> {
        self.id.base..self.end
    }

    /// How many records it has, damaged ones included.
    pub(super) fn records(&self) -> u64 {
        self.end - self.id.base
    }

    /// Whether it has no file.
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.body, Body::Memory(_))
    }

    /// Takes note of records that were added.
    pub(super) fn grow(&mut self, records: u64, bytes: u64, first_time: u64, last_time: u64) {
        if self.records() == 0 {
            self.times.0 = first_time;
        }
        self.times.1 = last_time;
        self.end += records;
        self.bytes += bytes;
    }

    /// The bytes of some of its records: exact for none and for all, else by their average.
    pub(super) fn bytes_of(&self, records: u64) -> u64 {
        let share = u128::from(self.bytes) * u128::from(records) / u128::from(self.records().max(1));
        u64::try_from(share).unwrap_or(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_read_as_it_was_written() {
        let id = SegmentId::new(42, 7);
        assert_eq!(id.generation(), 7);
        assert_eq!(SegmentId::parse(&id.file_name()), Some(id));
    }

    #[test]
    fn other_files_are_no_segments() {
        for name in ["lock", "1-1.segment", "a.cursor", "00000000000000000042-zz.segment", "-.segment"] {
            assert_eq!(SegmentId::parse(name), None, "{name}");
        }
    }
}
