//! Readiness: every component says whether it does its work, and if not, why.
//!
//! ```text
//! component ── HealthHandle ──┐
//! task ── TaskGuard ──────────┴─> Health::report ─> /readyz, `otel-mlflow status`
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

/// Who tries something and fails tries it again. What was not tried for so long is not known to fail any more: there
/// was nothing left to try it with.
const FORGOTTEN: Duration = Duration::from_secs(120);

/// Why a component is not ready that has not spoken yet.
const STARTING: &str = "is starting";

/// The readiness of all components. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    components: Arc<Mutex<BTreeMap<String, State>>>,
    /// What was included, by the name under which it was.
    included: Arc<Mutex<BTreeMap<String, Health>>>,
    /// How long failures may last before they count, in milliseconds.
    patience: Arc<AtomicU64>,
}

/// What is known of a component.
#[derive(Clone, Debug, Default)]
struct State {
    /// Why it does not do its work.
    reason: Option<String>,
    /// Since when attempts of it fail that have succeeded before.
    failing_since: Option<Instant>,
    /// When the last of them failed.
    failed: Option<Instant>,
    /// Whether what it tries may succeed by itself.
    passing: bool,
    was_ready: bool,
    about: Option<String>,
}

impl State {
    /// What is known at a time.
    fn at(&self, now: Instant) -> Self {
        let is_over = self.failing_since.is_some()
            && self.failed.is_some_and(|failed| now.saturating_duration_since(failed) >= FORGOTTEN);
        if is_over { Self { reason: None, failing_since: None, ..self.clone() } } else { self.clone() }
    }

    /// Whether it is to be called ready when failures may last so long.
    fn is_ready(&self, now: Instant, patience: Duration) -> bool {
        match (&self.reason, self.failing_since) {
            (None, _) => true,
            (Some(_), Some(since)) => now.duration_since(since) < patience,
            (Some(_), None) => false,
        }
    }
}

/// What one component says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ComponentHealth {
    /// Section and id, such as `exporters.mlflow`.
    pub component: String,
    /// Whether it does its work.
    pub ready: bool,
    /// Why not; or, of a component that is called ready, what has begun to fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long that has been so, in seconds, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_for_seconds: Option<u64>,
    /// What the component is about, such as where it writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

impl Health {
    /// Registers a component, such as `exporters.mlflow`. It is not ready until it says so.
    pub fn register(&self, component: impl Into<String>) -> HealthHandle {
        let handle = HealthHandle { health: self.clone(), component: component.into().into() };
        handle.change(Some(STARTING.to_owned()), false);
        handle
    }

    /// Watches over a task of a component that has nothing else to say, and is heard of only if the task dies: see
    /// [`HealthHandle::task`].
    pub fn task(&self, component: &str, name: &'static str, died: Counter) -> TaskGuard {
        HealthHandle { health: self.clone(), component: component.into() }.task(name, died)
    }

    /// Hears of what is registered with `other` from now on, in the place of what was included under the same name.
    /// With this, something can be started beside what it is to replace, and nobody hears of either too early or
    /// too late.
    pub fn include(&self, name: impl Into<String>, other: Self) {
        self.included().insert(name.into(), other);
    }

    /// Hears no more of what was included under the name.
    pub fn exclude(&self, name: &str) {
        self.included().remove(name);
    }

    fn included(&self) -> MutexGuard<'_, BTreeMap<String, Self>> {
        self.included.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on a component whose attempts fail is still called ready for so long by [`Self::patient_report`].
    pub fn set_patience(&self, patience: Duration) {
        let milliseconds = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.patience.store(milliseconds, Ordering::Relaxed);
    }

    /// What every component says, by name, where failures count after a while; see [`Self::report_with`].
    pub fn patient_report(&self) -> Vec<ComponentHealth> {
        self.report_with(Duration::from_millis(self.patience.load(Ordering::Relaxed)))
    }

    /// What every component says, by name.
    pub fn report(&self) -> Vec<ComponentHealth> {
        self.report_with(Duration::ZERO)
    }

    /// The same, where a component is still called ready until its attempts have failed for longer than
    /// `patience`. What has never worked, and what only a person can put right, is not ready at once.
    pub fn report_with(&self, patience: Duration) -> Vec<ComponentHealth> {
        let now = Instant::now();
        let mut report: Vec<ComponentHealth> = self
            .components()
            .iter()
            .map(|(component, state)| said(component, state, now, patience))
            .collect();
        report.extend(self.included().values().flat_map(|other| other.report_with(patience)));
        report.sort_by(|left, right| left.component.cmp(&right.component));
        report
    }

    /// Whether every component is ready, and there is one.
    pub fn is_ready(&self) -> bool {
        let report = self.report();
        !report.is_empty() && report.iter().all(|component| component.ready)
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn said(component: &str, state: &State, now: Instant, patience: Duration) -> ComponentHealth {
    let state = state.at(now);
    ComponentHealth {
        component: component.to_owned(),
        ready: state.is_ready(now, patience),
        reason: state.reason.clone(),
        failing_for_seconds: state.failing_since.map(|since| now.duration_since(since).as_secs()),
        about: state.about,
    }
}

/// The voice of one component. Cheap to clone; calling it again with the same state costs a lock.
#[derive(Clone, Debug)]
pub struct HealthHandle {
    health: Health,
    component: Arc<str>,
}

impl HealthHandle {
    /// The component's section and id.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The component does its work.
    pub fn ready(&self) {
        self.set(None, false);
    }

    /// The component does not do its work, for a reason that its operator understands.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()), false);
    }

    /// What the component tries has failed, and it goes on trying: it is not ready once that has lasted for
    /// longer than its operator allows, or if it has never succeeded.
    pub fn failing(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()), true);
    }

    /// Says what the component is about, such as where it writes; no secrets.
    pub fn about(&self, text: impl Into<String>) {
        let mut components = self.health.components();
        components.entry(self.component.to_string()).or_default().about = Some(text.into());
    }

    /// Watches over a task of the component: if the guard is dropped before [`TaskGuard::finished`], by
    /// a panic for instance, the task has died, which is counted and makes the process unready for good.
    pub fn task(&self, name: &'static str, died: Counter) -> TaskGuard {
        TaskGuard { health: self.clone(), name, died, is_over: false }
    }

    fn set(&self, reason: Option<String>, passing: bool) {
        let before = self.change(reason.clone(), passing);
        let component = &*self.component;
        match news(&before, reason, passing) {
            News::None => {}
            News::Ready => tracing::info!(%component, "is ready"),
            News::Fails(reason) => tracing::warn!(%component, "fails: {reason}"),
            News::NotReady(reason) => tracing::warn!(%component, "not ready: {reason}"),
        }
    }

    /// Takes note of a reason, or that there is none, and says nothing; returns what was before.
    fn change(&self, reason: Option<String>, passing: bool) -> Before {
        let mut components = self.health.components();
        let state = components.entry(self.component.to_string()).or_default();
        let now = Instant::now();
        *state = state.at(now);
        let reason_before = std::mem::replace(&mut state.reason, reason.clone());
        let before =
            Before { reason: reason_before, passing: std::mem::replace(&mut state.passing, passing) };
        state.failed = reason.as_ref().map(|_| now);
        state.failing_since = match (&reason, passing && state.was_ready) {
            (Some(_), true) => state.failing_since.or(Some(now)),
            _ => None,
        };
        state.was_ready |= reason.is_none();
        before
    }
}

/// What was known of a component before a change.
#[derive(Debug, Default)]
struct Before {
    reason: Option<String>,
    passing: bool,
}

/// What there is to say of a change.
#[derive(Debug, PartialEq, Eq)]
enum News {
    None,
    Ready,
    Fails(String),
    NotReady(String),
}

/// A start is nothing to say, but what comes instead of readiness is, and that only a person can help any more;
/// further reasons are in the report.
fn news(before: &Before, after: Option<String>, passing: bool) -> News {
    let was_well = before.reason.as_deref().is_none_or(|reason| reason == STARTING);
    match after {
        None if before.reason.is_some() => News::Ready,
        Some(reason) if was_well && passing => News::Fails(reason),
        Some(reason) if !passing && (was_well || before.passing) => News::NotReady(reason),
        _ => News::None,
    }
}

/// Tells that a task has died, unless it says that it is over.
#[derive(Debug)]
#[must_use = "a dropped guard says that the task has died"]
pub struct TaskGuard {
    health: HealthHandle,
    name: &'static str,
    died: Counter,
    is_over: bool,
}

impl TaskGuard {
    /// The task has come to its proper end.
    pub fn finished(mut self) {
        self.is_over = true;
    }
}

impl Drop for TaskGuard {
    fn drop(&mut self) {
        if !self.is_over {
            self.died.inc();
            let component = format!("{}.{}", self.health.component, self.name);
            self.health.health.register(component).not_ready("the task has died; restart the process");
        }
    }
}

#[cfg(test)]
mod tests;
