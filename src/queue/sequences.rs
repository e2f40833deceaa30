//! A set of sequences, kept as ranges: what a cursor acknowledged is nearly always one.

use std::collections::BTreeMap;
use std::ops::Range;

/// Sequences as ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sequences(BTreeMap<u64, u64>);

impl Sequences {
    /// Adds a range; returns how many of it are new.
    pub(super) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let new = range.end - range.start - self.count(range.clone());
        let Range { mut start, mut end } = range;
        if let Some((&before, &its_end)) = self.0.range(..=start).next_back()
            && its_end >= start
        {
            start = before;
            end = end.max(its_end);
        }
        while let Some((&inside, &its_end)) = self.0.range(start..=end).next() {
            self.0.remove(&inside);
            end = end.max(its_end);
        }
        self.0.insert(start, end);
        new
    }

    /// Whether a sequence is in.
    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.0.range(..=sequence).next_back().is_some_and(|(_, &end)| end > sequence)
    }

    /// The first sequence from `from` on that is not in.
    pub(super) fn first_missing(&self, from: u64) -> u64 {
        match self.0.range(..=from).next_back() {
            Some((_, &end)) if end > from => end,
            _ => from,
        }
    }

    /// Where the range begins that has the last sequence before `end`; `end` if that one is not in.
    pub(super) fn start_of_run(&self, end: u64) -> u64 {
        match self.0.range(..end).next_back() {
            Some((&start, &its_end)) if its_end >= end => start,
            _ => end,
        }
    }

    /// How many of a range are in.
    pub(super) fn count(&self, range: Range<u64>) -> u64 {
        let before = self.0.range(..range.start).next_back();
        let inside = self.0.range(range.clone());
        before
            .into_iter()
            .chain(inside)
            .map(|(&start, &end)| end.min(range.end).saturating_sub(start.max(range.start)))
            .sum()
    }

    /// The parts of a range that are not in.
    pub(super) fn missing(&self, range: Range<u64>) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        let mut from = self.first_missing(range.start);
        while from < range.end {
            let next = self.0.range(from..range.end).next().map_or(range.end, |(&start, _)| start);
            missing.push(from..next);
            from = self.first_missing(next);
        }
        missing
    }

    /// One past the last sequence that is in; 0 if none is.
    pub(super) fn end(&self) -> u64 {
        self.0.last_key_value().map_or(0, |(_, &end)| end)
    }

    /// The ranges, in order.
    pub(super) fn ranges(&self) -> impl ExactSizeIterator<Item = Range<u64>> {
        self.0.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Guarantees: the set is the same as a plain one, and its ranges never touch.
        #[test]
        fn it_is_a_set(inserted in prop::collection::vec((0_u64..60, 0_u64..8), 0..40), probe in 0_u64..70) {
            let mut sequences = Sequences::default();
            let mut plain = BTreeSet::new();
            for (start, length) in inserted {
                let before = plain.len();
                plain.extend(start..start + length);
                let new = sequences.insert(start..start + length);
                prop_assert_eq!(new, (plain.len() - before) as u64);
            }
            prop_assert_eq!(sequences.contains(probe), plain.contains(&probe));
            prop_assert_eq!(sequences.first_missing(probe), (probe..).find(|at| !plain.contains(at)).unwrap());
            let before = (0..probe).rev().find(|at| !plain.contains(at));
            prop_assert_eq!(sequences.start_of_run(probe), before.map_or(0, |at| at + 1));
            prop_assert_eq!(sequences.count(probe..probe + 9), plain.range(probe..probe + 9).count() as u64);
            let missing: Vec<u64> = sequences.missing(probe..probe + 9).into_iter().flatten().collect();
            prop_assert_eq!(missing, (probe..probe + 9).filter(|at| !plain.contains(at)).collect::<Vec<_>>());
            prop_assert_eq!(sequences.end(), plain.last().map_or(0, |last| last + 1));
            let ranges: Vec<_> = sequences.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end < pair[1].start));
        }
    }
}
