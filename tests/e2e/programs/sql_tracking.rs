//! What `tests/e2e/test_tracking_sql.py` makes the database do: one command, its answer as JSON.
//!
//! `write URI TRACE`, `read URI RUN MODEL TRACE`, `create-runs URI EXPERIMENT COUNT`, `create-versions URI NAME COUNT`.
#![allow(clippy::print_stdout, reason = "the answer")]
#![allow(clippy::indexing_slicing, reason = "a missing argument is a defect of the test")]

use std::error::Error;

use opentelemetry_mlflow::mlflow::entities::{
    AssessmentError, AssessmentSource, AssessmentValue, Dataset, DatasetInput, LogBatch, LoggedModelStatus,
    Metric, ModelInput, ModelOutput, NewAssessment, NewExperiment, NewLoggedModel, NewModelVersion, NewRun,
    Param, RunStatus, RunUpdate, Search, SourceKind, Tag,
};
use opentelemetry_mlflow::mlflow::tracking_uri::TrackingUri;
use opentelemetry_mlflow::store::sql::{SqlOptions, SqlStore};
use opentelemetry_mlflow::store::tracking::TrackingStore;
use serde_json::{Map, Value, json};

type Outcome = Result<Value, Box<dyn Error>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let store = SqlStore::connect(&TrackingUri::parse(&words[1])?, SqlOptions::default()).await?;
    let answer = match words[0].as_str() {
        "write" => write(&store, &words[2]).await?,
        "read" => read(&store, &words[2], &words[3], &words[4]).await?,
        "create-runs" => create_runs(&store, &words[2], words[3].parse()?).await?,
        "create-versions" => create_versions(&store, &words[2], words[3].parse()?).await?,
        other => return Err(format!("no command {other}").into()),
    };
    println!("{answer}");
    store.close().await;
    Ok(())
}

/// Everything once. The same calls are made by Python in `test_tracking_sql.py`.
async fn write(store: &SqlStore, trace_id: &str) -> Outcome {
    let experiment = NewExperiment {
        name: "chat".to_owned(),
        artifact_location: Some("s3://bucket/chat".to_owned()),
        tags: vec![Tag::new("team", "a")],
    };
    let experiment_id = store.create_experiment(experiment).await?;
    store.set_experiment_tag(&experiment_id, Tag::new("k", "v")).await?;
    let new = NewRun {
        experiment_id: experiment_id.clone(),
        name: Some("first".to_owned()),
        user_id: Some("ada".to_owned()),
        start_time_ms: 1_000,
        tags: vec![Tag::new("mlflow.user", "ada")],
    };
    let run_id = store.create_run(new).await?.info.run_id;
    log(store, &run_id).await?;
    let model_id = models(store, &experiment_id, &run_id).await?;
    registry(store, &run_id, &model_id).await?;
    traces(store, &run_id, trace_id).await?;
    let ended = RunUpdate {
        status: Some(RunStatus::Finished),
        end_time_ms: Some(9_000),
        name: Some("renamed".to_owned()),
    };
    store.update_run(&run_id, ended).await?;
    Ok(json!({ "experiment_id": experiment_id, "run_id": run_id, "model_id": model_id }))
}

async fn log(store: &SqlStore, run_id: &str) -> Result<(), Box<dyn Error>> {
    let metric =
        |key: &str, value, timestamp_ms, step| Metric { key: key.to_owned(), value, timestamp_ms, step };
    let param = |key: &str, value: String| Param { key: key.to_owned(), value };
    let first = LogBatch {
        metrics: vec![metric("acc", 0.5, 1, 0), metric("acc", 0.75, 2, 1), metric("nan", f64::NAN, 3, 0)],
        params: vec![param("lr", "0.1".to_owned()), param("long", "ä".repeat(7_000))],
        tags: vec![Tag::new("a/b c", "v"), Tag::new("long", "y".repeat(9_000))],
    };
    store.log_batch(run_id, first).await?;
    let infinite = vec![metric("inf", f64::INFINITY, 3, 0), metric("ninf", f64::NEG_INFINITY, 3, 0)];
    let late = [metric("acc", 0.25, 9, 0), metric("small", 1e-7, 3, -2)];
    let second = LogBatch {
        metrics: infinite.into_iter().chain(late).collect(),
        params: vec![param("lr", "0.1".to_owned())],
        tags: vec![Tag::new("a/b c", "w"), Tag::new("gone", "")],
    };
    store.log_batch(run_id, second).await?;
    store.delete_tag(run_id, "gone").await?;
    let dataset = Dataset {
        name: "d".to_owned(),
        digest: "abc".to_owned(),
        source_type: "http".to_owned(),
        source: r#"{"url": "https://x/y.csv"}"#.to_owned(),
        schema: None,
        profile: Some(r#"{"num_rows": 2}"#.to_owned()),
    };
    let input = DatasetInput { dataset, tags: vec![Tag::new("mlflow.data.context", "eval")] };
    Ok(store.log_inputs(run_id, vec![input], Vec::new()).await?)
}

async fn models(store: &SqlStore, experiment_id: &str, run_id: &str) -> Result<String, Box<dyn Error>> {
    let new = NewLoggedModel {
        experiment_id: experiment_id.to_owned(),
        name: Some("lm".to_owned()),
        model_type: None,
        source_run_id: Some(run_id.to_owned()),
        params: vec![Param { key: "p".to_owned(), value: "1".to_owned() }],
        tags: vec![Tag::new("t", "1")],
    };
    let model_id = store.create_logged_model(new).await?.model_id;
    store.log_model_params(&model_id, vec![Param { key: "q".to_owned(), value: "2".to_owned() }]).await?;
    store.set_logged_model_tags(&model_id, vec![Tag::new("t", "2")]).await?;
    store.finish_logged_model(&model_id, LoggedModelStatus::Ready).await?;
    store.log_outputs(run_id, vec![ModelOutput { model_id: model_id.clone(), step: 2 }]).await?;
    store.log_inputs(run_id, Vec::new(), vec![ModelInput { model_id: model_id.clone() }]).await?;
    Ok(model_id)
}

async fn registry(store: &SqlStore, run_id: &str, model_id: &str) -> Result<(), Box<dyn Error>> {
    store.create_registered_model("auto", Some("about"), vec![Tag::new("a", "b")]).await?;
    store.create_registered_model("plain", None, Vec::new()).await?;
    let new = NewModelVersion {
        name: "auto".to_owned(),
        source: format!("models:/{model_id}"),
        run_id: Some(run_id.to_owned()),
        model_id: Some(model_id.to_owned()),
        description: Some("one".to_owned()),
        tags: vec![Tag::new("q", "w")],
    };
    store.create_model_version(new).await?;
    for name in ["auto", "plain"] {
        let new = NewModelVersion {
            name: name.to_owned(),
            source: "s3://bucket/elsewhere".to_owned(),
            ..NewModelVersion::default()
        };
        store.create_model_version(new).await?;
    }
    store.set_registered_model_tag("auto", Tag::new("a", "c")).await?;
    store.set_model_version_tag("auto", "2", Tag::new("k", "v")).await?;
    store.set_alias("auto", "champion", "1").await?;
    store.set_alias("auto", "challenger", "2").await?;
    Ok(store.delete_alias("auto", "challenger").await?)
}

async fn traces(store: &SqlStore, run_id: &str, trace_id: &str) -> Result<(), Box<dyn Error>> {
    store.link_traces(run_id, &[trace_id.to_owned()]).await?;
    store.set_trace_tag(trace_id, Tag::new("k", "v")).await?;
    store.set_trace_tag(trace_id, Tag::new("mlflow.traceName", "asked")).await?;
    let source = |kind, id: &str| AssessmentSource { kind, id: id.to_owned() };
    let feedback = |value| AssessmentValue::Feedback { value, error: None };
    let new = |name: &str, source, value| NewAssessment {
        trace_id: trace_id.to_owned(),
        span_id: None,
        name: name.to_owned(),
        source,
        value,
        rationale: None,
        metadata: Map::new(),
        create_time_ms: 5_000,
        overrides: None,
    };
    let mut quality = new("quality", source(SourceKind::Human, "bob"), feedback(json!(0.5)));
    quality.rationale = Some("why ä".to_owned());
    quality.metadata.insert("k".to_owned(), json!("v"));
    store.create_assessment(quality).await?;
    let wrong = store
        .create_assessment(new("ok", source(SourceKind::LlmJudge, "gpt"), feedback(json!("Yes"))))
        .await?;
    let mut right = new("ok", source(SourceKind::Human, "bob"), feedback(json!(false)));
    right.overrides = Some(wrong.assessment_id);
    store.create_assessment(right).await?;
    let error = AssessmentError { code: "E".to_owned(), message: Some("boom".to_owned()), stack_trace: None };
    let failed = AssessmentValue::Feedback { value: Value::Null, error: Some(error) };
    store.create_assessment(new("failed", source(SourceKind::Code, "judge.py"), failed)).await?;
    let expected = AssessmentValue::Expectation { value: json!({ "a": [1, "ä"] }) };
    store.create_assessment(new("expected", source(SourceKind::Human, "bob"), expected)).await?;
    Ok(())
}

/// What the store says of what somebody else wrote, in the words of `test_tracking_sql.py`.
async fn read(store: &SqlStore, run_id: &str, model_id: &str, trace_id: &str) -> Outcome {
    let run = store.get_run(run_id).await?;
    let experiment = store.get_experiment(&run.info.experiment_id).await?;
    let model = store.get_logged_model(model_id).await?;
    let named = store.get_registered_model("auto").await?;
    let version = store.get_model_version_by_alias("auto", "champion").await?;
    let search = Search { experiment_ids: vec![run.info.experiment_id.clone()], ..Search::default() };
    let history = store.metric_history(run_id, "acc").await?;
    let assessments = store.assessments(trace_id).await?;
    let trace = store.get_trace(trace_id).await?;
    let number = |value: f64| if value.is_nan() { json!("nan") } else { json!(value) };
    Ok(json!({
        "experiment": [experiment.name, experiment.artifact_location, tags(&experiment.tags)],
        "run": [run.info.name, run.info.user_id, run.info.status.as_str(), run.info.start_time_ms, run.info.end_time_ms, run.info.artifact_uri],
        "params": run.data.params.iter().map(|one| (one.key.clone(), json!(one.value))).collect::<Map<_, _>>(),
        "tags": tags(&run.data.tags),
        "metrics": run.data.metrics.iter().map(|one| (one.key.clone(), json!([number(one.value), one.timestamp_ms, one.step]))).collect::<Map<_, _>>(),
        "history": history.iter().map(|one| json!([number(one.value), one.timestamp_ms, one.step])).collect::<Vec<_>>(),
        "datasets": run.inputs.datasets.iter().map(|one| json!([one.dataset.name, one.dataset.digest, one.dataset.source_type, one.dataset.source, one.dataset.profile, tags(&one.tags)])).collect::<Vec<_>>(),
        "model_inputs": run.inputs.models.iter().map(|one| one.model_id.clone()).collect::<Vec<_>>(),
        "model": [model.name, model.artifact_uri, model.status.as_str(), model.source_run_id, tags(&model.tags), model.params.len()],
        "registered": [named.description, tags(&named.tags), named.aliases],
        "version": [version.version, version.source, version.run_id, version.status, version.description, tags(&version.tags), version.aliases],
        "runs": store.search_runs(search.clone()).await?.items.len(),
        "traces": store.search_traces(search).await?.items.len(),
        "trace_tags": trace["info"]["tags"],
        "spans": trace["spans"].as_array().map(Vec::len),
        "assessments": assessments.iter().map(assessment).collect::<Vec<_>>(),
    }))
}

fn tags(tags: &[Tag]) -> Map<String, Value> {
    tags.iter().map(|tag| (tag.key.clone(), json!(tag.value))).collect()
}

fn assessment(one: &opentelemetry_mlflow::mlflow::entities::Assessment) -> Value {
    let (kind, value, error) = match &one.content.value {
        AssessmentValue::Feedback { value, error } => ("feedback", value, error.as_ref()),
        AssessmentValue::Expectation { value } => ("expectation", value, None),
    };
    let source = json!([one.content.source.kind.as_str(), one.content.source.id]);
    let error = error.map(|error| json!([error.code, error.message]));
    json!([
        one.content.name,
        kind,
        value,
        error,
        source,
        one.content.rationale,
        one.content.metadata,
        one.valid
    ])
}

/// The ids that several processes agree on.
async fn create_runs(store: &SqlStore, experiment_id: &str, count: u128) -> Outcome {
    let mut starts = Vec::new();
    for number in 0..count {
        let new = NewRun {
            experiment_id: experiment_id.to_owned(),
            start_time_ms: std::process::id().into(),
            ..NewRun::default()
        };
        starts.push(store.create_run_once(&format!("{number:032x}"), new).await?.info.start_time_ms);
    }
    Ok(json!(starts))
}

async fn create_versions(store: &SqlStore, name: &str, count: usize) -> Outcome {
    let mut numbers = Vec::new();
    for _ in 0..count {
        let new = NewModelVersion {
            name: name.to_owned(),
            source: "s3://bucket/elsewhere".to_owned(),
            ..NewModelVersion::default()
        };
        numbers.push(store.create_model_version(new).await?.version);
    }
    Ok(json!(numbers))
}
