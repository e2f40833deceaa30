//! What delivers a run's entries: batch by batch, again while the trouble may pass, and into the spool
//! when it does not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::options::RunLimits;
use super::queue::{Queue, Shared, add};
use crate::mlflow::entities::LogBatch;
use crate::store::tracking::{TrackingError, TrackingStore, limits};
use crate::tracking::spool::{
    End, Entries, Head, Record, Refusals, Spool, SpoolFile, VERSION, deliver, log_isolating,
};

/// Wait before the first retry; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Where entries go.
pub(super) enum Place {
    /// To MLflow.
    Online { run_id: String },
    /// To the spool, with what opens the run there, since the last attempt at MLflow.
    Offline { opening: Vec<Record>, since: Instant },
    /// Nowhere: the run does not exist any more.
    Gone,
}

/// Delivers what one run logs.
pub(super) struct Worker {
    store: Arc<dyn TrackingStore>,
    shared: Arc<Shared>,
    place: Place,
    spool: Spool,
    file: Option<SpoolFile>,
    /// What the spool may still take.
    room: u64,
    limits: RunLimits,
    ending: watch::Receiver<Option<Instant>>,
    warned: BTreeSet<&'static str>,
}

/// Why a call came to nothing.
enum Failure {
    /// The server does not answer, or does not let us in: later, perhaps.
    Later(TrackingError),
    /// There is no such run.
    Gone(TrackingError),
}

impl Worker {
    pub(super) fn new(
        store: Arc<dyn TrackingStore>,
        shared: Arc<Shared>,
        place: Place,
        spool: Spool,
        limits: RunLimits,
    ) -> Self {
        let ending = shared.ending();
        Self { store, shared, place, spool, file: None, room: 0, limits, ending, warned: BTreeSet::new() }
    }

    /// Works until the run has ended.
    pub(super) async fn run(mut self) {
        // An offline run is in the spool from the start, even if nothing is logged to it.
        if matches!(self.place, Place::Offline { .. }) {
            self.write(&[], 0);
        }
        loop {
            let mut taken = self.shared.take(self.limits.gather).await;
            let (flushes, end) = (std::mem::take(&mut taken.flushes), taken.end.take());
            for batch in limits::split(self.sift(taken)) {
                self.log(batch).await;
            }
            let ended = end.is_some();
            if let Some(end) = end {
                self.end(end).await;
            }
            if let Some(file) = &self.file {
                // What cannot be made durable is still in the hands of the system.
                let _ = file.sync();
            }
            if ended {
                // Whoever hears of the end may deliver the file at once.
                self.file = None;
            }
            for flush in flushes {
                // Who asked may be gone.
                let _ = flush.send(self.shared.counts.outcome());
            }
            if ended {
                return;
            }
        }
    }

    /// Leaves out what MLflow takes under no circumstances.
    fn sift(&mut self, taken: Queue) -> LogBatch {
        let mut batch = LogBatch { metrics: taken.metrics, params: taken.params, tags: taken.tags };
        let before = batch.len();
        let mut first = None;
        let mut good = |kind, key: &str| match limits::check_key(kind, key) {
            Ok(()) => true,
            Err(error) => {
                first.get_or_insert(error);
                false
            }
        };
        batch.metrics.retain(|metric| metric.timestamp_ms >= 0 && good("metric", &metric.key));
        batch.params.retain(|param| good("parameter", &param.key));
        batch.tags.retain(|tag| good("tag", &tag.key));
        let left_out = before - batch.len();
        if left_out > 0 {
            add(&self.shared.counts.refused, left_out);
            let why = first.map_or_else(|| "a time before 1970".to_owned(), |error| error.to_string());
            self.warn_once("names", &format!("entries are left out: {why}"));
        }
        batch
    }

    async fn log(&mut self, batch: LogBatch) {
        self.return_online(false).await;
        let size = batch.len();
        let failure = match &self.place {
            Place::Gone => return add(&self.shared.counts.refused, size),
            Place::Offline { .. } => return self.write(&[Record::Log(Entries::from(&batch))], size),
            Place::Online { run_id } => {
                let run_id = run_id.clone();
                match self.patiently(|store| log_isolating(store, &run_id, batch.clone())).await {
                    Ok(refusals) => return self.logged(size, refusals),
                    Err(failure) => failure,
                }
            }
        };
        self.fall_back(failure);
        match self.place {
            Place::Gone => add(&self.shared.counts.refused, size),
            _ => self.write(&[Record::Log(Entries::from(&batch))], size),
        }
    }

    fn logged(&mut self, size: usize, refusals: Refusals) {
        let refused = usize::try_from(refusals.count).unwrap_or(size);
        add(&self.shared.counts.delivered, size.saturating_sub(refused));
        add(&self.shared.counts.refused, refused);
        if let Some(message) = refusals.message {
            self.warn_once("refused", &format!("MLflow refuses entries: {message}"));
        }
    }

    async fn end(&mut self, end: End) {
        self.return_online(true).await;
        if let Place::Online { run_id } = &self.place {
            let run_id = run_id.clone();
            let ended = self.patiently(|store| store.update_run(&run_id, end.to_update())).await;
            match ended {
                Ok(_) => return,
                Err(failure) => self.fall_back(failure),
            }
        }
        if matches!(self.place, Place::Offline { .. }) {
            self.write(&[Record::End(end)], 0);
        }
    }

    /// Calls until it succeeds, or patience is at its end.
    async fn patiently<'a, T, C>(&'a self, call: impl Fn(&'a dyn TrackingStore) -> C) -> Result<T, Failure>
    where
        C: Future<Output = Result<T, TrackingError>>,
    {
        let begun = Instant::now();
        let mut wait = FIRST_WAIT;
        let mut last = None;
        loop {
            let error = tokio::select! {
                outcome = call(self.store.as_ref()) => match outcome {
                    Ok(done) => return Ok(done),
                    Err(error) => error,
                },
                () = self.out_of_patience(begun) => return Err(Failure::Later(last.unwrap_or_else(silence))),
            };
            match error {
                TrackingError::Unavailable { after, .. } => {
                    let jittered = wait.mul_f64(rand::random_range(0.5..=1.0));
                    let pause = after.map_or(jittered, |after| after.max(jittered));
                    last = Some(error);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.out_of_patience(begun) => {
                            return Err(Failure::Later(last.unwrap_or_else(silence)));
                        }
                    }
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                TrackingError::NotFound { .. } | TrackingError::Deleted { .. } => {
                    return Err(Failure::Gone(error));
                }
                _ => return Err(Failure::Later(error)),
            }
        }
    }

    /// When a call that began then is given up; sooner once the job waits for the end.
    async fn out_of_patience(&self, begun: Instant) {
        let mut ending = self.ending.clone();
        let hurry = async {
            // The sender lives as long as the worker.
            let asked = ending.wait_for(Option::is_some).await.ok().and_then(|asked| *asked);
            tokio::time::sleep_until(asked.unwrap_or(begun).max(begun) + self.limits.end).await;
        };
        tokio::select! {
            () = tokio::time::sleep_until(begun + self.limits.patience) => {}
            () = hurry => {}
        }
    }

    fn fall_back(&mut self, failure: Failure) {
        match (failure, &self.place) {
            (Failure::Gone(error), _) => {
                self.place = Place::Gone;
                self.warn_once("gone", &format!("what is logged to the run is lost: {error}"));
            }
            (Failure::Later(error), Place::Online { run_id }) => {
                let folder = self.spool.folder().display();
                tracing::warn!(%error, run = %run_id, spool = %folder, "MLflow cannot be reached: what the run logs goes to the spool");
                let opening = vec![Record::Run(run_id.clone())];
                self.place = Place::Offline { opening, since: Instant::now() };
            }
            (Failure::Later(_), _) => {}
        }
    }

    /// Tries MLflow again, if it is time to: first with what is in the spool.
    async fn return_online(&mut self, ending: bool) {
        let Place::Offline { since, .. } = &mut self.place else { return };
        let wait = if ending { self.limits.end } else { self.limits.retry };
        if since.elapsed() < wait {
            return;
        }
        *since = Instant::now();
        let Some(file) = &self.file else { return };
        let delivered = tokio::select! {
            delivered = deliver(self.store.as_ref(), file) => delivered,
            () = self.out_of_patience(Instant::now()) => return,
        };
        let Ok(delivered) = delivered else { return };
        let counts = &self.shared.counts;
        let spooled = counts.spooled.swap(0, Ordering::Relaxed);
        counts.refused.fetch_add(delivered.refused, Ordering::Relaxed);
        counts.delivered.fetch_add(spooled.saturating_sub(delivered.refused), Ordering::Relaxed);
        if self.shared.run.get().is_none()
            && let Ok(run) = self.store.get_run(&delivered.run_id).await
        {
            // Only this worker sets it.
            let _ = self.shared.run.set(run.info);
        }
        if let Some(Err(error)) = self.file.take().map(SpoolFile::remove) {
            tracing::warn!(%error, "a delivered file cannot be removed: it will be delivered again, which does no harm");
        }
        tracing::info!(run = %delivered.run_id, "MLflow can be reached again: the spool of the run is delivered");
        self.place = Place::Online { run_id: delivered.run_id };
    }

    /// Writes to the spool; `entries` of them count.
    fn write(&mut self, records: &[Record], entries: usize) {
        match self.try_write(records) {
            Ok(true) => add(&self.shared.counts.spooled, entries),
            Ok(false) => {
                add(&self.shared.counts.dropped, entries);
                self.warn_once("full", "the spool is full: what the run logs is dropped");
            }
            Err(error) => {
                add(&self.shared.counts.dropped, entries);
                let folder = self.spool.folder().display().to_string();
                self.warn_once(
                    "spool",
                    &format!("cannot write to {folder}: {error}; what the run logs is dropped"),
                );
            }
        }
    }

    /// False if there is no room.
    fn try_write(&mut self, records: &[Record]) -> std::io::Result<bool> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                self.room = self.spool.room();
                let mut file = self.spool.create(&self.shared.key)?;
                let target = self.store.server().map(|server| server.server().to_owned());
                let head = Head { version: VERSION, target, key: self.shared.key.clone() };
                file.append(&Record::Head(head))?;
                if let Place::Offline { opening, .. } = &self.place {
                    for record in opening {
                        file.append(record)?;
                    }
                }
                self.file.insert(file)
            }
        };
        if file.size() > self.room {
            // The end of a run is small, and worth more than what it ends.
            let essential = records.iter().all(|record| matches!(record, Record::End(_)));
            if !essential {
                return Ok(false);
            }
        }
        for record in records {
            file.append(record)?;
        }
        Ok(true)
    }

    fn warn_once(&mut self, kind: &'static str, message: &str) {
        if self.warned.insert(kind) {
            tracing::warn!(run = %self.shared.key, "{message}");
        }
    }
}

fn silence() -> TrackingError {
    TrackingError::Unavailable { message: "MLflow does not answer".to_owned(), after: None, source: None }
}
