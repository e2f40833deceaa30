//! What holds for tracking in every database, on each of them; see the tests of the folder above.

mod models;
mod runs;
mod searches;
mod traces;

use super::*;
use crate::store::sql::samples::update;
use crate::store::sql::tests::Fresh;

const RUN: &str = "0123456789abcdef0123456789abcdef";

fn new_run() -> NewRun {
    NewRun {
        experiment_id: "0".to_owned(),
        name: Some("first".to_owned()),
        user_id: Some("ada".to_owned()),
        start_time_ms: 1_000,
        tags: vec![Tag::new("team", "a")],
    }
}

fn metric(key: &str, value: f64, timestamp_ms: i64, step: i64) -> Metric {
    Metric { key: key.to_owned(), value, timestamp_ms, step }
}

fn param(key: &str, value: &str) -> Param {
    Param { key: key.to_owned(), value: value.to_owned() }
}

fn metrics(metrics: Vec<Metric>) -> LogBatch {
    LogBatch { metrics, ..LogBatch::default() }
}

fn trace(number: usize) -> String {
    format!("tr-{number:032x}")
}
