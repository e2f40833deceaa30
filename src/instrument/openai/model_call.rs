//! A call as it is seen by whoever logs the models behind calls.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry::trace::{Span, TraceId};
use opentelemetry::{Context, global};
use reqwest::Request;

use super::route::{Api, Route};
use crate::instrument::scope;
use crate::semconv::gen_ai;

/// Larger requests are not looked at: copying them takes time from the call.
const MAX_BYTES: usize = 1 << 20;

/// Attribute of a span: the run that it belongs to.
const RUN_ID: &str = "mlflow.run_id";

/// A call of a model that was answered.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(feature = "autolog", feature = "client")),
    expect(dead_code, reason = "read by those who log models")
)]
pub(crate) struct ModelCall {
    pub(crate) api: Api,
    /// The request, JSON.
    pub(crate) body: Bytes,
    /// Variables of the prompt template in use.
    pub(crate) variables: Vec<(String, String)>,
    /// The run that the scope names.
    pub(crate) run_id: Option<String>,
    /// The trace, where there is one: 32 hex digits.
    pub(crate) trace_id: Option<String>,
    pub(crate) azure: Option<Deployment>,
}

/// A deployment at Azure, as the address of a request tells it.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(all(feature = "autolog", feature = "client")),
    expect(dead_code, reason = "read by those who log models")
)]
pub(crate) struct Deployment {
    pub(crate) endpoint: String,
    pub(crate) api_version: String,
    pub(crate) name: String,
}

/// Sees calls. Must not wait.
pub(crate) type ModelHook = Arc<dyn Fn(ModelCall) + Send + Sync>;

impl ModelCall {
    /// What is to be kept of a request; none if no model is logged of it.
    pub(super) fn of(
        request: &Request,
        route: &Route<'_>,
        parent: &Context,
        span: &global::BoxedSpan,
    ) -> Option<Self> {
        if !matches!(route.api, Api::Chat | Api::Completions | Api::Embeddings | Api::Responses) {
            return None;
        }
        let body = request.body().and_then(reqwest::Body::as_bytes)?;
        if body.len() > MAX_BYTES {
            return None;
        }
        let scope = scope::of(parent);
        let variables = scope.into_iter().flat_map(|scope| scope.variables()).filter_map(|variable| {
            let name = variable.key.as_str().strip_prefix(gen_ai::PROMPT_VARIABLE)?.strip_prefix('.')?;
            Some((name.to_owned(), variable.value.as_str().into_owned()))
        });
        let mut attributes = scope.into_iter().flat_map(|scope| scope.attributes());
        let run = attributes.find(|attribute| attribute.key.as_str() == RUN_ID);
        let trace_id = span.span_context().trace_id();
        Some(Self {
            api: route.api,
            body: Bytes::copy_from_slice(body),
            variables: variables.collect(),
            run_id: run.map(|run| run.value.as_str().into_owned()),
            trace_id: (trace_id != TraceId::INVALID && span.span_context().is_sampled())
                .then(|| trace_id.to_string()),
            azure: route.deployment.map(|name| deployment(request.url(), name)),
        })
    }
}

fn deployment(url: &reqwest::Url, name: &str) -> Deployment {
    let mut endpoint = url.clone();
    let before = url.path().split("/openai/deployments/").next().unwrap_or_default().to_owned();
    endpoint.set_path(&before);
    endpoint.set_query(None);
    // A key in the address is no part of the model.
    let _ = endpoint.set_password(None);
    let _ = endpoint.set_username("");
    let version = url.query_pairs().find(|(name, _)| name == "api-version");
    Deployment {
        endpoint: endpoint.as_str().trim_end_matches('/').to_owned(),
        api_version: version.map(|(_, version)| version.into_owned()).unwrap_or_default(),
        name: name.to_owned(),
    }
}
