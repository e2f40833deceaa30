use opentelemetry_mlflow_macros::tool;

struct Weather;

impl Weather {
    #[tool(skip(self))]
    fn ask(&self) {}
}

fn main() {
    Weather.ask();
}
