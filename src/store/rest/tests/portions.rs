//! Requests that are too large for the server to answer them.

use std::time::Duration;

use wiremock::{MockServer, Request, Respond, ResponseTemplate};

use super::{Picky, answer_exports, destination, options, request, server};
use crate::otlp::model::ExportTraceServiceRequest;
use crate::store::StoreError;
use crate::store::rest::{RestOptions, RestStore, RetryConfig};

/// What the server takes at a time.
const TAKES: usize = 40_000;

/// A server that answers so to what is larger than it takes, a store for it, and what arrives.
async fn limited(status: u16, options: RestOptions) -> (RestStore, Picky, MockServer) {
    let server = server("3.17.2").await;
    let picky = Picky::new(ResponseTemplate::new(500), |_| false);
    let taking = picky.clone();
    answer_exports(&server, move |request: &Request| {
        if request.body.len() > TAKES {
            return ResponseTemplate::new(status);
        }
        taking.respond(request)
    })
    .await;
    (RestStore::connect(&server.uri(), options).unwrap(), picky, server)
}

/// 500 spans of 1 kB in 100 traces.
fn large() -> ExportTraceServiceRequest {
    let name = "n".repeat(1_000);
    let spans: Vec<_> = (0..500_u16).map(|index| ((index % 100) as u8, name.as_str())).collect();
    request(&spans)
}

#[tokio::test]
async fn a_request_that_gets_no_answer_in_time_is_sent_in_smaller_ones() {
    let patient = RetryConfig { max_elapsed_time: Duration::ZERO, ..options().retry_on_failure };
    let (store, picky, _server) = limited(504, RestOptions { retry_on_failure: patient, ..options() }).await;
    assert_eq!(store.send(&destination(), &large(), &[]).await.unwrap(), []);
    assert_eq!(picky.taken().len(), 500, "each span is taken once");
}

#[tokio::test]
async fn who_sends_again_himself_meets_smaller_requests_then() {
    let once = RetryConfig { max_elapsed_time: Duration::from_nanos(1), ..RetryConfig::default() };
    let (store, picky, _server) = limited(504, RestOptions { retry_on_failure: once, ..options() }).await;
    let mut failures = 0;
    while let Err(error) = store.send(&destination(), &large(), &[]).await {
        assert!(matches!(error, StoreError::Retry { .. }), "{error}");
        failures += 1;
        assert!(failures < 10, "{} bytes at a time, still", store.request_bytes());
    }
    assert!(failures > 2 && picky.taken().len() >= 500, "{failures} failures");
    assert!(store.request_bytes() >= TAKES / 2, "quick answers let it grow");
}

#[tokio::test]
async fn a_limit_on_the_size_is_met_once() {
    let (store, picky, server) = limited(413, options()).await;
    let mut refused = Vec::new();
    for _ in 0..2 {
        assert_eq!(store.send(&destination(), &large(), &[]).await.unwrap(), []);
        let received = server.received_requests().await.unwrap_or_default();
        refused.push(received.iter().filter(|request| request.body.len() > TAKES).count());
    }
    assert_eq!(picky.taken().len(), 1_000);
    assert!(refused[0] > 0 && refused[0] == refused[1], "{refused:?}");
}
