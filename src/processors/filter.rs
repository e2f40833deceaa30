//! `processors.filter`: drops spans by what they are.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::matching::{MatchConfig, Problem, Selection};
use super::stage::{Stage, Transform, any_span, retain};
use crate::otlp::model::ExportTraceServiceRequest;
use crate::pipeline::TraceExporter;
use crate::telemetry::ProcessorMetrics;

/// Drops spans. A child of a dropped span stays, and has a parent that nobody has.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterConfig {
    /// Which spans stay and which go.
    pub spans: FilterSpans,
}

/// Which spans stay and which go; `include` is looked at first.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FilterSpans {
    /// Only these stay.
    pub include: Option<MatchConfig>,
    /// These go.
    pub exclude: Option<MatchConfig>,
}

impl FilterConfig {
    /// What is wrong with the settings: keys relative to the processor, and messages.
    pub fn validate(&self) -> Vec<Problem> {
        if self.spans.include.is_none() && self.spans.exclude.is_none() {
            return vec![("spans".to_owned(), "needs include, exclude or both".to_owned())];
        }
        self.selection().err().map(|(key, message)| (format!("spans.{key}"), message)).into_iter().collect()
    }

    /// The processor, before the next stage.
    ///
    /// # Errors
    ///
    /// What [`Self::validate`] finds.
    pub fn build(
        &self,
        metrics: ProcessorMetrics,
        next: Arc<dyn TraceExporter>,
    ) -> Result<Arc<dyn TraceExporter>, Problem> {
        Ok(Arc::new(Stage::new(Filter(self.selection()?), metrics, next)))
    }

    fn selection(&self) -> Result<Selection, Problem> {
        Selection::new(self.spans.include.as_ref(), self.spans.exclude.as_ref())
    }
}

struct Filter(Selection);

impl Transform for Filter {
    const DROPPED: &'static str = "filtered";

    fn concerns(&self, body: &ExportTraceServiceRequest) -> bool {
        any_span(body, |around, span| !self.0.selects(around, span))
    }

    fn apply(&self, body: &mut ExportTraceServiceRequest) {
        retain(body, |around, span| self.0.selects(around, span));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing::{Recorder, request_of, span};
    use super::*;
    use crate::telemetry::Metrics;

    #[tokio::test]
    async fn excluded_spans_go_and_included_ones_stay() {
        let config = json!({"spans": {
            "include": {"match_type": "regexp", "span_names": ["^chat"]},
            "exclude": {"match_type": "strict", "span_names": ["chat test"]},
        }});
        let config: FilterConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.validate(), []);
        let next = Recorder::new();
        let metrics = Metrics::default().processor("filter");
        let filter = config.build(metrics, Arc::clone(&next) as Arc<dyn TraceExporter>).unwrap();
        let spans =
            vec![span(1, 1, "chat"), span(1, 2, "chat test"), span(1, 3, "GET"), span(2, 4, "chat x")];
        next.send(filter.as_ref(), Arc::new(request_of(spans))).await.unwrap();
        assert_eq!(next.span_ids(), [vec![1, 4]]);
    }

    #[test]
    fn a_filter_without_rules_is_a_mistake() {
        assert_eq!(FilterConfig::default().validate()[0].0, "spans");
        let config = json!({"spans": {"exclude": {"match_type": "regexp", "services": ["["]}}});
        let config: FilterConfig = serde_json::from_value(config).unwrap();
        assert_eq!(config.validate()[0].0, "spans.exclude.services");
    }
}
