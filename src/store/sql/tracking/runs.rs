//! The head of a run: created, read, changed, deleted.

use super::session::{Fault, Row, Session, values};
use super::{checks, experiments, inputs, log, names};
use crate::mlflow::entities::{
    Lifecycle, NewRun, Run, RunData, RunInfo, RunInputs, RunStatus, RunUpdate, Tag,
};
use crate::store::sql::artifacts::append_to_uri_path;
use crate::store::sql::now_ms;
use crate::store::tracking::TrackingError;
use crate::store::tracking::limits::prepare_tag;

/// The run's tag that repeats its name.
pub(super) const RUN_NAME: &str = "mlflow.runName";

/// The run's tag that names who runs it.
const USER: &str = "mlflow.user";

const BY_ID: &str = "
    SELECT run_uuid, experiment_id, name, user_id, status, start_time, end_time, artifact_uri, lifecycle_stage
    FROM runs WHERE run_uuid = $1";

/// Changes nothing if the run exists, even if another process is about to commit it.
const INSERT: &str = "
    INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,
        end_time, deleted_time, source_version, lifecycle_stage, artifact_uri, experiment_id)
    VALUES ($1, $2, 'UNKNOWN', '', '', $3, 'RUNNING', $4, NULL, NULL, '', 'active', $5, $6)
    ON CONFLICT (run_uuid) DO NOTHING";

const UPDATE: &str = "UPDATE runs SET status = $2, end_time = $3, name = $4 WHERE run_uuid = $1";

const SET_STAGE: &str = "UPDATE runs SET lifecycle_stage = $2, deleted_time = $3 WHERE run_uuid = $1";

/// MLflow finds the assessments of a run by the text of their metadata.
const FORGET_ASSESSMENTS: &str = "DELETE FROM assessments WHERE assessment_metadata LIKE $1";

/// A run to be.
pub(super) struct Creation {
    pub(super) run_id: String,
    /// Whether a run of this id may be there already, and is the answer then.
    pub(super) or_existing: bool,
    pub(super) new: NewRun,
}

pub(super) async fn create(db: &mut dyn Session, creation: &Creation) -> Result<Run, Fault> {
    let Creation { run_id, or_existing, new } = creation;
    checks::run_id(run_id)?;
    if *or_existing && head(db, run_id).await?.is_some() {
        return get(db, run_id).await;
    }
    let experiment = experiments::active(db, &new.experiment_id).await?;
    let mut tags = new.tags.iter().cloned().map(prepare_tag).collect::<Result<Vec<_>, _>>()?;
    let name = name(new.name.as_deref(), &mut tags)?;
    let user = new.user_id.clone().or_else(|| value(&tags, USER)).unwrap_or_else(|| "unknown".to_owned());
    let artifacts = append_to_uri_path(&experiment.artifact_location, &format!("{run_id}/artifacts"));
    let experiment_id = checks::experiment_id(&experiment.experiment_id)?;
    let row = values![run_id, name, user, new.start_time_ms, artifacts, experiment_id];
    if db.execute(INSERT, row).await? == 1 {
        log::set_tags(db, run_id, &tags).await?;
    }
    get(db, run_id).await
}

/// The run's name, from wherever it is given; it is among the tags afterwards.
fn name(given: Option<&str>, tags: &mut Vec<Tag>) -> Result<String, TrackingError> {
    let given = given.filter(|name| !name.is_empty());
    match (given, value(tags, RUN_NAME)) {
        (Some(given), Some(tag)) if given != tag => Err(TrackingError::invalid(format!(
            "the run is named {given:?}, but its tag {RUN_NAME} says {tag:?}; give one of them"
        ))),
        (_, Some(tag)) => Ok(tag),
        (given, None) => {
            let name = given.map_or_else(names::random_name, str::to_owned);
            tags.push(Tag::new(RUN_NAME, &name));
            Ok(name)
        }
    }
}

fn value(tags: &[Tag], key: &str) -> Option<String> {
    tags.iter().rev().find(|tag| tag.key == key).map(|tag| tag.value.clone())
}

pub(super) async fn get(db: &mut dyn Session, run_id: &str) -> Result<Run, Fault> {
    let info = head(db, run_id).await?.ok_or_else(|| no_run(run_id))?;
    let runs = complete(db, vec![info]).await?;
    Ok(runs.into_iter().next().ok_or_else(|| no_run(run_id))?)
}

/// Runs whose data is read together.
const TOGETHER: usize = 500;

/// The runs of these heads, in their order.
pub(super) async fn complete(db: &mut dyn Session, heads: Vec<RunInfo>) -> Result<Vec<Run>, Fault> {
    let mut runs = Vec::with_capacity(heads.len());
    for heads in heads.chunks(TOGETHER) {
        let ids: Vec<String> = heads.iter().map(|info| info.run_id.clone()).collect();
        let mut data = log::data(db, &ids).await?;
        let mut inputs = inputs::of_runs(db, &ids).await?;
        runs.extend(heads.iter().map(|info| {
            let (data, inputs) = (data.remove(&info.run_id), inputs.remove(&info.run_id));
            run(info.clone(), data.unwrap_or_default(), inputs.unwrap_or_default())
        }));
    }
    Ok(runs)
}

fn run(mut info: RunInfo, data: RunData, inputs: RunInputs) -> Run {
    if info.name.is_empty() {
        info.name = value(&data.tags, RUN_NAME).unwrap_or_default();
    }
    Run { info, data, inputs }
}

async fn head(db: &mut dyn Session, run_id: &str) -> Result<Option<RunInfo>, Fault> {
    Ok(db.query(BY_ID, values![run_id]).await?.first().map(info))
}

fn no_run(run_id: &str) -> TrackingError {
    TrackingError::not_found(format!("there is no run with id {run_id}"))
}

/// The head of a run that may be written to.
pub(super) async fn active(db: &mut dyn Session, run_id: &str) -> Result<RunInfo, Fault> {
    let info = head(db, run_id).await?.ok_or_else(|| no_run(run_id))?;
    if info.lifecycle == Lifecycle::Deleted {
        let message = format!("run {run_id} is deleted; restore it, or use another");
        return Err(TrackingError::Deleted { message }.into());
    }
    Ok(info)
}

/// The head in a row of [`BY_ID`].
pub(super) fn info(row: &Row) -> RunInfo {
    RunInfo {
        run_id: row.text(0),
        experiment_id: row.int(1).to_string(),
        name: row.text(2),
        user_id: row.text(3),
        status: RunStatus::from_stored(&row.text(4)).unwrap_or_default(),
        start_time_ms: row.int(5),
        end_time_ms: row.optional_int(6),
        artifact_uri: row.text(7),
        lifecycle: Lifecycle::from_stored(&row.text(8)),
    }
}

pub(super) async fn update(
    db: &mut dyn Session,
    (run_id, update): &(String, RunUpdate),
) -> Result<RunInfo, Fault> {
    let mut info = active(db, run_id).await?;
    info.status = update.status.unwrap_or(info.status);
    info.end_time_ms = update.end_time_ms.or(info.end_time_ms);
    let name = update.name.as_deref().filter(|name| !name.is_empty());
    if let Some(name) = name {
        name.clone_into(&mut info.name);
    }
    db.execute(UPDATE, values![run_id, info.status.as_str(), info.end_time_ms, &info.name]).await?;
    if let Some(name) = name {
        log::set_tags(db, run_id, &[Tag::new(RUN_NAME, name)]).await?;
    }
    Ok(info)
}

pub(super) async fn set_deleted(
    db: &mut dyn Session,
    (run_id, deleted): &(String, bool),
) -> Result<(), Fault> {
    head(db, run_id).await?.ok_or_else(|| no_run(run_id))?;
    if *deleted {
        let pattern = format!("%\"mlflow.assessment.sourceRunId\": \"{run_id}\"%");
        db.execute(FORGET_ASSESSMENTS, values![pattern]).await?;
        db.execute(SET_STAGE, values![run_id, Lifecycle::Deleted.as_str(), now_ms()]).await?;
    } else {
        db.execute(SET_STAGE, values![run_id, Lifecycle::Active.as_str(), None::<i64>]).await?;
    }
    Ok(())
}
