//! What is logged to a run: metrics, params, tags.
//!
//! Rows are written in the order of their keys, so that two writers of one run wait for each other
//! instead of both failing.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use super::runs;
use super::session::{Fault, Row, Session, Value, places, values};
use crate::mlflow::entities::{LogBatch, Metric, Param, RunData, Tag};
use crate::store::tracking::TrackingError;
use crate::store::tracking::limits::prepare;

const INSERT_METRIC: &str = r#"
    INSERT INTO metrics (key, value, "timestamp", run_uuid, step, is_nan) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT DO NOTHING"#;

/// A later measurement replaces an earlier one: by step, then time, then value.
const UPSERT_LATEST: &str = r#"
    INSERT INTO latest_metrics (key, value, "timestamp", run_uuid, step, is_nan) VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value, "timestamp" = excluded."timestamp",
        step = excluded.step, is_nan = excluded.is_nan
    WHERE (excluded.step, excluded."timestamp", excluded.value)
        > (latest_metrics.step, latest_metrics."timestamp", latest_metrics.value)"#;

const INSERT_PARAM: &str =
    "INSERT INTO params (key, value, run_uuid) VALUES ($1, $2, $3) ON CONFLICT (key, run_uuid) DO NOTHING";

const UPSERT_TAG: &str = "
    INSERT INTO tags (key, value, run_uuid) VALUES ($1, $2, $3)
    ON CONFLICT (key, run_uuid) DO UPDATE SET value = excluded.value";

const DELETE_TAG: &str = "DELETE FROM tags WHERE run_uuid = $1 AND key = $2";

const RENAME: &str = "UPDATE runs SET name = $2 WHERE run_uuid = $1";

const PARAMS: &str = "SELECT key, value FROM params WHERE run_uuid = $1 ORDER BY key";

const HISTORY: &str = r#"
    SELECT run_uuid, key, value, "timestamp", step, is_nan FROM metrics WHERE run_uuid = $1 AND key = $2
    ORDER BY "timestamp", step, value"#;

/// Columns of a measurement.
const MEASURED: &str = r#"value, "timestamp", step, is_nan"#;

/// Everything of a call, or nothing.
pub(super) async fn batch(db: &mut dyn Session, (run_id, batch): &(String, LogBatch)) -> Result<(), Fault> {
    let batch = prepare(batch.clone())?;
    runs::active(db, run_id).await?;
    set_params(db, run_id, &batch.params).await?;
    add_metrics(db, run_id, &batch.metrics).await?;
    let mut tags = batch.tags;
    // A run keeps its name when it is given an empty one.
    tags.retain(|tag| tag.key != runs::RUN_NAME || !tag.value.is_empty());
    if let Some(name) = tags.iter().rev().find(|tag| tag.key == runs::RUN_NAME) {
        db.execute(RENAME, values![run_id, &name.value]).await?;
    }
    set_tags(db, run_id, &tags).await
}

async fn set_params(db: &mut dyn Session, run_id: &str, params: &[Param]) -> Result<(), Fault> {
    let wanted: BTreeMap<&str, &str> =
        params.iter().map(|param| (param.key.as_str(), param.value.as_str())).collect();
    let rows: Vec<_> = wanted.iter().map(|(key, value)| values![*key, *value, run_id]).collect();
    let count = rows.len() as u64;
    if count == 0 || db.execute_all(INSERT_PARAM, rows).await? == count {
        return Ok(());
    }
    for row in db.query(PARAMS, values![run_id]).await? {
        let (key, stored) = (row.text(0), row.text(1));
        if let Some(value) = wanted.get(key.as_str()).filter(|value| **value != stored) {
            return Err(TrackingError::invalid(format!(
                "param {key:?} of run {run_id} is {stored:?} and cannot be changed to {value:?}; a param is set once"
            ))
            .into());
        }
    }
    Ok(())
}

/// A measurement as MLflow stores it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stored<'a> {
    key: &'a str,
    value: f64,
    timestamp_ms: i64,
    step: i64,
    is_nan: bool,
}

impl<'a> Stored<'a> {
    /// NaN is 0 with a mark; the infinities are the largest numbers.
    fn new(metric: &'a Metric) -> Self {
        let is_nan = metric.value.is_nan();
        let value = if is_nan { 0.0 } else { metric.value.clamp(f64::MIN, f64::MAX) };
        let Metric { key, timestamp_ms, step, .. } = metric;
        Self { key, value, timestamp_ms: *timestamp_ms, step: *step, is_nan }
    }

    fn order(&self, other: &Self) -> Ordering {
        let time = (self.step, self.timestamp_ms).cmp(&(other.step, other.timestamp_ms));
        time.then_with(|| self.value.partial_cmp(&other.value).unwrap_or(Ordering::Equal))
    }

    fn row(&self, run_id: &str) -> Vec<Value> {
        values![self.key, self.value, self.timestamp_ms, run_id, self.step, self.is_nan]
    }
}

async fn add_metrics(db: &mut dyn Session, run_id: &str, metrics: &[Metric]) -> Result<(), Fault> {
    let mut stored: Vec<_> = metrics.iter().map(Stored::new).collect();
    let rows = |metrics: &[Stored<'_>]| metrics.iter().map(|metric| metric.row(run_id)).collect();
    let latest = latest(&stored);
    // The primary key begins with these.
    stored.sort_by(|left, right| {
        left.key
            .cmp(right.key)
            .then(left.timestamp_ms.cmp(&right.timestamp_ms))
            .then(left.step.cmp(&right.step))
    });
    stored.dedup();
    db.execute_all(INSERT_METRIC, rows(&stored)).await?;
    db.execute_all(UPSERT_LATEST, rows(&latest)).await?;
    Ok(())
}

/// The last measurement of each key; of equal ones the first.
fn latest<'a>(metrics: &[Stored<'a>]) -> Vec<Stored<'a>> {
    let mut latest = BTreeMap::new();
    for metric in metrics {
        let newest = latest.entry(metric.key).or_insert(*metric);
        if metric.order(newest) == Ordering::Greater {
            *newest = *metric;
        }
    }
    latest.into_values().collect()
}

/// Sets tags of a run; of the same key the last counts.
pub(super) async fn set_tags(db: &mut dyn Session, run_id: &str, tags: &[Tag]) -> Result<(), Fault> {
    let tags: BTreeMap<_, _> = tags.iter().map(|tag| (&tag.key, &tag.value)).collect();
    let rows: Vec<_> = tags.into_iter().map(|(key, value)| values![key, value, run_id]).collect();
    if !rows.is_empty() {
        db.execute_all(UPSERT_TAG, rows).await?;
    }
    Ok(())
}

pub(super) async fn delete_tag(db: &mut dyn Session, (run_id, key): &(String, String)) -> Result<(), Fault> {
    runs::active(db, run_id).await?;
    if db.execute(DELETE_TAG, values![run_id, key]).await? == 0 {
        return Err(TrackingError::not_found(format!("run {run_id} has no tag {key:?}")).into());
    }
    Ok(())
}

pub(super) async fn history(
    db: &mut dyn Session,
    (run_id, key): &(String, String),
) -> Result<Vec<Metric>, Fault> {
    Ok(db.query(HISTORY, values![run_id, key]).await?.iter().map(metric).collect())
}

/// What is logged to each of some runs, by key.
pub(super) async fn data(
    db: &mut dyn Session,
    run_ids: &[String],
) -> Result<HashMap<String, RunData>, Fault> {
    let mut data: HashMap<String, RunData> = HashMap::new();
    let places = places(run_ids.len());
    let sql = |columns: &str, table: &str| {
        format!(
            "SELECT run_uuid, key, {columns} FROM {table} WHERE run_uuid IN ({places}) ORDER BY run_uuid, key"
        )
    };
    let ids: Vec<Value> = run_ids.iter().map(Value::from).collect();
    for row in db.query(&sql(MEASURED, "latest_metrics"), ids.clone()).await? {
        data.entry(row.text(0)).or_default().metrics.push(metric(&row));
    }
    for row in db.query(&sql("value", "params"), ids.clone()).await? {
        let param = Param { key: row.text(1), value: row.text(2) };
        data.entry(row.text(0)).or_default().params.push(param);
    }
    for row in db.query(&sql("value", "tags"), ids).await? {
        data.entry(row.text(0)).or_default().tags.push(Tag { key: row.text(1), value: row.text(2) });
    }
    Ok(data)
}

/// The metric of a row of run, key, and [`MEASURED`].
fn metric(row: &Row) -> Metric {
    let value = if row.flag(5) { f64::NAN } else { row.real(2) };
    Metric { key: row.text(1), value, timestamp_ms: row.int(3), step: row.int(4) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(value: f64, timestamp_ms: i64, step: i64) -> Metric {
        Metric { key: "m".to_owned(), value, timestamp_ms, step }
    }

    #[test]
    fn nan_and_the_infinities_become_what_mlflow_stores() {
        let stored = |value| {
            let metric = measured(value, 0, 0);
            let stored = Stored::new(&metric);
            (stored.value, stored.is_nan)
        };
        assert_eq!(stored(f64::NAN), (0.0, true));
        assert_eq!(stored(f64::INFINITY), (f64::MAX, false));
        assert_eq!(stored(f64::NEG_INFINITY), (f64::MIN, false));
        assert_eq!(stored(1e-7), (1e-7, false));
    }

    #[test]
    fn the_latest_is_by_step_then_time_then_value() {
        let metrics = [measured(9.0, 9, 1), measured(1.0, 1, 2), measured(2.0, 1, 2), measured(5.0, 0, 2)];
        let stored: Vec<_> = metrics.iter().map(Stored::new).collect();
        let latest = latest(&stored);
        assert_eq!(latest.len(), 1);
        assert_eq!((latest[0].step, latest[0].timestamp_ms, latest[0].value), (2, 1, 2.0));
    }
}
