//! The tracking side of the exporter's destination.

use std::sync::Arc;

use secrecy::ExposeSecret;

use crate::exporters::mlflow::MlflowConfig;
use crate::mlflow::tracking_uri::TrackingUri;
use crate::store::rest::RestStore;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::sql::{SqlOptions, SqlStore};
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

/// A client for the MLflow that the exporter writes to.
///
/// # Errors
///
/// It cannot be reached, or not used as it is.
pub(crate) async fn open(config: &MlflowConfig) -> Result<Client, TrackingError> {
    let uri = TrackingUri::parse(config.tracking_uri.expose_secret())
        .map_err(|error| TrackingError::invalid(error.to_string()))?;
    match uri {
        TrackingUri::Http(_) => {
            let store = RestStore::connect(config.tracking_uri.expose_secret(), config.rest_options()?)?;
            Ok(Client::new(Arc::new(store)))
        }
        uri => database(&uri).await,
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
async fn database(uri: &TrackingUri) -> Result<Client, TrackingError> {
    Ok(Client::new(Arc::new(SqlStore::connect(uri, SqlOptions::default()).await?)))
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
async fn database(uri: &TrackingUri) -> Result<Client, TrackingError> {
    Err(TrackingError::unsupported(format!(
        "{uri}: this program was built without a database driver; use the http:// URI of an MLflow server"
    )))
}
