//! An MLflow tracking server as a store.
//!
//! Spans go as OTLP to `/v1/traces` where the server has it (MLflow 3.6 and newer), one request
//! per destination: [`RestStore::send`]. Older servers get mapped traces: [`RestStore::write`].
//! [`RestStore::protocol`] says which of the two the server at hand needs.
//!
//! Every failure is named for what it is ([`RestError`]); what may pass is sent again with backoff
//! and jitter, and what MLflow refuses for good is narrowed down to the spans that cause it.

mod answer;
#[cfg(feature = "client")]
mod artifacts;
mod client;
mod config;
mod credentials;
mod databricks;
mod environment;
mod error;
mod experiments;
mod legacy;
mod links;
mod oauth;
mod portion;
mod post;
mod retry;
mod run_traces;
mod server;
mod spans;
mod tls;
mod tracking;

use std::sync::{Arc, PoisonError, RwLock};

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};

#[cfg(feature = "client")]
pub(crate) use artifacts::{Download, ProxyPath, Upload};

pub use crate::tls::install_crypto_provider;
pub use config::{AuthConfig, Compression, RestOptions, RetryConfig, TlsConfig};
pub use databricks::databricks;
pub use environment::fill_from_environment;
pub use error::RestError;
pub use links::RunLink;
pub use oauth::ClientCredentials;
pub use server::{Protocol, ServerInfo};
#[cfg(feature = "autolog")]
pub(crate) use tls::configure as configure_tls;

use crate::store::StoreError;
use client::{Call, Client};
use portion::Portion;

const WORKSPACE_HEADER: HeaderName = HeaderName::from_static("x-mlflow-workspace");

/// Where spans go on an MLflow server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The experiment of traces that do not exist yet; MLflow leaves an existing trace where it is.
    pub experiment_id: i64,
    /// The workspace, if it is not the store's own.
    pub workspace: Option<String>,
}

/// An MLflow tracking server. A clone speaks to the same server over the same connections.
#[derive(Clone, Debug)]
pub struct RestStore {
    inner: Arc<Inner>,
    workspace: Option<HeaderValue>,
}

#[derive(Debug)]
struct Inner {
    client: Client,
    options: RestOptions,
    info: RwLock<Option<ServerInfo>>,
    portion: Portion,
    turns: legacy::Turns,
}

impl Inner {
    fn new(client: Client, options: RestOptions) -> Self {
        let portion = Portion::new(options.max_request_bytes, options.timeout);
        Self { client, options, info: RwLock::default(), portion, turns: legacy::Turns::default() }
    }
}

impl RestStore {
    /// Reads certificates and sets the client up. Sends nothing yet: a server that is down is no
    /// error here.
    ///
    /// # Errors
    ///
    /// If the address or an option cannot work.
    pub fn connect(tracking_uri: &str, options: RestOptions) -> Result<Self, RestError> {
        let workspace = options.workspace.as_deref().map(workspace_value).transpose()?;
        let client = Client::new(tracking_uri, &options)?;
        Ok(Self { inner: Arc::new(Inner::new(client, options)), workspace })
    }

    /// The same server, with another workspace for what names none.
    ///
    /// # Errors
    ///
    /// If the workspace cannot be sent as a header.
    pub fn in_workspace(&self, workspace: &str) -> Result<Self, RestError> {
        Ok(Self { inner: Arc::clone(&self.inner), workspace: Some(workspace_value(workspace)?) })
    }

    /// The same server over connections of its own. The connections of a store belong to the
    /// runtime in which they were opened; a thread with another runtime needs its own. `retry` says
    /// how its calls are repeated.
    ///
    /// # Errors
    ///
    /// If a certificate file can no longer be read.
    #[cfg(feature = "client")]
    pub fn with_own_connections(&self, retry: RetryConfig) -> Result<Self, RestError> {
        let options = RestOptions { retry_on_failure: retry, ..self.inner.options.clone() };
        let client = self.inner.client.with_own_connections(&options)?;
        Ok(Self { inner: Arc::new(Inner::new(client, options)), workspace: self.workspace.clone() })
    }

    /// Address of the server, without credentials.
    pub fn server(&self) -> &str {
        self.inner.client.server()
    }

    /// How many bytes of OTLP one request should hold now: `max_request_bytes`, or less while the server does not
    /// answer larger ones in time. What is more is sent in several.
    pub fn request_bytes(&self) -> usize {
        self.inner.portion.bytes()
    }

    /// Asks the server for its version and what it takes, once and now.
    ///
    /// # Errors
    ///
    /// If the server cannot be asked, is no MLflow, or is too old.
    pub async fn probe(&self) -> Result<ServerInfo, RestError> {
        let info = server::probe(&self.inner.client).await?;
        self.remember(Some(info.clone()));
        Ok(info)
    }

    /// How spans reach the server: from memory, or asked for until the server answers or the time
    /// for retries is over.
    ///
    /// # Errors
    ///
    /// As [`Self::probe`].
    pub async fn protocol(&self) -> Result<Protocol, StoreError> {
        Ok(self.info().await?.protocol)
    }

    /// Whether the server is older than MLflow 3. One that says no version, as Databricks, is not.
    ///
    /// # Errors
    ///
    /// If the server does not answer until the time for retries is over.
    pub async fn is_mlflow_2(&self) -> Result<bool, RestError> {
        match self.info().await {
            Ok(info) => Ok(info.version.starts_with("2.")),
            Err(RestError::TooOld { .. }) => Ok(true),
            Err(error) if error.is_passing() => Err(error),
            Err(_) => Ok(false),
        }
    }

    async fn info(&self) -> Result<ServerInfo, RestError> {
        if let Some(info) = self.inner.info.read().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(info);
        }
        let mut backoff = self.inner.client.backoff();
        loop {
            match self.probe().await {
                Ok(info) => return Ok(info),
                Err(error) => backoff.pause(error).await?,
            }
        }
    }

    /// What is known of a server ends where another may have taken its place.
    fn learn_from(&self, error: &RestError) {
        match error {
            RestError::Connect { .. } | RestError::NoRoute { .. } => self.remember(None),
            RestError::NoOtlp { .. } => {
                let mut info = self.inner.info.write().unwrap_or_else(PoisonError::into_inner);
                if let Some(info) = info.as_mut() {
                    info.protocol = Protocol::TracesV3;
                }
            }
            _ => {}
        }
    }

    fn remember(&self, info: Option<ServerInfo>) {
        *self.inner.info.write().unwrap_or_else(PoisonError::into_inner) = info;
    }

    /// A call in the destination's workspace, or in the store's own.
    fn call(&self, method: Method, path: &str, workspace: Option<&str>) -> Result<Call, RestError> {
        let mut call = self.inner.client.call(method, path);
        let own = workspace.map(workspace_value).transpose()?;
        if let Some(workspace) = own.or_else(|| self.workspace.clone()) {
            call.headers.insert(WORKSPACE_HEADER, workspace);
        }
        Ok(call)
    }
}

fn workspace_value(workspace: &str) -> Result<HeaderValue, RestError> {
    HeaderValue::from_str(workspace).map_err(|_| RestError::Refused {
        status: StatusCode::BAD_REQUEST,
        code: None,
        message: format!("the workspace {workspace:?} cannot be sent as a header"),
    })
}

#[cfg(test)]
mod tests;
