use opentelemetry_mlflow_macros::tool;

#[tool(skip(city), skip_all)]
fn first(city: &str) {
    let _ = city;
}

#[tool(skip_all, debug(city))]
fn second(city: &str) {
    let _ = city;
}

#[tool(skip(city), debug(city))]
fn third(city: &str) {
    let _ = city;
}

fn main() {}
