//! The server that is called.

use opentelemetry::{KeyValue, StringValue};
use reqwest::Url;

use super::provider;
use super::shared::shared;
use crate::semconv::otel;

/// Its address and port.
pub(super) struct Server {
    pub(super) address: StringValue,
    port: Option<u16>,
}

impl Server {
    pub(super) fn of(url: &Url) -> Self {
        let address = url.host_str().unwrap_or_default();
        // The conventions want addresses of version 6 without the brackets that URLs need.
        let address = shared(address.trim_start_matches('[').trim_end_matches(']'));
        Self { address, port: url.port_or_known_default() }
    }

    pub(super) fn attributes(&self) -> impl Iterator<Item = KeyValue> {
        [
            Some(KeyValue::new(otel::SERVER_ADDRESS, self.address.clone())),
            self.port.map(|port| KeyValue::new(otel::SERVER_PORT, i64::from(port))),
        ]
        .into_iter()
        .flatten()
    }

    pub(super) fn provider(&self, has_deployment: bool) -> &'static str {
        provider::provider(self.address.as_str(), has_deployment)
    }
}
