//! The `mlflow` exporter: traces into MLflow, over its REST API or straight into its database.

mod batcher;
