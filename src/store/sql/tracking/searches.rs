//! What can be searched, each with its names in MLflow's filter language and its usual order.

use serde_json::{Map, Value as Json};

use super::filter::Term;
use super::search::{Detail, Searched, rows};
use super::session::{Fault, Session, Value};
use super::{experiments, models, registry, runs, trace_info, versions};
use crate::mlflow::entities::{Experiment, LoggedModel, ModelVersion, Page, RegisteredModel, Run, Search};

const TAGS: &[&str] = &["tag", "tags"];
const PARAMS: &[&str] = &["param", "params", "parameter", "parameters"];
const METRICS: &[&str] = &["metric", "metrics"];
const METADATA: &[&str] = &["metadata", "request_metadata"];

/// Prompts are in the registry's tables, and are shown only to those who ask for them.
const IS_PROMPT: &str = "mlflow.prompt.is_prompt";

const EXPERIMENTS: Searched = Searched {
    table: "experiments",
    columns: "experiment_id, name, artifact_location, lifecycle_stage, creation_time, last_update_time",
    in_experiments: false,
    has_stage: true,
    always: "workspace = 'default'",
    attributes: &[
        ("name", "name"),
        ("experiment_id", "experiment_id"),
        ("creation_time", "creation_time"),
        ("last_update_time", "last_update_time"),
    ],
    details: &[Detail {
        scopes: TAGS,
        table: "experiment_tags",
        join: "d.experiment_id = experiments.experiment_id",
        key: "key",
        value: "value",
    }],
    order: "creation_time DESC, experiment_id DESC",
    default_results: 1000,
};

const RUNS: Searched = Searched {
    table: "runs",
    columns: "run_uuid, experiment_id, name, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage",
    in_experiments: true,
    has_stage: true,
    always: "TRUE",
    attributes: &[
        ("run_id", "run_uuid"),
        ("run_name", "name"),
        ("status", "status"),
        ("user_id", "user_id"),
        ("artifact_uri", "artifact_uri"),
        ("start_time", "start_time"),
        ("end_time", "end_time"),
    ],
    details: &[
        Detail { scopes: TAGS, table: "tags", join: RUN, key: "key", value: "value" },
        Detail { scopes: PARAMS, table: "params", join: RUN, key: "key", value: "value" },
        Detail { scopes: METRICS, table: "latest_metrics", join: RUN, key: "key", value: "value" },
    ],
    order: "start_time DESC, run_uuid",
    default_results: 1000,
};

const RUN: &str = "d.run_uuid = runs.run_uuid";

const MODELS: Searched = Searched {
    table: "logged_models",
    columns: "model_id, experiment_id, name, artifact_location, status, model_type, source_run_id, \
              creation_timestamp_ms, lifecycle_stage",
    in_experiments: true,
    has_stage: true,
    always: "TRUE",
    attributes: &[
        ("model_id", "model_id"),
        ("name", "name"),
        ("model_type", "model_type"),
        ("source_run_id", "source_run_id"),
        ("creation_time", "creation_timestamp_ms"),
        ("creation_timestamp", "creation_timestamp_ms"),
        ("last_updated_timestamp", "last_updated_timestamp_ms"),
    ],
    details: &[
        Detail { scopes: TAGS, table: "logged_model_tags", join: MODEL, key: "tag_key", value: "tag_value" },
        Detail {
            scopes: PARAMS,
            table: "logged_model_params",
            join: MODEL,
            key: "param_key",
            value: "param_value",
        },
    ],
    order: "creation_timestamp_ms DESC, model_id",
    default_results: 100,
};

const MODEL: &str = "d.model_id = logged_models.model_id";

const REGISTERED: Searched = Searched {
    table: "registered_models",
    columns: "name, description, creation_time, last_updated_time",
    in_experiments: false,
    has_stage: false,
    always: "workspace = 'default'",
    attributes: &[
        ("name", "name"),
        ("last_updated_timestamp", "last_updated_time"),
        ("timestamp", "last_updated_time"),
    ],
    details: &[Detail {
        scopes: TAGS,
        table: "registered_model_tags",
        join: "d.workspace = registered_models.workspace AND d.name = registered_models.name",
        key: "key",
        value: "value",
    }],
    order: "name",
    default_results: 100,
};

const NO_PROMPT: &str = " AND NOT EXISTS (SELECT 1 FROM registered_model_tags p \
     WHERE p.workspace = registered_models.workspace AND p.name = registered_models.name \
     AND p.key = 'mlflow.prompt.is_prompt' AND p.value = 'true')";

const VERSIONS: Searched = Searched {
    table: "model_versions",
    columns: "name, version, source, run_id, description, status, creation_time, storage_location",
    in_experiments: false,
    has_stage: false,
    always: "workspace = 'default' AND current_stage <> 'Deleted_Internal'",
    attributes: &[
        ("name", "name"),
        ("run_id", "run_id"),
        ("source_path", "source"),
        ("version_number", "version"),
        ("creation_timestamp", "creation_time"),
        ("last_updated_timestamp", "last_updated_time"),
    ],
    details: &[Detail {
        scopes: TAGS,
        table: "model_version_tags",
        join: "d.workspace = model_versions.workspace AND d.name = model_versions.name \
               AND d.version = model_versions.version",
        key: "key",
        value: "value",
    }],
    order: "last_updated_time DESC, name, version DESC",
    default_results: 10_000,
};

const NO_PROMPT_VERSION: &str = " AND NOT EXISTS (SELECT 1 FROM model_version_tags p \
     WHERE p.workspace = model_versions.workspace AND p.name = model_versions.name \
     AND p.key = 'mlflow.prompt.is_prompt' AND p.value = 'true')";

const TRACES: Searched = Searched {
    table: "trace_info",
    columns: "request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id, \
              request_preview, response_preview, trace_name, session_id, input_tokens, output_tokens, total_tokens, \
              cache_read_input_tokens, cache_creation_input_tokens, cache_creation_input_tokens_above_1hr, \
              input_cost, output_cost, total_cost",
    in_experiments: true,
    has_stage: false,
    always: "TRUE",
    attributes: &[
        ("trace_id", "request_id"),
        ("request_id", "request_id"),
        ("name", "trace_name"),
        ("status", "status"),
        ("state", "status"),
        ("client_request_id", "client_request_id"),
        ("timestamp_ms", "timestamp_ms"),
        ("timestamp", "timestamp_ms"),
        ("execution_time_ms", "execution_time_ms"),
        // A run has many traces, a trace hardly ever two runs.
        (
            "run_id",
            "(SELECT min(e.destination_id) FROM entity_associations e WHERE e.source_type = 'trace' \
             AND e.source_id = trace_info.request_id AND e.destination_type = 'run')",
        ),
    ],
    details: &[
        Detail { scopes: TAGS, table: "trace_tags", join: TRACE, key: "key", value: "value" },
        Detail { scopes: METADATA, table: "trace_request_metadata", join: TRACE, key: "key", value: "value" },
    ],
    order: "timestamp_ms DESC, request_id",
    default_results: 100,
};

const TRACE: &str = "d.request_id = trace_info.request_id";

/// Whether the filter asks for prompts.
fn asks_for_prompts(terms: &[Term]) -> bool {
    terms.iter().any(|term| {
        term.key == IS_PROMPT && term.comparator == "=" && term.value == Value::Text("true".to_owned())
    })
}

/// A page of entities, each read from its row.
macro_rules! page {
    ($page:expr, |$row:ident| $item:expr) => {{
        let page = $page;
        let mut items = Vec::with_capacity(page.items.len());
        for $row in &page.items {
            items.push($item);
        }
        Ok(Page { items, next_page_token: page.next_page_token })
    }};
}

pub(super) async fn experiments(db: &mut dyn Session, search: &Search) -> Result<Page<Experiment>, Fault> {
    let found = rows(db, &EXPERIMENTS, search, |_| "").await?;
    page!(found, |row| experiments::with_tags(db, row).await?)
}

pub(super) async fn runs(db: &mut dyn Session, search: &Search) -> Result<Page<Run>, Fault> {
    let found = rows(db, &RUNS, search, |_| "").await?;
    let heads = found.items.iter().map(runs::info).collect();
    Ok(Page { items: runs::complete(db, heads).await?, next_page_token: found.next_page_token })
}

pub(super) async fn models(db: &mut dyn Session, search: &Search) -> Result<Page<LoggedModel>, Fault> {
    let found = rows(db, &MODELS, search, |_| "").await?;
    page!(found, |row| models::complete(db, row).await?)
}

pub(super) async fn registered(
    db: &mut dyn Session,
    search: &Search,
) -> Result<Page<RegisteredModel>, Fault> {
    let extra = |terms: &[Term]| if asks_for_prompts(terms) { "" } else { NO_PROMPT };
    let found = rows(db, &REGISTERED, search, extra).await?;
    page!(found, |row| registry::complete(db, row).await?)
}

pub(super) async fn versions(db: &mut dyn Session, search: &Search) -> Result<Page<ModelVersion>, Fault> {
    let extra = |terms: &[Term]| if asks_for_prompts(terms) { "" } else { NO_PROMPT_VERSION };
    let found = rows(db, &VERSIONS, search, extra).await?;
    page!(found, |row| versions::complete(db, row).await?)
}

pub(super) async fn traces(db: &mut dyn Session, search: &Search) -> Result<Page<Map<String, Json>>, Fault> {
    let found = rows(db, &TRACES, search, |_| "").await?;
    page!(found, |row| trace_info::info(db, row).await?)
}
