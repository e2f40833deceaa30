//! Where the files of a model lie, by the ways in which MLflow names models.

use super::error::ModelsError;
use crate::mlflow::entities::{ModelVersion, Search};
use crate::store::tracking::TrackingError;
use crate::tracking::Client;

/// The folder of a model, and the logged model that it is, if known.
pub(super) struct Place {
    pub(super) artifact_uri: String,
    pub(super) model_id: Option<String>,
}

/// Looks a model up: `models:/name/1`, `models:/name@alias`, `models:/name/latest`, `models:/m-…`,
/// `runs:/run/path`, or the address of a folder.
pub(super) async fn resolve(client: &Client, uri: &str) -> Result<Place, ModelsError> {
    if let Some(rest) = uri.strip_prefix("models:/") {
        return registered(client, rest.trim_start_matches('/'), uri).await;
    }
    match uri.strip_prefix("runs:/") {
        Some(rest) => in_run(client, rest.trim_start_matches('/'), uri).await,
        None => Ok(Place { artifact_uri: uri.to_owned(), model_id: None }),
    }
}

async fn registered(client: &Client, name: &str, uri: &str) -> Result<Place, ModelsError> {
    if !name.contains(['/', '@']) {
        return logged(client, name).await;
    }
    let version = match (name.rsplit_once('@'), name.rsplit_once('/')) {
        (Some((name, alias)), _) => client.store().get_model_version_by_alias(name, alias).await?,
        (_, Some((name, "latest"))) => latest(client, name).await?,
        (_, Some((name, version))) => client.store().get_model_version(name, version).await?,
        _ => return Err(unknown(uri)),
    };
    if let Some(model_id) = &version.model_id {
        return logged(client, model_id).await;
    }
    match version.source.strip_prefix("runs:/") {
        Some(rest) => in_run(client, rest, uri).await,
        None => Ok(Place { artifact_uri: version.source, model_id: None }),
    }
}

async fn logged(client: &Client, model_id: &str) -> Result<Place, ModelsError> {
    let model = client.store().get_logged_model(model_id).await?;
    Ok(Place { artifact_uri: model.artifact_uri, model_id: Some(model.model_id) })
}

async fn latest(client: &Client, name: &str) -> Result<ModelVersion, ModelsError> {
    let search = Search {
        filter: Some(format!("name = '{}'", name.replace('\'', "''"))),
        order_by: vec!["version_number DESC".to_owned()],
        max_results: Some(1),
        ..Search::default()
    };
    let page = client.store().search_model_versions(search).await?;
    let missing = || TrackingError::not_found(format!("the registered model `{name}` has no version"));
    Ok(page.items.into_iter().next().ok_or_else(missing)?)
}

/// A model of a run: on MLflow 3 a logged model of that name, else a folder of the run's artifacts.
async fn in_run(client: &Client, rest: &str, uri: &str) -> Result<Place, ModelsError> {
    let Some((run_id, path)) = rest.split_once('/') else { return Err(unknown(uri)) };
    let run = client.store().get_run(run_id).await?;
    let search = Search {
        experiment_ids: vec![run.info.experiment_id.clone()],
        filter: Some(format!("source_run_id = '{run_id}'")),
        ..Search::default()
    };
    let found = match client.store().search_logged_models(search).await {
        Ok(page) => page.items.into_iter().find(|model| model.name == path),
        Err(TrackingError::Unsupported { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(match found {
        Some(model) => Place { artifact_uri: model.artifact_uri, model_id: Some(model.model_id) },
        None => Place {
            artifact_uri: format!("{}/{path}", run.info.artifact_uri.trim_end_matches('/')),
            model_id: None,
        },
    })
}

fn unknown(uri: &str) -> ModelsError {
    let message = format!(
        "`{uri}` names no model; there are models:/name/version, models:/name@alias, models:/m-…, runs:/run/path"
    );
    TrackingError::invalid(message).into()
}
