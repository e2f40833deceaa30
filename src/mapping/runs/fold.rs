//! The traces of a run, folded into what the run should hold.

use std::collections::BTreeMap;

use super::facts::TraceFacts;
use crate::mlflow::entities::{LogBatch, Metric, Param, Run, RunStatus, Tag};
use crate::mlflow::records::TraceState;
use crate::semconv::otel::{
    DEPLOYMENT_ENVIRONMENT, DEPLOYMENT_ENVIRONMENT_NAME, GIT_COMMIT_SHA, SERVICE_INSTANCE_ID, SERVICE_NAME,
    SERVICE_VERSION, VCS_REF_HEAD_NAME, VCS_REF_HEAD_REVISION, VCS_REPOSITORY_URL_FULL,
};
use crate::semconv::otel_mlflow::{RUN_PARAMS, RUN_VARYING};

/// Value of a parameter that is not the same in all requests.
pub const VARYING: &str = "varying";
/// Values of a parameter that are listed; more are only counted.
const LISTED_VALUES: usize = 20;
/// Characters that MLflow keeps of a parameter's value.
const PARAM_VALUE: usize = 6_000;
/// Points of one total that are written at once; of more, this many at even distances.
const POINTS_AT_ONCE: usize = 1_000;
/// Prefix of the tags that are set on runs of others, too.
pub const EXISTING_TAGS: &str = "otel_mlflow.";

/// Attributes of the resource that become tags of the run, and the names of these tags.
const TAGS: [(&str, &str); 10] = [
    (SERVICE_NAME, SERVICE_NAME),
    (SERVICE_NAME, "mlflow.source.name"),
    (SERVICE_VERSION, SERVICE_VERSION),
    (SERVICE_INSTANCE_ID, SERVICE_INSTANCE_ID),
    // The former name first: a trace that has both says it by the present one.
    (DEPLOYMENT_ENVIRONMENT, DEPLOYMENT_ENVIRONMENT_NAME),
    (DEPLOYMENT_ENVIRONMENT_NAME, DEPLOYMENT_ENVIRONMENT_NAME),
    (VCS_REF_HEAD_REVISION, "mlflow.source.git.commit"),
    (GIT_COMMIT_SHA, "mlflow.source.git.commit"),
    (VCS_REF_HEAD_NAME, "mlflow.source.git.branch"),
    (VCS_REPOSITORY_URL_FULL, "mlflow.source.git.repoURL"),
];

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// When, in milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
    /// Value.
    pub value: f64,
}

/// The measurements of one metric, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name of the metric.
    pub key: &'static str,
    /// Measurements.
    pub points: Vec<Point>,
}

/// What a run should hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunView {
    /// Running totals, one point for each trace in the order of their ends: the last is the total.
    pub totals: Vec<Series>,
    /// Measurements of single traces and calls.
    pub series: Vec<Series>,
    /// Values of each parameter, and how many requests had them.
    pub params: BTreeMap<String, BTreeMap<String, u64>>,
    /// Tags from the resource; of several traces, the last that has one.
    pub tags: BTreeMap<&'static str, String>,
    /// Whether every trace is over.
    pub complete: bool,
    /// Whether the last trace failed.
    pub last_failed: bool,
    /// The latest end of a trace, in milliseconds since the Unix epoch.
    pub end_ms: Option<i64>,
}

impl RunView {
    /// Folds traces. Those that are not over count only in the end, `with_incomplete`: while their spans
    /// arrive, their totals change with each of them.
    ///
    /// The order of `facts` does not matter; no trace may be there twice.
    pub fn fold<'a>(facts: impl Iterator<Item = &'a TraceFacts>, with_incomplete: bool) -> Self {
        let mut view = Self { complete: true, ..Self::default() };
        let mut counted = Vec::new();
        for trace in facts {
            view.complete &= trace.is_complete();
            if with_incomplete || trace.is_complete() {
                counted.push(trace);
            }
        }
        counted.sort_by(|left, right| (left.end_ms, &left.trace_id).cmp(&(right.end_ms, &right.trace_id)));
        for trace in &counted {
            view.add(trace);
        }
        view.last_failed = counted.last().is_some_and(|trace| trace.state == TraceState::Error);
        view.end_ms = counted.last().map(|trace| trace.end_ms);
        view.totals = totals(&counted);
        view.series = series(&counted);
        view
    }

    fn add(&mut self, trace: &TraceFacts) {
        for (name, value) in &trace.params {
            let values = self.params.entry(name.clone()).or_default();
            *values.entry(value.clone()).or_default() += 1;
        }
        for (attribute, tag) in TAGS {
            let found = trace.tags.iter().find(|(key, value)| key == attribute && !value.is_empty());
            if let Some((_, value)) = found {
                self.tags.insert(tag, value.clone());
            }
        }
    }

    /// How the run ends once nothing more comes: killed if a trace never ended, else as its last trace.
    pub fn end(&self) -> RunStatus {
        match (self.complete, self.last_failed) {
            (false, _) => RunStatus::Killed,
            (true, true) => RunStatus::Failed,
            (true, false) => RunStatus::Finished,
        }
    }

    /// What is to be logged so that a run holds what it should; nothing if it does.
    ///
    /// Parameters cannot be changed in MLflow, so they are logged when the run `ends`; until then a tag
    /// has them. Of a run that is not `ours`, tags of its maker are left alone.
    pub fn log(&self, run: &Run, ends: bool, ours: bool) -> LogBatch {
        let mut batch = LogBatch::default();
        for total in &self.totals {
            let last = run.data.metrics.iter().find(|metric| metric.key == total.key);
            batch.metrics.extend(next_points(total, last));
        }
        for series in &self.series {
            batch.metrics.extend(series.points.iter().map(|point| Metric {
                key: series.key.to_owned(),
                value: point.value,
                timestamp_ms: point.timestamp_ms,
                // Fixed for good, so that every gateway writes the same row.
                step: point.timestamp_ms.saturating_sub(run.info.start_time_ms),
            }));
        }
        if ends {
            let missing = self.params.iter().filter(|(name, _)| run.param(name).is_none());
            batch.params.extend(missing.map(|(name, values)| param(name, values)));
        }
        let tags = self.all_tags().into_iter().filter(|tag| ours || tag.key.starts_with(EXISTING_TAGS));
        batch.tags.extend(tags.filter(|tag| run.tag(&tag.key) != Some(&tag.value)));
        batch
    }

    fn all_tags(&self) -> Vec<Tag> {
        let mut tags: Vec<Tag> = self.tags.iter().map(|(key, value)| Tag::new(*key, value.clone())).collect();
        let constant = self.params.iter().filter(|(_, values)| values.len() == 1);
        let constant = constant.filter_map(|(name, values)| Some((name, values.keys().next()?.as_str())));
        let constant: BTreeMap<_, _> = constant.collect();
        let varying: BTreeMap<_, BTreeMap<_, _>> = self
            .params
            .iter()
            .filter(|(_, values)| values.len() > 1)
            .map(|(name, values)| (name, values.iter().take(LISTED_VALUES).collect()))
            .collect();
        for (key, text) in
            [(RUN_PARAMS, serde_json::to_string(&constant)), (RUN_VARYING, serde_json::to_string(&varying))]
        {
            // `{}` where something varied before and does not any more.
            tags.extend(text.ok().map(|text| Tag::new(key, crate::mapping::limits::cut(&text, 8_000))));
        }
        tags
    }
}

fn param(name: &str, values: &BTreeMap<String, u64>) -> Param {
    let value = match (values.len(), values.keys().next()) {
        (1, Some(value)) => crate::mapping::limits::cut(value, PARAM_VALUE),
        _ => VARYING,
    };
    Param { key: name.to_owned(), value: value.to_owned() }
}

/// The points of a total that follow the last one that is stored: step n is the total of the first n
/// traces. Where as many are stored but the last one is wrong, a further point corrects it.
fn next_points(total: &Series, last: Option<&Metric>) -> Vec<Metric> {
    let count = i64::try_from(total.points.len()).unwrap_or(i64::MAX);
    let Some(end) = total.points.last() else { return Vec::new() };
    let stored = last.map_or(0, |last| last.step);
    let metric = |point: &Point, step, not_before: i64| Metric {
        key: total.key.to_owned(),
        value: point.value,
        timestamp_ms: point.timestamp_ms.max(not_before),
        step,
    };
    if stored >= count {
        let wrong = last.filter(|last| last.value.to_bits() != end.value.to_bits());
        return wrong.map(|last| metric(end, last.step + 1, last.timestamp_ms)).into_iter().collect();
    }
    let skipped = usize::try_from(stored).unwrap_or(0);
    let new = total.points.len() - skipped.min(total.points.len());
    let every = new.div_ceil(POINTS_AT_ONCE).max(1);
    let numbered = total.points.iter().zip(1..).skip(skipped);
    // The last one is always there.
    let kept = numbered.filter(|(_, step)| (count - step) % i64::try_from(every).unwrap_or(1) == 0);
    kept.map(|(point, step)| metric(point, step, 0)).collect()
}

/// Reads one number of a trace; none where it is unknown.
type Read = fn(&TraceFacts) -> Option<f64>;

/// The metrics that are totals.
const TOTALS: [(&str, Read); 8] = [
    ("requests", |trace| Some(trace.requests as f64)),
    ("errors", |trace| Some(trace.errors as f64)),
    ("tool_calls", |trace| Some(trace.tool_calls as f64)),
    ("input_tokens", |trace| trace.tokens.input.map(|count| count as f64)),
    ("output_tokens", |trace| trace.tokens.output.map(|count| count as f64)),
    ("total_tokens", |trace| trace.tokens.total.map(|count| count as f64)),
    ("cache_read_input_tokens", |trace| trace.tokens.cache_read.map(|count| count as f64)),
    ("total_cost", |trace| trace.cost),
];

/// A total is there as soon as one trace knows its part; one that does not adds nothing.
fn totals(traces: &[&TraceFacts]) -> Vec<Series> {
    let known = TOTALS.iter().filter(|(_, read)| traces.iter().any(|trace| read(trace).is_some()));
    let series = known.map(|(key, read)| {
        let mut sum = Sum::default();
        let points = traces.iter().map(|trace| {
            sum.add(read(trace).unwrap_or(0.0));
            Point { timestamp_ms: trace.end_ms, value: sum.value() }
        });
        Series { key, points: points.collect() }
    });
    series.collect()
}

/// A sum that does not drift: Neumaier's compensated summation.
#[derive(Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn value(&self) -> f64 {
        self.sum + self.lost
    }
}

fn series(traces: &[&TraceFacts]) -> Vec<Series> {
    let latency = traces
        .iter()
        .filter_map(|trace| Some(Point { timestamp_ms: trace.end_ms, value: trace.duration_ms? as f64 }));
    let chunks = traces.iter().flat_map(|trace| &trace.first_chunks);
    let chunks = chunks.map(|(end_ms, value)| Point { timestamp_ms: *end_ms, value: *value });
    [("latency_ms", latency.collect::<Vec<_>>()), ("time_to_first_chunk_ms", chunks.collect())]
        .into_iter()
        .filter(|(_, points)| !points.is_empty())
        .map(|(key, points)| Series { key, points })
        .collect()
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
