//! Tracks a run, and the prompt that it used. Reads `MLFLOW_TRACKING_URI`.
//!
//! `mlflow server`, then `MLFLOW_TRACKING_URI=http://127.0.0.1:5000 cargo run --features client --example tracking`.
#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use opentelemetry_mlflow::mlflow::entities::{Dataset, DatasetInput, NewRun, RunStatus, Search};
use opentelemetry_mlflow::tracking::{Client, DatasetSource, NewPrompt, TrackingError};

#[tokio::main]
async fn main() -> Result<(), TrackingError> {
    let client = Client::from_env().await?;
    let experiment_id = client.experiment("summaries").await?.experiment_id;

    let template = "Summarize in {{sentences}} sentences: {{text}}";
    let prompt = client.register_prompt(NewPrompt::new("summarize", template)).await?;
    client.set_prompt_alias(&prompt.name, "production", prompt.version).await?;
    let prompt = client.load_prompt("prompts:/summarize@production").await?;
    let rendered = prompt.render([("sentences", "2"), ("text", "MLflow tracks experiments.")])?;
    println!("{}", rendered.text().unwrap_or_default());

    let new = NewRun {
        experiment_id: experiment_id.clone(),
        name: Some("baseline".to_owned()),
        ..NewRun::default()
    };
    let run_id = client.create_run(new).await?.info.run_id;
    client.log_params(&run_id, [("model", "gpt-4o-mini"), ("temperature", "0.2")]).await?;
    for (step, loss) in [(0, 0.9), (1, 0.5), (2, 0.4)] {
        client.log_metric(&run_id, "loss", loss, step).await?;
    }
    let source = DatasetSource::http("https://example.org/articles.csv");
    let articles = DatasetInput::used_for("eval", Dataset::described("articles", &source, None));
    client.log_inputs(&run_id, vec![articles]).await?;
    client.link_prompt_to_run(&run_id, &prompt).await?;
    client.terminate_run(&run_id, RunStatus::Finished).await?;

    let search = Search {
        experiment_ids: vec![experiment_id],
        filter: Some("metrics.loss < 0.5".to_owned()),
        order_by: vec!["metrics.loss ASC".to_owned()],
        ..Search::default()
    };
    for run in client.search_runs(search).await? {
        println!("{}: {:?}", run.info.name, run.metric("loss"));
    }
    Ok(())
}
