//! A refused batch loses the spans at fault, and no other.

use std::sync::atomic::{AtomicUsize, Ordering};

use wiremock::{Request, ResponseTemplate};

use super::{Picky, answer_exports, destination, options, request, server};
use crate::otlp::Refusal;
use crate::store::StoreError;
use crate::store::rest::RestStore;

/// Sends 8 traces of 5 spans, three of which a server like MLflow does not take.
async fn send_with_bad_spans(answer: ResponseTemplate) -> (Vec<Refusal>, Picky) {
    let server = server("3.17.2").await;
    let picky = Picky::new(answer, |span| span.name.starts_with("bad"));
    answer_exports(&server, picky.clone()).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let names: Vec<String> = (0..40)
        .map(|index| if [3, 4, 29].contains(&index) { format!("bad{index}") } else { format!("good{index}") })
        .collect();
    let spans: Vec<_> =
        names.iter().enumerate().map(|(index, name)| (index as u8 / 5, name.as_str())).collect();
    (store.send(&destination(), &request(&spans), &[]).await.unwrap(), picky)
}

fn assert_only_the_bad_ones_are_lost(refusals: &[Refusal], picky: &Picky) {
    let reasons: Vec<_> = refusals.iter().map(|refusal| refusal.reason.as_str()).collect();
    assert_eq!(refusals.iter().map(|refusal| refusal.spans).collect::<Vec<_>>(), [1, 1, 1]);
    for (reason, bad) in reasons.iter().zip(["bad3", "bad4", "bad29"]) {
        assert!(reason.contains(bad) && reason.contains("Cannot convert"), "{reason}");
    }
    let taken = picky.taken();
    assert_eq!(taken.len(), 37, "{taken:?}");
    assert!(taken.iter().all(|name| name.starts_with("good")), "{taken:?}");
}

#[tokio::test]
async fn spans_that_mlflow_refuses_are_found_among_the_others() {
    let body = r#"{"detail":"Cannot convert OpenTelemetry span to MLflow span"}"#;
    let answer = ResponseTemplate::new(422).set_body_raw(body, "application/json");
    let (refusals, picky) = send_with_bad_spans(answer).await;
    assert_only_the_bad_ones_are_lost(&refusals, &picky);
    assert!(picky.requests() < 40, "{} requests", picky.requests());
}

#[tokio::test]
async fn a_500_that_other_data_does_not_meet_is_the_data() {
    let answer = ResponseTemplate::new(500).set_body_string("Cannot convert: Internal Server Error");
    let (refusals, picky) = send_with_bad_spans(answer).await;
    assert_only_the_bad_ones_are_lost(&refusals, &picky);
}

/// Scenario: a proxy fails on the endpoint alone, and experiments can be read.
/// Guarantees: no span is given up for it, neither before the batch is cut nor while it is.
#[tokio::test]
async fn a_500_that_any_data_meets_is_not_the_data() {
    for healthy in [1, 5] {
        let server = server("3.17.2").await;
        let asked = AtomicUsize::new(0);
        answer_exports(&server, move |request: &Request| {
            let ill = asked.fetch_add(1, Ordering::Relaxed) >= healthy;
            ResponseTemplate::new(if request.body.is_empty() && !ill { 422 } else { 500 })
        })
        .await;
        let store = RestStore::connect(&server.uri(), options()).unwrap();
        let error = store.send(&destination(), &request(&[(1, "a"), (2, "b")]), &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::Retry { .. }), "{healthy}: {error:?}");
    }
}

/// Guarantees: a span that is alone at last is sent as often as the batch was before it is given up.
#[tokio::test]
async fn a_500_that_comes_and_goes_is_not_the_data() {
    let server = server("3.17.2").await;
    let asked = AtomicUsize::new(0);
    answer_exports(&server, move |request: &Request| {
        if request.body.is_empty() {
            return ResponseTemplate::new(422);
        }
        let number = asked.fetch_add(1, Ordering::Relaxed);
        ResponseTemplate::new(if number < 3 || number % 2 == 1 { 500 } else { 200 })
    })
    .await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let sent = store.send(&destination(), &request(&[(1, "a"), (2, "b")]), &[]).await;
    assert_eq!(sent.unwrap(), []);
}

#[tokio::test]
async fn a_batch_that_is_bad_throughout_ends_in_bounded_time() {
    let server = server("3.17.2").await;
    let picky = Picky::new(ResponseTemplate::new(413), |_| true);
    answer_exports(&server, picky.clone()).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let spans: Vec<_> = (0..2_500).map(|index| ((index % 250) as u8, "bad")).collect();
    let refusals = store.send(&destination(), &request(&spans), &[]).await.unwrap();
    assert_eq!(refusals.iter().map(|refusal| refusal.spans).sum::<usize>(), 2_500);
    assert!(picky.requests() < 1_100, "{} requests", picky.requests());
}

#[tokio::test]
async fn the_later_of_two_spans_with_one_id_is_sent_last() {
    let server = server("3.17.2").await;
    // PostgreSQL under MLflow takes no request with one span twice.
    let picky = Picky::new(ResponseTemplate::new(400), |span| span.name == "bad");
    answer_exports(&server, picky.clone()).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let spans = [(1, "first"), (1, "bad"), (1, "second"), (1, "third")];
    store.send(&destination(), &request(&spans), &[]).await.unwrap();
    assert_eq!(picky.taken(), ["first", "second", "third"]);
}

#[tokio::test]
async fn a_missing_experiment_is_said_without_a_search_among_the_spans() {
    let server = server("3.6.0").await;
    server.reset().await;
    let version = ResponseTemplate::new(200).set_body_string("3.6.0");
    wiremock::Mock::given(wiremock::matchers::path("/version")).respond_with(version).mount(&server).await;
    let unknown = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "No Experiment with id=7 exists"}"#;
    wiremock::Mock::given(wiremock::matchers::path("/api/2.0/mlflow/experiments/get"))
        .respond_with(ResponseTemplate::new(404).set_body_raw(unknown, "application/json"))
        .mount(&server)
        .await;
    let picky = Picky::new(ResponseTemplate::new(422).set_body_string("Failed to log"), |_| true);
    answer_exports(&server, picky.clone()).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let error = store.send(&destination(), &request(&[(1, "a"), (2, "b")]), &[]).await.unwrap_err();
    assert!(matches!(error, StoreError::Reject { .. }), "{error:?}");
    assert!(error.to_string().contains("no experiment has the id 7"), "{error}");
    assert_eq!(picky.requests(), 1);
}
