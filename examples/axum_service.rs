//! An HTTP service that answers with a model. Each request has a scope of its own, so that MLflow
//! groups the traces of a conversation into a session and knows whose they are.
//!
//! ```sh
//! OPENAI_API_KEY=… PORT=3000 cargo run --features full --example axum_service
//! curl -H 'x-conversation: trip-7' -H 'x-user: ada' -d 'What is there to see in Paris?' \
//!     http://127.0.0.1:3000/ask
//! ```
#![allow(clippy::print_stdout, reason = "an example says where it listens")]
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;
use opentelemetry_mlflow::instrument::{Scope, Span, SpanType};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let service = Router::new().route("/ask", post(ask)).with_state(Client::new().instrumented());
    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    // Ends on Ctrl-C, so that the guard sends what is left.
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, service).with_graceful_shutdown(stop).await?;
    Ok(())
}

async fn ask(
    State(client): State<Client<OpenAIConfig>>,
    headers: HeaderMap,
    question: String,
) -> Result<String, (StatusCode, String)> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let mut scope = Scope::new().prompt("travel-guide", "1");
    if let Some(conversation) = header("x-conversation") {
        scope = scope.conversation_id(conversation);
    }
    if let Some(user) = header("x-user") {
        scope = scope.user_id(user);
    }
    let answer = scope.run(answer(&client, &question)).await;
    answer.map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

/// One step of the service, with the call of the model inside.
async fn answer(
    client: &Client<OpenAIConfig>,
    question: &str,
) -> Result<String, async_openai::error::OpenAIError> {
    let step = Span::builder("answer").span_type(SpanType::Chain).start();
    step.set_inputs(question);
    step.run_with(async |step| {
        let request = json!({"model": "gpt-4o-mini", "messages": [
            {"role": "system", "content": "You are a travel guide."},
            {"role": "user", "content": question},
        ]});
        let answer: Value =
            client.chat().create_byot(request).await.inspect_err(|error| step.record_error(error))?;
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned();
        step.set_outputs(&text);
        Ok(text)
    })
    .await
}
