//! A logged model answers two questions and is evaluated: metrics and a table on the run.
//!
//! ```sh
//! OPENAI_API_KEY=… MLFLOW_TRACKING_URI=http://127.0.0.1:5000 cargo run --features full --example evaluate
//! ```
//!
//! In Python this is `mlflow.evaluate(model, data, targets="ground_truth", model_type="question-answering")`, and
//! the names on the run are the same.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use opentelemetry_mlflow::evaluate::{Evaluation, LoggedModel, ModelType, metrics};
use opentelemetry_mlflow::mlflow::entities::{NewRun, RunStatus};
use opentelemetry_mlflow::mlflow::model::OpenAiModel;
use opentelemetry_mlflow::tracking::models::{Endpoint, LogModel};
use opentelemetry_mlflow::tracking::{Client, Table};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let questions = Table::from_columns([
        (
            "inputs",
            vec![
                "Are squirrels astronauts?",
                "From a logistics perspective, do you think a single weather balloon could get a squirrel to space?",
            ],
        ),
        (
            "ground_truth",
            vec![
                "Squirrels are not astronauts as they have not been trained or equipped for space travel.",
                "It is unlikely that a single weather balloon could safely carry a squirrel to space.",
            ],
        ),
    ])?;

    let client = Client::from_env().await?;
    let run = client.create_run(NewRun::default()).await?.info;
    let assistant = OpenAiModel::chat("gpt-4o-mini")
        .message("system", "Answer the following question in two sentences")
        .message("user", "{question}");
    let logged = client.log_model(&assistant, LogModel::new(&run.experiment_id).run(&run.run_id)).await?;
    let model = LoggedModel::load(&client, &logged.model_uri, Endpoint::from_environment).await?;

    let results = Evaluation::new(questions)
        .targets("ground_truth")
        .model_type(ModelType::QuestionAnswering)
        .metric(metrics::latency())
        .run(&model)
        .await?;
    results.log(&client, &run.run_id).await?;
    if let Some(grade) = results.metric("ari_grade_level/v1/mean") {
        client.log_metric(&run.run_id, "manually logged ari grade level", grade, 0).await?;
    }
    client.terminate_run(&run.run_id, RunStatus::Finished).await?;

    for metric in client.get_run(&run.run_id).await?.data.metrics {
        println!("{}: {}", metric.key, metric.value);
    }
    Ok(())
}
