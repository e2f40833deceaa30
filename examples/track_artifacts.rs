//! Files of a run: a folder, some text, a value as YAML, and all of it back again.
//!
//! ```sh
//! MLFLOW_TRACKING_URI=http://127.0.0.1:5000 cargo run --features full --example track_artifacts
//! ```
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use opentelemetry_mlflow::mlflow::entities::{NewRun, RunStatus};
use opentelemetry_mlflow::tracking::Client;
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("local_model_directory-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("tokenizer"))?;
    std::fs::write(folder.join("config.json"), r#"{"model_type": "bert"}"#)?;
    std::fs::write(folder.join("tokenizer").join("vocab.txt"), "[PAD]\n[UNK]\nthe\n")?;

    let client = Client::from_env().await?;
    let run = client.create_run(NewRun::default()).await?.info;
    let artifacts = client.run_artifacts(&run.run_id).await?;
    artifacts.log_artifacts(&folder, "model").await?;
    artifacts.log_text("You are terse.", "prompts/system.txt").await?;
    artifacts.log_dict(&json!({"temperature": 0.2, "stop": ["\n"]}), "settings.yaml").await?;
    client.terminate_run(&run.run_id, RunStatus::Finished).await?;

    for file in artifacts.list("").await? {
        println!("{}{}", file.path, if file.is_dir { "/" } else { "" });
    }
    let back = artifacts.download("model", folder.join("again")).await?;
    println!("{}", std::fs::read_to_string(back.join("tokenizer").join("vocab.txt"))?.lines().count());
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
