//! What the spool's files hold: one JSON object a line.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::mlflow::entities::{LogBatch, Metric, NewRun, Param, RunStatus, RunUpdate, Tag};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Record {
    /// The first line: whose file it is.
    Head(Head),
    /// A run that MLflow has not made yet.
    Create(Create),
    /// A run that MLflow has made, by its id.
    Run(String),
    /// A run that goes on: it is running again.
    Resumed,
    /// What was logged.
    Log(Entries),
    /// The end of the run.
    End(End),
}

/// Whose file it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Version of the format.
    pub(crate) version: u32,
    /// Address of the server, without credentials; none for a database.
    pub(crate) target: Option<String>,
    /// The run's key, which MLflow keeps as a tag, so that the run is made once.
    pub(crate) key: String,
}

/// How to make the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Create {
    pub(crate) experiment: ExperimentRef,
    pub(crate) name: Option<String>,
    pub(crate) user_id: String,
    pub(crate) start_time_ms: i64,
    pub(crate) tags: Vec<(String, String)>,
    /// Key of the parent, where it has no id yet either.
    pub(crate) parent_key: Option<String>,
}

/// An experiment, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExperimentRef {
    /// By id.
    Id(String),
    /// By name; made where it is missing.
    Name(String),
}

/// Metrics, parameters and tags.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entries {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<(String, Value, i64, i64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    params: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<(String, String)>,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    status: String,
    end_time_ms: i64,
}

impl Create {
    /// What MLflow is asked for, in an experiment that is found.
    pub(crate) fn to_new_run(&self, experiment_id: String) -> NewRun {
        NewRun {
            experiment_id,
            name: self.name.clone(),
            user_id: Some(self.user_id.clone()),
            start_time_ms: self.start_time_ms,
            tags: self.tags.iter().map(|(key, value)| Tag::new(key, value)).collect(),
        }
    }
}

impl End {
    pub(crate) fn new(status: RunStatus, end_time_ms: i64) -> Self {
        Self { status: status.as_str().to_owned(), end_time_ms }
    }

    pub(crate) fn to_update(&self) -> RunUpdate {
        RunUpdate {
            status: RunStatus::from_stored(&self.status),
            end_time_ms: Some(self.end_time_ms),
            name: None,
        }
    }
}

impl From<&LogBatch> for Entries {
    fn from(batch: &LogBatch) -> Self {
        let metric =
            |metric: &Metric| (metric.key.clone(), Value(metric.value), metric.timestamp_ms, metric.step);
        Self {
            metrics: batch.metrics.iter().map(metric).collect(),
            params: batch.params.iter().map(|param| (param.key.clone(), param.value.clone())).collect(),
            tags: batch.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect(),
        }
    }
}

impl From<Entries> for LogBatch {
    fn from(entries: Entries) -> Self {
        let metric = |(key, Value(value), timestamp_ms, step)| Metric { key, value, timestamp_ms, step };
        Self {
            metrics: entries.metrics.into_iter().map(metric).collect(),
            params: entries.params.into_iter().map(|(key, value)| Param { key, value }).collect(),
            tags: entries.tags.into_iter().map(|(key, value)| Tag { key, value }).collect(),
        }
    }
}

/// A number that JSON may have no form for.
#[derive(Clone, Copy, Debug)]
struct Value(f64);

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else {
            serializer.serialize_str(&self.0.to_string())
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(f64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(Self(value)),
            Written::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_as_it_went_in() {
        let metric = |value| Metric { key: "m".to_owned(), value, timestamp_ms: 1, step: -2 };
        let values = [0.1, f64::INFINITY, f64::NEG_INFINITY, 1e300, 3.0];
        let batch = LogBatch {
            metrics: values.map(metric).to_vec(),
            params: vec![Param { key: "p".to_owned(), value: "line\nbreak".to_owned() }],
            tags: vec![Tag::new("t", "ü")],
        };
        let line = serde_json::to_string(&Record::Log(Entries::from(&batch))).unwrap();
        assert!(!line.contains('\n'));
        let Record::Log(read) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(LogBatch::from(read), batch);
        let nan = serde_json::to_string(&Value(f64::NAN)).unwrap();
        assert!(serde_json::from_str::<Value>(&nan).unwrap().0.is_nan());
    }
}
