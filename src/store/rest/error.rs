//! What can go wrong between us and an MLflow server, each named for what it is.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;

use crate::store::StoreError;

/// A request to the MLflow server that did not give what it was sent for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestError {
    /// A setting cannot work.
    #[error("{reason}")]
    Configuration {
        /// What has to be changed.
        reason: String,
    },
    /// The server's name has no address.
    #[error("the host of {server} has no address: check the tracking URI, and the name service")]
    Dns {
        /// Address of the server.
        server: String,
        /// What the client library says.
        #[source]
        source: reqwest::Error,
    },
    /// No connection.
    #[error("cannot connect to {server} ({detail}): check the tracking URI, and that the MLflow server runs")]
    Connect {
        /// Address of the server.
        server: String,
        /// The innermost cause.
        detail: String,
        /// What the client library says.
        #[source]
        source: reqwest::Error,
    },
    /// The certificate of one side was not accepted, or the other side speaks no TLS.
    #[error(
        "TLS with {server} failed ({detail}): check `tls.ca_file` for a private authority, `tls.cert_file` for \
         a client certificate, and whether the server speaks https at all"
    )]
    Tls {
        /// Address of the server.
        server: String,
        /// The innermost cause.
        detail: String,
        /// What the client library says.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time.
    #[error("{server} did not answer in time: raise `timeout`, or look for what slows the server down")]
    Timeout {
        /// Address of the server.
        server: String,
        /// What the client library says.
        #[source]
        source: reqwest::Error,
    },
    /// The server sends no more of an answer that it has begun.
    #[error("{server} sent nothing for {seconds} s in the middle of a file")]
    Stalled {
        /// Address of the server.
        server: String,
        /// How long was waited.
        seconds: u64,
    },
    /// A file of ours that should be sent.
    #[error("cannot read {}: {source}", path.display())]
    LocalFile {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The connection ended before the whole answer had arrived.
    #[error("{server} broke the connection before its answer was complete ({detail})")]
    Truncated {
        /// Address of the server.
        server: String,
        /// The innermost cause.
        detail: String,
        /// What the client library says.
        #[source]
        source: reqwest::Error,
    },
    /// Success, with a page for a browser.
    #[error(
        "{url} answered with an HTML page instead of MLflow's answer, probably the login page of a proxy: give \
         credentials that the proxy takes (`auth` or `headers`), or an address behind it"
    )]
    HtmlPage {
        /// What was asked.
        url: String,
    },
    /// Success, with something that is not MLflow's.
    #[error("{url} answered {detail}: check that the tracking URI is that of an MLflow server")]
    NotMlflow {
        /// What was asked.
        url: String,
        /// What came back.
        detail: String,
    },
    /// A redirect, which is never followed: credentials and spans would go to somebody else.
    #[error(
        "{url} answered {status} and points to {location}: give the final address as tracking URI, or, if \
             that is a login page, credentials that the proxy takes"
    )]
    Redirected {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
        /// The header `Location`.
        location: String,
    },
    /// 401.
    #[error(
        "{server} wants other credentials (401; {sent}): check `auth`, or MLFLOW_TRACKING_TOKEN, \
             MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
    )]
    Unauthorized {
        /// Address of the server.
        server: String,
        /// Which kind of credentials was sent.
        sent: &'static str,
    },
    /// 403.
    #[error(
        "{server} does not allow it (403: {message}; {sent}): give this user the permission to write, or use another; \
             for an `Invalid Host header` add our host to the server's --allowed-hosts"
    )]
    Forbidden {
        /// Address of the server.
        server: String,
        /// Which kind of credentials was sent.
        sent: &'static str,
        /// What the server says.
        message: String,
    },
    /// 404 or 405 where MLflow has a route.
    #[error(
        "{url} does not exist ({status}): check the path of the tracking URI, and that no proxy hides it"
    )]
    NoRoute {
        /// What was asked.
        url: String,
        /// The status.
        status: StatusCode,
    },
    /// The version of the server offers no way to write spans.
    #[error(
        "the MLflow server at {server} is {version}: traces need MLflow 2.14 or newer, and 3.6 or newer is best"
    )]
    TooOld {
        /// Address of the server.
        server: String,
        /// The version found.
        version: String,
    },
    /// The server is new enough for OTLP, but its own store, or the way it is run, is not made for it.
    #[error("{server} takes no OTLP ({message}): traces go through its trace API from now on")]
    NoOtlp {
        /// Address of the server.
        server: String,
        /// What the server says.
        message: String,
    },
    /// The thing that a request names does not exist.
    #[error("MLflow does not know it: {message}")]
    NotFound {
        /// What the server says.
        message: String,
    },
    /// The server, or a proxy before it, cannot answer now.
    #[error("{server} cannot answer now ({status}: {message})")]
    Unavailable {
        /// Address of the server.
        server: String,
        /// The status.
        status: StatusCode,
        /// What the server says.
        message: String,
        /// The header `Retry-After`.
        after: Option<Duration>,
    },
    /// The server failed, perhaps because of the data.
    #[error("MLflow failed with 500: {message}")]
    Internal {
        /// What the server says.
        message: String,
    },
    /// The server does not take the data.
    #[error("MLflow answered {status}: {message}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// MLflow's `error_code`.
        code: Option<String>,
        /// What the server says.
        message: String,
    },
}

impl RestError {
    /// A setting that cannot work.
    pub fn configuration(reason: impl Into<String>) -> Self {
        Self::Configuration { reason: reason.into() }
    }

    /// Names what the client library reports.
    pub(super) fn from_transport(server: &str, error: reqwest::Error) -> Self {
        let source = error.without_url();
        let server = server.to_owned();
        let detail = innermost(&source);
        if is_tls(&source) {
            Self::Tls { server, detail, source }
        } else if source.is_dns() {
            Self::Dns { server, source }
        } else if source.is_timeout() {
            Self::Timeout { server, source }
        } else if source.is_connect() {
            Self::Connect { server, detail, source }
        } else {
            Self::Truncated { server, detail, source }
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Dns { .. }
                | Self::Connect { .. }
                | Self::Timeout { .. }
                | Self::Stalled { .. }
                | Self::Truncated { .. }
                | Self::Unavailable { .. }
                | Self::Internal { .. }
                | Self::NoOtlp { .. }
        )
    }

    /// What the client library says; the error's own text has its gist already.
    fn into_cause(self) -> Option<reqwest::Error> {
        match self {
            Self::Dns { source, .. }
            | Self::Connect { source, .. }
            | Self::Tls { source, .. }
            | Self::Timeout { source, .. }
            | Self::Truncated { source, .. } => Some(source),
            _ => None,
        }
    }

    /// How long the server asked us to wait.
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { after, .. } => *after,
            Self::NoOtlp { .. } => Some(Duration::ZERO),
            _ => None,
        }
    }
}

impl From<RestError> for StoreError {
    fn from(error: RestError) -> Self {
        let reason = error.to_string();
        let after = error.after();
        let passing = error.is_passing();
        if matches!(error, RestError::Refused { .. }) {
            return Self::reject(reason);
        }
        let source = error.into_cause().map(Into::into);
        if passing { Self::Retry { after, reason, source } } else { Self::Fatal { reason, source } }
    }
}

/// The message of the innermost cause: what a person wants to read of a chain of wrappers.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Whether TLS caused the error; rustls hides inside I/O errors, which do not name it as a source.
fn is_tls(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(current) = cause {
        if current.is::<rustls::Error>() {
            return true;
        }
        cause = match current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => current.source(),
        };
    }
    false
}
