use opentelemetry_mlflow_macros::traced;

trait Search {
    #[traced]
    fn search(&self);
}

fn main() {}
