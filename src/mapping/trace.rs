//! The spans of one trace in a request, and the facts that they give together.

use std::collections::HashMap;

use super::attributes::{Attributes, Content};
use super::content::hex;
use super::limits::{self, ROWS_PER_STATEMENT, SESSION_ID, TAG_VALUE, TRACE_NAME};
use super::merge::TRACKING_STORE;
use super::options::Backend;
use super::preview::{Preview, preview};
use super::python::LoneSurrogate;
use super::routing::{RoutedSpan, run_ids};
use super::span::{MappedSpan, trace_id};
use super::tags::{has_attributes, is_tag_name, resource_tags, tag_value};
use super::text::Text;
use super::unusable::Unusable;
use super::update::TraceUpdate;
use super::usage::{Node, Tree};
use crate::mlflow::records::{SpanStatus, TraceState};
use crate::otlp::Refusal;
use crate::otlp::model::Span;
use crate::semconv::gen_ai::CONVERSATION_ID;
use crate::semconv::mlflow::{self, SPAN_INPUTS, SPAN_OUTPUTS, SPANS_LOCATION, TRACE_TAG_PREFIX};
use crate::semconv::otel::{SESSION_ID as SESSION_ID_ATTRIBUTE, USER_ID};

/// The spans of one trace, in the order of the request.
#[derive(Debug)]
pub(super) struct TraceSpans<'a> {
    pub(super) id: u128,
    pub(super) spans: Vec<MappedSpan<'a>>,
}

/// What an update depends on beside the spans of its trace.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) backend: Backend,
    /// The run that the request's header names, for traces whose root is in the request.
    pub(super) run_id: Option<&'a str>,
    /// How many rows MLflow would write for the traces before this one.
    pub(super) rows_before: usize,
}

/// What the spans of a trace say about it.
#[derive(Debug, Default)]
struct Facts {
    session_id: Option<String>,
    user: Option<String>,
    trace_name: Option<String>,
    tags: Vec<(String, String)>,
    request_preview: Option<String>,
    response_preview: Option<String>,
    preview_failed: bool,
}

/// Why the facts cannot be stored.
enum Guilt {
    /// Spans that give something unusable, by their position.
    Spans(Vec<(usize, Unusable)>),
    /// The trace as a whole.
    Trace(Unusable),
}

impl<'a> TraceSpans<'a> {
    /// Turns the spans into an update; what cannot be stored is refused.
    pub(super) fn into_update(
        mut self,
        surroundings: &Surroundings<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> Option<TraceUpdate> {
        let backend = surroundings.backend;
        let facts = loop {
            let found = self.check_rows(backend, surroundings.rows_before).and_then(|()| self.facts(backend));
            match found {
                Ok(facts) => break facts,
                Err(Guilt::Trace(error)) => {
                    let reason = format!("trace {}: {error}", trace_id(self.id));
                    refusals.push(Refusal { spans: self.spans.len(), reason });
                    return None;
                }
                Err(Guilt::Spans(guilty)) => self.refuse(guilty, refusals),
            }
        };
        (!self.spans.is_empty()).then(|| self.update(facts, surroundings, refusals))
    }

    fn refuse(&mut self, guilty: Vec<(usize, Unusable)>, refusals: &mut Vec<Refusal>) {
        let mut errors: HashMap<usize, Unusable> = guilty.into_iter().collect();
        let mut position = 0;
        self.spans.retain(|mapped| {
            let error = errors.remove(&position);
            position += 1;
            if let Some(error) = &error {
                refusals.push(refusal(mapped.span, error));
            }
            error.is_none()
        });
    }

    /// PostgreSQL refuses a statement that writes a row twice.
    fn check_rows(&self, backend: Backend, rows_before: usize) -> Result<(), Guilt> {
        if backend == Backend::Sqlite {
            return Ok(());
        }
        let mut statements = HashMap::new();
        for (index, span) in self.spans.iter().enumerate() {
            let statement = (rows_before + index) / ROWS_PER_STATEMENT;
            if statements.insert(span.ids.span, statement) == Some(statement) {
                return Err(Guilt::Trace(Unusable::Repeated(span.record.span_id.clone())));
            }
        }
        Ok(())
    }

    fn facts(&self, backend: Backend) -> Result<Facts, Guilt> {
        let mut facts = Facts::default();
        let mut guilty = self.unusable_totals();
        let session = |attributes: &Attributes<'a>| {
            attributes.first_present(&[SESSION_ID_ATTRIBUTE, CONVERSATION_ID]).map(Text::plain_owned)
        };
        let session_id = self.first(session, SESSION_ID_ATTRIBUTE, &mut guilty);
        if let Some(session_id) = &session_id {
            limits::check_length("session id", session_id, SESSION_ID).map_err(Guilt::Trace)?;
        }
        facts.session_id = session_id;
        let user = |attributes: &Attributes<'a>| attributes.get(USER_ID).map(Text::plain_owned);
        facts.user = self.first(user, USER_ID, &mut guilty);
        self.read_tags(&mut facts, backend, &mut guilty)?;
        self.read_previews(&mut facts, backend, &mut guilty);
        for (name, text, limit) in [
            ("session id", &facts.session_id, SESSION_ID),
            ("user id", &facts.user, TAG_VALUE),
            ("request preview", &facts.request_preview, usize::MAX),
            ("response preview", &facts.response_preview, usize::MAX),
        ] {
            backend.check(name, text.as_deref().unwrap_or_default(), limit).map_err(Guilt::Trace)?;
        }
        if guilty.is_empty() { Ok(facts) } else { Err(Guilt::Spans(guilty)) }
    }

    fn unusable_totals(&self) -> Vec<(usize, Unusable)> {
        if self.spans.iter().all(|span| span.usage.tokens.is_none() && span.usage.cost.is_none()) {
            return vec![];
        }
        let nodes = self.spans.iter().map(|span| Node {
            span_id: &span.record.span_id,
            parent_span_id: span.record.parent_span_id.as_deref(),
            tokens: span.usage.tokens.as_deref(),
            cost: span.usage.cost.as_deref(),
        });
        let unusable = Tree::new(nodes.collect()).unusable().into_iter();
        unusable.map(|(index, key, member)| (index, Unusable::NotANumber { key, member })).collect()
    }

    /// What the first span that has it says; an empty text counts, and is then left out.
    fn first(
        &self,
        read: impl Fn(&Attributes<'a>) -> Option<Result<String, LoneSurrogate>>,
        key: &'static str,
        guilty: &mut Vec<(usize, Unusable)>,
    ) -> Option<String> {
        for (index, span) in self.spans.iter().enumerate() {
            match read(&span.attributes) {
                None => {}
                Some(Ok(text)) => return Some(text).filter(|text| !text.is_empty()),
                Some(Err(error)) => guilty.push((index, Unusable::surrogate(key, error))),
            }
        }
        None
    }

    fn roots(&self) -> impl DoubleEndedIterator<Item = (usize, &MappedSpan<'a>)> {
        self.spans.iter().enumerate().filter(|(_, span)| span.ids.parent.is_none())
    }

    /// Whether there is a root among the spans.
    pub(super) fn has_root(&self) -> bool {
        self.roots().next().is_some()
    }

    /// Tags that the roots ask for; later roots override earlier ones.
    fn read_tags(
        &self,
        facts: &mut Facts,
        backend: Backend,
        guilty: &mut Vec<(usize, Unusable)>,
    ) -> Result<(), Guilt> {
        for (index, root) in self.roots() {
            for (key, content) in root.attributes.iter() {
                let Some(name) = key.strip_prefix(TRACE_TAG_PREFIX).filter(|name| is_tag_name(name)) else {
                    continue;
                };
                let Content::Text(text) = content else { continue };
                let value = match text.plain() {
                    Ok(value) => tag_value(&value),
                    Err(error) => {
                        guilty.push((index, Unusable::surrogate(key, error)));
                        continue;
                    }
                };
                if let Err(error) = backend.check("trace tag", &value, TAG_VALUE) {
                    guilty.push((index, error));
                }
                if name == mlflow::TRACE_NAME {
                    limits::check_length("trace name", &value, TRACE_NAME).map_err(Guilt::Trace)?;
                    facts.trace_name = Some(value);
                } else {
                    facts.tags.push((name.to_owned(), value));
                }
            }
        }
        Ok(())
    }

    /// Previews from the last root.
    fn read_previews(&self, facts: &mut Facts, backend: Backend, guilty: &mut Vec<(usize, Unusable)>) {
        let Some((index, root)) = self.roots().next_back() else { return };
        let mut read = |key: &'static str, role| match preview(root.attributes.content(key)?, role, backend) {
            Preview::Text(text) => Some(Ok(text)),
            Preview::Failed => Some(Err(())),
            Preview::Unusable => {
                guilty.push((index, Unusable::Preview(key)));
                None
            }
        };
        let (request, response) = (read(SPAN_INPUTS, "user"), read(SPAN_OUTPUTS, "assistant"));
        facts.preview_failed = request == Some(Err(()));
        facts.request_preview = request.and_then(Result::ok);
        facts.response_preview = response.and_then(Result::ok);
    }

    fn update(
        self,
        facts: Facts,
        surroundings: &Surroundings<'_>,
        refusals: &mut Vec<Refusal>,
    ) -> TraceUpdate {
        let mut tags = vec![(SPANS_LOCATION.to_owned(), TRACKING_STORE.to_owned())];
        let resource =
            self.spans.iter().filter_map(|span| span.resource).find(|resource| has_attributes(resource));
        if let Some(resource) = resource {
            let (found, unusable) = resource_tags(resource);
            tags.extend(found);
            refusals.extend(unusable.into_iter().map(|key| unusable_tag(self.id, key)));
        }
        tags.extend(facts.tags);
        let nanos_per_ms = 1_000_000;
        let records = || self.spans.iter().map(|span| &span.record);
        let min_start = records().map(|span| span.start_time_unix_nano).min().unwrap_or_default();
        let max_end = records().map(|span| span.end_time_unix_nano).max().unwrap_or_default();
        let state = records().find(|span| span.parent_span_id.is_none()).map(|root| match root.status {
            SpanStatus::Error => TraceState::Error,
            SpanStatus::Ok | SpanStatus::Unset => TraceState::Ok,
        });
        let routed: Vec<_> =
            self.spans.iter().map(|mapped| RoutedSpan::new(mapped.span, mapped.resource)).collect();
        let run_ids = run_ids(surroundings.run_id, &routed, surroundings.backend.longest_run_id());
        let (spans, usage) = self.spans.into_iter().map(|span| (span.record, span.usage)).unzip();
        TraceUpdate {
            trace_id: trace_id(self.id),
            experiment_id: 0,
            min_start_ms: min_start / nanos_per_ms,
            max_end_ms: max_end / nanos_per_ms,
            state,
            trace_name: facts.trace_name,
            session_id: facts.session_id,
            user: facts.user,
            request_preview: facts.request_preview,
            response_preview: facts.response_preview,
            preview_failed: facts.preview_failed,
            tags,
            spans,
            usage,
            run_ids,
        }
    }
}

/// Refuses one span.
pub(super) fn refusal(span: &Span, error: &Unusable) -> Refusal {
    let (span_id, trace_id) = (hex(&span.span_id), hex(&span.trace_id));
    Refusal { spans: 1, reason: format!("span {span_id} of trace {trace_id}: {error}") }
}

/// Reports a tag that is left out; all spans are kept.
fn unusable_tag(trace: u128, key: &str) -> Refusal {
    let error = Unusable::Bytes(key.to_owned());
    Refusal { spans: 0, reason: format!("resource of trace {}, left out: {error}", trace_id(trace)) }
}
