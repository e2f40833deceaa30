//! Each failure is named for what it is.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use wiremock::matchers::{header, method, path};
use wiremock::{Mock, Request, ResponseTemplate};

use super::{answer_exports, destination, options, request, server, store_answered};
use crate::store::StoreError;
use crate::store::rest::{Protocol, RestError, RestStore};

async fn failure(answer: ResponseTemplate) -> StoreError {
    let (store, _server) = store_answered(answer).await;
    store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap_err()
}

fn assert_fatal(error: &StoreError, said: &str) {
    assert!(matches!(error, StoreError::Fatal { .. }), "{error:?}");
    assert!(error.to_string().contains(said), "{error}");
}

fn assert_retry(error: &StoreError, said: &str) {
    assert!(matches!(error, StoreError::Retry { .. }), "{error:?}");
    assert!(error.to_string().contains(said), "{error}");
}

#[tokio::test]
async fn what_a_proxy_answers_is_not_taken_for_mlflow() {
    let page = ResponseTemplate::new(200).set_body_raw("<html>Sign in</html>", "text/html");
    assert_fatal(&failure(page).await, "login page");
    let away = ResponseTemplate::new(302).insert_header("location", "https://login.example.org/?next=1");
    assert_fatal(&failure(away).await, "https://login.example.org/?next=1");
    let text = ResponseTemplate::new(200).set_body_string("hello");
    assert_fatal(&failure(text).await, "no OTLP answer");
}

#[tokio::test]
async fn credentials_that_are_not_enough_are_fatal() {
    assert_fatal(&failure(ResponseTemplate::new(401)).await, "sent no credentials");
    let body = r#"{"error_code": "PERMISSION_DENIED", "message": "Permission denied"}"#;
    let denied = ResponseTemplate::new(403).set_body_raw(body, "application/json");
    assert_fatal(&failure(denied).await, "Permission denied");
}

#[tokio::test]
async fn a_missing_route_is_fatal_and_probed_again() {
    let (store, server) = store_answered(ResponseTemplate::new(404)).await;
    let sent = store.send(&destination(), &request(&[(1, "a")]), &[]).await;
    assert_fatal(&sent.unwrap_err(), "/v1/traces does not exist");
    server.reset().await;
    let sent = store.send(&destination(), &request(&[(1, "a")]), &[]).await;
    assert_fatal(&sent.unwrap_err(), "/version does not exist");
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again_when_it_says() {
    let server = server("3.17.2").await;
    let wait = ResponseTemplate::new(429).insert_header("retry-after", "0");
    let exports = || Mock::given(method("POST")).and(path("/v1/traces"));
    exports().respond_with(ResponseTemplate::new(422)).up_to_n_times(1).mount(&server).await;
    exports().respond_with(wait).up_to_n_times(2).mount(&server).await;
    exports().respond_with(ResponseTemplate::new(200)).expect(1).mount(&server).await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    let sent = store.send(&destination(), &request(&[(1, "a")]), &[]).await;
    assert_eq!(sent.unwrap(), []);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_passed_on() {
    let wait = ResponseTemplate::new(503).insert_header("retry-after", "3600").set_body_string("maintenance");
    let error = failure(wait).await;
    assert_retry(&error, "maintenance");
    let StoreError::Retry { after, .. } = error else { unreachable!() };
    assert_eq!(after, Some(Duration::from_secs(3_600)));
}

#[tokio::test]
async fn a_server_that_is_down_is_passing_trouble() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = RestStore::connect(&format!("http://{address}"), options()).unwrap();
    assert!(matches!(store.probe().await, Err(RestError::Connect { .. })));
    let error = store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap_err();
    assert_retry(&error, "cannot connect");
}

#[tokio::test]
async fn a_name_without_an_address_is_said() {
    let store = RestStore::connect("http://mlflow.invalid", options()).unwrap();
    assert!(matches!(store.probe().await, Err(RestError::Dns { .. })));
}

#[tokio::test]
async fn tls_trouble_is_said() {
    let plain = server("3.17.2").await;
    let store = RestStore::connect(&plain.uri().replace("http:", "https:"), options()).unwrap();
    let error = store.probe().await.unwrap_err();
    assert!(matches!(error, RestError::Tls { .. }), "{error:?}");
    assert_fatal(&error.into(), "tls.ca_file");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_said() {
    let slow = server("3.17.2").await;
    slow.reset().await;
    let answer = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(method("GET")).respond_with(answer).mount(&slow).await;
    let mut options = options();
    options.timeout = Duration::from_millis(20);
    let store = RestStore::connect(&slow.uri(), options).unwrap();
    assert!(matches!(store.probe().await, Err(RestError::Timeout { .. })));
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4_096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n3.17").unwrap();
    });
    let store = RestStore::connect(&format!("http://{address}"), options()).unwrap();
    let error = store.probe().await.unwrap_err();
    assert!(matches!(error, RestError::Truncated { .. }), "{error:?}");
    serving.join().unwrap();
}

#[tokio::test]
async fn what_is_too_old_or_no_mlflow_is_refused_with_what_was_found() {
    let old = server("2.13.2").await;
    let store = RestStore::connect(&old.uri(), options()).unwrap();
    let error = store.probe().await.unwrap_err();
    assert!(matches!(error, RestError::TooOld { .. }), "{error:?}");
    assert!(error.to_string().contains("2.13.2") && error.to_string().contains("2.14"), "{error}");
    let other = server("Grafana").await;
    let store = RestStore::connect(&other.uri(), options()).unwrap();
    assert!(matches!(store.probe().await, Err(RestError::NotMlflow { .. })));
}

#[tokio::test]
async fn a_server_without_otlp_is_written_to_in_another_way() {
    let server = server("3.17.2").await;
    let store = RestStore::connect(&server.uri(), options()).unwrap();
    assert_eq!(store.protocol().await.unwrap(), Protocol::TracesV3);

    let body = r#"{"detail":"REST OTLP span logging is not supported by FileStore"}"#;
    let (store, _server) =
        store_answered(ResponseTemplate::new(501).set_body_raw(body, "application/json")).await;
    assert_eq!(store.protocol().await.unwrap(), Protocol::Otlp);
    let error = store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap_err();
    assert_retry(&error, "FileStore");
    assert_eq!(store.protocol().await.unwrap(), Protocol::TracesV3);
}

#[tokio::test]
async fn a_new_token_is_read_after_a_401() {
    let server = server("3.17.2").await;
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "old").unwrap();
    let modified = std::fs::metadata(&token_file).unwrap().modified().unwrap();
    // The server rotates the token, and the file's time does not tell.
    let rotating = token_file.clone();
    answer_exports(&server, move |request: &Request| {
        if request.headers.get("authorization").is_some_and(|value| value == "Bearer new") {
            return ResponseTemplate::new(if request.body.is_empty() { 422 } else { 200 });
        }
        std::fs::write(&rotating, "new").unwrap();
        std::fs::File::options().write(true).open(&rotating).unwrap().set_modified(modified).unwrap();
        ResponseTemplate::new(401)
    })
    .await;
    let mut options = options();
    options.auth.token_file = Some(token_file);
    let store = RestStore::connect(&server.uri(), options).unwrap();
    assert_eq!(store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap(), []);
}

#[tokio::test]
async fn secrets_are_sent_and_never_shown() {
    let server = server("3.17.2").await;
    Mock::given(method("POST"))
        .and(path("/v1/traces"))
        .and(header("authorization", "Bearer hush"))
        .and(header("x-api-key", "quiet"))
        .respond_with(ResponseTemplate::new(401))
        .expect(1)
        .mount(&server)
        .await;
    let mut options = options();
    options.auth.token = Some("hush".into());
    options.headers.insert("X-Api-Key".to_owned(), "quiet".into());
    let store = RestStore::connect(&server.uri(), options).unwrap();
    let error = store.send(&destination(), &request(&[(1, "a")]), &[]).await.unwrap_err();
    assert_fatal(&error, "401");
    let shown = format!("{store:?} {error:?} {error}");
    assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
}
