//! Sending one call of the tracking API.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::store::rest::client::Call;
use crate::store::rest::{RestError, RestStore};
use crate::store::tracking::TrackingError;

/// Path of the API that MLflow has had since 1.0.
pub(super) const V2: &str = "/api/2.0/mlflow/";
/// Path of the trace API of MLflow 3.
pub(super) const V3: &str = "/api/3.0/mlflow/";

/// A GET with its query.
pub(super) fn get(store: &RestStore, path: &str, query: &[(&str, &str)]) -> Result<Call, TrackingError> {
    let mut call = store.call(Method::GET, path, None)?;
    if !query.is_empty() {
        call.url.query_pairs_mut().extend_pairs(query);
    }
    Ok(call)
}

/// A call with a body of JSON.
pub(super) fn with_body(
    store: &RestStore,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Call, TrackingError> {
    let mut call = store.call(method, path, None)?;
    call.put_json(body);
    Ok(call)
}

/// A POST.
pub(super) fn post(store: &RestStore, path: &str, body: &Value) -> Result<Call, TrackingError> {
    with_body(store, Method::POST, path, body)
}

/// Sends, and again while the trouble may pass, and reads the answer. For calls that may be
/// repeated without harm.
pub(super) async fn send<T: DeserializeOwned>(store: &RestStore, call: &Call) -> Result<T, TrackingError> {
    let client = &store.inner.client;
    let answer = client.send(call, client.backoff()).await?;
    Ok(answer.json(call.url.as_str())?)
}

/// As [`send`], for calls whose answer says nothing.
pub(super) async fn send_only(store: &RestStore, call: &Call) -> Result<(), TrackingError> {
    let client = &store.inner.client;
    client.send(call, client.backoff()).await?;
    Ok(())
}

/// As [`send`], for a thing that may not exist.
pub(super) async fn find<T: DeserializeOwned>(
    store: &RestStore,
    call: &Call,
) -> Result<Option<T>, TrackingError> {
    match send(store, call).await {
        Ok(found) => Ok(Some(found)),
        Err(TrackingError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends a call that would make a second thing if it were repeated.
///
/// After a failure that leaves open whether MLflow did it, `made` looks for what the call makes,
/// before it is sent again.
pub(super) async fn create<T, F>(
    store: &RestStore,
    call: &Call,
    made: impl Fn() -> F,
) -> Result<T, TrackingError>
where
    T: DeserializeOwned,
    F: Future<Output = Result<Option<T>, TrackingError>>,
{
    let client = &store.inner.client;
    let mut backoff = client.backoff();
    let mut unclear = false;
    loop {
        let error = match client.send_once(call).await {
            Ok(answer) => return Ok(answer.json(call.url.as_str())?),
            Err(error) => error,
        };
        unclear |= leaves_open(&error);
        let exists = is_there(&error);
        if !(exists && unclear) {
            backoff.pause(error).await?;
        }
        if unclear && let Some(found) = made().await? {
            tracing::warn!(url = %call.url, "MLflow had done it though it did not answer; it was not asked again");
            return Ok(found);
        }
        if exists {
            let message = "something of that name exists already: use it, or take another name".to_owned();
            return Err(TrackingError::AlreadyExists { message });
        }
    }
}

/// Whether the server may have done what it was asked.
fn leaves_open(error: &RestError) -> bool {
    match error {
        RestError::Timeout { .. } | RestError::Truncated { .. } | RestError::Internal { .. } => true,
        // A server that asks to come later has done nothing.
        RestError::Unavailable { status, .. } => status.as_u16() != 429,
        _ => false,
    }
}

fn is_there(error: &RestError) -> bool {
    matches!(error, RestError::Refused { code: Some(code), .. } if code == "RESOURCE_ALREADY_EXISTS")
}

/// Names what this server is too old for.
pub(super) async fn since(
    store: &RestStore,
    error: TrackingError,
    what: &str,
    release: &str,
    instead: &str,
) -> TrackingError {
    if !matches!(error, TrackingError::Unsupported { .. }) {
        return error;
    }
    let version = match store.info().await {
        Ok(info) => format!("is MLflow {}", info.version),
        Err(_) => "does not say its version".to_owned(),
    };
    TrackingError::unsupported(format!(
        "{} {version} and has no {what}: use MLflow {release} or newer, {instead}",
        store.server()
    ))
}
