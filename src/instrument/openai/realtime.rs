//! Realtime sessions: one span for the session, a child for each response.

use std::fmt;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, StringValue, global};
use serde::Deserialize;

use super::error::CallError;
use super::facts::{Facts, Wants};
use super::report;
use super::request;
use super::responses;
use super::route::Api;
use super::server::Server;
use super::shared::shared;
use super::traced::{End, Traced};
use crate::genai::{CaptureMode, ContentKind, Json, Text};
use crate::instrument::instrumentation::{Instrumentation, guarded};
use crate::instrument::{agent, scope};
use crate::semconv::{gen_ai, mlflow, openai, otel};

/// What was said before a response and is not its input yet; a session without responses must not
/// grow without end.
const MAX_PENDING: usize = 64;

/// A realtime session that is traced, whatever carries its events. Give it the text of each event
/// as it is sent and as it is received.
///
/// # Examples
///
/// ```
/// use opentelemetry_mlflow::instrument::Instrumentation;
/// use opentelemetry_mlflow::instrument::openai::RealtimeSession;
///
/// let url = "wss://api.openai.com/v1/realtime?model=gpt-realtime".parse().unwrap();
/// let mut session = RealtimeSession::start(&Instrumentation::global(), &url);
/// session.sent(r#"{"type":"response.create"}"#);
/// session.received(r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress"}}"#);
/// session.received(r#"{"type":"response.done","response":{"id":"resp_1","status":"completed","output":[]}}"#);
/// session.end();
/// ```
pub struct RealtimeSession {
    instrumentation: Instrumentation,
    context: Context,
    url: reqwest::Url,
    model: Option<StringValue>,
    /// The session's instructions and tools, which hold for each response.
    session: Json<'static>,
    /// What was said since the last response, as it is recorded.
    pending: Vec<Json<'static>>,
    /// Never recorded, whatever carries them.
    secrets: Vec<String>,
    response: Option<Response>,
    ended: bool,
}

/// A response in the making.
struct Response {
    started: Instant,
    has_output: bool,
    traced: Box<Traced>,
}

impl fmt::Debug for RealtimeSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.server();
        formatter.debug_struct("RealtimeSession").field("server", &server.address).finish_non_exhaustive()
    }
}

/// What every event has.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

impl RealtimeSession {
    /// Starts the span of a session with the server at the address; its query names the model.
    #[must_use]
    pub fn start(instrumentation: &Instrumentation, url: &reqwest::Url) -> Self {
        let model = url.query_pairs().find(|(key, _)| key == "model").map(|(_, model)| shared(&model));
        let parent = Context::current();
        let mut session = Self {
            instrumentation: instrumentation.clone(),
            context: parent.clone(),
            url: url.clone(),
            model,
            session: Json::Null,
            pending: Vec::new(),
            secrets: request::address_secrets(url),
            response: None,
            ended: instrumentation.settings().disabled,
        };
        if !session.ended {
            guarded(|| session.context = session.opened(&parent));
        }
        session
    }

    /// Keeps a text out of all that is recorded: the key that the connection was made with, which
    /// only the caller knows. Keys in the address are kept out anyway.
    #[must_use]
    pub fn without_secret(mut self, secret: impl Into<String>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// The context of the session, for spans that belong into it, such as those of tools.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// An event that the application sends.
    pub fn sent(&mut self, event: &str) {
        self.observe(event, |session, kind, event| match kind {
            "conversation.item.create" => session.said(event.take("item")),
            "session.update" => session.updated(event.take("session")),
            _ => {}
        });
    }

    /// An event that the server sends.
    pub fn received(&mut self, event: &str) {
        self.observe(event, |session, kind, event| match kind {
            "session.created" | "session.updated" => session.updated(event.take("session")),
            "conversation.item.input_audio_transcription.completed" => {
                let text = event.take("transcript").unwrap_or_default();
                let content = Json::object([("type", "input_text".into()), ("text", text)]);
                let item = [("role", "user".into()), ("content", vec![content].into())];
                session.said(Some(Json::object(item)));
            }
            "response.created" => session.begun(event.take("response").unwrap_or_default()),
            "response.done" => session.done(event.take("response").unwrap_or_default()),
            "error" => session.failed(event),
            kind if kind.ends_with(".delta") => session.output(),
            _ => {}
        });
    }

    /// Ends the session; so does dropping it.
    pub fn end(mut self) {
        self.close();
    }

    fn observe(&mut self, event: &str, act: impl FnOnce(&mut Self, &str, &mut Json<'_>)) {
        if self.ended {
            return;
        }
        guarded(|| {
            let Ok(Head { kind }) = serde_json::from_str::<Head<'_>>(event) else { return };
            // Sound comes in many and big events, of which only the kind matters.
            let sound = kind.0 == "input_audio_buffer.append" || kind.0.ends_with(".delta");
            let event = if sound { Ok(Json::Null) } else { Json::parse(event.as_bytes()) };
            let Ok(mut event) = event else { return };
            act(self, &kind.0, &mut event);
        });
    }

    fn opened(&self, parent: &Context) -> Context {
        let tracer = self.instrumentation.tracer();
        let model = self.model.as_ref();
        let mut attributes = self.server().attributes().collect::<Vec<_>>();
        attributes.push(KeyValue::new(gen_ai::PROVIDER_NAME, self.provider()));
        attributes.extend(model.map(|model| KeyValue::new(gen_ai::REQUEST_MODEL, model.clone())));
        attributes.push(KeyValue::new(mlflow::SPAN_TYPE, "CHAIN"));
        attributes.extend(scope::of(parent).iter().flat_map(|scope| scope.attributes().iter().cloned()));
        let name = model.map_or_else(|| "realtime".to_owned(), |model| format!("realtime {model}"));
        let builder = tracer
            .span_builder(name)
            .with_kind(SpanKind::Client)
            .with_attributes(self.instrumentation.named(attributes));
        parent.with_span(tracer.build_with_context(builder, parent))
    }

    fn server(&self) -> Server {
        Server::of(&self.url)
    }

    fn provider(&self) -> StringValue {
        let known = self.instrumentation.settings().provider.clone();
        known.unwrap_or_else(|| self.server().provider(false).into())
    }

    fn updated(&mut self, session: Option<Json<'_>>) {
        let Some(Json::Object(new)) = session else { return };
        let mut members = match std::mem::take(&mut self.session) {
            Json::Object(members) => members,
            _ => Vec::new(),
        };
        for (key, value) in new {
            if key == "model" {
                self.model = value.as_str().map(shared).or(self.model.take());
            } else if key == "instructions" || key == "tools" {
                members.retain(|(known, _)| *known != key);
                members.push((key.into_owned().into(), value.into_owned()));
            }
        }
        self.session = Json::Object(members);
    }

    fn said(&mut self, item: Option<Json<'_>>) {
        let policy = &self.instrumentation.settings().capture;
        let Some(item) = item.filter(|_| policy.mode() != CaptureMode::NoContent) else { return };
        let message = vec![responses::input_item(item)];
        let recorded = policy.recorder(&self.secrets).messages(ContentKind::InputMessage, message);
        let Some(recorded) = recorded.into_owned().into_array().pop() else { return };
        if self.pending.len() == MAX_PENDING {
            self.pending.remove(0);
        }
        self.pending.push(recorded);
    }

    fn begun(&mut self, mut response: Json<'_>) {
        // One response at a time; one that was never done is over when the next begins.
        self.abandon();
        agent::count_inference(&self.context);
        let mode = self.instrumentation.settings().capture.mode();
        let wants =
            Wants { spans: mode.on_spans(), events: mode.on_events() && self.instrumentation.has_events() };
        let mut facts = Facts::new(self.instrumentation.clone(), wants, self.secrets.clone());
        facts.request_model.clone_from(&self.model);
        let (server, provider) = (self.server(), self.provider());
        facts.attributes.extend(Traced::identity(Api::Realtime, &provider, &server));
        facts.name_model();
        facts.constant(openai::API_TYPE, Api::Realtime.api_type());
        if let Some(scope) = scope::of(&self.context) {
            scope.attributes().iter().for_each(|attribute| facts.scoped(attribute.clone()));
        }
        facts.conversation(response.take_str("conversation_id"));
        facts.attributes.push(KeyValue::new(gen_ai::REQUEST_STREAM, true));
        facts.recorded_messages(gen_ai::INPUT_MESSAGES, std::mem::take(&mut self.pending));
        responses::instructions_and_tools(&mut self.session.clone(), &mut facts);
        let tracer = self.instrumentation.tracer();
        let builder = tracer
            .span_builder(Traced::name(Api::Realtime, self.model.as_ref()))
            .with_kind(SpanKind::Client)
            .with_start_time(SystemTime::now())
            .with_attributes(self.instrumentation.named(facts.for_span()));
        let span: global::BoxedSpan = tracer.build_with_context(builder, &self.context);
        self.response = Some(Response {
            started: Instant::now(),
            has_output: false,
            traced: Box::new(Traced::new(Api::Realtime, span, facts, server, provider)),
        });
    }

    fn output(&mut self) {
        let Some(response) = self.response.as_mut().filter(|response| !response.has_output) else { return };
        response.has_output = true;
        let seconds = response.started.elapsed().as_secs_f64();
        response.traced.facts.double(gen_ai::RESPONSE_TIME_TO_FIRST_CHUNK, Some(seconds));
        let dimensions = self.instrumentation.named(response.traced.dimensions());
        self.instrumentation.instruments().time_to_first_chunk.record(seconds, &dimensions);
    }

    fn done(&mut self, body: Json<'_>) {
        if self.response.is_none() {
            self.begun(body.clone());
        }
        let Some(mut response) = self.response.take() else { return };
        let details = body.get("status_details").and_then(|details| details.get("error")).cloned();
        let failure = responses::response(body, &mut response.traced.facts).map(CallError::from);
        let failure = failure.or_else(|| {
            let error = details.filter(|error| !error.is_null())?;
            Some(responses::failure(&mut error.into_owned()).into())
        });
        // One that was cancelled was interrupted by the user, which is no error.
        self.report(response, failure.map_or(End::Complete, End::Failed));
    }

    fn failed(&mut self, event: &mut Json<'_>) {
        let mut error = event.take("error").unwrap_or_default();
        let failure = CallError::from(responses::failure(&mut error));
        let policy = &self.instrumentation.settings().capture;
        let message =
            policy.recorder(&self.secrets).text(ContentKind::Error, failure.message.into()).into_owned();
        let span = self.context.span();
        span.set_attribute(KeyValue::new(otel::ERROR_TYPE, failure.kind.clone()));
        span.add_event(
            otel::EXCEPTION,
            vec![
                KeyValue::new(otel::EXCEPTION_TYPE, failure.kind),
                KeyValue::new(otel::EXCEPTION_MESSAGE, message.clone()),
            ],
        );
        span.set_status(Status::error(message));
    }

    fn abandon(&mut self) {
        if let Some(response) = self.response.take() {
            self.report(response, End::Dropped);
        }
    }

    fn report(&self, response: Response, end: End) {
        report::report(
            &self.instrumentation,
            &self.context,
            *response.traced,
            end,
            response.started.elapsed(),
        );
    }

    fn close(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            guarded(|| {
                self.abandon();
                self.context.span().end();
            });
        }
    }
}

impl Drop for RealtimeSession {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::*;
    use crate::genai::{CaptureMode, CapturePolicy};

    #[test]
    fn each_response_is_a_child_with_what_was_said_before_it() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let instrumentation = Instrumentation::builder()
            .tracer_provider(&provider)
            .capture(CapturePolicy::new(CaptureMode::SpanOnly))
            .build();
        let url = "wss://api.openai.com/v1/realtime?model=gpt-realtime".parse().unwrap();
        let mut session = RealtimeSession::start(&instrumentation, &url);
        session.received(
            r#"{"type":"session.created","session":{"model":"gpt-realtime","instructions":"Be kind."}}"#,
        );
        session.sent(r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]}}"#);
        session.received(r#"{"type":"response.created","response":{"id":"resp_1","status":"in_progress","conversation_id":"conv_1"}}"#);
        session.received(r#"{"type":"response.output_audio_transcript.delta","delta":"Hel"}"#);
        session.received(
            r#"{"type":"response.done","response":{"id":"resp_1","status":"completed","output":[
            {"type":"message","role":"assistant","content":[{"type":"output_audio","transcript":"Hello"}]}],
            "usage":{"input_tokens":3,"output_tokens":5,"input_token_details":{"cached_tokens":1,"audio_tokens":2}}}}"#,
        );
        session.received(r#"{"type":"error","error":{"code":"bad_event","message":"unknown event"}}"#);
        session.received("not JSON");
        session.end();

        let spans = exporter.get_finished_spans().unwrap();
        let [response, session] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!(
            (session.name.as_ref(), response.name.as_ref()),
            ("realtime gpt-realtime", "chat gpt-realtime")
        );
        assert_eq!(response.parent_span_id, session.span_context.span_id());
        assert_eq!(session.events.len(), 1);
        let value = |key: &str| {
            response
                .attributes
                .iter()
                .find(|a| a.key.as_str() == key)
                .map(|a| a.value.to_string())
                .unwrap_or_default()
        };
        assert!(value("gen_ai.input.messages").contains("\"Hi\""), "{response:?}");
        assert!(value("gen_ai.output.messages").contains("\"Hello\""));
        assert!(value("gen_ai.system_instructions").contains("Be kind."));
        assert_eq!(value("gen_ai.conversation.id"), "conv_1");
        assert_eq!(value("gen_ai.usage.cache_read.input_tokens"), "1");
        assert_eq!(value("gen_ai.response.id"), "resp_1");
    }
}
