//! Logs models of OpenAI's API by hand, with and without placeholders, at OpenAI and at Azure;
//! registers them, loads one again and runs it.
//!
//! `MLFLOW_TRACKING_URI` is an MLflow server, `OPENAI_API_KEY` and `OPENAI_BASE_URL` say who
//! predicts. In Python: `mlflow.pyfunc.load_model("models:/by-hand/1").predict(…)`.
#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use opentelemetry_mlflow::mlflow::entities::NewRun;
use opentelemetry_mlflow::mlflow::model::{Azure, InputExample, OpenAiModel};
use opentelemetry_mlflow::tracking::Client;
use opentelemetry_mlflow::tracking::models::{Endpoint, LogModel, ModelInput};
use serde_json::{Map, Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Client::from_env().await?;
    let run = client.store().create_run(NewRun { experiment_id: "0".into(), ..NewRun::default() }).await?;

    let record = |topic: &str, lang: &str| {
        Map::from_iter([("topic".to_owned(), json!(topic)), ("lang".to_owned(), json!(lang))])
    };
    let guide = OpenAiModel::chat("gpt-4o-mini")
        .message("system", "You are terse. Answer as {{json}} or not.")
        .message("user", "Tell me about {topic} in {lang}. Ünïcode: 😀")
        .param("response_format", json!({"type": "text"}))
        .inference_param("temperature", 0.2)
        .inference_param("max_tokens", 64)
        .example(InputExample::Records(vec![record("cats", "English")]));
    let options = LogModel::new("0").name("guide").run(&run.info.run_id).register_as("by-hand");
    let logged = client.log_model(&guide, options).await?;
    println!("guide {}", logged.model_uri);

    let plain = OpenAiModel::chat("gpt-4o-mini").example(InputExample::Texts(vec!["hello".into()]));
    let azure = Azure {
        endpoint: "https://example.openai.azure.com".into(),
        api_version: "2024-10-21".into(),
        deployment: "gpt-4o-at-azure".into(),
    };
    let models = [
        ("plain", plain.clone()),
        ("azure", plain.azure(azure)),
        ("completion", OpenAiModel::completions("gpt-3.5-turbo-instruct", "Say {what}.")),
        ("embedding", OpenAiModel::embeddings("text-embedding-3-small")),
    ];
    for (name, model) in models {
        let options =
            LogModel::new("0").name(name).run(&run.info.run_id).register_as(format!("by-hand-{name}"));
        println!("{name} {}", client.log_model(&model, options).await?.model_uri);
    }

    client.store().set_alias("by-hand", "champion", "1").await?;
    let loaded = client.load_model("models:/by-hand@champion").await?;
    let input = ModelInput::from([("topic".into(), "dogs".into()), ("lang".into(), "German".into())]);
    let params = Map::from_iter([("temperature".to_owned(), json!(0.9))]);
    let answers = loaded.predict(&[input], &params, &Endpoint::from_environment(&loaded)?).await?;
    println!("predicted {}", answers.first().and_then(Value::as_str).unwrap_or_default());
    Ok(())
}
