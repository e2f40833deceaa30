//! What the tests of the tracking client make it do: one command, answers as JSON.
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program of the tests fails by panicking, and prints its answer"
)]

use std::error::Error;
use std::time::Duration;

use opentelemetry_mlflow::mlflow::entities::{
    Assessment, AssessmentError, AssessmentSource, AssessmentValue, Dataset, DatasetInput, LogBatch,
    LoggedModelStatus, Metric, ModelInput, ModelOutput, NewAssessment, NewExperiment, NewLoggedModel,
    NewModelVersion, NewRun, Param, Run, RunStatus, Search, Tag, ViewType,
};
use opentelemetry_mlflow::store::rest::{RestOptions, RetryConfig};
use opentelemetry_mlflow::tracking::{
    Client, DatasetSource, NewPrompt, Prompt, PromptTemplate, Rendered, TrackingError,
};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().ok_or("no command")?;
    let rest: Vec<String> = arguments.collect();
    let argument = |index: usize| rest.get(index).map(String::as_str).ok_or("an argument is missing");
    let client = Client::from_env().await?;
    let answer = match command.as_str() {
        "write-runs" => write_runs(&client, argument(0)?).await?,
        "read-runs" => read_runs(&client, argument(0)?).await?,
        "write-rest" => write_rest(&client, argument(0)?).await?,
        "write-prompts" => write_prompts(&client).await?,
        "load-prompt" => show_prompt(&client.load_prompt(argument(0)?).await?),
        "link-prompt" => link_prompt(&client, argument(0)?, argument(1)?).await?,
        "assess" => assess(&client, argument(0)?).await?,
        "read-trace" => read_trace(&client, argument(0)?).await?,
        "read-registry" => read_registry(&client, argument(0)?).await?,
        "fails-with" => fails_with().await?,
        "fail" => fail(&client, argument(0)?, argument(1)?, argument(2)?).await?,
        other => return Err(format!("no such command: {other}").into()),
    };
    println!("{answer}");
    Ok(())
}

async fn write_runs(client: &Client, name: &str) -> Result<Value, TrackingError> {
    let new = NewExperiment {
        name: name.to_owned(),
        tags: vec![Tag::new("team", "rust"), Tag::new("ünï", "日本")],
        ..NewExperiment::default()
    };
    let experiment_id = client.create_experiment(new).await?;
    client.set_experiment_tag(&experiment_id, "later", "yes").await?;
    let new = NewRun {
        experiment_id: experiment_id.clone(),
        name: Some("from rust".to_owned()),
        user_id: Some("ada".to_owned()),
        start_time_ms: 1_700_000_000_000,
        tags: vec![Tag::new("mlflow.source.name", "x.rs")],
    };
    let run = client.create_run(new).await?;
    let run_id = run.info.run_id.as_str();
    client.log_param(run_id, "temperature", 0.25).await?;
    client.log_params(run_id, [("model", "gpt-4o-mini"), ("system prompt/v1", "Be kind, 日本.")]).await?;
    let metrics = (0..2500).map(|step| metric("loss", 1.0 / f64::from(step + 1), step)).collect();
    let batch = LogBatch {
        metrics,
        params: (0..250)
            .map(|number| Param { key: format!("p{number}"), value: number.to_string() })
            .collect(),
        tags: (0..120).map(|number| Tag::new(format!("t{number}"), format!("v{number}"))).collect(),
    };
    client.log_batch(run_id, batch.clone()).await?;
    // A second time, as a retry would.
    client.log_batch(run_id, batch).await?;
    let special = [
        ("nan", f64::NAN),
        ("inf", f64::INFINITY),
        ("ninf", f64::NEG_INFINITY),
        ("tiny", 1e-300),
        ("neg", -0.5),
    ];
    let special = special.into_iter().map(|(key, value)| metric(key, value, 0)).collect();
    client.log_metrics(run_id, special).await?;
    client.log_metric(run_id, "now", 3.0, 7).await?;
    client.log_param(run_id, "long", "é".repeat(6500)).await?;
    client.set_tag(run_id, "long", "x".repeat(9000)).await?;
    client.set_tag(run_id, "gone", "x").await?;
    client.delete_tag(run_id, "gone").await?;
    client.terminate_run(run_id, RunStatus::Finished).await?;
    let deleted =
        client.create_run(NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() }).await?;
    client.delete_run(&deleted.info.run_id).await?;
    client.delete_run(&deleted.info.run_id).await?;
    Ok(json!({ "experiment_id": experiment_id, "run_id": run_id, "deleted": deleted.info.run_id }))
}

fn metric(key: &str, value: f64, step: i32) -> Metric {
    let step = i64::from(step);
    Metric { key: key.to_owned(), value, timestamp_ms: 1_700_000_000_000 + step, step }
}

async fn read_runs(client: &Client, name: &str) -> Result<Value, TrackingError> {
    let experiment =
        client.find_experiment(name).await?.ok_or_else(|| TrackingError::not_found("the experiment"))?;
    let search = Search {
        experiment_ids: vec![experiment.experiment_id.clone()],
        order_by: vec!["attributes.start_time ASC".to_owned()],
        view: ViewType::All,
        ..Search::default()
    };
    let mut runs = Vec::new();
    for run in client.search_runs(search).await? {
        let run_id = run.info.run_id.clone();
        assert_eq!(client.get_run(&run_id).await?.info, run.info);
        let mut shown = show_run(&run);
        for metric in &run.data.metrics {
            let history = client.metric_history(&run_id, &metric.key).await?;
            shown["history"][&metric.key] = history.iter().map(show_metric).collect();
        }
        runs.push(shown);
    }
    Ok(json!({
        "experiment_id": experiment.experiment_id,
        "artifact_location": experiment.artifact_location,
        "tags": show_tags(&experiment.tags),
        "creation_time": experiment.creation_time_ms,
        "last_update_time": experiment.last_update_time_ms,
        "runs": runs,
    }))
}

fn show_run(run: &Run) -> Value {
    json!({
        "run_id": run.info.run_id,
        "name": run.info.name,
        "user_id": run.info.user_id,
        "status": run.info.status.as_str(),
        "start_time": run.info.start_time_ms,
        "end_time": run.info.end_time_ms,
        "artifact_uri": run.info.artifact_uri,
        "lifecycle_stage": run.info.lifecycle.as_str(),
        "params": run.data.params.iter().map(|p| (p.key.clone(), json!(p.value))).collect::<serde_json::Map<_, _>>(),
        "tags": show_tags(&run.data.tags),
        "metrics": run.data.metrics.iter().map(|m| (m.key.clone(), show_metric(m))).collect::<serde_json::Map<_, _>>(),
        "history": {},
        "inputs": run.inputs.datasets.iter().map(|input| json!({
            "name": input.dataset.name,
            "digest": input.dataset.digest,
            "source_type": input.dataset.source_type,
            "source": input.dataset.source,
            "schema": input.dataset.schema,
            "profile": input.dataset.profile,
            "tags": show_tags(&input.tags),
        })).collect::<Vec<_>>(),
    })
}

fn show_tags(tags: &[Tag]) -> Value {
    tags.iter().map(|tag| (tag.key.clone(), json!(tag.value))).collect::<serde_json::Map<_, _>>().into()
}

/// Python reads `NaN` and the infinities out of texts.
fn show_metric(metric: &Metric) -> Value {
    json!([metric.value.to_string(), metric.timestamp_ms, metric.step])
}

/// Inputs, logged models, the registry.
async fn write_rest(client: &Client, name: &str) -> Result<Value, TrackingError> {
    let experiment_id = client.experiment(name).await?.experiment_id;
    let run = client.create_run(NewRun { experiment_id: experiment_id.clone(), ..NewRun::default() }).await?;
    let run_id = run.info.run_id;
    let columns = json!([{ "type": "string", "name": "question", "required": true }]);
    let source = DatasetSource::http("https://example.org/questions.csv");
    let mut dataset = Dataset::described("questions", &source, Some(&columns));
    dataset.profile = Some(r#"{"num_rows": 2}"#.to_owned());
    let mut input = DatasetInput::used_for("eval", dataset);
    input.tags.push(Tag::new("split", "a"));
    client.log_inputs(&run_id, vec![input.clone()]).await?;
    client.log_inputs(&run_id, vec![input]).await?;
    let model = logged_model(client, &experiment_id, &run_id).await;
    let registered = format!("{name}-model");
    client.create_registered_model(&registered, Some("what it is"), vec![Tag::new("a", "b")]).await?;
    let new = NewModelVersion {
        name: registered.clone(),
        source: "s3://bucket/model".to_owned(),
        run_id: Some(run_id.clone()),
        description: Some("first".to_owned()),
        tags: vec![Tag::new("q", "w")],
        ..NewModelVersion::default()
    };
    let version = client.create_model_version(new).await?;
    client.set_alias(&registered, "champion", &version.version).await?;
    client.set_alias(&registered, "gone", &version.version).await?;
    client.delete_alias(&registered, "gone").await?;
    client.set_registered_model_tag(&registered, "c", "d").await?;
    client.set_model_version_tag(&registered, &version.version, "later", "yes").await?;
    let model = match model {
        Ok(id) => json!(id),
        Err(TrackingError::Unsupported { message }) => json!({ "unsupported": message }),
        Err(error) => return Err(error),
    };
    Ok(json!({ "run_id": run_id, "model": model, "registered": registered }))
}

async fn logged_model(client: &Client, experiment_id: &str, run_id: &str) -> Result<String, TrackingError> {
    let new = NewLoggedModel {
        experiment_id: experiment_id.to_owned(),
        name: Some("chat".to_owned()),
        model_type: Some("agent".to_owned()),
        source_run_id: Some(run_id.to_owned()),
        params: vec![Param { key: "model".to_owned(), value: "gpt-4o".to_owned() }],
        tags: vec![Tag::new("x", "y")],
    };
    let id = client.create_logged_model(new).await?.model_id;
    client.log_model_params(&id, vec![Param { key: "late".to_owned(), value: "z".to_owned() }]).await?;
    client.set_logged_model_tags(&id, vec![Tag::new("t", "v")]).await?;
    client.log_outputs(run_id, vec![ModelOutput { model_id: id.clone(), step: 3 }]).await?;
    client.log_model_inputs(run_id, vec![ModelInput { model_id: id.clone() }]).await?;
    client.finish_logged_model(&id, LoggedModelStatus::Ready).await?;
    let search = Search {
        experiment_ids: vec![experiment_id.to_owned()],
        filter: Some("name = 'chat'".to_owned()),
        order_by: vec!["creation_timestamp DESC".to_owned()],
        ..Search::default()
    };
    let found = client.search_logged_models(search).await?;
    assert_eq!(found.len(), 1);
    let model = client.get_logged_model(&id).await?;
    assert_eq!(found[0], model);
    assert_eq!((model.status, model.params.len(), model.tags.len()), (LoggedModelStatus::Ready, 2, 2));
    Ok(id)
}

async fn read_registry(client: &Client, name: &str) -> Result<Value, TrackingError> {
    let model = client.get_registered_model(name).await?;
    let search = Search { filter: Some(format!("name = '{name}'")), ..Search::default() };
    assert_eq!(client.search_registered_models(search.clone()).await?, std::slice::from_ref(&model));
    let versions = client.search_model_versions(search).await?;
    let champion = client.get_model_version_by_alias(name, "champion").await?;
    assert_eq!(client.get_model_version(name, &champion.version).await?, champion);
    Ok(json!({
        "description": model.description,
        "tags": show_tags(&model.tags),
        "aliases": model.aliases.iter().cloned().map(|(a, v)| (a, json!(v))).collect::<serde_json::Map<_, _>>(),
        "created": model.creation_time_ms,
        "versions": versions.iter().map(|version| json!({
            "version": version.version,
            "source": version.source,
            "run_id": version.run_id,
            "description": version.description,
            "status": version.status,
            "created": version.creation_time_ms,
            "tags": show_tags(&version.tags),
            "aliases": version.aliases,
        })).collect::<Vec<_>>(),
    }))
}

async fn write_prompts(client: &Client) -> Result<Value, TrackingError> {
    let mut first = NewPrompt::new("rust.text", "Summarize in {{ sentences }} sentences: {{text}} 日本");
    first.commit_message = Some("first".to_owned());
    first.tags = vec![Tag::new("author", "ada")];
    let first = client.register_prompt(first).await?;
    let second = client.register_prompt(NewPrompt::new("rust.text", "Shorter: {{text}}")).await?;
    assert_eq!((first.version, second.version), (1, 2));
    client.set_prompt_alias("rust.text", "production", 1).await?;
    client.set_prompt_version_tag("rust.text", 1, "reviewed", "yes").await?;
    let found = client.search_prompts(Search::default()).await?;
    assert!(found.iter().any(|prompt| prompt.name == "rust.text"));
    assert!(
        client
            .search_registered_models(Search::default())
            .await?
            .iter()
            .all(|model| model.name != "rust.text")
    );
    let numbers: Vec<_> =
        client.prompt_versions("rust.text").await?.iter().map(|prompt| prompt.version).collect();
    assert_eq!(numbers, [2, 1]);
    let template = PromptTemplate::chat([("system", "You are {{style}}. Grüße"), ("user", "{{question}}")]);
    let mut chat = NewPrompt::new("rust-chat", template);
    chat.response_format =
        Some(json!({ "type": "object", "properties": { "answer": { "type": "string" } } }));
    chat.model_config = Some(json!({ "model_name": "gpt-4o", "temperature": 0.2 }));
    match client.register_prompt(chat).await {
        Ok(_) => Ok(json!({ "chat": true })),
        Err(TrackingError::Unsupported { message }) => Ok(json!({ "chat": message })),
        Err(error) => Err(error),
    }
}

fn show_prompt(prompt: &Prompt) -> Value {
    let values: Vec<_> =
        prompt.variables().into_iter().map(|name| (name.clone(), format!("<{name}>"))).collect();
    let rendered = match prompt.render(values) {
        Ok(Rendered::Text(text)) => json!(text),
        Ok(Rendered::Chat(messages)) => json!(messages),
        Err(error) => json!(error.to_string()),
    };
    json!({
        "name": prompt.name,
        "version": prompt.version,
        "uri": prompt.uri(),
        "template": match &prompt.template {
            PromptTemplate::Text(text) => json!(text),
            PromptTemplate::Chat(messages) => json!(messages),
        },
        "rendered": rendered,
        "commit_message": prompt.commit_message,
        "tags": show_tags(&prompt.tags),
        "aliases": prompt.aliases,
        "response_format": prompt.response_format,
        "model_config": prompt.model_config,
        "created": prompt.creation_time_ms,
    })
}

/// Links the prompt twice to a run, and to a trace where there is one.
async fn link_prompt(client: &Client, uri: &str, trace_id: &str) -> Result<Value, TrackingError> {
    let prompt = client.load_prompt(uri).await?;
    let run = client.create_run(NewRun::default()).await?;
    for _ in 0..2 {
        client.link_prompt_to_run(&run.info.run_id, &prompt).await?;
        if !trace_id.is_empty() {
            client.link_prompt_to_trace(trace_id, &prompt).await?;
        }
    }
    Ok(json!({ "run_id": run.info.run_id }))
}

async fn assess(client: &Client, trace_id: &str) -> Result<Value, TrackingError> {
    let ada = AssessmentSource::human("ada");
    let judge = AssessmentSource::judge("gpt-4o");
    let first = client
        .log_assessment(
            NewAssessment::feedback(trace_id, "quality", 0.8, ada.clone())
                .because("ok")
                .with_metadata("k", "v"),
        )
        .await?;
    client
        .log_assessment(
            NewAssessment::feedback(trace_id, "quality", 0.9, ada.clone()).overriding(&first.assessment_id),
        )
        .await?;
    client.log_assessment(NewAssessment::feedback(trace_id, "safe", true, judge.clone())).await?;
    let mut failed =
        NewAssessment::feedback(trace_id, "broken", Value::Null, AssessmentSource::code("check"));
    failed.value = AssessmentValue::Feedback {
        value: Value::Null,
        error: Some(AssessmentError {
            code: "ValueError".to_owned(),
            message: Some("boom".to_owned()),
            stack_trace: None,
        }),
    };
    client.log_assessment(failed).await?;
    let expected = json!({ "city": ["Paris", 1] });
    client.log_assessment(NewAssessment::expectation(trace_id, "expected", expected, ada.clone())).await?;
    client.log_assessment(NewAssessment::expectation(trace_id, "fact", "Paris", ada.clone())).await?;
    let gone = client.log_assessment(NewAssessment::feedback(trace_id, "gone", "x", ada)).await?;
    client.delete_assessment(trace_id, &gone.assessment_id).await?;
    client.delete_assessment(trace_id, &gone.assessment_id).await?;
    client.set_trace_tag(trace_id, "reviewed", "yes").await?;
    client.set_trace_tag(trace_id, "gone", "x").await?;
    client.delete_trace_tag(trace_id, "gone").await?;
    client.delete_trace_tag(trace_id, "gone").await?;
    let run = client.create_run(NewRun::default()).await?;
    client.link_traces(&run.info.run_id, &[trace_id.to_owned()]).await?;
    client.link_traces(&run.info.run_id, &[trace_id.to_owned()]).await?;
    Ok(json!({ "run_id": run.info.run_id }))
}

async fn read_trace(client: &Client, trace_id: &str) -> Result<Value, TrackingError> {
    let trace = client.get_trace(trace_id).await?;
    let mut assessments = client.assessments(trace_id).await?;
    assessments.sort_by_key(|one| one.assessment_id.clone());
    let found = client.search_traces(Search::default()).await?;
    assert!(found.iter().any(|info| info["trace_id"] == trace_id));
    Ok(json!({
        "state": trace["info"]["state"],
        "tags": trace["info"]["tags"],
        "spans": trace["spans"].as_array().map(|spans| spans.iter().map(|span| span["name"].clone()).collect::<Vec<_>>()),
        "assessments": assessments.iter().map(show_assessment).collect::<Vec<_>>(),
    }))
}

fn show_assessment(one: &Assessment) -> Value {
    let content = &one.content;
    let (kind, value, error) = match &content.value {
        AssessmentValue::Feedback { value, error } => {
            ("feedback", value, error.as_ref().map(|error| (&error.code, &error.message)))
        }
        AssessmentValue::Expectation { value } => ("expectation", value, None),
    };
    json!({
        "id": one.assessment_id,
        "name": content.name,
        "kind": kind,
        "value": value,
        "error": error,
        "source": [content.source.kind.as_str(), content.source.id],
        "rationale": content.rationale,
        "metadata": content.metadata,
        "span_id": content.span_id,
        "overrides": content.overrides,
        "valid": one.valid,
        "created": content.create_time_ms,
    })
}

/// Every failure that a caller may want to tell apart, by its variant and what it says.
async fn fail(
    client: &Client,
    deleted_experiment: &str,
    deleted_run: &str,
    run: &str,
) -> Result<Value, TrackingError> {
    let in_experiment = |id: &str| NewRun { experiment_id: id.to_owned(), ..NewRun::default() };
    let taken = || NewExperiment { name: "Default".to_owned(), ..NewExperiment::default() };
    client.log_param(run, "once", "1").await?;
    let trace = "tr-00000000000000000000000000000000";
    let ada = || AssessmentSource::human("ada");
    let wrong = Search { filter: Some("nonsense ~ 1".to_owned()), ..Search::default() };
    let no_model =
        NewModelVersion { name: "no-such".to_owned(), source: "s3://b/k".to_owned(), ..Default::default() };
    Ok(json!({
        "unknown run": said(client.get_run("00000000000000000000000000000000").await),
        "log to an unknown run": said(client.log_metric("00000000000000000000000000000000", "m", 1.0, 0).await),
        "log to a deleted run": said(client.log_metric(deleted_run, "m", 1.0, 0).await),
        "unknown experiment": said(client.create_run(in_experiment("999999")).await),
        "deleted experiment": said(client.create_run(in_experiment(deleted_experiment)).await),
        "name is taken": said(client.create_experiment(taken()).await),
        "parameter changes": said(client.log_param(run, "once", "2").await),
        "bad name": said(client.log_metric(run, "a*b", 1.0, 0).await),
        "bad filter": said(client.search_runs(wrong).await),
        "no such tag": said(client.delete_tag(run, "no-such").await),
        "no such model": said(client.get_registered_model("no-such").await),
        "version of no model": said(client.create_model_version(no_model).await),
        "no such alias": said(client.load_prompt("prompts:/rust.text@no-such").await),
        "no such prompt": said(client.load_prompt("prompts:/no-such/1").await),
        "tag of no trace": said(client.set_trace_tag(trace, "k", "v").await),
        "no such trace": said(client.get_trace(trace).await),
        "assess no trace": said(client.log_assessment(NewAssessment::feedback(trace, "n", 1, ada())).await),
        "no such logged model": said(client.get_logged_model("m-00000000000000000000000000000000").await),
    }))
}

/// What a client says that is not patient.
async fn fails_with() -> Result<Value, TrackingError> {
    let retry_on_failure =
        RetryConfig { max_elapsed_time: Duration::from_millis(1), ..RetryConfig::default() };
    let options = RestOptions { retry_on_failure, ..RestOptions::default() };
    let client = Client::builder().rest_options(options).connect().await?;
    Ok(said(client.get_run("00000000000000000000000000000000").await))
}

fn said<T>(result: Result<T, TrackingError>) -> Value {
    let Err(error) = result else { return json!(["no error", ""]) };
    let shown = format!("{error:?}");
    let variant = shown.split([' ', '{', '(']).next().unwrap_or_default();
    json!([variant, error.to_string()])
}
