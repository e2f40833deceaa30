//! Lines for the log about spans that are not written: at once, and then once in a while.

use std::time::{Duration, Instant};

/// The shortest time between two lines about the same kind of trouble.
const INTERVAL: Duration = Duration::from_secs(60);

/// What has been said, and what is still to be said.
#[derive(Debug, Default)]
pub(super) struct Report {
    lost: Counter,
    refused: Counter,
    failing: Counter,
}

#[derive(Debug, Default)]
struct Counter {
    said: Option<Instant>,
    unsaid: usize,
    reason: String,
}

impl Counter {
    /// Adds to the count; gives it when it is time for a line.
    fn add(&mut self, spans: usize, reason: &str) -> Option<usize> {
        if spans == 0 {
            return None;
        }
        self.unsaid += spans;
        reason.clone_into(&mut self.reason);
        if self.said.is_some_and(|said| said.elapsed() < INTERVAL) {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

impl Report {
    pub(super) fn lost(&mut self, spans: usize, reason: &str) -> Option<String> {
        self.lost.add(spans, reason).map(|spans| lost_line(spans, reason))
    }

    pub(super) fn refused(&mut self, spans: usize, reason: Option<&str>) -> Option<String> {
        let reason = reason.unwrap_or("no reason given");
        let spans = self.refused.add(spans, reason)?;
        Some(format!("{spans} spans cannot be stored by MLflow and are left out: {reason}"))
    }

    pub(super) fn failing(&mut self, waiting: usize, reason: &str) -> Option<String> {
        self.failing.add(waiting.max(1), reason)?;
        Some(format!("{waiting} spans wait for MLflow and are tried again: {reason}"))
    }

    /// What has not been said when everything ends.
    pub(super) fn rest(&mut self) -> Option<String> {
        let spans = std::mem::take(&mut self.lost.unsaid);
        (spans > 0).then(|| lost_line(spans, &self.lost.reason))
    }
}

fn lost_line(spans: usize, reason: &str) -> String {
    format!("{spans} spans could not be written to MLflow and are lost: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_loss_is_said_at_once_and_the_others_together() {
        let mut report = Report::default();
        assert!(report.lost(2, "down").unwrap().starts_with("2 spans"));
        assert_eq!(report.lost(3, "down"), None);
        assert_eq!(report.lost(4, "gone"), None);
        let rest = report.rest().unwrap();
        assert!(rest.starts_with("7 spans") && rest.ends_with("gone"), "{rest}");
        assert_eq!(report.rest(), None);
        assert_eq!(report.refused(0, None), None);
    }
}
