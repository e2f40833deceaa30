use opentelemetry_mlflow_macros::tool;

#[tool]
struct Weather;

fn main() {
    let _ = Weather;
}
