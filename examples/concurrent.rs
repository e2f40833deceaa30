//! Several calls at a time. Within a task, `await` and `join!` keep the context; a spawned task gets
//! it with `in_current_context`, so that all calls are in one trace, under the span around them.
//!
//! Runs as `chat` does, with `--example concurrent`.
#![allow(clippy::print_stdout, reason = "an example shows the answers")]
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::in_current_context;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;
use opentelemetry_mlflow::workflow;
use serde_json::{Value, json};

async fn ask(client: Client<OpenAIConfig>, question: String) -> Result<String, OpenAIError> {
    let request = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": question}]});
    let answer: Value = client.chat().create_byot(request).await?;
    Ok(answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned())
}

/// Asks about all cities at the same time.
#[workflow(skip(client))]
async fn compare(client: &Client<OpenAIConfig>, cities: &[&str]) -> Result<Vec<String>, Box<dyn Error>> {
    let spawn = |city: &&str| {
        let question = format!("What is the weather like in {city}?");
        tokio::spawn(in_current_context(ask(client.clone(), question)))
    };
    let tasks: Vec<_> = cities.iter().map(spawn).collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await??);
    }
    Ok(answers)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let client = Client::new().instrumented();
    for answer in compare(&client, &["Paris", "Oslo", "Rome"]).await? {
        println!("{answer}");
    }
    Ok(())
}
