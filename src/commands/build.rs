//! From configured components to running ones: one arm for each row of the tables in `config`.

use std::sync::Arc;

use super::lifecycle::{Receiver, RunError};
use super::summary::Destination;
use crate::config::{ComponentKind, Config, Configured};
use crate::pipeline::TraceExporter;
use crate::telemetry::{AdminConfig, AdminServer, Telemetry};

/// An exporter that is connected, and what to tell about it.
pub(super) struct BuiltExporter {
    pub(super) exporter: Arc<dyn TraceExporter>,
    pub(super) destination: Destination,
}

/// Takes the addresses of all receivers that run.
///
/// # Errors
///
/// An address is in use, or is none of this machine.
pub(super) async fn bind_receivers(
    config: &Config,
    telemetry: &Telemetry,
) -> Result<Vec<Box<dyn Receiver>>, RunError> {
    let mut bound = Vec::new();
    for receiver in config.running(ComponentKind::Receiver) {
        bound.push(bind_receiver(receiver, telemetry).await?);
    }
    Ok(bound)
}

async fn bind_receiver(receiver: &Configured, _telemetry: &Telemetry) -> Result<Box<dyn Receiver>, RunError> {
    Err(not_built(ComponentKind::Receiver, receiver))
}

/// Connects an exporter.
///
/// # Errors
///
/// The exporter says that nothing will succeed until somebody changes the configuration.
pub(super) async fn build_exporter(
    exporter: &Configured,
    _telemetry: &Telemetry,
) -> Result<BuiltExporter, RunError> {
    Err(not_built(ComponentKind::Exporter, exporter))
}

/// Takes the address of the admin server, if the service has one.
///
/// # Errors
///
/// The address is in use, or is none of this machine.
pub(super) async fn bind_admin(config: &Config) -> Result<Option<AdminServer>, RunError> {
    let extensions = config.running(ComponentKind::Extension);
    let Some(extension) = extensions.into_iter().find(|extension| extension.id.kind() == "admin") else {
        return Ok(None);
    };
    let settings: AdminConfig = settings(ComponentKind::Extension, extension)?;
    let endpoint = settings.endpoint.clone();
    AdminServer::bind(&settings).await.map(Some).map_err(|error| RunError::Start {
        component: format!("extensions.{}", extension.id),
        reason: format!(
            "cannot listen on {endpoint}: {error}; change `endpoint`, or stop what uses the port"
        ),
    })
}

/// The settings of a component as its struct.
fn settings<C: serde::de::DeserializeOwned>(
    kind: ComponentKind,
    component: &Configured,
) -> Result<C, RunError> {
    component.settings().map_err(|error| RunError::Start {
        component: format!("{}.{}", kind.section(), component.id),
        reason: format!("its settings do not fit: {error}"),
    })
}

/// A row of the table without its arm here: a mistake in this program.
fn not_built(kind: ComponentKind, component: &Configured) -> RunError {
    RunError::Start {
        component: format!("{}.{}", kind.section(), component.id),
        reason: "this build cannot make it; please report it".to_owned(),
    }
}
