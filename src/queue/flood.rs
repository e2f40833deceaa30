//! Log lines that a bad disk would repeat for each of its failures: the first is said, then sums.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The shortest time between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// What there is to say of one kind.
#[derive(Debug, Default)]
pub(super) struct Flood(Mutex<Unsaid>);

#[derive(Debug, Default)]
struct Unsaid {
    said: Option<Instant>,
    count: u64,
}

/// The kinds of lines that are held back.
#[derive(Debug, Default)]
pub(super) struct Floods {
    /// Batches could not be written.
    pub(super) write: Flood,
    /// A cursor could not be persisted.
    pub(super) persist: Flood,
    /// A segment could not be deleted.
    pub(super) delete: Flood,
    /// What is lost with a segment could not be read.
    pub(super) weigh: Flood,
    /// Damage was found.
    pub(super) damage: Flood,
}

impl Flood {
    /// It happened so often more; how often there is to say now, if a line is due.
    pub(super) fn due(&self, count: u64) -> Option<u64> {
        self.due_at(count, Instant::now())
    }

    fn due_at(&self, count: u64, now: Instant) -> Option<u64> {
        let mut unsaid = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unsaid.count += count;
        if unsaid.said.is_some_and(|said| now.duration_since(said) < EVERY) {
            return None;
        }
        unsaid.said = Some(now);
        Some(std::mem::take(&mut unsaid.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_and_then_sums() {
        let (flood, start) = (Flood::default(), Instant::now());
        assert_eq!(flood.due_at(2, start), Some(2));
        assert_eq!(flood.due_at(3, start + Duration::from_secs(1)), None);
        assert_eq!(flood.due_at(4, start + Duration::from_secs(9)), None);
        assert_eq!(flood.due_at(1, start + EVERY), Some(8));
        assert_eq!(flood.due_at(1, start + EVERY), None);
    }
}
