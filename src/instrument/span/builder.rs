//! What a span is made of, and its start.

use std::borrow::Cow;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Link, Span as _, SpanContext, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};

use super::kind::Kind;
use super::measure::{text, tool_type};
use super::names::HANDOFF_FROM;
use super::recording::{Recording, State};
use super::{Span, SpanHandle, SpanType, tool_call};
use crate::instrument::agent::{self, Agent, Carried};
use crate::instrument::instrumentation::guarded;
use crate::instrument::{Instrumentation, scope};
use crate::semconv::{gen_ai, mlflow};

/// Builds a [`Span`]: see there.
#[derive(Clone, Debug)]
#[must_use = "a span begins with `start`"]
pub struct SpanBuilder {
    name: Cow<'static, str>,
    span_type: SpanType,
    description: Option<String>,
    call_id: Option<String>,
    agent_id: Option<String>,
    agent_version: Option<String>,
    model: Option<String>,
    attributes: Vec<KeyValue>,
    links: Vec<SpanContext>,
    parent: Option<Context>,
    instrumentation: Option<Instrumentation>,
}

impl SpanBuilder {
    pub(super) fn new(name: Cow<'static, str>) -> Self {
        Self {
            name,
            span_type: SpanType::Unknown,
            description: None,
            call_id: None,
            agent_id: None,
            agent_version: None,
            model: None,
            attributes: Vec::new(),
            links: Vec::new(),
            parent: None,
            instrumentation: None,
        }
    }

    /// What the span stands for; the type decides which conventions it follows.
    pub fn span_type(mut self, span_type: impl Into<SpanType>) -> Self {
        self.span_type = span_type.into();
        self
    }

    /// What a tool (`gen_ai.tool.description`) or an agent (`gen_ai.agent.description`) is for. Not
    /// content; other types have no such attribute.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Id of the call of the model that a tool answers (`gen_ai.tool.call.id`). Without it, it is
    /// looked for among the calls that the model asked for: see [`ToolCall`](super::ToolCall).
    pub fn call_id(mut self, id: impl Into<String>) -> Self {
        self.call_id = Some(id.into());
        self
    }

    /// Id of an agent (`gen_ai.agent.id`).
    pub fn agent_id(mut self, id: impl Into<String>) -> Self {
        self.agent_id = Some(id.into());
        self
    }

    /// Version of an agent (`gen_ai.agent.version`).
    pub fn agent_version(mut self, version: impl Into<String>) -> Self {
        self.agent_version = Some(version.into());
        self
    }

    /// The model that an agent is set to (`gen_ai.request.model`), if it is only one.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Any other attribute, which samplers see.
    pub fn attribute(mut self, attribute: KeyValue) -> Self {
        self.attributes.push(attribute);
        self
    }

    /// A span that this one has to do with, without being inside it.
    pub fn link(mut self, span: SpanContext) -> Self {
        self.links.push(span);
        self
    }

    /// The context around the span, in place of the current one.
    pub fn parent(mut self, context: &Context) -> Self {
        self.parent = Some(context.clone());
        self
    }

    /// Where the span goes, in place of where the span around it goes, or else
    /// [`Instrumentation::global`].
    pub fn instrumentation(mut self, instrumentation: &Instrumentation) -> Self {
        self.instrumentation = Some(instrumentation.clone());
        self
    }

    /// Starts the span. It becomes current only where it is [run](Span::run) or
    /// [entered](Span::enter).
    #[must_use = "the span ends when it is dropped"]
    pub fn start(self) -> Span {
        let parent = self.parent.clone().unwrap_or_else(Context::current);
        let instrumentation = self.instrumentation.clone().unwrap_or_else(|| instrumentation(&parent));
        if instrumentation.settings().disabled {
            return Span::none();
        }
        guarded(|| self.start_in(parent, instrumentation)).unwrap_or_else(Span::none)
    }

    fn start_in(mut self, parent: Context, instrumentation: Instrumentation) -> Span {
        let kind = self.span_type.kind();
        self.count(kind, &parent);
        let outer = agent::of(&parent);
        let links = self.links(kind, outer);
        let around = outer.and_then(|outer| outer.agent.clone());
        let shared = outer.map(|outer| outer.shared.clone()).unwrap_or_default();
        let attributes = self.attributes(kind, &parent, around.as_deref());
        let started = (SystemTime::now(), Instant::now());
        let tracer = instrumentation.tracer();
        let builder = tracer
            .span_builder(kind.span_name(self.name.clone()))
            .with_kind(SpanKind::Internal)
            .with_start_time(started.0)
            .with_attributes(instrumentation.named(attributes))
            .with_links(links);
        let span = tracer.build_with_context(builder, &parent);
        let is_recording = span.is_recording();
        let context = parent.with_span(span);
        let agent = match kind {
            Kind::Agent => Some(Arc::new(Agent::new(self.name.clone(), context.clone()))),
            _ => around,
        };
        Span::new(Recording {
            instrumentation,
            kind,
            name: self.name,
            model: self.model,
            context,
            agent,
            shared,
            is_recording,
            started,
            ended: AtomicBool::new(false),
            state: Mutex::new(State { has_call: self.call_id.is_some(), ..State::default() }),
        })
    }

    /// Counts the call for the agent around it, and claims the id of a tool call that was given.
    fn count(&mut self, kind: Kind, parent: &Context) {
        match kind {
            Kind::Model => agent::count_inference(parent),
            Kind::Tool => {
                agent::count_tool(parent);
                self.call_id = self.call_id.take().or_else(|| tool_call::take(parent));
                if let Some(id) = &self.call_id {
                    agent::forget_tool_call(parent, id);
                }
            }
            _ => {}
        }
    }

    /// Links, with one to the agent that handed over to this one.
    fn links(&mut self, kind: Kind, outer: Option<&Carried>) -> Vec<Link> {
        let mut links: Vec<_> = self.links.drain(..).map(Link::with_context).collect();
        if let Some(outer) = outer.filter(|_| kind == Kind::Agent) {
            let announced = agent::take_handoff(outer, &self.name);
            let around = outer.agent.as_deref().filter(|agent| agent.name != self.name);
            if let (None, Some(around)) = (&announced, around) {
                around.handed_to(&self.name);
            }
            let from = announced.or_else(|| {
                around.map(|agent| (agent.name.clone(), agent.context.span().span_context().clone()))
            });
            if let Some((name, span)) = from {
                links.push(Link::new(span, vec![KeyValue::new(HANDOFF_FROM, name)], 0));
            }
        }
        links
    }

    fn attributes(&mut self, kind: Kind, parent: &Context, around: Option<&Agent>) -> Vec<KeyValue> {
        let span_type = std::mem::take(&mut self.span_type).into_name();
        let mut attributes = vec![KeyValue::new(mlflow::SPAN_TYPE, span_type)];
        attributes.extend(kind.operation().map(|name| KeyValue::new(gen_ai::OPERATION_NAME, name)));
        let name = self.name.clone();
        let description = self.description.take();
        match kind {
            Kind::Tool => {
                attributes.extend(text(gen_ai::TOOL_NAME, name));
                attributes.push(tool_type());
                attributes.extend(description.and_then(|it| text(gen_ai::TOOL_DESCRIPTION, it)));
                attributes.extend(self.call_id.clone().and_then(|id| text(gen_ai::TOOL_CALL_ID, id)));
                attributes.extend(around.and_then(|agent| text(gen_ai::AGENT_NAME, agent.name.clone())));
            }
            Kind::Agent => {
                attributes.extend(text(gen_ai::AGENT_NAME, name));
                attributes.extend(description.and_then(|it| text(gen_ai::AGENT_DESCRIPTION, it)));
                attributes.extend(self.agent_id.take().and_then(|id| text(gen_ai::AGENT_ID, id)));
                attributes.extend(self.agent_version.take().and_then(|it| text(gen_ai::AGENT_VERSION, it)));
                attributes.extend(self.model.clone().and_then(|it| text(gen_ai::REQUEST_MODEL, it)));
            }
            Kind::Workflow => attributes.extend(text(gen_ai::WORKFLOW_NAME, name)),
            Kind::Model | Kind::Other => {}
        }
        let own = std::mem::take(&mut self.attributes);
        let common = scope::of(parent).map_or(&[][..], |scope| scope.attributes());
        let is_own = |attribute: &&KeyValue| own.iter().all(|known| known.key != attribute.key);
        attributes.extend(common.iter().filter(is_own).cloned());
        attributes.extend(own);
        attributes
    }
}

/// Where spans go inside a context: where the span around them goes.
pub(super) fn instrumentation(context: &Context) -> Instrumentation {
    let around = agent::of(context).map(|carried| carried.span.clone());
    match around {
        Some(SpanHandle(Some(recording))) => recording.instrumentation.clone(),
        _ => Instrumentation::global(),
    }
}
