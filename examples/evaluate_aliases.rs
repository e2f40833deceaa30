//! Champion against challenger: two versions of a registered model over one table, judged by a third model.
//!
//! ```sh
//! OPENAI_API_KEY=… MLFLOW_TRACKING_URI=http://127.0.0.1:5000 cargo run --features full --example evaluate_aliases
//! ```
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use opentelemetry_mlflow::evaluate::{Evaluation, Judge, JudgeRequest, judge, judge_fn, metrics};
use opentelemetry_mlflow::mlflow::entities::{NewRun, RunStatus};
use opentelemetry_mlflow::mlflow::model::OpenAiModel;
use opentelemetry_mlflow::tracking::models::LogModel;
use opentelemetry_mlflow::tracking::{Client, Table};

/// Asks a model through the client that the program has anyway.
fn openai_judge(model: &'static str) -> impl Judge + 'static {
    let client = async_openai::Client::new();
    judge_fn(move |request: JudgeRequest| {
        let client = client.clone();
        async move {
            let body = CreateChatCompletionRequestArgs::default()
                .model(model)
                .messages([ChatCompletionRequestUserMessage::from(request.prompt).into()])
                .temperature(request.temperature)
                .max_completion_tokens(request.max_tokens)
                .top_p(request.top_p)
                .build()?;
            let mut answer = client.chat().create(body).await?;
            let text = answer.choices.pop().and_then(|choice| choice.message.content);
            Ok::<_, async_openai::error::OpenAIError>(text.unwrap_or_default())
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env().await?;
    let run = client.create_run(NewRun::default()).await?.info;
    let prompts = [("champion", "Answer in two sentences."), ("challenger", "Answer in one sentence.")];
    for (alias, prompt) in prompts {
        let model = OpenAiModel::chat("gpt-4o-mini").message("system", prompt).message("user", "{question}");
        let options = LogModel::new(&run.experiment_id).run(&run.run_id).register_as("capitals");
        if let Some(version) = client.log_model(&model, options).await?.version {
            client.store().set_alias("capitals", alias, &version.version).await?;
        }
    }

    let table = Table::from_columns([
        ("inputs", vec!["What is the capital of France?", "Which city is the capital of France?"]),
        ("ground_truth", vec!["Paris is the capital of France.", "Paris."]),
    ])?;
    let results = Evaluation::new(table)
        .targets("ground_truth")
        .metric(metrics::exact_match())
        .metric(metrics::ari_grade_level())
        .metric(judge::answer_correctness(openai_judge("gpt-4o")))
        .compare_aliases(&client, "capitals", &["champion", "challenger"])
        .await?;
    results.log(&client, &run.run_id).await?;
    client.terminate_run(&run.run_id, RunStatus::Finished).await?;
    for (name, value) in results.metrics() {
        println!("{name}: {value}");
    }
    Ok(())
}
