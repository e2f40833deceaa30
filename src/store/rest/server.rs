//! Which MLflow is at the other end, and what it takes.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::RestError;
use super::client::Client;

/// MLflow's OTLP endpoint.
pub(super) const OTLP_PATH: &str = "/v1/traces";
/// OTLP in protobuf.
pub(super) const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");

/// A release, as far as it decides anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    major: u32,
    minor: u32,
}

/// How spans reach a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// `POST /v1/traces`: MLflow 3.6 and newer.
    Otlp,
    /// `POST /api/3.0/mlflow/traces`, and the spans as an artifact: MLflow 3.2 to 3.5, and newer
    /// servers that take no OTLP.
    TracesV3,
    /// `POST /api/2.0/mlflow/traces`, and the spans as an artifact: MLflow 2.14 to 3.1.
    TracesV2,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerInfo {
    /// The version, as the server says it.
    pub version: String,
    /// How spans reach the server.
    pub protocol: Protocol,
    /// Whether the server takes gzip on its OTLP endpoint.
    pub takes_gzip: bool,
}

/// Asks the server what it is.
///
/// The version alone does not decide: MLflow run by gunicorn has no OTLP endpoint, and a proxy may
/// hide it, so the endpoint is asked, too. A request without a body is refused by MLflow before it
/// looks at anything else.
pub(super) async fn probe(client: &Client) -> Result<ServerInfo, RestError> {
    let call = client.call(Method::GET, "/version");
    let answer = client.send_once(&call).await?;
    let version = String::from_utf8_lossy(&answer.body).trim().to_owned();
    let not_mlflow = || RestError::NotMlflow {
        url: call.url.to_string(),
        detail: "something that is not a version".to_owned(),
    };
    let release = Release::parse(&version).ok_or_else(not_mlflow)?;
    let protocol = match release.protocol() {
        Some(Protocol::Otlp) if !has_otlp(client).await? => Protocol::TracesV3,
        Some(protocol) => protocol,
        None => return Err(RestError::TooOld { server: client.server().to_owned(), version }),
    };
    Ok(ServerInfo { version, protocol, takes_gzip: release >= Release::WITH_GZIP })
}

/// Whether MLflow answers on its OTLP endpoint: an error is that of whatever stands before it.
pub(super) async fn has_otlp(client: &Client) -> Result<bool, RestError> {
    let mut call = client.call(Method::POST, OTLP_PATH);
    call.headers.insert(CONTENT_TYPE, PROTOBUF);
    match client.send_once(&call).await {
        Ok(_) | Err(RestError::Refused { .. }) => Ok(true),
        Err(RestError::NoRoute { .. } | RestError::NoOtlp { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

impl Release {
    const WITH_TRACES: Self = Self { major: 2, minor: 14 };
    const WITH_TRACES_V3: Self = Self { major: 3, minor: 2 };
    const WITH_OTLP: Self = Self { major: 3, minor: 6 };
    const WITH_GZIP: Self = Self { major: 3, minor: 7 };

    /// Reads `3.17.2`, `3.6.0rc0` or `3.18.0.dev0`.
    fn parse(version: &str) -> Option<Self> {
        let mut parts = version.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?;
        let digits = minor.find(|character: char| !character.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self { major, minor: minor.get(..digits)?.parse().ok()? })
    }

    fn protocol(self) -> Option<Protocol> {
        if self >= Self::WITH_OTLP {
            Some(Protocol::Otlp)
        } else if self >= Self::WITH_TRACES_V3 {
            Some(Protocol::TracesV3)
        } else if self >= Self::WITH_TRACES {
            Some(Protocol::TracesV2)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides_the_way() {
        let cases = [
            ("2.13.2", None),
            ("2.14.0", Some(Protocol::TracesV2)),
            ("2.22.2", Some(Protocol::TracesV2)),
            ("3.1.4", Some(Protocol::TracesV2)),
            ("3.2.0rc1", Some(Protocol::TracesV3)),
            ("3.5.1", Some(Protocol::TracesV3)),
            ("3.6.0rc0", Some(Protocol::Otlp)),
            ("3.17.2", Some(Protocol::Otlp)),
            ("3.18.0.dev0", Some(Protocol::Otlp)),
            ("4.0.0", Some(Protocol::Otlp)),
        ];
        for (version, protocol) in cases {
            assert_eq!(Release::parse(version).unwrap().protocol(), protocol, "{version}");
        }
        for text in ["", "OK", "3", "x.y", "3.x"] {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }
}
