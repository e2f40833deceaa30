//! `google.rpc.Status` and the details in it: how OTLP carries errors.

use std::time::Duration;

use prost::Message;
use serde_json::json;

use super::Encoding;
use crate::hints;

/// Canonical codes of gRPC that this program answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    /// Bad data: the same request fails again.
    InvalidArgument = 3,
    /// The sender took too long.
    DeadlineExceeded = 4,
    /// There is nothing at that path.
    NotFound = 5,
    /// Too much at once.
    ResourceExhausted = 8,
    /// The service or the encoding is not implemented.
    Unimplemented = 12,
    /// A fault of this program.
    Internal = 13,
    /// Passing trouble.
    Unavailable = 14,
    /// The sender has not shown who it is.
    Unauthenticated = 16,
}

/// An error as OTLP answers it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// A [`Code`].
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// What is wrong, for a developer to read.
    #[prost(string, tag = "2")]
    pub message: String,
    /// What a program can read.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`: a message and its type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// The type, as `type.googleapis.com/<full name>`.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The encoded message.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`: when to try again.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RetryInfo {
    /// How long to wait at least.
    #[prost(message, optional, tag = "1")]
    pub retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct ProtoDuration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest, in nanoseconds.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl Status {
    /// An error; with `retry_after`, it carries a [`RetryInfo`].
    pub fn new(code: Code, message: impl Into<String>, retry_after: Option<Duration>) -> Self {
        let details = retry_after.map(|delay| Any {
            type_url: RETRY_INFO.to_owned(),
            value: RetryInfo { retry_delay: Some(delay.into()) }.encode_to_vec(),
        });
        Self { code: code as i32, message: message.into(), details: details.into_iter().collect() }
    }

    /// The waiting time of the [`RetryInfo`], if there is one; an hour, if it is longer.
    pub fn retry_after(&self) -> Option<Duration> {
        let info = self.details.iter().find(|detail| detail.type_url == RETRY_INFO)?;
        let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
        hints::retry_delay(delay.seconds, delay.nanos)
    }

    /// The body of an HTTP answer.
    pub fn encode_as(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Protobuf => self.encode_to_vec(),
            Encoding::Json => {
                let mut body = json!({"code": self.code, "message": self.message});
                if let (Some(delay), Some(object)) = (self.retry_after(), body.as_object_mut()) {
                    let delay = format!("{}s", delay.as_secs_f64());
                    object.insert("details".to_owned(), json!([{"@type": RETRY_INFO, "retryDelay": delay}]));
                }
                body.to_string().into_bytes()
            }
        }
    }
}

impl From<Duration> for ProtoDuration {
    fn from(duration: Duration) -> Self {
        Self {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_waiting_time_survives_encoding() {
        let status = Status::new(Code::Unavailable, "busy", Some(Duration::from_millis(1500)));
        let decoded = Status::decode(status.encode_to_vec().as_slice()).unwrap();
        assert_eq!(decoded.retry_after(), Some(Duration::from_millis(1500)));
        assert_eq!(decoded.code, 14);
    }

    #[test]
    fn a_waiting_time_without_end_is_an_hour() {
        let status = Status::new(Code::Unavailable, "busy", Some(Duration::MAX));
        assert_eq!(status.retry_after(), Some(Duration::from_secs(3_600)));
    }

    #[test]
    fn json_follows_the_protobuf_mapping() {
        let status = Status::new(Code::ResourceExhausted, "busy", Some(Duration::from_secs(1)));
        let body = String::from_utf8(status.encode_as(Encoding::Json)).unwrap();
        assert_eq!(
            body,
            r#"{"code":8,"message":"busy","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}]}"#
        );
        let status = Status::new(Code::InvalidArgument, "bad", None);
        assert_eq!(status.encode_as(Encoding::Json), br#"{"code":3,"message":"bad"}"#);
    }
}
