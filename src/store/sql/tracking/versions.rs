//! Versions in the registry.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::registry::{no_name, version_of};
use super::session::{Fault, Row, Session, values};
use super::{assessments, checks, experiments, models};
use crate::mlflow::entities::{ModelVersion, NewModelVersion, Tag};
use crate::store::sql::now_ms;
use crate::store::tracking::TrackingError;

/// The logged model's tag that lists the versions it was registered as.
const MODEL_VERSIONS: &str = "mlflow.modelVersions";

/// Also locks the name: who adds a version waits for the one who is adding another.
const TOUCH: &str =
    "UPDATE registered_models SET last_updated_time = $2 WHERE name = $1 AND workspace = 'default'";

/// Numbers of deleted versions are not used again.
const LAST: &str = "SELECT max(version) FROM model_versions WHERE name = $1 AND workspace = 'default'";

const INSERT: &str = "
    INSERT INTO model_versions (name, version, creation_time, last_updated_time, description, user_id, current_stage,
        source, run_id, status, status_message, run_link, storage_location, workspace)
    VALUES ($1, $2, $3, $3, $4, NULL, 'None', $5, $6, 'READY', NULL, '', $7, 'default')";

const BY_NUMBER: &str = "
    SELECT name, version, source, run_id, description, status, creation_time, storage_location FROM model_versions
    WHERE name = $1 AND version = $2 AND workspace = 'default' AND current_stage <> 'Deleted_Internal'";

const UPSERT_TAG: &str = "
    INSERT INTO model_version_tags (key, value, name, version, workspace) VALUES ($1, $2, $3, $4, 'default')
    ON CONFLICT (workspace, key, name, version) DO UPDATE SET value = excluded.value";

const TAGS: &str = "
    SELECT key, value FROM model_version_tags WHERE name = $1 AND version = $2 AND workspace = 'default' ORDER BY key";

const ALIASES: &str = "
    SELECT alias FROM registered_model_aliases WHERE name = $1 AND version = $2 AND workspace = 'default'
    ORDER BY alias";

/// Where a version comes from.
struct Origin {
    source: String,
    storage_location: String,
    run_id: Option<String>,
    model_id: Option<String>,
}

pub(super) async fn create(db: &mut dyn Session, new: &NewModelVersion) -> Result<ModelVersion, Fault> {
    checks::registered_name(&new.name)?;
    new.tags.iter().try_for_each(checks::registry_tag)?;
    let origin = origin(db, new).await?;
    let now = now_ms();
    if db.execute(TOUCH, values![&new.name, now]).await? == 0 {
        return Err(no_name(&new.name).into());
    }
    let last = db.query(LAST, values![&new.name]).await?;
    let version = last.first().map_or(0, |row| row.int(0)) + 1;
    // A server stores what is not given as an empty text.
    let description = new.description.as_deref().unwrap_or_default();
    let run_id = origin.run_id.unwrap_or_default();
    let place = origin.storage_location;
    db.execute(INSERT, values![&new.name, version, now, description, origin.source, run_id, place]).await?;
    put_tags(db, &new.name, version, &new.tags).await?;
    if let Some(model_id) = &origin.model_id {
        let entry = json!({"name": new.name, "version": version});
        models::change_tag(db, model_id, MODEL_VERSIONS, |listed| with(listed, &entry)).await?;
    }
    get(db, &(new.name.clone(), version.to_string())).await
}

/// A list of versions with one more.
fn with(listed: Option<String>, entry: &Json) -> String {
    let listed = listed.and_then(|text| serde_json::from_str::<Vec<Json>>(&text).ok());
    let mut listed = listed.unwrap_or_default();
    if !listed.contains(entry) {
        listed.push(entry.clone());
    }
    assessments::text(&Json::Array(listed))
}

/// Follows a `models:/` source to the files, and to the run that made them.
async fn origin(db: &mut dyn Session, new: &NewModelVersion) -> Result<Origin, Fault> {
    let run_id = new.run_id.clone().filter(|run_id| !run_id.is_empty());
    let reference = new.source.strip_prefix("models:/");
    if let Some(reference) = reference.filter(|_| model_of(&new.source).is_none()) {
        let other = other_version(db, reference).await?;
        let run_id = run_id.or(other.run_id);
        return Ok(Origin { run_id, model_id: new.model_id.clone(), ..other });
    }
    let model_id = new.model_id.clone().or_else(|| model_of(&new.source));
    let model = match &model_id {
        Some(model_id) => Some(models::get(db, model_id).await?),
        None => None,
    };
    let run_id = run_id.or_else(|| model.as_ref()?.source_run_id.clone());
    let files = model.filter(|_| reference.is_some()).map(|model| model.artifact_uri);
    let storage_location = files.unwrap_or_else(|| new.source.clone());
    Ok(Origin { source: new.source.clone(), storage_location, run_id, model_id })
}

/// The logged model that a source names.
fn model_of(source: &str) -> Option<String> {
    let reference = source.strip_prefix("models:/")?;
    let is_model = reference.starts_with("m-") && !reference.contains(['/', '@']);
    is_model.then(|| reference.to_owned())
}

/// The version that `name/version` or `name@alias` stands for.
async fn other_version(db: &mut dyn Session, reference: &str) -> Result<Origin, Fault> {
    let (name, version) = if let Some((name, alias)) = reference.split_once('@') {
        (name, version_of(db, &name.to_owned(), alias).await?)
    } else if let Some((name, version)) = reference.split_once('/') {
        (name, version.to_owned())
    } else {
        return Err(TrackingError::invalid(format!(
            "the source models:/{reference} names no model: use models:/<model id>, models:/<name>/<version> or \
             models:/<name>@<alias>"
        ))
        .into());
    };
    let row = row(db, name, &version).await?;
    let storage_location = row.filled_text(7).unwrap_or_else(|| row.text(2));
    let source = format!("models:/{name}/{version}");
    Ok(Origin { source, storage_location, run_id: row.filled_text(3), model_id: None })
}

async fn put_tags(db: &mut dyn Session, name: &str, version: i64, tags: &[Tag]) -> Result<(), Fault> {
    let tags: BTreeMap<_, _> = tags.iter().map(|tag| (&tag.key, &tag.value)).collect();
    let rows = tags.into_iter().map(|(key, value)| values![key, value, name, version]);
    db.execute_all(UPSERT_TAG, rows.collect()).await?;
    Ok(())
}

async fn row(db: &mut dyn Session, name: &str, version: &str) -> Result<Row, Fault> {
    checks::registered_name(name)?;
    let rows = db.query(BY_NUMBER, values![name, checks::version(version)?]).await?;
    let row = rows.into_iter().next();
    Ok(row.ok_or_else(|| {
        TrackingError::not_found(format!("there is no version {version} of {name:?} in the registry"))
    })?)
}

pub(super) async fn get(
    db: &mut dyn Session,
    (name, version): &(String, String),
) -> Result<ModelVersion, Fault> {
    let row = row(db, name, version).await?;
    complete(db, &row).await
}

/// The version of a row of [`BY_NUMBER`].
pub(super) async fn complete(db: &mut dyn Session, row: &Row) -> Result<ModelVersion, Fault> {
    let (name, version, source) = (row.text(0), row.int(1), row.text(2));
    let tags = db.query(TAGS, values![&name, version]).await?;
    let aliases = db.query(ALIASES, values![&name, version]).await?;
    Ok(ModelVersion {
        name,
        version: version.to_string(),
        model_id: model_of(&source),
        source,
        run_id: row.filled_text(3),
        description: row.filled_text(4),
        status: row.text(5),
        creation_time_ms: row.int(6),
        tags: tags.iter().map(experiments::tag).collect(),
        aliases: aliases.iter().map(|row| row.text(0)).collect(),
    })
}

pub(super) async fn by_alias(
    db: &mut dyn Session,
    (name, alias): &(String, String),
) -> Result<ModelVersion, Fault> {
    let version = version_of(db, name, alias).await?;
    get(db, &(name.clone(), version)).await
}

/// Sets a tag of a version; name, version, tag.
pub(super) async fn set_tag(
    db: &mut dyn Session,
    (name, version, tag): &(String, String, Tag),
) -> Result<(), Fault> {
    checks::registry_tag(tag)?;
    row(db, name, version).await?;
    put_tags(db, name, checks::version(version)?, std::slice::from_ref(tag)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_names_a_logged_model_or_not() {
        assert_eq!(model_of("models:/m-1").as_deref(), Some("m-1"));
        for other in
            ["models:/m-name/1", "models:/m-name@champion", "models:/name", "runs:/r/m-1", "s3://m-1"]
        {
            assert_eq!(model_of(other), None, "{other}");
        }
    }

    #[test]
    fn the_list_of_versions_is_as_mlflow_writes_it() {
        let one = json!({"name": "a", "version": 1});
        let two = json!({"name": "b", "version": 1});
        let first = with(None, &one);
        assert_eq!(first, r#"[{"name": "a", "version": 1}]"#);
        assert_eq!(with(Some(first.clone()), &one), first);
        assert_eq!(with(Some(first), &two), r#"[{"name": "a", "version": 1}, {"name": "b", "version": 1}]"#);
    }
}
