//! `receivers.otlp`.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use crate::otlp::Oversized;
use crate::receivers::trust::{AuthConfig, ServerTlsConfig, is_reachable};
use crate::units;

/// Takes OTLP in over gRPC and HTTP. Keys that the Collector has, too, mean the same here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpReceiverConfig {
    /// The protocols to serve. A protocol that is left out is off; without this key both are on.
    pub protocols: Protocols,
    /// The most connections of one protocol; more wait until one is closed.
    pub max_connections: usize,
    /// The most requests that are being read or delivered; more are refused with a hint to try again.
    pub max_requests_in_flight: usize,
    /// The most bytes of bodies that are being read or delivered, as a number or such as `256MiB`;
    /// requests beyond are refused with a hint to try again.
    #[serde(with = "units::size")]
    #[schemars(with = "crate::units::SizeSchema")]
    pub max_bytes_in_flight: usize,
    /// The most memory of requests under way in the whole process: bodies and decoded spans, of every
    /// receiver, until each is answered and gone. Requests beyond are refused with a hint to try again; one
    /// that is alone never is.
    #[serde(with = "units::size")]
    #[schemars(with = "crate::units::SizeSchema")]
    pub max_memory: usize,
    /// The largest span, in bytes of protobuf, as a number or such as `4MiB`; 0 is no limit.
    #[serde(with = "units::size")]
    #[schemars(with = "crate::units::SizeSchema")]
    pub max_span_size: usize,
    /// What becomes of a span that is larger; its neighbours stay as they are.
    pub oversized_spans: OversizedSpans,
}

/// What becomes of a span that is too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OversizedSpans {
    /// Its longest texts are cut, JSON to JSON, with a mark; then its lists. The attribute
    /// `otel_mlflow.cut_from_bytes` says how large it was.
    #[default]
    Cut,
    /// It is refused, and its sender told.
    Refuse,
}

impl From<OversizedSpans> for Oversized {
    fn from(spans: OversizedSpans) -> Self {
        match spans {
            OversizedSpans::Cut => Self::Cut,
            OversizedSpans::Refuse => Self::Refuse,
        }
    }
}

/// The protocols of the receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protocols {
    /// OTLP over gRPC; present but empty means all defaults.
    #[serde(default, deserialize_with = "present")]
    pub grpc: Option<GrpcConfig>,
    /// OTLP over HTTP, in protobuf and JSON; present but empty means all defaults.
    #[serde(default, deserialize_with = "present")]
    pub http: Option<HttpConfig>,
}

/// OTLP over gRPC.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrpcConfig {
    /// Where to listen: `host:port`.
    pub endpoint: String,
    /// TLS; without it the listener speaks plain gRPC.
    pub tls: Option<ServerTlsConfig>,
    /// Who may send; without it everybody may.
    pub auth: Option<AuthConfig>,
    /// Allows to listen on an address that other machines can reach with neither `tls` nor `auth`.
    pub insecure: bool,
    /// The largest message, in MiB, before and after decompression.
    pub max_recv_msg_size_mib: usize,
    /// The most requests at a time on one connection.
    pub max_concurrent_streams: u32,
    /// How long a request may take to come in, such as `1m`.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub read_timeout: Duration,
}

/// OTLP over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where to listen: `host:port`.
    pub endpoint: String,
    /// TLS; without it the listener speaks plain HTTP.
    pub tls: Option<ServerTlsConfig>,
    /// Who may send; without it everybody may.
    pub auth: Option<AuthConfig>,
    /// Allows to listen on an address that other machines can reach with neither `tls` nor `auth`.
    pub insecure: bool,
    /// The path that takes traces.
    pub traces_url_path: String,
    /// The largest body, as a number of bytes or such as `64MiB`, before and after decompression.
    #[serde(with = "units::size")]
    #[schemars(with = "crate::units::SizeSchema")]
    pub max_request_body_size: usize,
    /// How long the header of a request may take to come in, and an unused connection stays open.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub read_header_timeout: Duration,
    /// How long the body of a request may take to come in.
    #[serde(with = "units::duration")]
    #[schemars(with = "String")]
    pub read_timeout: Duration,
}

/// One span of an agent that was given images or long documents has tens of MB.
const MAX_BODY_MIB: usize = 64;

impl Default for OtlpReceiverConfig {
    fn default() -> Self {
        let protocols = Protocols { grpc: Some(GrpcConfig::default()), http: Some(HttpConfig::default()) };
        Self {
            protocols,
            max_connections: 1_024,
            max_requests_in_flight: 1_024,
            max_bytes_in_flight: 256 << 20,
            max_memory: 512 << 20,
            max_span_size: 0,
            oversized_spans: OversizedSpans::default(),
        }
    }
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            endpoint: "127.0.0.1:4317".to_owned(),
            tls: None,
            auth: None,
            insecure: false,
            max_recv_msg_size_mib: MAX_BODY_MIB,
            max_concurrent_streams: 256,
            read_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            endpoint: "127.0.0.1:4318".to_owned(),
            tls: None,
            auth: None,
            insecure: false,
            traces_url_path: "/v1/traces".to_owned(),
            max_request_body_size: MAX_BODY_MIB << 20,
            read_header_timeout: Duration::from_secs(60),
            read_timeout: Duration::from_secs(60),
        }
    }
}

/// In the Collector, `grpc:` with nothing behind it switches the protocol on.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or_default()))
}

impl OtlpReceiverConfig {
    /// What is wrong with the settings: keys relative to the receiver, and messages.
    pub fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut check = |bad: bool, key: &str, message: &str| {
            if bad {
                problems.push((key.to_owned(), message.to_owned()));
            }
        };
        let Protocols { grpc, http } = &self.protocols;
        check(grpc.is_none() && http.is_none(), "protocols", "must have grpc, http or both");
        check(self.max_connections == 0, "max_connections", "must be at least 1");
        check(self.max_requests_in_flight == 0, "max_requests_in_flight", "must be at least 1");
        let mut largest = 0;
        if let Some(grpc) = grpc {
            check(!is_address(&grpc.endpoint), "protocols.grpc.endpoint", NOT_AN_ADDRESS);
            let size = grpc.max_recv_msg_size_mib;
            check(
                size == 0 || size > 4_095,
                "protocols.grpc.max_recv_msg_size_mib",
                "must be from 1 to 4095",
            );
            check(
                grpc.max_concurrent_streams == 0,
                "protocols.grpc.max_concurrent_streams",
                "must be at least 1",
            );
            check(grpc.read_timeout.is_zero(), "protocols.grpc.read_timeout", NOT_POSITIVE);
            largest = grpc.max_message_bytes();
        }
        if let Some(http) = http {
            check(!is_address(&http.endpoint), "protocols.http.endpoint", NOT_AN_ADDRESS);
            let path = &http.traces_url_path;
            check(!path.starts_with('/'), "protocols.http.traces_url_path", "must begin with a slash");
            check(
                http.max_request_body_size == 0,
                "protocols.http.max_request_body_size",
                "must be at least 1",
            );
            check(http.read_header_timeout.is_zero(), "protocols.http.read_header_timeout", NOT_POSITIVE);
            check(http.read_timeout.is_zero(), "protocols.http.read_timeout", NOT_POSITIVE);
            largest = largest.max(http.max_request_body_size);
        }
        let message = "must be at least 1024 bytes, or 0 for no limit";
        check((1..1_024).contains(&self.max_span_size), "max_span_size", message);
        // A body is held twice while it is decompressed.
        let needed = largest.saturating_mul(2);
        let message = format!("must be at least {needed}, twice the largest body, or that can never come in");
        check(self.max_bytes_in_flight < needed, "max_bytes_in_flight", &message);
        if let Some(grpc) = grpc {
            problems.extend(exposed("grpc", &grpc.endpoint, &grpc.tls, &grpc.auth, grpc.insecure));
        }
        if let Some(http) = http {
            problems.extend(exposed("http", &http.endpoint, &http.tls, &http.auth, http.insecure));
        }
        problems
    }

    /// The addresses that the receiver listens on, with their keys.
    pub fn endpoints(&self) -> Vec<(String, String)> {
        let grpc = self.protocols.grpc.as_ref().map(|grpc| ("grpc", &grpc.endpoint));
        let http = self.protocols.http.as_ref().map(|http| ("http", &http.endpoint));
        let both = grpc.into_iter().chain(http);
        both.map(|(protocol, endpoint)| (format!("protocols.{protocol}.endpoint"), endpoint.clone()))
            .collect()
    }
}

impl GrpcConfig {
    /// The largest message in bytes.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.max_recv_msg_size_mib.saturating_mul(1 << 20)
    }
}

/// What is wrong with the protection of a listener.
fn exposed(
    protocol: &str,
    endpoint: &str,
    tls: &Option<ServerTlsConfig>,
    auth: &Option<AuthConfig>,
    insecure: bool,
) -> Vec<(String, String)> {
    let mut problems = auth.as_ref().map(AuthConfig::validate).unwrap_or_default();
    if tls.is_none() && auth.is_none() && !insecure && is_address(endpoint) && is_reachable(endpoint) {
        let reason = format!(
            "other machines can reach {endpoint}, and nothing protects it: set `tls` or `auth` beside it, or \
             listen on 127.0.0.1, or set `insecure: true` if something else keeps strangers away"
        );
        problems.push(("endpoint".to_owned(), reason));
    }
    problems.into_iter().map(|(key, reason)| (format!("protocols.{protocol}.{key}"), reason)).collect()
}

const NOT_AN_ADDRESS: &str = "is not of the form host:port";
const NOT_POSITIVE: &str = "must be longer than 0";

fn is_address(endpoint: &str) -> bool {
    endpoint.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

/// Spells out the Collector's short form for every interface, `:4317`.
pub(super) fn host_and_port(endpoint: &str) -> Cow<'_, str> {
    match endpoint.strip_prefix(':') {
        Some(port) => Cow::Owned(format!("0.0.0.0:{port}")),
        None => Cow::Borrowed(endpoint),
    }
}

#[cfg(test)]
mod tests;
