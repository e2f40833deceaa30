//! One chat completion with all options.

mod setup;

use serde_json::{Value, json};

#[tokio::main]
async fn main() -> setup::Outcome {
    let (_guard, client) = setup::start()?;
    let request = setup::chat_with_options(json!("Say hello."));
    let _answer: Value = client.chat().create_byot(request).await?;
    Ok(())
}
