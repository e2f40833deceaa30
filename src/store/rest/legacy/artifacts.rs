//! The artifact `traces.json` of a trace, through the server's artifact proxy.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;

use super::spans::Spans;
use crate::store::rest::{RestError, RestStore};

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";
const FILE_NAME: &str = "traces.json";

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<ListedFile>,
}

#[derive(Deserialize)]
struct ListedFile {
    path: String,
}

impl RestStore {
    /// The spans stored at a location; none where the trace has been made, but no spans yet.
    pub(super) async fn download_spans(
        &self,
        workspace: Option<&str>,
        location: &str,
    ) -> Result<Spans, RestError> {
        let folder = proxied_path(location)?;
        // A missing file gives the same 500 as any failure, so it is looked for first.
        let mut call = self.call(Method::GET, PROXY, workspace)?;
        call.url.query_pairs_mut().append_pair("path", folder);
        let client = &self.inner.client;
        let listing: Listing = client.send(&call, client.backoff()).await?.json(call.url.as_str())?;
        if !listing.files.iter().any(|file| file.path.rsplit('/').next() == Some(FILE_NAME)) {
            return Ok(Spans::default());
        }
        let call = self.call(Method::GET, &format!("{PROXY}/{folder}/{FILE_NAME}"), workspace)?;
        Spans::read(&client.send(&call, client.backoff()).await?.body)
    }

    /// Replaces the spans at a location.
    pub(super) async fn upload_spans(
        &self,
        workspace: Option<&str>,
        location: &str,
        text: String,
    ) -> Result<(), RestError> {
        let folder = proxied_path(location)?;
        let mut call = self.call(Method::PUT, &format!("{PROXY}/{folder}/{FILE_NAME}"), workspace)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        call.body = Some(text.into());
        let client = &self.inner.client;
        client.send(&call, client.backoff()).await.map(drop)
    }
}

/// The path behind the proxy; only the server's own artifacts can be reached through it.
fn proxied_path(location: &str) -> Result<&str, RestError> {
    let path = location.strip_prefix("mlflow-artifacts:").filter(|path| !path.starts_with("//"));
    path.map(|path| path.trim_matches('/')).ok_or_else(|| {
        RestError::configuration(format!(
            "the artifacts of this experiment live at {location}, which only MLflow's own clients can reach: run \
             the server with --serve-artifacts and use an experiment made after that, or use MLflow 3.6 or newer \
             with a database, which needs no artifacts for traces"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proxied_artifacts_can_be_reached() {
        assert_eq!(proxied_path("mlflow-artifacts:/1/traces/x/artifacts").unwrap(), "1/traces/x/artifacts");
        for location in ["s3://bucket/1", "/mlruns/1", "mlflow-artifacts://other:5000/1"] {
            let error = proxied_path(location).unwrap_err().to_string();
            assert!(error.contains(location), "{error}");
        }
    }
}
