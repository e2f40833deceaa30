//! One logical call: from the first attempt to the last byte of the answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use http::StatusCode;
use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, global};

use super::error::CallError;
use super::exchange;
use super::facts::{Facts, Wants};
use super::model_call::ModelCall;
use super::report;
use super::request;
use super::route::{Api, route};
use super::server::Server;
use super::stream::Stream;
use super::traced::{End, Seen, Traced};
use crate::instrument::instrumentation::{Instrumentation, guarded};
use crate::instrument::{agent, scope, secrets};
use crate::semconv::{gen_ai, openai, otel_mlflow};

/// A call while it lasts. Shared by the request, which may be built several times, and the answer.
pub(super) struct Call {
    instrumentation: Instrumentation,
    parent: Context,
    started: Instant,
    start_time: SystemTime,
    asked_for: AtomicBool,
    state: Mutex<State>,
}

enum State {
    /// No attempt has been made.
    Waiting,
    /// Nothing that is traced.
    Untraced,
    Traced(Box<Traced>),
    Ended,
}

impl Call {
    pub(super) fn new(instrumentation: Instrumentation) -> Arc<Self> {
        Arc::new(Self {
            instrumentation,
            parent: Context::current(),
            started: Instant::now(),
            start_time: SystemTime::now(),
            asked_for: AtomicBool::new(false),
            state: Mutex::new(State::Waiting),
        })
    }

    /// Sees an attempt before it is sent, starts the span at the first, and tells the server of the
    /// trace if it may know. Says whether the body must be read while it is sent.
    pub(super) fn attempt(&self, request: &mut reqwest::Request) -> bool {
        guarded(|| {
            let mut state = self.lock();
            match &mut *state {
                State::Waiting => *state = self.start(request).map_or(State::Untraced, State::Traced),
                State::Traced(traced) => traced.resends += 1,
                State::Untraced | State::Ended => {}
            }
            let State::Traced(traced) = &mut *state else { return false };
            let settings = self.instrumentation.settings();
            if settings.propagate_to.contain(traced.server.address.as_str()) {
                request::inject_trace(request, &self.parent, &traced.span);
            }
            traced.hides_usage = settings.stream_usage && request::ask_for_usage(traced.api, request);
            traced.form = request::form_reader(request);
            traced.form.is_some()
        })
        .unwrap_or(false)
    }

    /// The request is being built.
    pub(super) fn asked_for(&self) {
        self.asked_for.store(true, Ordering::Relaxed);
    }

    /// Whether anything has built the request, or tried to.
    pub(super) fn was_asked_for(&self) -> bool {
        self.asked_for.load(Ordering::Relaxed)
    }

    /// Whether the call is traced and not over.
    pub(super) fn is_traced(&self) -> bool {
        matches!(&*self.lock(), State::Traced(_))
    }

    /// A piece of the form that is sent.
    pub(super) fn form_piece(&self, piece: &[u8]) {
        self.with(|traced| {
            if let Some(form) = &mut traced.form {
                form.push(piece);
            }
        });
    }

    /// Whether the caller asked for a stream.
    pub(super) fn asked_for_stream(&self) -> bool {
        self.with(|traced| {
            traced.read_form();
            traced.facts.asked_for_stream
        })
        .unwrap_or(false)
    }

    /// Whether the answer says anything that is recorded: sound is content, and nothing else.
    pub(super) fn wants_answer(&self) -> bool {
        self.with(|traced| traced.api != Api::Speech || traced.facts.wants_content()).unwrap_or(false)
    }

    /// The answer comes in events. Says whether some of them are to be kept from the caller.
    pub(super) fn stream_begins(&self) -> bool {
        self.with(|traced| {
            // The model that a form names tells the chunks' metrics apart.
            traced.read_form();
            traced.stream = Some(Stream::new(traced.api, &traced.facts, self.started));
            traced.hides_usage
        })
        .unwrap_or(false)
    }

    /// An event of the stream has come.
    pub(super) fn chunk(&self, data: &[u8]) -> Seen {
        self.with(|traced| traced.chunk(data, &self.instrumentation)).unwrap_or_default()
    }

    /// The whole answer is there.
    pub(super) fn answered(&self, status: StatusCode, body: &[u8], content_type: Option<&str>) {
        let end = self.with(|traced| {
            if !status.is_success() {
                return End::Failed(CallError::status(status, body));
            }
            // What was sent comes first, as it tells how to read what was answered.
            traced.read_form();
            match exchange::response(traced.api, body, content_type, &mut traced.facts) {
                Ok(()) => End::Complete,
                Err(error) => End::Failed(error),
            }
        });
        self.end(end.unwrap_or(End::Complete));
    }

    /// The answer was too big to be kept for reading.
    pub(super) fn answered_unread(&self, status: StatusCode, size: usize) {
        self.with(|traced| traced.facts.int(otel_mlflow::RESPONSE_UNREAD_SIZE, i64::try_from(size).ok()));
        self.end(match status.is_success() {
            true => End::Complete,
            false => End::Failed(CallError::status(status, b"")),
        });
    }

    /// The call is over. Only the first end counts.
    pub(super) fn end(&self, end: End) {
        let State::Traced(traced) = std::mem::replace(&mut *self.lock(), State::Ended) else { return };
        guarded(|| report::report(&self.instrumentation, &self.parent, *traced, end, self.started.elapsed()));
    }

    fn start(&self, request: &reqwest::Request) -> Option<Box<Traced>> {
        let found = route(request.method(), request.url().path())?;
        let settings = self.instrumentation.settings();
        let server = Server::of(request.url());
        let provider = match &settings.provider {
            Some(provider) => provider.clone(),
            None => server.provider(found.deployment.is_some()).into(),
        };
        let keys = request::secrets(request);
        secrets::remember(&keys);
        let mut facts = Facts::new(self.instrumentation.clone(), self.wants(), keys);
        facts.attributes.extend(Traced::identity(found.api, &provider, &server));
        self.add_scope(&mut facts);
        if found.api.is_inference() {
            agent::count_inference(&self.parent);
        }
        facts.string(gen_ai::RESPONSE_ID, found.response_id.map(Into::into));
        if found.api == Api::FetchResponse {
            let cursor = request.url().query_pairs().find(|(name, _)| name == "starting_after");
            facts.string(gen_ai::REQUEST_STREAM_CURSOR, cursor.map(|(_, cursor)| cursor));
        }
        if let Some(body) = request.body().and_then(reqwest::Body::as_bytes) {
            exchange::request(found.api, body, &mut facts);
        }
        if facts.request_model.is_none() {
            facts.requested_model(found.deployment.map(Into::into));
        }
        facts.name_model();
        facts.constant(openai::API_TYPE, found.api.api_type());
        let span = self.span(Traced::name(found.api, facts.request_model.as_ref()), &mut facts);
        if !span.is_recording() {
            facts.forget_span_content();
        }
        let mut traced = Traced::new(found.api, span, facts, server, provider);
        if self.instrumentation.logs_models() {
            traced.model_call = ModelCall::of(request, &found, &self.parent, &traced.span);
        }
        Some(Box::new(traced))
    }

    /// Where the content of this call goes. Under a parent that is not sampled there will be no span.
    fn wants(&self) -> Wants {
        let mode = self.instrumentation.settings().capture.mode();
        let parent = self.parent.span();
        let parent = parent.span_context();
        Wants {
            spans: mode.on_spans() && (!parent.is_valid() || parent.is_sampled()),
            events: mode.on_events() && self.instrumentation.has_events(),
        }
    }

    fn add_scope(&self, facts: &mut Facts) {
        let Some(scope) = scope::of(&self.parent) else { return };
        for attribute in scope.attributes() {
            facts.scoped(attribute.clone());
        }
        for variable in scope.variables() {
            facts.prompt_variable(variable.key.to_string(), &variable.value.as_str());
        }
    }

    fn span(&self, name: String, facts: &mut Facts) -> global::BoxedSpan {
        let tracer = self.instrumentation.tracer();
        let builder = tracer
            .span_builder(name)
            .with_kind(SpanKind::Client)
            .with_start_time(self.start_time)
            .with_attributes(self.instrumentation.named(facts.for_span()));
        tracer.build_with_context(builder, &self.parent)
    }

    /// What telemetry does with a call that is traced; nothing if it is not, or no longer.
    fn with<T>(&self, change: impl FnOnce(&mut Traced) -> T) -> Option<T> {
        guarded(|| match &mut *self.lock() {
            State::Traced(traced) => Some(change(traced)),
            _ => None,
        })
        .flatten()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic of telemetry was caught; what it left is at worst incomplete.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
