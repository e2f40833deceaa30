use opentelemetry_mlflow_macros::agent;

struct Planner;

#[agent]
impl Planner {
    fn plan(&self) {}
}

fn main() {
    Planner.plan();
}
