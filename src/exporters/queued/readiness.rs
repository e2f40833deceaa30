//! Whether a queue does its work, and if not, why.

use std::future::Future;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::shared::Shared;
use crate::queue::Stats;
use crate::telemetry::TaskGuard;

/// The part of the room, in percent, from which on a queue is nearly full.
const NEARLY_FULL: u64 = 90;

/// How long a destination may leave every request without an answer.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// What is wrong with the files of a queue.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    /// Why the disk did not take the last request.
    append: Option<String>,
    dead_letters: Option<String>,
}

impl Troubles {
    /// The disk has taken something.
    pub(super) fn appended(&mut self) {
        self.append = None;
    }

    /// The disk has not taken a request.
    pub(super) fn not_appended(&mut self, reason: String) {
        self.append = Some(reason);
    }

    fn reason(&self) -> Option<String> {
        self.append.as_ref().or(self.dead_letters.as_ref()).cloned()
    }
}

/// Why a queue does not do its work.
enum Unready {
    /// The destination takes nothing, which may pass.
    Failing(String),
    /// It does not pass by itself, or senders are refused.
    Now(String),
}

impl Shared {
    pub(super) fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dead_letter_trouble(&self, trouble: Option<String>) {
        self.troubles().dead_letters = trouble;
    }

    /// After a request that the disk did not take, finds out whether it takes something again. Who asks for readiness
    /// before it sends anything would else never send what shows that.
    pub(super) async fn try_disk(self: &Arc<Self>) {
        if self.troubles().append.is_none() {
            return;
        }
        let shared = Arc::clone(self);
        // If it panics, the trouble stays what it was.
        if let Ok(Ok(())) = tokio::task::spawn_blocking(move || shared.log.probe()).await {
            self.troubles().appended();
        }
    }

    /// Runs a task of the queue. If it dies, by a panic, that is counted, and the process is unready for good.
    pub(super) async fn watch_over(&self, name: &'static str, task: impl Future<Output = ()>) {
        let alive = self.alive(name);
        task.await;
        alive.finished();
    }

    /// Watches over a task or thread of the queue.
    pub(super) fn alive(&self, name: &'static str) -> TaskGuard {
        self.health.task(name, self.exporter_metrics.task_deaths(name))
    }

    /// Brings readiness up to date.
    pub(super) fn say_health(&self, stats: &Stats, now: Instant) {
        match self.why_not_ready(stats, now) {
            None => self.health.ready(),
            Some(Unready::Failing(reason)) => self.health.failing(reason),
            Some(Unready::Now(reason)) => self.health.not_ready(reason),
        }
    }

    fn why_not_ready(&self, stats: &Stats, now: Instant) -> Option<Unready> {
        if stats.cursors.iter().all(|cursor| cursor.records == 0) {
            self.gate.forget_passing_trouble();
        }
        let trouble = self.gate.trouble();
        if let Some(fatal) = trouble.as_ref().filter(|trouble| trouble.fatal) {
            return Some(Unready::Now(fatal.reason.clone()));
        }
        if let Some(trouble) = self.log.trouble().or_else(|| self.troubles().reason()) {
            return Some(Unready::Now(trouble));
        }
        let held = stats.bytes + stats.pending_bytes;
        // With half of its room taken, the log deletes what is delivered at once: what is left is not.
        if held.saturating_mul(100) >= self.capacity.saturating_mul(NEARLY_FULL) {
            let reason = format!("the queue is nearly full: {held} of {} bytes", self.capacity);
            return Some(Unready::Now(reason));
        }
        if self.gate.silence(now).is_some_and(|silence| silence >= SILENCE) {
            let seconds = SILENCE.as_secs();
            let reason =
                format!("nothing is delivered: the destination has answered nothing for {seconds} s");
            return Some(Unready::Now(reason));
        }
        trouble.map(|trouble| Unready::Failing(format!("nothing is delivered: {}", trouble.reason)))
    }
}
