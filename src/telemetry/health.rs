//! Readiness: every component says whether it does its work, and if not, why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The readiness of all components.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// By component; the reason why it is not ready, or `None`.
    components: Arc<Mutex<BTreeMap<String, Option<String>>>>,
    /// What was included, by the name under which it was.
    included: Arc<Mutex<BTreeMap<String, Health>>>,
}

/// What one component says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ComponentHealth {
    /// Section and id, such as `exporters.mlflow`.
    pub component: String,
    /// Whether it does its work.
    pub ready: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Health {
    /// Registers a component, such as `exporters.mlflow`. It is not ready until it says so.
    pub fn register(&self, component: impl Into<String>) -> HealthHandle {
        let handle = HealthHandle { health: self.clone(), component: component.into().into() };
        handle.set(Some("is starting".to_owned()));
        handle
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

    /// What every component says, by name.
    pub fn report(&self) -> Vec<ComponentHealth> {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        let own = components.iter().map(|(component, reason)| ComponentHealth {
            component: component.clone(),
            ready: reason.is_none(),
            reason: reason.clone(),
        });
        let mut report: Vec<_> = own.collect();
        drop(components);
        report.extend(self.included().values().flat_map(Self::report));
        report.sort_by(|left, right| left.component.cmp(&right.component));
        report
    }

    /// Whether every component is ready, and there is one.
    pub fn is_ready(&self) -> bool {
        let report = self.report();
        !report.is_empty() && report.iter().all(|component| component.ready)
    }
}

/// The voice of one component. Cheap to clone; calling it again with the same state costs a lock.
#[derive(Clone, Debug)]
pub struct HealthHandle {
    health: Health,
    component: Arc<str>,
}

impl HealthHandle {
    /// The component does its work.
    pub fn ready(&self) {
        self.set(None);
    }

    /// The component does not do its work, for a reason that its operator understands.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        let mut components = self.health.components.lock().unwrap_or_else(PoisonError::into_inner);
        let before = components.insert(self.component.to_string(), reason.clone());
        drop(components);
        match (before, reason) {
            (Some(Some(_)), None) => tracing::info!(component = %self.component, "is ready"),
            (Some(None), Some(reason)) => tracing::warn!(component = %self.component, "not ready: {reason}"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_registered_is_not_ready() {
        assert!(!Health::default().is_ready());
    }

    #[test]
    fn ready_means_every_component_is() {
        let health = Health::default();
        let (mlflow, otlp) = (health.register("exporters.mlflow"), health.register("receivers.otlp"));
        otlp.ready();
        assert!(!health.is_ready(), "a component that has not spoken yet is not ready");
        mlflow.ready();
        assert!(health.is_ready());
        mlflow.not_ready("database is locked");
        assert!(!health.is_ready());
        let report = health.report();
        assert_eq!(report[0].reason.as_deref(), Some("database is locked"));
        assert!(report[1].ready);
        mlflow.ready();
        assert!(health.is_ready());
    }

    #[test]
    fn what_is_included_counts_until_something_takes_its_place() {
        let (health, old, new) = (Health::default(), Health::default(), Health::default());
        let first = old.register("exporters.mlflow");
        first.ready();
        health.include("mlflow", old);
        assert!(health.is_ready());
        let second = new.register("exporters.mlflow");
        assert!(health.is_ready(), "the new one is not included yet");
        health.include("mlflow", new);
        assert!(!health.is_ready(), "the new one is starting");
        second.ready();
        first.not_ready("has stopped");
        assert!(health.is_ready(), "the old one is heard no more");
        second.not_ready("database is locked");
        assert_eq!(health.report()[0].reason.as_deref(), Some("database is locked"));
        health.exclude("mlflow");
        assert_eq!(health.report(), []);
    }
}
