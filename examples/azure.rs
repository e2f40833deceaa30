//! A traced deployment on Azure OpenAI: the provider is `azure.ai.openai`, and the deployment
//! stands for the model where the request names none.
//!
//! ```sh
//! AZURE_OPENAI_ENDPOINT=https://my-resource.openai.azure.com AZURE_OPENAI_DEPLOYMENT=my-gpt \
//!     AZURE_OPENAI_API_KEY=… cargo run --features full --example azure
//! ```
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::env;
use std::error::Error;

use async_openai::Client;
use async_openai::config::AzureConfig;
use async_openai::types::chat::{ChatCompletionRequestUserMessage, CreateChatCompletionRequestArgs};
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let deployment = env::var("AZURE_OPENAI_DEPLOYMENT")?;
    let config = AzureConfig::new()
        .with_api_base(env::var("AZURE_OPENAI_ENDPOINT")?)
        .with_api_key(env::var("AZURE_OPENAI_API_KEY")?)
        .with_deployment_id(&deployment)
        .with_api_version("2024-10-21");
    let client = Client::with_config(config).instrumented();

    let request = CreateChatCompletionRequestArgs::default()
        .model(deployment)
        .messages([ChatCompletionRequestUserMessage::from("Say hello.").into()])
        .build()?;
    let answer = client.chat().create(request).await?;
    for choice in answer.choices {
        println!("{}", choice.message.content.unwrap_or_default());
    }
    Ok(())
}
