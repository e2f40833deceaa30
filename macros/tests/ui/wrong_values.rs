use opentelemetry_mlflow_macros::{agent, tool};

#[tool("weather")]
fn first() {}

#[tool(name)]
fn second() {}

#[tool(name = 1)]
fn third() {}

#[tool(skip)]
fn fourth() {}

#[agent(skip_all = true)]
fn fifth() {}

fn main() {}
