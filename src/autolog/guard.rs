//! What keeps telemetry running, and delivers the rest of it in the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;

use super::error::{AutologError, FlushError};
use super::providers::Providers;

type Work = Box<dyn FnOnce() -> OTelSdkResult + Send>;

/// Whether there is a guard.
static STARTED: AtomicBool = AtomicBool::new(false);

/// The right to be the one autolog of the process.
#[derive(Debug)]
pub(super) struct Turn;

impl Turn {
    pub(super) fn take() -> Result<Self, AutologError> {
        match STARTED.swap(true, Ordering::AcqRel) {
            false => Ok(Self),
            true => Err(AutologError::AlreadyStarted),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        STARTED.store(false, Ordering::Release);
    }
}

/// Keeps telemetry running. Dropping it delivers what waits and ends it: keep it until the end of
/// `main`.
///
/// Dropping waits on the calling thread, at most as long as
/// [`flush_timeout`](super::Autolog::flush_timeout) says. It needs no Tokio runtime and works while
/// panicking. A process that ends by `std::process::exit` or by an abort delivers nothing: call
/// [`flush`](Self::flush) before.
#[derive(Debug)]
#[must_use = "telemetry ends when the guard is dropped: bind it, as in `let _guard = autolog()?;`"]
pub struct AutologGuard {
    providers: Providers,
    deadline: Duration,
    silent: bool,
    _turn: Turn,
}

impl AutologGuard {
    pub(super) fn new(providers: Providers, deadline: Duration, silent: bool, turn: Turn) -> Self {
        Self { providers, deadline, silent, _turn: turn }
    }

    /// Delivers what was recorded until now.
    ///
    /// # Errors
    ///
    /// It takes longer than `timeout`, or a destination does not take it.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let deadline = Instant::now() + timeout;
        self.each(deadline, timeout, false)?;
        for monitor in &self.providers.mlflow {
            let left = deadline.saturating_duration_since(Instant::now());
            monitor.flush(left).map_err(|_| FlushError::Timeout(timeout))?;
        }
        #[cfg(feature = "client")]
        if let Some(models) = &self.providers.models
            && !models.logger().wait(deadline.saturating_duration_since(Instant::now()))
        {
            return Err(FlushError::Timeout(timeout));
        }
        Ok(())
    }

    /// How many spans and log records could not be delivered until now, as far as exporters know:
    /// what a batch processor has no room for is in its own log line.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let mlflow = self.providers.mlflow.iter().map(|monitor| {
            let counts = monitor.counts();
            counts.lost + counts.refused
        });
        let losses = &self.providers.losses;
        let others = losses.spans.load(Ordering::Relaxed) + losses.log_records.load(Ordering::Relaxed);
        mlflow.sum::<u64>() + others
    }

    /// The provider of tracers, for other libraries such as `tracing-opentelemetry`; none where no
    /// traces are exported.
    #[must_use]
    pub fn tracer_provider(&self) -> Option<&SdkTracerProvider> {
        self.providers.tracer.as_ref()
    }

    /// The provider of meters; none where no metrics are exported.
    #[must_use]
    pub fn meter_provider(&self) -> Option<&SdkMeterProvider> {
        self.providers.meter.as_ref()
    }

    /// The provider of loggers; none where no logs are exported.
    #[must_use]
    pub fn logger_provider(&self) -> Option<&SdkLoggerProvider> {
        self.providers.logger.as_ref()
    }

    /// Flushes or ends all providers at the same time, each on a thread of its own, so that none
    /// takes the others' time and nothing can hold the caller back for longer.
    fn each(&self, deadline: Instant, timeout: Duration, end: bool) -> Result<(), FlushError> {
        let works = self.works(timeout, end);
        let (report, outcomes) = mpsc::sync_channel(works.len().max(1));
        let mut running = 0;
        for work in works {
            let report = report.clone();
            let thread = std::thread::Builder::new().name("otel-mlflow-flush".to_owned());
            // Nobody listens any more once the time is over.
            let spawned = thread.spawn(move || drop(report.send(work())));
            running += usize::from(spawned.is_ok());
        }
        let mut failure = Ok(());
        for _ in 0..running {
            let left = deadline.saturating_duration_since(Instant::now());
            match outcomes.recv_timeout(left) {
                Ok(Ok(())) => {}
                Ok(Err(OTelSdkError::AlreadyShutdown)) if end => {}
                Ok(Err(OTelSdkError::Timeout(_))) => failure = Err(FlushError::Timeout(timeout)),
                Ok(Err(error)) => failure = Err(FlushError::Failed(error.to_string())),
                Err(_) => return Err(FlushError::Timeout(timeout)),
            }
        }
        failure
    }

    /// What flushes or ends each provider.
    fn works(&self, timeout: Duration, end: bool) -> Vec<Work> {
        let mut works: Vec<Work> = Vec::new();
        #[cfg(feature = "client")]
        if let Some(models) = self.providers.models.clone() {
            works.push(Box::new(move || match models.logger().wait(timeout) {
                true => Ok(()),
                false => Err(OTelSdkError::Timeout(timeout)),
            }));
        }
        if let Some(tracer) = self.providers.tracer.clone() {
            works.push(Box::new(move || match end {
                true => tracer.shutdown_with_timeout(timeout),
                false => tracer.force_flush(),
            }));
        }
        if let Some(logger) = self.providers.logger.clone() {
            works.push(Box::new(move || match end {
                true => logger.shutdown_with_timeout(timeout),
                false => logger.force_flush(),
            }));
        }
        if let Some(meter) = self.providers.meter.clone() {
            works.push(Box::new(move || match end {
                true => meter.shutdown_with_timeout(timeout),
                false => meter.force_flush(),
            }));
        }
        works
    }
}

impl Drop for AutologGuard {
    fn drop(&mut self) {
        let outcome = self.each(Instant::now() + self.deadline, self.deadline, true);
        let waiting: u64 = self.providers.mlflow.iter().map(|monitor| monitor.counts().waiting).sum();
        let lost = self.lost() + waiting;
        if self.silent {
            return;
        }
        if lost > 0 {
            tracing::warn!("{lost} spans or log records were not delivered when the process ended");
        } else if let Err(error) = outcome {
            tracing::warn!("when the process ended: {error}");
        }
    }
}
