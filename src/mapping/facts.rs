//! What the spans of a trace say about the trace.

use super::attributes::{Attributes, Content};
use super::identities::{self, shorten_session};
use super::limits::{self, SESSION_ID, TAG_VALUE, TRACE_NAME, cut, fit};
use super::naming::name_trace;
use super::preview::{Preview, preview};
use super::python::LoneSurrogate;
use super::span::MappedSpan;
use super::tags::{is_bookkeeping, is_tag_name, tag_value};
use super::text::Text;
use super::trace::Surroundings;
use super::unusable::Unusable;
use super::update::TraceRepairs;
use super::usage::{Node, Tree};
use crate::semconv::gen_ai::CONVERSATION_ID;
use crate::semconv::mlflow::{self, SPAN_INPUTS, SPAN_OUTPUTS, TRACE_TAG_PREFIX};
use crate::semconv::otel::{self, USER_ID};

/// What the spans of a trace say about it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) session_id: Option<String>,
    pub(super) user: Option<String>,
    pub(super) trace_name: Option<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) request_preview: Option<String>,
    pub(super) response_preview: Option<String>,
    pub(super) preview_failed: bool,
    pub(super) repairs: TraceRepairs,
}

/// Why the facts cannot be stored.
pub(super) enum Guilt {
    /// Spans that give something unusable, by their position.
    Spans(Vec<(usize, Unusable)>),
    /// The trace as a whole.
    Trace(Unusable),
}

/// Reads the facts.
///
/// # Errors
/// What cannot be stored, and whose fault that is.
pub(super) fn facts(spans: &[MappedSpan<'_>], surroundings: &Surroundings<'_>) -> Result<Facts, Guilt> {
    let repairs = surroundings.repairs;
    let mut reader = Reader { spans, surroundings, guilty: unusable_totals(spans), facts: Facts::default() };
    reader.read_session().map_err(Guilt::Trace)?;
    reader.read_user();
    reader.read_tags().map_err(Guilt::Trace)?;
    if repairs.trace_names && reader.facts.trace_name.is_none() {
        reader.facts.trace_name = name_trace(spans, &mut reader.facts.repairs);
    }
    reader.read_previews();
    reader.fit().map_err(Guilt::Trace)?;
    if reader.guilty.is_empty() { Ok(reader.facts) } else { Err(Guilt::Spans(reader.guilty)) }
}

struct Reader<'r, 'a> {
    spans: &'r [MappedSpan<'a>],
    surroundings: &'r Surroundings<'r>,
    /// Spans that give something unusable, by their position.
    guilty: Vec<(usize, Unusable)>,
    facts: Facts,
}

impl<'r, 'a> Reader<'r, 'a> {
    fn roots(&self) -> impl DoubleEndedIterator<Item = (usize, &'r MappedSpan<'a>)> + use<'r, 'a> {
        self.spans.iter().enumerate().filter(|(_, span)| span.ids.parent.is_none())
    }

    fn read_session(&mut self) -> Result<(), Unusable> {
        let keys = [otel::SESSION_ID, CONVERSATION_ID];
        self.facts.session_id = if self.surroundings.repairs.identities {
            identities::session(self.spans)
        } else {
            self.first(|attributes| attributes.first_present(&keys).map(owned), otel::SESSION_ID)
        };
        if self.surroundings.repairs.long_identities {
            self.facts.session_id = self.facts.session_id.take().map(shorten_session);
        }
        let text = self.facts.session_id.as_deref().unwrap_or_default();
        limits::check_length("session id", text, SESSION_ID)
    }

    fn read_user(&mut self) {
        self.facts.user = if self.surroundings.repairs.identities {
            identities::user(self.spans).map(|user| cut(&user, TAG_VALUE).to_owned())
        } else {
            self.first(|attributes| attributes.get(USER_ID).map(owned), USER_ID)
        };
    }

    /// What the first span that has it says; an empty text counts, and is then left out.
    fn first(
        &mut self,
        read: impl Fn(&Attributes<'a>) -> Option<Result<String, LoneSurrogate>>,
        key: &'static str,
    ) -> Option<String> {
        for (index, span) in self.spans.iter().enumerate() {
            match read(&span.attributes) {
                None => {}
                Some(Ok(text)) => return Some(text).filter(|text| !text.is_empty()),
                Some(Err(error)) => self.guilty.push((index, Unusable::surrogate(key, error))),
            }
        }
        None
    }

    /// Tags that the roots ask for; later roots override earlier ones.
    fn read_tags(&mut self) -> Result<(), Unusable> {
        for (index, root) in self.roots() {
            for (key, content) in root.attributes.iter() {
                let Some(name) = key.strip_prefix(TRACE_TAG_PREFIX).filter(|name| is_tag_name(name)) else {
                    continue;
                };
                let Content::Text(text) = content else { continue };
                if self.surroundings.repairs.bookkeeping_tags && is_bookkeeping(name) {
                    continue;
                }
                match self.tag_text(key, text) {
                    Ok(value) => self.set_tag(name, value)?,
                    Err(error) => self.guilty.push((index, error)),
                }
            }
        }
        Ok(())
    }

    fn tag_text(&self, key: &str, text: &Text<'_>) -> Result<String, Unusable> {
        let repair = self.surroundings.repairs.unusable_values;
        let plain = match text.plain() {
            Err(_) if repair => text.plain_lossy(),
            plain => plain.map_err(|error| Unusable::surrogate(key, error))?,
        };
        let value = tag_value(&plain).into();
        fit(self.surroundings.backend, "trace tag", value, TAG_VALUE, repair).map(Into::into)
    }

    fn set_tag(&mut self, name: &str, value: String) -> Result<(), Unusable> {
        if name != mlflow::TRACE_NAME {
            self.facts.tags.push((name.to_owned(), value));
            return Ok(());
        }
        let is_cut = self.surroundings.repairs.long_identities;
        let value = if is_cut { cut(&value, TRACE_NAME).to_owned() } else { value };
        limits::check_length("trace name", &value, TRACE_NAME)?;
        self.facts.trace_name = Some(value);
        Ok(())
    }

    /// Previews from the last root.
    fn read_previews(&mut self) {
        let Some((_, root)) = self.roots().next_back() else { return };
        let (backend, repair) = (self.surroundings.backend, self.surroundings.repairs.previews);
        let read = |key, role| {
            let content = root.attributes.content(key)?;
            Some(preview(content, role, backend, repair))
        };
        let request = read(SPAN_INPUTS, "user");
        self.facts.preview_failed = request == Some(Preview::Failed);
        self.facts.request_preview = request.and_then(Preview::into_text);
        self.facts.response_preview = read(SPAN_OUTPUTS, "assistant").and_then(Preview::into_text);
    }

    /// Makes the texts fit their columns, or refuses them.
    fn fit(&mut self) -> Result<(), Unusable> {
        let (backend, repair) = (self.surroundings.backend, self.surroundings.repairs.unusable_values);
        let facts = &mut self.facts;
        for (name, column, limit) in [
            ("session id", &mut facts.session_id, SESSION_ID),
            ("user id", &mut facts.user, TAG_VALUE),
            ("trace name", &mut facts.trace_name, TRACE_NAME),
            ("trace name", &mut facts.repairs.fallback_name, TRACE_NAME),
            ("trace name", &mut facts.repairs.plain_name, TRACE_NAME),
            ("request preview", &mut facts.request_preview, usize::MAX),
            ("response preview", &mut facts.response_preview, usize::MAX),
        ] {
            if let Some(text) = column.take() {
                *column = Some(fit(backend, name, text.into(), limit, repair)?.into_owned());
            }
        }
        Ok(())
    }
}

fn owned(text: &Text<'_>) -> Result<String, LoneSurrogate> {
    text.plain().map(Into::into)
}

fn unusable_totals(spans: &[MappedSpan<'_>]) -> Vec<(usize, Unusable)> {
    if spans.iter().all(|span| span.usage.tokens.is_none() && span.usage.cost.is_none()) {
        return vec![];
    }
    let nodes = spans.iter().map(|span| Node {
        span_id: &span.record.span_id,
        parent_span_id: span.record.parent_span_id.as_deref(),
        tokens: span.usage.tokens.as_deref(),
        cost: span.usage.cost.as_deref(),
    });
    let unusable = Tree::new(nodes.collect()).unusable().into_iter();
    unusable.map(|(index, key, member)| (index, Unusable::NotANumber { key, member })).collect()
}
