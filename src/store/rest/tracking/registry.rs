//! The registry of models and their versions.

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::ask::{self, V2};
use super::json::{Int, KeyValue, Text, into_tags, or_default, put, some, tags};
use super::search;
use crate::mlflow::entities::{ModelVersion, NewModelVersion, Page, RegisteredModel, Search, Tag};
use crate::store::rest::RestStore;
use crate::store::tracking::TrackingError;

/// Tag of versions that are prompts.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

#[derive(Deserialize)]
struct FoundModel {
    registered_model: WireModel,
}

#[derive(Deserialize)]
struct FoundVersion {
    model_version: WireVersion,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Models {
    #[serde(deserialize_with = "or_default")]
    registered_models: Vec<WireModel>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versions {
    #[serde(deserialize_with = "or_default")]
    model_versions: Vec<WireVersion>,
    #[serde(deserialize_with = "or_default")]
    next_page_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireModel {
    name: String,
    #[serde(deserialize_with = "or_default")]
    description: String,
    creation_timestamp: Int,
    last_updated_timestamp: Int,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<KeyValue>,
    #[serde(deserialize_with = "or_default")]
    aliases: Vec<WireAlias>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireAlias {
    alias: String,
    version: Text,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireVersion {
    name: String,
    version: Text,
    #[serde(deserialize_with = "or_default")]
    source: String,
    #[serde(deserialize_with = "or_default")]
    run_id: String,
    #[serde(deserialize_with = "or_default")]
    model_id: String,
    #[serde(deserialize_with = "or_default")]
    description: String,
    #[serde(deserialize_with = "or_default")]
    status: String,
    creation_timestamp: Int,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<KeyValue>,
    #[serde(deserialize_with = "or_default")]
    aliases: Vec<String>,
}

impl WireModel {
    fn into_model(self) -> RegisteredModel {
        RegisteredModel {
            name: self.name,
            description: some(self.description),
            creation_time_ms: self.creation_timestamp.0,
            last_updated_time_ms: self.last_updated_timestamp.0,
            tags: into_tags(self.tags),
            aliases: self.aliases.into_iter().map(|alias| (alias.alias, alias.version.0)).collect(),
        }
    }
}

impl WireVersion {
    fn into_version(self) -> ModelVersion {
        ModelVersion {
            name: self.name,
            version: self.version.0,
            model_id: some(self.model_id).or_else(|| model_in(&self.source)),
            source: self.source,
            run_id: some(self.run_id),
            description: some(self.description),
            status: self.status,
            creation_time_ms: self.creation_timestamp.0,
            tags: into_tags(self.tags),
            aliases: self.aliases,
        }
    }
}

/// The logged model that a source names: MLflow gives it there alone.
fn model_in(source: &str) -> Option<String> {
    source.strip_prefix("models:/").filter(|id| id.starts_with("m-") && !id.contains('/')).map(str::to_owned)
}

pub(super) async fn create_model(
    store: &RestStore,
    name: &str,
    description: Option<&str>,
    new: Vec<Tag>,
) -> Result<RegisteredModel, TrackingError> {
    let mut body = json!({ "name": name, "tags": tags(&new) });
    if let Some(description) = description {
        put(Some(&mut body), "description", json!(description));
    }
    let call = ask::post(store, &format!("{V2}registered-models/create"), &body)?;
    // Names are unique, so one that is there after an unclear failure, with our tags, is ours.
    let made = || async {
        let call = ask::get(store, &format!("{V2}registered-models/get"), &[("name", name)])?;
        let found: Option<FoundModel> = ask::find(store, &call).await?;
        let has = |found: &FoundModel, tag: &Tag| {
            found.registered_model.tags.iter().any(|had| had.key == tag.key && had.value == tag.value)
        };
        Ok(found.filter(|found| new.iter().all(|tag| has(found, tag))))
    };
    let found: FoundModel = ask::create(store, &call, made).await?;
    Ok(found.registered_model.into_model())
}

pub(super) async fn get_model(store: &RestStore, name: &str) -> Result<RegisteredModel, TrackingError> {
    let call = ask::get(store, &format!("{V2}registered-models/get"), &[("name", name)])?;
    let found: FoundModel = ask::send(store, &call).await?;
    Ok(found.registered_model.into_model())
}

pub(super) async fn search_models(
    store: &RestStore,
    search: Search,
) -> Result<Page<RegisteredModel>, TrackingError> {
    let query = search::query(&search, 100);
    let query: Vec<_> = query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let found: Models =
        ask::send(store, &ask::get(store, &format!("{V2}registered-models/search"), &query)?).await?;
    Ok(Page {
        items: found.registered_models.into_iter().map(WireModel::into_model).collect(),
        next_page_token: some(found.next_page_token),
    })
}

pub(super) async fn set_model_tag(store: &RestStore, name: &str, tag: Tag) -> Result<(), TrackingError> {
    let body = json!({ "name": name, "key": tag.key, "value": tag.value });
    ask::send_only(store, &ask::post(store, &format!("{V2}registered-models/set-tag"), &body)?).await
}

/// Adds a version. After an unclear failure a version that is newer than the newest before, with
/// the same source, run, description and tags, is the one that was asked for.
pub(super) async fn create_version(
    store: &RestStore,
    new: NewModelVersion,
) -> Result<ModelVersion, TrackingError> {
    let newest = newest_version(store, &new).await?.map_or(0, |version| number(&version));
    let mut body = json!({ "name": new.name, "source": new.source, "tags": tags(&new.tags) });
    let optional = [("run_id", &new.run_id), ("model_id", &new.model_id), ("description", &new.description)];
    for (key, value) in optional {
        if let Some(value) = value {
            put(Some(&mut body), key, json!(value));
        }
    }
    let call = ask::post(store, &format!("{V2}model-versions/create"), &body)?;
    let made = || async {
        let version = newest_version(store, &new).await?;
        let ours = version.filter(|version| number(version) > newest && is_same(version, &new));
        Ok(ours.map(|model_version| FoundVersion { model_version }))
    };
    let found: FoundVersion = ask::create(store, &call, made).await?;
    Ok(found.model_version.into_version())
}

fn number(version: &WireVersion) -> i64 {
    version.version.0.parse().unwrap_or(0)
}

fn is_same(version: &WireVersion, new: &NewModelVersion) -> bool {
    let has = |tag: &Tag| version.tags.iter().any(|had| had.key == tag.key && had.value == tag.value);
    version.source == new.source
        && new.run_id.as_ref().is_none_or(|run| *run == version.run_id)
        && version.description == new.description.as_deref().unwrap_or_default()
        && version.tags.len() == new.tags.len()
        && new.tags.iter().all(has)
}

async fn newest_version(
    store: &RestStore,
    new: &NewModelVersion,
) -> Result<Option<WireVersion>, TrackingError> {
    // Neither MLflow nor its filter language has a way to escape a quote.
    let quote = if new.name.contains('\'') { '"' } else { '\'' };
    let mut filter = format!("name = {quote}{}{quote}", new.name);
    // Versions of prompts are hidden from a search that does not ask for them.
    if new.tags.iter().any(|tag| tag.key == IS_PROMPT) {
        filter.push_str(&format!(" AND tags.`{IS_PROMPT}` = 'true'"));
    }
    let query = [("filter", filter.as_str()), ("order_by", "version_number DESC"), ("max_results", "1")];
    let found: Versions =
        ask::send(store, &ask::get(store, &format!("{V2}model-versions/search"), &query)?).await?;
    Ok(found.model_versions.into_iter().next())
}

pub(super) async fn get_version(
    store: &RestStore,
    name: &str,
    version: &str,
) -> Result<ModelVersion, TrackingError> {
    let query = [("name", name), ("version", version)];
    let found: FoundVersion =
        ask::send(store, &ask::get(store, &format!("{V2}model-versions/get"), &query)?).await?;
    Ok(found.model_version.into_version())
}

pub(super) async fn get_version_by_alias(
    store: &RestStore,
    name: &str,
    alias: &str,
) -> Result<ModelVersion, TrackingError> {
    let query = [("name", name), ("alias", alias)];
    let found: FoundVersion =
        ask::send(store, &ask::get(store, &format!("{V2}registered-models/alias"), &query)?).await?;
    Ok(found.model_version.into_version())
}

pub(super) async fn search_versions(
    store: &RestStore,
    search: Search,
) -> Result<Page<ModelVersion>, TrackingError> {
    let query = search::query(&search, 1000);
    let query: Vec<_> = query.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let found: Versions =
        ask::send(store, &ask::get(store, &format!("{V2}model-versions/search"), &query)?).await?;
    Ok(Page {
        items: found.model_versions.into_iter().map(WireVersion::into_version).collect(),
        next_page_token: some(found.next_page_token),
    })
}

pub(super) async fn set_version_tag(
    store: &RestStore,
    name: &str,
    version: &str,
    tag: Tag,
) -> Result<(), TrackingError> {
    let body = json!({ "name": name, "version": version, "key": tag.key, "value": tag.value });
    ask::send_only(store, &ask::post(store, &format!("{V2}model-versions/set-tag"), &body)?).await
}

pub(super) async fn set_alias(
    store: &RestStore,
    name: &str,
    alias: &str,
    version: &str,
) -> Result<(), TrackingError> {
    let body = json!({ "name": name, "alias": alias, "version": version });
    ask::send_only(store, &ask::post(store, &format!("{V2}registered-models/alias"), &body)?).await
}

pub(super) async fn delete_alias(store: &RestStore, name: &str, alias: &str) -> Result<(), TrackingError> {
    let body = json!({ "name": name, "alias": alias });
    let path = format!("{V2}registered-models/alias");
    ask::send_only(store, &ask::with_body(store, Method::DELETE, &path, &body)?).await
}
