use opentelemetry_mlflow_macros::tool;

#[tool(name = "a", name = "b", skip_all, skip_all)]
fn weather() {}

fn main() {}
