//! A table of prompts and responses in each of three runs, and the table of all of them.
//!
//! ```sh
//! MLFLOW_TRACKING_URI=http://127.0.0.1:5000 cargo run --features full --example track_tables
//! ```
//!
//! In Python: `mlflow.load_table("important_information.json")`.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_mlflow::mlflow::entities::{NewRun, RunStatus};
use opentelemetry_mlflow::tracking::{Client, LoadTable, Table};
use serde_json::json;

const ARTIFACT: &str = "important_information.json";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env().await?;
    let mut experiment = String::new();
    for _ in 0..3 {
        let run = client.create_run(NewRun::default()).await?.info;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let table = Table::from_columns([
            ("Prompts", vec![json!("I am a squirrel and don't have a watch"), json!("What time is it?")]),
            ("Response", vec![json!(format!("{now} seconds since 1970")); 2]),
            ("We used an LLM?", vec![json!(false); 2]),
        ])?;
        client.log_table(&run.run_id, &table, ARTIFACT).await?;
        client.terminate_run(&run.run_id, RunStatus::Finished).await?;
        experiment = run.experiment_id;
    }

    let all = client.load_table(&experiment, ARTIFACT, LoadTable::new().extra_columns(["run_id"])).await?;
    println!("{}", all.columns().join(" | "));
    for row in all.rows() {
        println!("{}", row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}
