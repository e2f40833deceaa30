//! One look at a run: what its traces say, compared with what it holds.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::backend::RunBackend;
use super::config::RunsConfig;
use super::open::{Job, Looked};
use crate::mapping::python::{adumps, loads};
use crate::mapping::runs::{RunMode, RunView, TABLE_FILE, TraceFacts, TraceVersion, prediction_table};
use crate::mlflow::entities::{Lifecycle, LogBatch, Metric, Run, RunStatus, RunUpdate, Tag};
use crate::semconv::mlflow::LOGGED_ARTIFACTS;
use crate::semconv::otel_mlflow::{RUN_KEY, RUN_MODE};
use crate::store::tracking::TrackingError;

/// Traces that are read at once: their spans may be large.
const AT_ONCE: usize = 100;

/// What is remembered of a run between two looks, so that traces are read once.
#[derive(Debug, Default)]
pub(super) struct Memory {
    facts: HashMap<String, (u64, TraceFacts)>,
    /// Hash of all versions, as of the last look.
    seen: Option<u64>,
    /// Hashes of the measurements of single traces that are logged.
    logged: HashSet<u64>,
    /// Hash of the table that is written.
    table: Option<u64>,
}

/// What a look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// A trace was written to since the last look, by whomever.
    pub(super) changed: bool,
    /// The run was written to.
    pub(super) wrote: bool,
    /// The run is over.
    pub(super) ended: bool,
}

/// Looks at a run and logs what is missing.
///
/// # Errors
///
/// What MLflow says.
pub(super) async fn look(
    backend: &dyn RunBackend,
    config: &RunsConfig,
    job: &mut Job,
) -> Result<Looked, TrackingError> {
    let Some(run) = find(backend, &job.run_id).await? else { return Ok(Looked::Gone) };
    let is_ours = run.tag(RUN_KEY).is_some();
    if is_ours && let Some(winner) = backend.settle(&job.run_id).await? {
        return Ok(Looked::Moved(winner));
    }
    if run.info.lifecycle == Lifecycle::Deleted {
        return Ok(Looked::Gone);
    }
    let changed = read(backend, &run, &mut job.memory).await?;
    let facts = || job.memory.facts.values().map(|(_, facts)| facts);
    let of_one_trace = is_ours && run.tag(RUN_MODE) == Some(RunMode::Trace.as_str());
    let over = of_one_trace && facts().next().is_some() && facts().all(TraceFacts::is_complete);
    // Somebody else's spans may have come while this gateway saw none.
    let ends = over || (job.ends && !changed);
    let view = RunView::fold(facts(), ends);
    let mut batch = view.log(&run, ends, is_ours);
    batch.metrics.retain(|metric| !job.memory.logged.contains(&hash_of(metric)));
    let table = if config.table { prediction_table(facts(), config.table_rows) } else { None };
    let mut wrote = write_table(backend, &run, table, &mut job.memory, &mut batch).await?;
    wrote |= !batch.is_empty();
    if !batch.is_empty() {
        let logged: Vec<u64> =
            batch.metrics.iter().filter(|metric| metric.key.ends_with("_ms")).map(hash_of).collect();
        backend.tracking().log_batch(&job.run_id, batch).await?;
        job.memory.logged.extend(logged);
    }
    if is_ours {
        wrote |= set_status(backend, &run, &view, ends, job.ends).await?;
    }
    Ok(Looked::Done(Outcome { changed, wrote, ended: ends }))
}

async fn find(backend: &dyn RunBackend, run_id: &str) -> Result<Option<Run>, TrackingError> {
    match backend.tracking().get_run(run_id).await {
        Ok(run) => Ok(Some(run)),
        Err(TrackingError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads the traces that are new or have changed; tells whether there were any, or some have gone.
async fn read(backend: &dyn RunBackend, run: &Run, memory: &mut Memory) -> Result<bool, TrackingError> {
    let mut versions = backend.traces(&run.info).await?;
    versions.sort();
    let seen = hash_of_versions(&versions);
    let fresh = |known: &TraceVersion| {
        memory.facts.get(&known.trace_id).is_none_or(|(version, _)| *version != known.version)
    };
    let wanted: Vec<TraceVersion> = versions.iter().filter(|version| fresh(version)).cloned().collect();
    for some in wanted.chunks(AT_ONCE) {
        let ids = some.iter().map(|version| version.trace_id.clone()).collect();
        let known: HashMap<&str, u64> =
            some.iter().map(|version| (version.trace_id.as_str(), version.version)).collect();
        for stored in backend.stored(ids).await? {
            let version = known.get(stored.trace_id.as_str()).copied().unwrap_or_default();
            memory.facts.insert(stored.trace_id.clone(), (version, TraceFacts::read(stored)));
        }
    }
    let linked: HashSet<&str> = versions.iter().map(|version| version.trace_id.as_str()).collect();
    memory.facts.retain(|trace_id, _| linked.contains(trace_id.as_str()));
    Ok(memory.seen.replace(seen) != Some(seen))
}

/// Writes the table if it is another one, and has the tag that MLflow finds it by among the tags.
async fn write_table(
    backend: &dyn RunBackend,
    run: &Run,
    table: Option<String>,
    memory: &mut Memory,
    batch: &mut LogBatch,
) -> Result<bool, TrackingError> {
    let Some(table) = table else { return Ok(false) };
    let hash = {
        let mut hash = DefaultHasher::new();
        table.hash(&mut hash);
        hash.finish()
    };
    if memory.table == Some(hash) {
        return Ok(false);
    }
    if !backend.put_file(&run.info, TABLE_FILE, table).await? {
        tracing::debug!(
            uri = run.info.artifact_uri,
            "the table of a run is not written: its artifacts are out of reach"
        );
        memory.table = Some(hash);
        return Ok(false);
    }
    memory.table = Some(hash);
    batch.tags.extend(logged_artifacts(run.tag(LOGGED_ARTIFACTS)));
    Ok(true)
}

/// The tag with the table added; none if it has it.
fn logged_artifacts(present: Option<&str>) -> Option<Tag> {
    let parsed = present.and_then(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).ok());
    let mut entries = parsed.unwrap_or_default();
    let table = serde_json::json!({ "path": TABLE_FILE, "type": "table" });
    if entries.contains(&table) {
        return None;
    }
    entries.push(table);
    let plain = serde_json::Value::Array(entries).to_string();
    let text = loads(&plain).map_or(plain, |value| adumps(&value));
    Some(Tag::new(LOGGED_ARTIFACTS, text))
}

async fn set_status(
    backend: &dyn RunBackend,
    run: &Run,
    view: &RunView,
    ends: bool,
    may_be_idle: bool,
) -> Result<bool, TrackingError> {
    let (status, end_time_ms) = match ends {
        true => (view.end(), view.end_ms),
        // A run that only seems to be idle has not been opened again.
        false if run.info.status.is_terminal() && !may_be_idle => (RunStatus::Running, None),
        false => return Ok(false),
    };
    let same_end = end_time_ms.is_none() || run.info.end_time_ms == end_time_ms;
    if run.info.status == status && same_end {
        return Ok(false);
    }
    let update = RunUpdate { status: Some(status), end_time_ms, name: None };
    backend.tracking().update_run(&run.info.run_id, update).await?;
    Ok(true)
}

fn hash_of(metric: &Metric) -> u64 {
    let mut hash = DefaultHasher::new();
    (&metric.key, metric.value.to_bits(), metric.timestamp_ms, metric.step).hash(&mut hash);
    hash.finish()
}

fn hash_of_versions(versions: &[TraceVersion]) -> u64 {
    let mut hash = DefaultHasher::new();
    versions.hash(&mut hash);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_added_to_what_was_logged_before() {
        let table = r#"{"path": "genai_predictions.json", "type": "table"}"#;
        assert_eq!(logged_artifacts(None).unwrap().value, format!("[{table}]"));
        let other = r#"[{"path": "t.json", "type": "table"}]"#;
        let both = logged_artifacts(Some(other)).unwrap().value;
        assert_eq!(both, format!("[{}, {table}]", &other[1..other.len() - 1]));
        assert_eq!(logged_artifacts(Some(&both)), None);
    }
}
