//! From an export request to what it says about each of its traces.

use std::borrow::Cow;
use std::collections::HashMap;

use super::bytes::bytes_as_base64;
use super::limits::RUN_LINKS;
use super::options::MapOptions;
use super::span::{LeftOut, MappedSpan, Origin, map_span};
use super::trace::{Surroundings, TraceSpans, refusal};
use super::unusable::Unusable;
use super::update::TraceUpdate;
use crate::otlp::Refusal;
use crate::otlp::model::{ExportTraceServiceRequest, Resource, Span, any_value};
use crate::semconv::otel::SERVICE_NAME;

/// Services whose root spans keep the name of the service, as MLflow's UI asks for it.
const KNOWN_SERVICES: [&str; 5] = ["claude-code", "codex_cli_rs", "codex_vscode", "gemini-cli", "qwen-code"];

/// Attributes of one span that may be left out; each costs another attempt.
const MOST_LEFT_OUT: usize = 16;

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
    let request = prepare(request, options);
    let traces = group(&request, context, options, &mut refusals);
    let with_root = traces.iter().filter(|trace| trace.has_root()).count();
    let mut surroundings = Surroundings {
        backend: options.backend,
        repairs: &options.repairs,
        // MLflow links none if there are more than it links in one go.
        run_id: context.run_id.as_deref().filter(|_| with_root <= RUN_LINKS || options.repairs.run_links),
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

/// The request with what is to be repaired before anything is read.
pub(super) fn prepare<'r>(
    request: &'r ExportTraceServiceRequest,
    options: &MapOptions,
) -> Cow<'r, ExportTraceServiceRequest> {
    if options.repairs.bytes { bytes_as_base64(request) } else { Cow::Borrowed(request) }
}

/// Translates the spans, and sorts them by trace.
pub(super) fn group<'a>(
    request: &'a ExportTraceServiceRequest,
    context: &MapContext,
    options: &MapOptions,
    refusals: &mut Vec<Refusal>,
) -> Vec<TraceSpans<'a>> {
    let mut traces: Vec<TraceSpans<'a>> = Vec::new();
    let mut places: HashMap<u128, usize> = HashMap::new();
    let mut buffer = String::new();
    for group in &request.resource_spans {
        let resource = group.resource.as_ref();
        let service = resource.and_then(known_service);
        let misread_links = context.json && !options.repairs.link_ids;
        let scopes = group.scope_spans.iter();
        let spans = scopes.flat_map(|scope| scope.spans.iter().map(|span| (scope.scope.as_ref(), span)));
        for (scope, span) in spans {
            let origin = Origin { resource, scope, service, misread_links };
            let Some(mapped) = map_usable(span, origin, options, &mut buffer, refusals) else { continue };
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

/// Translates a span, less the attributes that cannot be stored, if that is asked for.
fn map_usable<'a>(
    span: &'a Span,
    origin: Origin<'a>,
    options: &MapOptions,
    buffer: &mut String,
    refusals: &mut Vec<Refusal>,
) -> Option<MappedSpan<'a>> {
    let mut left_out = LeftOut::default();
    let mut reports = Vec::new();
    loop {
        match map_span(span, origin, &left_out, options, buffer) {
            Ok(mapped) => {
                refusals.append(&mut reports);
                return Some(mapped);
            }
            Err(error) if options.repairs.unusable_values && leave_out(&mut left_out, span, &error) => {
                reports.push(Refusal {
                    spans: 0,
                    reason: format!("left out of {}", refusal(span, &error).reason),
                });
            }
            Err(error) => {
                refusals.push(refusal(span, &error));
                return None;
            }
        }
    }
}

/// Leaves out what an error blames; false if there is nothing to leave out.
fn leave_out(left_out: &mut LeftOut, span: &Span, error: &Unusable) -> bool {
    let Some(key) = error.attribute() else { return false };
    let is_there = span.attributes.iter().any(|pair| pair.key == key);
    if is_there
        && left_out.attributes.len() < MOST_LEFT_OUT
        && !left_out.attributes.iter().any(|known| known == key)
    {
        left_out.attributes.push(key.to_owned());
        return true;
    }
    !std::mem::replace(&mut left_out.event_content, true) && !span.events.is_empty()
}

/// The name of the service, if it is one that MLflow knows; of several names the first counts.
fn known_service(resource: &Resource) -> Option<&'static str> {
    let name = resource.attributes.iter().find(|pair| pair.key == SERVICE_NAME)?.value.as_ref()?;
    let Some(any_value::Value::String(name)) = &name.value else { return None };
    KNOWN_SERVICES.into_iter().find(|known| known == name)
}
