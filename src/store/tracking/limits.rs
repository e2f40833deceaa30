//! MLflow's limits for what is logged, kept before anything is sent.
//!
//! From `mlflow/utils/validation.py` of MLflow 2.22.2 and 3.17.2, which agree in all of these.

use std::collections::BTreeMap;
use std::sync::Once;

use super::TrackingError;
use crate::mlflow::entities::{LogBatch, Metric, Param, Tag};

/// Longest name of a metric, a parameter or a tag, in characters.
pub(crate) const MAX_KEY: usize = 250;
/// Longest value of a parameter, in characters.
pub(crate) const MAX_PARAM_VALUE: usize = 6000;
/// Longest value of a run's tag, in characters.
pub(crate) const MAX_TAG_VALUE: usize = 8000;
/// Most metrics in one call.
pub(crate) const MAX_METRICS: usize = 1000;
/// Most parameters in one call, and most tags.
pub(crate) const MAX_PARAMS_OR_TAGS: usize = 100;
/// Most metrics, parameters and tags together in one call.
pub(crate) const MAX_ENTRIES: usize = 1000;

/// Checks a name as MLflow does: letters, digits and `_-./: `, and no path that steps out of its
/// folder, for stores that make a file of it.
///
/// # Errors
///
/// [`TrackingError::Invalid`] with what is allowed.
pub(crate) fn check_key(kind: &str, key: &str) -> Result<(), TrackingError> {
    let length = key.chars().count();
    if length > MAX_KEY {
        return Err(TrackingError::invalid(format!(
            "the {kind} {:?}… has a name of {length} characters: MLflow takes {MAX_KEY}",
            key.chars().take(40).collect::<String>()
        )));
    }
    let allowed = |character: char| character.is_alphanumeric() || "/_.- :".contains(character);
    // Python's `$` matches before a line feed at the end, too.
    let checked = key.strip_suffix('\n').unwrap_or(key);
    if !checked.chars().all(allowed) {
        return Err(TrackingError::invalid(format!(
            "MLflow takes no {kind} of the name {key:?}: use letters, digits, and `_`, `-`, `.`, `/`, `:` and spaces"
        )));
    }
    if !is_plain_path(key) {
        return Err(TrackingError::invalid(format!(
            "MLflow takes no {kind} of the name {key:?}, which is no plain relative path: give it a name without \
             empty parts, `.` and `..` between slashes"
        )));
    }
    Ok(())
}

/// Whether a name, read as a path, is relative and in its shortest form.
pub(crate) fn is_plain_path(name: &str) -> bool {
    !name.starts_with("..") && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Checks the name of a run's or a trace's tag, and cuts its value.
///
/// # Errors
///
/// As [`check_key`].
pub(crate) fn prepare_tag(mut tag: Tag) -> Result<Tag, TrackingError> {
    check_key("tag", &tag.key)?;
    cut_tag(&mut tag.value);
    Ok(tag)
}

/// Checks names and times, drops what is given twice, and cuts values that are too long, with one
/// warning for each kind while the process runs.
///
/// # Errors
///
/// [`TrackingError::Invalid`] for a name that MLflow does not take, a time before 1970, and a
/// parameter with two values.
pub(crate) fn prepare(mut batch: LogBatch) -> Result<LogBatch, TrackingError> {
    for metric in &batch.metrics {
        check_metric(metric)?;
    }
    batch.params = unique(batch.params)?;
    for param in &mut batch.params {
        check_key("parameter", &param.key)?;
        cut_param(&mut param.value);
    }
    batch.tags = batch.tags.into_iter().map(prepare_tag).collect::<Result<_, _>>()?;
    Ok(batch)
}

fn check_metric(metric: &Metric) -> Result<(), TrackingError> {
    check_key("metric", &metric.key)?;
    if metric.timestamp_ms < 0 {
        return Err(TrackingError::invalid(format!(
            "the metric {:?} has the time {}: give milliseconds since 1970",
            metric.key, metric.timestamp_ms
        )));
    }
    Ok(())
}

/// MLflow refuses a call that names a parameter twice, even with the same value.
fn unique(params: Vec<Param>) -> Result<Vec<Param>, TrackingError> {
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut kept = Vec::with_capacity(params.len());
    for param in params {
        match seen.get(&param.key) {
            Some(value) if *value == param.value => {}
            Some(value) => {
                return Err(TrackingError::invalid(format!(
                    "the parameter {:?} has two values, {value:?} and {:?}: a parameter can be set once; use a tag \
                     for what changes",
                    param.key, param.value
                )));
            }
            None => {
                seen.insert(param.key.clone(), param.value.clone());
                kept.push(param);
            }
        }
    }
    Ok(kept)
}

fn cut_param(value: &mut String) {
    static WARNED: Once = Once::new();
    if cut(value, MAX_PARAM_VALUE) {
        WARNED.call_once(|| {
            tracing::warn!(
                limit = MAX_PARAM_VALUE,
                "values of parameters are cut: MLflow keeps no longer ones"
            );
        });
    }
}

fn cut_tag(value: &mut String) {
    static WARNED: Once = Once::new();
    if cut(value, MAX_TAG_VALUE) {
        WARNED.call_once(|| {
            tracing::warn!(limit = MAX_TAG_VALUE, "values of tags are cut: MLflow keeps no longer ones");
        });
    }
}

/// Cuts to so many characters; says whether it had to.
fn cut(value: &mut String, most: usize) -> bool {
    match value.char_indices().nth(most) {
        Some((end, _)) => {
            value.truncate(end);
            true
        }
        None => false,
    }
}

/// Splits a batch into calls that MLflow takes, in order.
pub(crate) fn split(batch: LogBatch) -> Vec<LogBatch> {
    let mut calls = Vec::new();
    let (mut metrics, mut params, mut tags) =
        (batch.metrics.into_iter(), batch.params.into_iter(), batch.tags.into_iter());
    loop {
        let mut call = LogBatch {
            metrics: Vec::new(),
            params: params.by_ref().take(MAX_PARAMS_OR_TAGS).collect(),
            tags: tags.by_ref().take(MAX_PARAMS_OR_TAGS).collect(),
        };
        let room = MAX_METRICS.min(MAX_ENTRIES.saturating_sub(call.len()));
        call.metrics = metrics.by_ref().take(room).collect();
        if call.is_empty() {
            return calls;
        }
        calls.push(call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(key: &str, step: i64) -> Metric {
        Metric { key: key.to_owned(), value: 1.0, timestamp_ms: 1, step }
    }

    fn param(key: &str, value: &str) -> Param {
        Param { key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn names_are_checked_as_mlflow_does() {
        for key in ["a/b", "grüße 1", "日本", "a:b-c_d.e", ".hidden", "a..b", "x\n", &"k".repeat(250)] {
            assert!(check_key("tag", key).is_ok(), "{key:?}");
        }
        for key in ["", ".", "..", "../a", "/a", "a/", "a//b", "a/./b", "..a", "bad*key", &"k".repeat(251)] {
            assert!(matches!(check_key("tag", key), Err(TrackingError::Invalid { .. })), "{key:?}");
        }
    }

    #[test]
    fn a_batch_is_split_by_all_limits() {
        let batch = LogBatch {
            metrics: (0..2500).map(|step| metric("m", step)).collect(),
            params: (0..150).map(|number| param(&format!("p{number}"), "1")).collect(),
            tags: (0..101).map(|number| Tag::new(format!("t{number}"), "1")).collect(),
        };
        let calls = split(prepare(batch.clone()).unwrap());
        let sizes: Vec<_> =
            calls.iter().map(|call| (call.metrics.len(), call.params.len(), call.tags.len())).collect();
        assert_eq!(sizes, [(800, 100, 100), (949, 50, 1), (751, 0, 0)]);
        let metrics: Vec<_> = calls.iter().flat_map(|call| call.metrics.clone()).collect();
        assert_eq!(metrics, batch.metrics);
        assert_eq!(split(LogBatch::default()), []);
    }

    #[test]
    fn long_values_are_cut_at_characters() {
        let batch = LogBatch {
            params: vec![param("p", &"é".repeat(6001))],
            tags: vec![Tag::new("t", "x".repeat(8001))],
            ..LogBatch::default()
        };
        let batch = prepare(batch).unwrap();
        assert_eq!(batch.params[0].value, "é".repeat(6000));
        assert_eq!(batch.tags[0].value.len(), 8000);
    }

    #[test]
    fn a_parameter_has_one_value() {
        let twice = |second: &str| {
            prepare(LogBatch { params: vec![param("p", "1"), param("p", second)], ..LogBatch::default() })
        };
        assert_eq!(twice("1").unwrap().params.len(), 1);
        assert!(matches!(twice("2"), Err(TrackingError::Invalid { .. })));
        let early = Metric { timestamp_ms: -1, ..metric("m", 0) };
        assert!(prepare(LogBatch { metrics: vec![early], ..LogBatch::default() }).is_err());
    }
}
