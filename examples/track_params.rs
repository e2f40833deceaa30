//! Parameters of a run: a prompt's template and what was filled in.
//!
//! ```sh
//! MLFLOW_TRACKING_URI=http://127.0.0.1:5000 cargo run --features full --example track_params
//! ```
#![allow(clippy::print_stdout, reason = "an example shows the answer")]

use std::error::Error;

use opentelemetry_mlflow::mlflow::entities::{NewRun, RunStatus};
use opentelemetry_mlflow::tracking::{Client, TrackingError};

const TEMPLATE: &str = "Should we send {animal} to space using a {mode_of_transportation}?";
const VALUES: [(&str, &str); 2] = [("animal", "squirrels"), ("mode_of_transportation", "weather balloon")];

async fn log_model_run(client: &Client) -> Result<String, TrackingError> {
    let run_id = client.create_run(NewRun::default()).await?.info.run_id;
    client.log_param(&run_id, "prompt_template", TEMPLATE).await?;
    client.log_params(&run_id, VALUES).await?;

    let prompt = VALUES
        .iter()
        .fold(TEMPLATE.to_owned(), |prompt, (name, value)| prompt.replace(&format!("{{{name}}}"), value));
    println!("{prompt}");
    // Here the model is asked.

    client.terminate_run(&run_id, RunStatus::Finished).await?;
    Ok(run_id)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::from_env().await?;
    let run_id = log_model_run(&client).await?;
    for param in client.get_run(&run_id).await?.data.params {
        println!("{}: {}", param.key, param.value);
    }
    Ok(())
}
