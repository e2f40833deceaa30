//! Artifacts through a server's proxy, in pieces: no file is ever held in memory as a whole.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use reqwest::{Body, Method, Response, Url};
use serde::Deserialize;
use tokio::io::AsyncReadExt;

use super::client::{Call, Client};
use super::{RestError, RestStore};

const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";
/// How much of a file is read at once.
const PIECE: usize = 256 << 10;
/// A file may take this much longer for each of its bytes: 64 KiB/s are slow, but not broken.
const SLOWEST: u64 = 64 << 10;
/// Nobody waits longer for a whole file; a stalled one is noticed much earlier.
const WHOLE_FILE: Duration = Duration::from_secs(24 * 3600);

/// A place behind the proxy of a tracking server, or of a server for artifacts alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyPath {
    /// Host and port, where they are not the tracking server's.
    pub(crate) host: Option<String>,
    /// Path behind the proxy, not encoded, without slashes at its ends.
    pub(crate) path: String,
}

/// What is to be uploaded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Upload<'a> {
    /// Something in memory.
    Bytes(&'a Bytes),
    /// A file, read while it is sent.
    File(&'a Path),
}

/// One entry of a folder, as the server gives it: a name relative to the folder.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) is_dir: bool,
    #[serde(default)]
    pub(crate) file_size: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    files: Vec<Listed>,
}

/// A file that is being downloaded.
#[derive(Debug)]
pub(crate) struct Download {
    response: Response,
    server: String,
    patience: Duration,
}

impl Download {
    /// The next piece, or nothing at the end.
    ///
    /// # Errors
    ///
    /// If the connection breaks, or stalls.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, RestError> {
        match tokio::time::timeout(self.patience, self.response.chunk()).await {
            Ok(piece) => piece.map_err(|error| RestError::from_transport(&self.server, error)),
            Err(_) => Err(stalled(&self.server, self.patience)),
        }
    }
}

impl RestStore {
    /// Writes a file, replacing one that is there.
    ///
    /// # Errors
    ///
    /// As any call, and if the local file cannot be read.
    pub(crate) async fn upload(
        &self,
        place: &ProxyPath,
        upload: Upload<'_>,
        content_type: &'static str,
    ) -> Result<(), RestError> {
        let mut call = self.artifact_call(Method::PUT, place, &place.path)?;
        call.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let client = &self.inner.client;
        let mut backoff = client.backoff();
        loop {
            match client.exchange(&call, Some(upload)).await {
                Ok(response) => return client.checked_upload(&call, response).await,
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// Begins to read a file. A missing one gives the 500 of any failure: look for it first.
    ///
    /// # Errors
    ///
    /// As any call.
    pub(crate) async fn download(&self, place: &ProxyPath) -> Result<Download, RestError> {
        let call = self.artifact_call(Method::GET, place, &place.path)?;
        let client = &self.inner.client;
        let mut backoff = client.backoff();
        loop {
            match client.exchange(&call, None).await {
                Ok(response) => {
                    let server = client.server().to_owned();
                    return Ok(Download { response, server, patience: client.timeout() });
                }
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// What is in a folder.
    ///
    /// # Errors
    ///
    /// As any call.
    pub(crate) async fn list(&self, place: &ProxyPath) -> Result<Vec<Listed>, RestError> {
        let mut call = self.artifact_call(Method::GET, place, "")?;
        call.url.query_pairs_mut().append_pair("path", &place.path);
        let client = &self.inner.client;
        let answer = client.send(&call, client.backoff()).await?;
        Ok(answer.json::<Listing>(call.url.as_str())?.files)
    }

    fn artifact_call(&self, method: Method, place: &ProxyPath, path: &str) -> Result<Call, RestError> {
        let mut call = self.call(method, &format!("{PROXY}/{path}"), None)?;
        if let Some(host) = &place.host {
            move_to(&mut call.url, host)?;
        }
        Ok(call)
    }
}

impl Client {
    /// Sends once, or twice if a 401 may be cured by a new token, and gives the answer unread.
    async fn exchange(&self, call: &Call, upload: Option<Upload<'_>>) -> Result<Response, RestError> {
        match self.exchange_once(call, upload, false).await {
            Err(RestError::Unauthorized { .. }) if self.may_change_credentials() => {
                self.exchange_once(call, upload, true).await
            }
            outcome => outcome,
        }
    }

    async fn exchange_once(
        &self,
        call: &Call,
        upload: Option<Upload<'_>>,
        reread: bool,
    ) -> Result<Response, RestError> {
        let request = self.request(call, reread).await?;
        let (request, patience) = match upload {
            None => (request.timeout(WHOLE_FILE), self.timeout()),
            Some(Upload::Bytes(bytes)) => {
                let patience = self.timeout() + at_slowest(bytes.len() as u64);
                (request.timeout(patience).body(bytes.clone()), patience)
            }
            Some(Upload::File(path)) => {
                let (body, size) = file_body(path).await?;
                let patience = self.timeout() + at_slowest(size);
                (request.timeout(patience).header(CONTENT_LENGTH, size).body(body), patience)
            }
        };
        let response = match tokio::time::timeout(patience, request.send()).await {
            Ok(response) => response.map_err(|error| self.failed(error))?,
            Err(_) => return Err(stalled(self.server(), patience)),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        match self.checked(call, response).await {
            Err(error) => Err(error),
            Ok(_) => Err(RestError::NotMlflow {
                url: call.url.to_string(),
                detail: "a status that is neither success nor failure".to_owned(),
            }),
        }
    }

    /// The answer to an upload is empty; a page is a login form.
    async fn checked_upload(&self, call: &Call, response: Response) -> Result<(), RestError> {
        self.checked(call, response).await.map(drop)
    }
}

/// A body that reads the file while it is sent, and the file's size.
async fn file_body(path: &Path) -> Result<(Body, u64), RestError> {
    let failed = |source| RestError::LocalFile { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    // A file that grows meanwhile is sent as far as was announced.
    let pieces = stream::try_unfold((file, size), |(mut file, left)| async move {
        let wanted = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = vec![0; wanted];
        if wanted == 0 {
            return Ok::<_, std::io::Error>(None);
        }
        let read = file.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::Error::new(
                std::io::ErrorKind::UnexpectedEof,
                "the file shrank while it was sent",
            ));
        }
        piece.truncate(read);
        Ok(Some((Bytes::from(piece), (file, left - read as u64))))
    });
    Ok((Body::wrap_stream(pieces), size))
}

fn at_slowest(bytes: u64) -> Duration {
    Duration::from_secs(bytes / SLOWEST)
}

fn stalled(server: &str, patience: Duration) -> RestError {
    RestError::Stalled { server: server.to_owned(), seconds: patience.as_secs() }
}

/// Points a URL to another host and port; the scheme and the path stay the tracking server's.
fn move_to(url: &mut Url, authority: &str) -> Result<(), RestError> {
    let moved = Url::parse(&format!("{}://{authority}", url.scheme()))
        .ok()
        .filter(|parsed| parsed.username().is_empty() && matches!(parsed.path(), "" | "/"));
    let done = moved.and_then(|moved| {
        url.set_host(moved.host_str()).ok()?;
        url.set_port(moved.port()).ok()
    });
    done.ok_or_else(|| {
        RestError::configuration(format!("mlflow-artifacts://{authority}/… does not name a host"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rest::RestOptions;

    #[test]
    fn a_path_goes_to_the_proxy_of_its_host_with_the_prefix_of_the_tracking_server() {
        let store = RestStore::connect("https://h:5000/ml", RestOptions::default()).unwrap();
        for (host, expected) in [
            (None, "https://h:5000/ml/api/2.0/mlflow-artifacts/artifacts/1/a%20b%23"),
            (Some("other"), "https://other/ml/api/2.0/mlflow-artifacts/artifacts/1/a%20b%23"),
            (Some("[::1]:80"), "https://[::1]:80/ml/api/2.0/mlflow-artifacts/artifacts/1/a%20b%23"),
        ] {
            let place = ProxyPath { host: host.map(str::to_owned), path: "1/a b#".to_owned() };
            let call = store.artifact_call(Method::GET, &place, &place.path).unwrap();
            assert_eq!(call.url.as_str(), expected);
        }
        let odd = ProxyPath { host: Some("me@evil".to_owned()), path: String::new() };
        assert!(store.artifact_call(Method::GET, &odd, "").is_err());
    }
}
