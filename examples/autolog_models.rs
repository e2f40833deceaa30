//! MLflow's autologging guide with all options on: the call is traced, its model is logged with
//! signature and example, and registered as `openai-auto`.
//!
//! In Python, afterwards: `mlflow.pyfunc.load_model("models:/openai-auto/1").predict("…")`.
#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use async_openai::Client;
use async_openai::types::chat::{
    ChatCompletionRequestSystemMessageArgs, ChatCompletionRequestUserMessageArgs,
    CreateChatCompletionRequestArgs,
};
use opentelemetry_mlflow::autolog::Autolog;
use opentelemetry_mlflow::instrument::Scope;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _guard = Autolog::new()
        .log_input_examples(true)
        .log_model_signatures(true)
        .log_models(true)
        .log_traces(std::env::var("LOG_TRACES").as_deref() != Ok("false"))
        .registered_model_name("openai-auto")
        .start()?;
    let client = Client::new().instrumented();

    // The same model twice: it is logged once.
    for question in ["State that you are alive.", "State that this is a test."] {
        let message = ChatCompletionRequestUserMessageArgs::default().content(question).build()?;
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4o")
            .messages([message.into()])
            .temperature(0.95)
            .build()?;
        let answer = client.chat().create(request).await?;
        println!(
            "{}",
            answer.choices.first().and_then(|choice| choice.message.content.as_deref()).unwrap_or_default()
        );
    }

    // A prompt template: what was filled in is named, so the model keeps the placeholders.
    for (topic, lang) in [("cats", "German"), ("dogs", "French")] {
        let system = ChatCompletionRequestSystemMessageArgs::default().content("You are terse.").build()?;
        let text = format!("Tell me about {topic} in {lang}.");
        let user = ChatCompletionRequestUserMessageArgs::default().content(text).build()?;
        let request = CreateChatCompletionRequestArgs::default()
            .model("gpt-4o-mini")
            .messages([system.into(), user.into()])
            .max_tokens(64_u32)
            .build()?;
        let scope = Scope::new().prompt_variable("topic", topic).prompt_variable("lang", lang);
        scope.run(client.chat().create(request)).await?;
    }
    Ok(())
}
