use opentelemetry_mlflow_macros::{agent, tool, traced, workflow};

#[tool(title = "a", span_type = "LLM")]
fn first() {}

#[agent(call_id = "1")]
fn second() {}

#[workflow(description = "a")]
fn third() {}

#[traced(model = "m")]
fn fourth() {}

fn main() {}
