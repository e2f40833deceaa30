//! What every span of the process gets: the attributes of the [`Scope`](crate::instrument::Scope)
//! around it, and the first of a trace the experiment it is for.

use std::time::Duration;

use opentelemetry::trace::{Span as _, TraceContextExt};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

use crate::instrument::scope_attributes;

/// Copies the attributes of the scope around a span when it starts; what the span says itself wins.
#[derive(Debug, Default)]
pub(super) struct ScopeProcessor {
    /// For the gateway, which routes by it (`mlflow.experiment_name`).
    pub(super) experiment: Option<String>,
}

impl SpanProcessor for ScopeProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        if let Some(experiment) = &self.experiment
            && !context.span().span_context().is_valid()
        {
            span.set_attribute(KeyValue::new("mlflow.experiment_name", experiment.clone()));
        }
        let Some(attributes) = scope_attributes(context) else { return };
        let own = span.exported_data().map(|data| data.attributes).unwrap_or_default();
        for attribute in attributes {
            if !own.iter().any(|known| known.key == attribute.key) {
                span.set_attribute(attribute.clone());
            }
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::*;
    use crate::instrument::Scope;

    #[test]
    fn every_span_inside_a_scope_has_its_attributes_once() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(ScopeProcessor::default())
            .with_simple_exporter(exporter.clone())
            .build();
        let tracer = provider.tracer("t");
        {
            let _scope = Scope::new().user_id("u").conversation_id("c").enter();
            tracer.in_span("outer", |_| {
                let own = KeyValue::new("user.id", "own");
                tracer.span_builder("inner").with_attributes([own]).start(&tracer);
            });
        }
        tracer.in_span("outside", |_| {});
        let shown: Vec<_> = exporter
            .get_finished_spans()
            .unwrap()
            .iter()
            .map(|span| {
                let pairs = span.attributes.iter().map(|pair| format!(" {}={}", pair.key, pair.value));
                format!("{}{}", span.name, pairs.collect::<String>())
            })
            .collect();
        let expected = [
            "inner user.id=own gen_ai.conversation.id=c",
            "outer user.id=u gen_ai.conversation.id=c",
            "outside",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_the_first_span_of_a_trace_names_the_experiment() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(ScopeProcessor { experiment: Some("e".into()) })
            .with_simple_exporter(exporter.clone())
            .build();
        let tracer = provider.tracer("t");
        tracer.in_span("root", |_| tracer.in_span("child", |_| {}));
        let spans = exporter.get_finished_spans().unwrap();
        let counts: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), span.attributes.len())).collect();
        assert_eq!(counts, [("child", 0), ("root", 1)]);
    }
}
