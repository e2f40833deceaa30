use opentelemetry_mlflow_macros::tool;

#[tool(skip(town))]
fn weather(city: &str, (first, second): (u8, u8)) {
    let _ = (city, first, second);
}

#[tool(debug(town))]
fn nothing() {}

fn main() {}
