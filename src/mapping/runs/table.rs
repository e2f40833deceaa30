//! The table of a run's requests and responses, in the form that `mlflow.load_table` reads.

use serde_json::{Value, json};

use super::facts::TraceFacts;

/// Name of the table in the run's artifacts.
pub const TABLE_FILE: &str = "genai_predictions.json";

const COLUMNS: [&str; 9] = [
    "trace_id",
    "prompt",
    "response",
    "model",
    "latency_ms",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "total_cost",
];

/// The last `rows` traces, in the order of their ends; none if there is no trace.
///
/// One object with `columns` and `data`, as pandas writes a table without an index. Non-ASCII letters
/// stay as they are, which JSON readers take like the escapes that MLflow writes.
pub fn prediction_table<'a>(facts: impl Iterator<Item = &'a TraceFacts>, rows: usize) -> Option<String> {
    let mut traces: Vec<_> = facts.filter(|trace| trace.is_complete()).collect();
    if traces.is_empty() {
        return None;
    }
    traces.sort_by(|left, right| (left.end_ms, &left.trace_id).cmp(&(right.end_ms, &right.trace_id)));
    let kept = traces.get(traces.len().saturating_sub(rows)..).unwrap_or_default();
    let data: Vec<Value> = kept.iter().map(|trace| row(trace)).collect();
    Some(json!({ "columns": COLUMNS, "data": data }).to_string())
}

fn row(trace: &TraceFacts) -> Value {
    let tokens = &trace.tokens;
    json!([
        trace.trace_id,
        trace.prompt,
        trace.response,
        trace.model,
        trace.duration_ms,
        tokens.input,
        tokens.output,
        tokens.total,
        trace.cost,
    ])
}

#[cfg(test)]
mod tests {
    use super::super::facts::tests::trace;
    use super::*;

    #[test]
    fn the_last_rows_are_kept_in_order() {
        let facts: Vec<_> = [("tr-2", 200), ("tr-3", 300), ("tr-1", 100)]
            .map(|(id, start)| TraceFacts::read(trace(id, start, 3)))
            .into();
        let table: Value = serde_json::from_str(&prediction_table(facts.iter(), 2).unwrap()).unwrap();
        assert_eq!(table["columns"], json!(COLUMNS));
        let row = |id: &str| json!([id, "q", "a", "m-1", 10, 3, 2, 5, 0.5]);
        assert_eq!(table["data"], json!([row("tr-2"), row("tr-3")]));
    }
}
