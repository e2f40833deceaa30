//! Agents that hand over to one another, as OpenAI's Swarm does: a tool returns the agent that goes
//! on. The trace shows the agents, their calls of the model and of tools, the hand-off, and the
//! overall output.
//!
//! Runs as `chat` does, with `--example agents`.
#![allow(clippy::print_stdout, reason = "an example shows the answer")]
#![allow(clippy::indexing_slicing, reason = "a member that is not there is null")]

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use opentelemetry_mlflow::autolog::autolog;
use opentelemetry_mlflow::instrument::Span;
use opentelemetry_mlflow::instrument::openai::InstrumentClient;
use serde_json::{Value, json};

struct Agent {
    name: &'static str,
    instructions: &'static str,
    /// The tool that hands over, and to whom.
    hands_over: Option<(&'static str, &'static Agent)>,
}

const AGENT_A: Agent = Agent {
    name: "Agent A",
    instructions: "You are a helpful agent.",
    hands_over: Some(("transfer_to_agent_b", &AGENT_B)),
};
const AGENT_B: Agent = Agent { name: "Agent B", instructions: "Only speak in Haikus.", hands_over: None };

/// How an agent's turn ends.
enum Turn {
    Answer(String),
    HandOver(&'static Agent),
}

/// Lets one agent work: it calls the model, and hands over if the model says so.
async fn work(
    client: &Client<OpenAIConfig>,
    agent: &Agent,
    messages: &mut Vec<Value>,
) -> Result<Turn, Box<dyn Error>> {
    let span = Span::agent(agent.name).description(agent.instructions).start();
    span.set_inputs(&messages);
    span.run_with(async |span| {
        let mut request = json!({"model": "gpt-4o-mini", "messages": [
            {"role": "system", "content": agent.instructions},
        ]});
        request["messages"].as_array_mut().into_iter().for_each(|all| all.extend_from_slice(messages));
        if let Some((tool, _)) = agent.hands_over {
            request["tools"] = json!([{"type": "function", "function": {"name": tool}}]);
        }
        let mut answer: Value = client.chat().create_byot(request).await?;
        let message = answer["choices"][0]["message"].take();
        messages.push(message.clone());
        let (Some(call), Some((tool, next))) = (message["tool_calls"].get(0), agent.hands_over) else {
            let text = message["content"].as_str().unwrap_or_default().to_owned();
            span.set_outputs(&text);
            return Ok(Turn::Answer(text));
        };
        // The tool does nothing but name the agent that goes on.
        let transfer = Span::tool(tool).call_id(call["id"].as_str().unwrap_or_default()).start();
        transfer.hand_off(next.name);
        transfer.set_outputs(&json!({"assistant": next.name}));
        span.set_outputs(&message);
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": next.name}));
        Ok(Turn::HandOver(next))
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _guard = autolog()?;
    let client = Client::new().instrumented();
    let mut messages = vec![json!({"role": "user", "content": "I want to talk to agent B."})];

    let run = Span::workflow("swarm").start();
    run.set_inputs(&messages);
    run.run_with(async |run| {
        let mut agent = &AGENT_A;
        for _ in 0..10 {
            match work(&client, agent, &mut messages).await? {
                Turn::HandOver(next) => agent = next,
                Turn::Answer(text) => {
                    run.set_outputs(&text);
                    println!("{}: {text}", agent.name);
                    return Ok(());
                }
            }
        }
        Err("the agents hand over in circles".into())
    })
    .await
}
