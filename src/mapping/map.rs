//! From an export request to what it says about each of its traces.

use std::collections::HashMap;

use super::limits::RUN_LINKS;
use super::options::MapOptions;
use super::span::map_span;
use super::trace::{Surroundings, TraceSpans, refusal};
use super::update::TraceUpdate;
use crate::otlp::Refusal;
use crate::otlp::model::{ExportTraceServiceRequest, Resource, any_value};
use crate::semconv::otel::SERVICE_NAME;

/// Services whose root spans keep the name of the service, as MLflow's UI asks for it.
const KNOWN_SERVICES: [&str; 5] = ["claude-code", "codex_cli_rs", "codex_vscode", "gemini-cli", "qwen-code"];

/// What came with a request, and what was found out about it.
#[derive(Clone, Debug, Default)]
pub struct MapContext {
    /// Whether the request came as JSON, where MLflow reads the ids of links as base64.
    pub json: bool,
    /// The run that the request's header names.
    pub run_id: Option<String>,
    /// Experiments of traces that do not exist yet, by trace id.
    pub experiments: HashMap<u128, i64>,
    /// Experiment of all other traces that do not exist yet.
    pub experiment_id: i64,
}

/// What a request says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapped {
    /// One update for each trace, in the order of their first spans.
    pub updates: Vec<TraceUpdate>,
    /// Spans that cannot be stored, and why.
    pub refusals: Vec<Refusal>,
}

/// Maps the spans of a request to rows of MLflow's store, and to facts about their traces.
///
/// A span that MLflow cannot store is refused alone, where MLflow would refuse the whole request.
pub fn map(request: &ExportTraceServiceRequest, context: &MapContext, options: &MapOptions) -> Mapped {
    let mut refusals = Vec::new();
    let traces = group(request, context, options, &mut refusals);
    let with_root = traces.iter().filter(|trace| trace.has_root()).count();
    let mut surroundings = Surroundings {
        backend: options.backend,
        // MLflow links none if there are more than it links in one go.
        run_id: context.run_id.as_deref().filter(|_| with_root <= RUN_LINKS),
        rows_before: 0,
    };
    let mut updates = Vec::with_capacity(traces.len());
    for trace in traces {
        let (id, spans) = (trace.id, trace.spans.len());
        if let Some(mut update) = trace.into_update(&surroundings, &mut refusals) {
            update.experiment_id = context.experiments.get(&id).copied().unwrap_or(context.experiment_id);
            updates.push(update);
        }
        surroundings.rows_before += spans;
    }
    Mapped { updates, refusals }
}

/// Translates the spans, and sorts them by trace.
fn group<'a>(
    request: &'a ExportTraceServiceRequest,
    context: &MapContext,
    options: &MapOptions,
    refusals: &mut Vec<Refusal>,
) -> Vec<TraceSpans<'a>> {
    let mut traces: Vec<TraceSpans<'a>> = Vec::new();
    let mut places: HashMap<u128, usize> = HashMap::new();
    for group in &request.resource_spans {
        let resource = group.resource.as_ref();
        let service = resource.and_then(known_service);
        for span in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
            let mapped = match map_span(span, resource, service, context.json, options) {
                Ok(mapped) => mapped,
                Err(error) => {
                    refusals.push(refusal(span, &error));
                    continue;
                }
            };
            let id = mapped.ids.trace;
            let place = *places.entry(id).or_insert(traces.len());
            match traces.get_mut(place) {
                Some(trace) => trace.spans.push(mapped),
                None => traces.push(TraceSpans { id, spans: vec![mapped] }),
            }
        }
    }
    traces
}

/// The name of the service, if it is one that MLflow knows; of several names the first counts.
fn known_service(resource: &Resource) -> Option<&'static str> {
    let name = resource.attributes.iter().find(|pair| pair.key == SERVICE_NAME)?.value.as_ref()?;
    let Some(any_value::Value::String(name)) = &name.value else { return None };
    KNOWN_SERVICES.into_iter().find(|known| known == name)
}
