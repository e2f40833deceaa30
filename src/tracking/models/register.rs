//! The registry's side of a logged model.

use super::FINGERPRINT_TAG;
use super::error::ModelsError;
use super::log::{LogModel, LoggedModelInfo};
use crate::mlflow::entities::{ModelVersion, NewModelVersion, Search};
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

/// Registers a model if that is asked for, and says so in its info.
pub(super) async fn register(
    client: &Client,
    info: &mut LoggedModelInfo,
    options: &LogModel,
) -> Result<(), ModelsError> {
    let Some(name) = &options.registered_model_name else { return Ok(()) };
    match client.store().create_registered_model(name, None, Vec::new()).await {
        Ok(_) | Err(TrackingError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let new = NewModelVersion {
        name: name.clone(),
        // MLflow 2 wants the address of the files, which has to lie inside the run.
        source: if info.model_id.is_some() { info.model_uri.clone() } else { info.artifact_uri.clone() },
        run_id: info.run_id.clone(),
        model_id: info.model_id.clone(),
        description: None,
        tags: options.tags.clone(),
    };
    info.version = Some(client.store().create_model_version(new).await?);
    Ok(())
}

/// The version of a registered model that has this fingerprint, if there is one.
pub(super) async fn version(
    client: &Client,
    name: &str,
    fingerprint: &str,
) -> Result<Option<ModelVersion>, TrackingError> {
    let mut search =
        Search { filter: Some(format!("name = '{}'", name.replace('\'', "''"))), ..Search::default() };
    loop {
        let page = client.store().search_model_versions(search.clone()).await?;
        let is_it = |version: &ModelVersion| {
            version.tags.iter().any(|tag| tag.key == FINGERPRINT_TAG && tag.value == fingerprint)
        };
        if let Some(found) = page.items.into_iter().find(is_it) {
            return Ok(Some(found));
        }
        match page.next_page_token {
            Some(token) => search.page_token = Some(token),
            None => return Ok(None),
        }
    }
}
