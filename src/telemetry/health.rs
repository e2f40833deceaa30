//! Readiness: every component says whether it does its work, and if not, why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The readiness of all components.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// By component; the reason why it is not ready, or `None`.
    components: Arc<Mutex<BTreeMap<String, Option<String>>>>,
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

    /// What every component says, by name.
    pub fn report(&self) -> Vec<ComponentHealth> {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        components
            .iter()
            .map(|(component, reason)| ComponentHealth {
                component: component.clone(),
                ready: reason.is_none(),
                reason: reason.clone(),
            })
            .collect()
    }

    /// Whether every component is ready, and there is one.
    pub fn is_ready(&self) -> bool {
        let components = self.components.lock().unwrap_or_else(PoisonError::into_inner);
        !components.is_empty() && components.values().all(Option::is_none)
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
}
