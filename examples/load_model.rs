//! Loads a model that was logged to MLflow, from Rust or from Python, and runs it.
//!
//! `load_model URI INPUT…`: the URI is `models:/name/1`, `models:/name@alias`, `models:/m-…` or
//! `runs:/run/path`; an input is a text, or a JSON map with a value for each placeholder.
#![allow(clippy::print_stdout, reason = "an example shows what it did")]

use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::tracking::Client;
use opentelemetry_mlflow::tracking::models::{Endpoint, ModelInput};
use serde_json::Map;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _guard = autolog()?;
    let mut arguments = std::env::args().skip(1);
    let uri = arguments.next().ok_or("which model?")?;
    let input = |text: String| match serde_json::from_str(&text) {
        Ok(values) => values,
        Err(_) => ModelInput::from([("text".to_owned(), text)]),
    };
    let inputs: Vec<ModelInput> = arguments.map(input).collect();

    let loaded = Client::from_env().await?.load_model(&uri).await?;
    println!("{} takes {:?}", loaded.model.model, loaded.model.variables()?);
    for answer in loaded.predict(&inputs, &Map::new(), &Endpoint::from_environment(&loaded)?).await? {
        println!("{answer}");
    }
    Ok(())
}
