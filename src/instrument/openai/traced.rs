//! A call that is traced, and what is known of it.

use opentelemetry::trace::Span;
use opentelemetry::{KeyValue, StringValue, global};

use super::error::CallError;
use super::exchange;
use super::facts::Facts;
use super::model_call::ModelCall;
use super::multipart;
use super::route::Api;
use super::server::Server;
use super::stream::Stream;
use crate::genai::{ContentKind, Json};
use crate::instrument::instrumentation::Instrumentation;
use crate::semconv::{gen_ai, mlflow};

/// A call that is traced.
pub(super) struct Traced {
    pub(super) api: Api,
    pub(super) span: global::BoxedSpan,
    pub(super) facts: Facts,
    pub(super) server: Server,
    pub(super) provider: StringValue,
    /// How often the request was sent again.
    pub(super) resends: i64,
    /// Reads the form that is being sent.
    pub(super) form: Option<multipart::Reader>,
    pub(super) stream: Option<Stream>,
    /// The caller did not ask for usage, the layer did.
    pub(super) hides_usage: bool,
    /// For whoever logs models.
    pub(super) model_call: Option<ModelCall>,
}

/// How a call came to its end.
#[derive(Debug)]
pub(super) enum End {
    /// The answer was read to its end.
    Complete,
    /// There was no answer, or one that says that the call failed.
    Failed(CallError),
    /// The caller stopped reading.
    Dropped,
}

/// What an event of a stream means for those who pass it on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The caller did not ask for it.
    pub(super) hide: bool,
    /// All that belongs to the answer has been said.
    pub(super) complete: bool,
}

impl Traced {
    pub(super) fn new(
        api: Api,
        span: global::BoxedSpan,
        facts: Facts,
        server: Server,
        provider: StringValue,
    ) -> Self {
        Self {
            api,
            span,
            facts,
            server,
            provider,
            resends: 0,
            form: None,
            stream: None,
            hides_usage: false,
            model_call: None,
        }
    }

    /// The span's name.
    pub(super) fn name(api: Api, model: Option<&StringValue>) -> String {
        match model.filter(|_| api != Api::FetchResponse) {
            Some(model) => [api.operation(), " ", model.as_str()].concat(),
            None => api.operation().to_owned(),
        }
    }

    /// What a sampler decides by, and metrics are told apart by; the model comes on top.
    pub(super) fn identity(
        api: Api,
        provider: &StringValue,
        server: &Server,
    ) -> impl Iterator<Item = KeyValue> {
        let known = [
            KeyValue::new(gen_ai::OPERATION_NAME, api.operation()),
            KeyValue::new(gen_ai::PROVIDER_NAME, provider.clone()),
        ];
        known.into_iter().chain(server.attributes())
    }

    /// What metrics are told apart by.
    pub(super) fn dimensions(&self) -> Vec<KeyValue> {
        dimensions(self.api, &self.provider, &self.server, &self.facts)
    }

    /// Takes an event of the stream in.
    pub(super) fn chunk(&mut self, data: &[u8], instrumentation: &Instrumentation) -> Seen {
        let Some(stream) = &mut self.stream else { return Seen::default() };
        let only_usage = stream.event(data, &mut self.facts);
        if data != b"[DONE]" {
            let known = || dimensions(self.api, &self.provider, &self.server, &self.facts);
            stream.time(|| instrumentation.named(known()), instrumentation.instruments());
        }
        let seen = Seen { hide: only_usage && self.hides_usage, complete: stream.is_over() };
        if instrumentation.settings().chunk_events && data != b"[DONE]" {
            let index = stream.chunks() - 1;
            self.chunk_event(index, data);
        }
        seen
    }

    /// The chunk as an event of the span, in the form that MLflow's page shows.
    fn chunk_event(&mut self, index: i64, data: &[u8]) {
        if !self.facts.wants_span_content() || !self.span.is_recording() {
            return;
        }
        let Ok(chunk) = Json::parse(data) else { return };
        let value = self.facts.recorded(ContentKind::OutputMessage, chunk).to_string();
        self.span.add_event(
            format!("{}{index}", mlflow::CHUNK_EVENT_PREFIX),
            vec![KeyValue::new(mlflow::CHUNK_VALUE, value)],
        );
    }

    /// What the form said that was sent, once it is known.
    pub(super) fn read_form(&mut self) {
        let Some(form) = self.form.take() else { return };
        // The deployment is on the span already, and is what Azure goes by.
        let deployment = self.facts.request_model.clone();
        exchange::form(self.api, &form.finish(), &mut self.facts);
        if deployment.is_some() {
            self.facts.request_model = deployment;
        } else if let Some(model) = &self.facts.request_model {
            self.span.update_name(Self::name(self.api, Some(model)));
            self.facts.name_model();
        }
    }
}

fn dimensions(api: Api, provider: &StringValue, server: &Server, facts: &Facts) -> Vec<KeyValue> {
    // With room for what metrics add.
    let mut attributes = Vec::with_capacity(12);
    attributes.extend(Traced::identity(api, provider, server));
    let models =
        [(gen_ai::REQUEST_MODEL, &facts.request_model), (gen_ai::RESPONSE_MODEL, &facts.response_model)];
    let known = models.into_iter().filter_map(|(key, model)| Some(KeyValue::new(key, model.clone()?)));
    attributes.extend(known);
    attributes
}
