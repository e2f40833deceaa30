//! The runs that are under way: what of each is known, and when it is looked at next.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::RunsConfig;
use super::refresh::{Memory, Outcome};

/// An update may take this share of the time: a run with very many traces is updated less often.
const SHARE: u32 = 20;
/// A run is updated at least so often while spans come.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// A run that cannot be updated is given up after so many attempts.
const ATTEMPTS: u32 = 10;

/// A run under way.
#[derive(Debug)]
struct OpenRun {
    /// Spans have come since the last look.
    dirty: bool,
    /// Somebody looks at it now.
    busy: bool,
    /// It is to be ended, or was and is looked at once more.
    ends: bool,
    due: Instant,
    /// When the last change was seen.
    changed: Instant,
    cost: Duration,
    failures: u32,
    memory: Memory,
}

/// A run that is to be looked at.
pub(super) struct Job {
    pub(super) run_id: String,
    /// It has been idle for long enough to be ended.
    pub(super) ends: bool,
    pub(super) memory: Memory,
}

/// How a look ended.
pub(super) enum Looked {
    /// It succeeded.
    Done(Outcome),
    /// It may succeed later.
    Failed,
    /// There is no such run, or it is deleted.
    Gone,
    /// The run's traces belong to this one now.
    Moved(String),
}

/// The runs under way.
pub(super) struct OpenRuns {
    config: RunsConfig,
    runs: Mutex<HashMap<String, OpenRun>>,
    /// Runs that others have taken the place of; none where a run is gone for good.
    replaced: Mutex<HashMap<String, Option<String>>>,
    pub(super) wake: Notify,
    room: Notify,
}

impl OpenRuns {
    pub(super) fn new(config: RunsConfig) -> Self {
        Self {
            config,
            runs: Mutex::default(),
            replaced: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
        }
    }

    pub(super) fn config(&self) -> &RunsConfig {
        &self.config
    }

    /// Spans of the run are stored. Waits while far too many runs are open.
    pub(super) async fn touch(&self, run_id: String) {
        loop {
            let room = self.room.notified();
            if self.add(&run_id, Instant::now()) {
                self.wake.notify_one();
                return;
            }
            self.wake.notify_one();
            room.await;
        }
    }

    /// Marks a run; false if there is no room for it.
    fn add(&self, run_id: &str, now: Instant) -> bool {
        let mut runs = self.runs();
        if let Some(run) = runs.get_mut(run_id) {
            let due = now + self.interval(run.cost);
            run.due = if run.dirty { run.due.min(due) } else { due };
            (run.dirty, run.ends, run.changed) = (true, false, now);
            return true;
        }
        if runs.len() >= self.config.max_open {
            let idle = runs.values_mut().filter(|run| !run.dirty && !run.busy && !run.ends);
            if let Some(longest) = idle.min_by_key(|run| run.changed) {
                (longest.ends, longest.due) = (true, now);
            }
            if runs.len() >= self.config.max_open.saturating_mul(2) {
                return false;
            }
        }
        let run = OpenRun {
            dirty: true,
            busy: false,
            ends: false,
            due: now + self.config.flush_interval,
            changed: now,
            cost: Duration::ZERO,
            failures: 0,
            memory: Memory::default(),
        };
        runs.insert(run_id.to_owned(), run);
        true
    }

    /// A run was found open; this gateway may know it already.
    pub(super) fn adopt(&self, run_id: &str) {
        let is_known = self.runs().contains_key(run_id);
        if !is_known {
            self.add(run_id, Instant::now());
        }
    }

    /// A run of this id is used no longer: the id to use instead, if there is one; or else the id itself.
    pub(super) fn instead_of(&self, run_id: String) -> Option<String> {
        let replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.get(&run_id).cloned().unwrap_or(Some(run_id))
    }

    /// Up to `most` runs that are due; all with new spans, if `all`.
    pub(super) fn take_due(&self, most: usize, all: bool, now: Instant) -> Vec<Job> {
        let idle_timeout = self.config.idle_timeout;
        let mut runs = self.runs();
        let due = runs
            .iter_mut()
            .filter(|(_, run)| !run.busy && if all { run.dirty || run.ends } else { run.due <= now });
        let jobs = due.take(most).map(|(run_id, run)| {
            let idle = !run.dirty && now.duration_since(run.changed) >= idle_timeout;
            (run.busy, run.dirty) = (true, false);
            let memory = std::mem::take(&mut run.memory);
            Job { run_id: run_id.clone(), ends: run.ends || (idle && !all), memory }
        });
        jobs.collect()
    }

    /// When the next run is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.runs().values().filter(|run| !run.busy).map(|run| run.due).min()
    }

    /// Takes a run back.
    pub(super) fn looked(&self, job: Job, looked: Looked, took: Duration, now: Instant) {
        match looked {
            Looked::Gone => self.close(&job.run_id, Some(None)),
            Looked::Moved(to) => {
                self.close(&job.run_id, Some(Some(to.clone())));
                self.add(&to, now);
            }
            Looked::Done(outcome) if outcome.ended && !outcome.wrote && !self.is_dirty(&job.run_id) => {
                self.close(&job.run_id, None);
            }
            Looked::Done(outcome) => self.schedule(job, &outcome, took, now),
            Looked::Failed => self.try_later(job, now),
        }
    }

    fn schedule(&self, job: Job, outcome: &Outcome, took: Duration, now: Instant) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(&job.run_id) else { return };
        (run.busy, run.failures, run.cost, run.memory) = (false, 0, took, job.memory);
        if outcome.changed {
            run.changed = now;
        }
        let soon = now + self.interval(took);
        if run.dirty {
            run.due = soon;
        } else {
            // What was written is checked: another gateway may have written at the same time.
            run.due = if outcome.wrote { soon } else { run.changed + self.config.idle_timeout };
            run.ends = outcome.ended;
        }
    }

    fn try_later(&self, job: Job, now: Instant) {
        let mut runs = self.runs();
        let Some(run) = runs.get_mut(&job.run_id) else { return };
        run.failures += 1;
        if run.failures >= ATTEMPTS {
            tracing::warn!(
                run_id = job.run_id,
                "a run could not be brought up to date, and is left as it is"
            );
            runs.remove(&job.run_id);
            self.room.notify_waiters();
            return;
        }
        (run.busy, run.dirty, run.memory) = (false, true, job.memory);
        let pause = self.config.flush_interval.saturating_mul(1 << run.failures.min(10));
        run.due = now + pause.min(LONGEST_INTERVAL);
    }

    fn is_dirty(&self, run_id: &str) -> bool {
        self.runs().get(run_id).is_some_and(|run| run.dirty)
    }

    fn close(&self, run_id: &str, instead: Option<Option<String>>) {
        self.runs().remove(run_id);
        self.room.notify_waiters();
        if let Some(instead) = instead {
            let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
            if replaced.len() >= super::MAX_KNOWN {
                replaced.clear();
            }
            replaced.insert(run_id.to_owned(), instead);
        }
    }

    fn interval(&self, cost: Duration) -> Duration {
        let slow = cost.saturating_mul(SHARE).min(LONGEST_INTERVAL);
        self.config.flush_interval.max(slow)
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<String, OpenRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::runs::RunMode;

    fn open() -> OpenRuns {
        let config = RunsConfig {
            mode: RunMode::Session,
            flush_interval: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            max_open: 2,
            ..RunsConfig::default()
        };
        OpenRuns::new(config)
    }

    /// So many seconds after the start.
    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    /// Looks at all runs that are due.
    fn due(open: &OpenRuns, now: Instant) -> Vec<(String, bool)> {
        let mut found: Vec<_> = Vec::new();
        for job in open.take_due(10, false, now) {
            found.push((job.run_id.clone(), job.ends));
            open.looked(job, Looked::Done(Outcome::default()), Duration::ZERO, now);
        }
        found.sort();
        found
    }

    fn take(open: &OpenRuns, now: Instant) -> Job {
        open.take_due(1, false, now).pop().unwrap()
    }

    #[test]
    fn a_run_is_looked_at_once_for_many_spans_and_ended_when_idle() {
        let (open, start) = (open(), Instant::now());
        assert!(open.add("r", start) && open.add("r", start));
        assert_eq!(due(&open, start), []);
        assert_eq!(due(&open, at(start, 1)), [("r".to_owned(), false)]);
        assert_eq!(due(&open, at(start, 59)), []);
        assert_eq!(due(&open, at(start, 60)), [("r".to_owned(), true)]);
    }

    #[test]
    fn what_was_written_is_checked_and_an_ended_run_forgotten() {
        let (open, start) = (open(), Instant::now());
        open.add("r", start);
        let wrote = Outcome { wrote: true, ended: true, changed: false };
        open.looked(take(&open, at(start, 1)), Looked::Done(wrote), Duration::ZERO, at(start, 1));
        let job = take(&open, at(start, 2));
        assert!(job.ends);
        let rest = Outcome { ended: true, ..Outcome::default() };
        open.looked(job, Looked::Done(rest), Duration::ZERO, at(start, 2));
        assert_eq!(open.next_due(), None);
    }

    #[test]
    fn spans_that_come_during_a_look_ask_for_another() {
        let (open, start) = (open(), Instant::now());
        open.add("r", start);
        let job = take(&open, at(start, 1));
        open.add("r", at(start, 1));
        assert!(open.take_due(1, false, at(start, 9)).is_empty());
        let rest = Outcome { ended: true, ..Outcome::default() };
        open.looked(job, Looked::Done(rest), Duration::ZERO, at(start, 1));
        assert_eq!(due(&open, at(start, 2)), [("r".to_owned(), false)]);
    }

    #[test]
    fn an_expensive_run_is_looked_at_less_often() {
        let (open, start) = (open(), Instant::now());
        open.add("r", start);
        let job = take(&open, at(start, 1));
        open.looked(job, Looked::Done(Outcome::default()), Duration::from_millis(500), at(start, 1));
        open.add("r", at(start, 1));
        assert_eq!(due(&open, at(start, 10)), []);
        assert_eq!(due(&open, at(start, 11)), [("r".to_owned(), false)]);
    }

    #[test]
    fn the_run_that_was_idle_longest_makes_room_and_too_many_wait() {
        let (open, start) = (open(), Instant::now());
        for (run, seconds) in [("a", 0), ("b", 1)] {
            open.add(run, at(start, seconds));
            due(&open, at(start, seconds + 1));
        }
        assert!(open.add("c", at(start, 2)));
        assert_eq!(due(&open, at(start, 2)), [("a".to_owned(), true)]);
        assert!(open.add("d", at(start, 2)));
        assert!(!open.add("e", at(start, 2)));
    }

    #[test]
    fn a_run_that_moved_is_replaced_and_one_that_is_gone_is_not() {
        let (open, start) = (open(), Instant::now());
        open.add("loser", start);
        open.add("gone", start);
        for job in open.take_due(2, false, at(start, 1)) {
            let is_loser = job.run_id == "loser";
            let looked = if is_loser { Looked::Moved("winner".to_owned()) } else { Looked::Gone };
            open.looked(job, looked, Duration::ZERO, at(start, 1));
        }
        assert_eq!(open.instead_of("loser".to_owned()).as_deref(), Some("winner"));
        assert_eq!(open.instead_of("winner".to_owned()).as_deref(), Some("winner"));
        assert_eq!(open.instead_of("gone".to_owned()), None);
        assert_eq!(due(&open, at(start, 2)), [("winner".to_owned(), false)]);
    }

    #[test]
    fn a_failing_run_is_tried_with_growing_pauses_and_then_left() {
        let (open, start) = (open(), Instant::now());
        open.add("r", start);
        let mut looks = 0;
        for seconds in 0..1_000 {
            for job in open.take_due(1, false, at(start, seconds)) {
                looks += 1;
                open.looked(job, Looked::Failed, Duration::ZERO, at(start, seconds));
            }
        }
        assert_eq!((looks, open.next_due()), (ATTEMPTS, None));
    }
}
