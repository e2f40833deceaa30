//! What the span of a failed call says.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use opentelemetry::trace::Status;
use opentelemetry_mlflow::instrument::openai::InstrumentClient as _;
use serde_json::{Value, json};

use crate::cases::question;
use crate::fake::{API_KEY, Reply, errors};
use crate::registry;
use crate::setup::{Setup, http_client};
use crate::telemetry::get;

/// The server's answers, what the span calls the error, and a part of its message.
fn failures() -> Vec<(Vec<Reply>, &'static str, &'static str)> {
    let now = |reply: Reply| vec![reply.header("retry-after", "0"); 4];
    vec![
        (vec![errors::bad_request()], "invalid_request_error", "Invalid value"),
        (vec![errors::prompt_filtered()], "content_filter", "was filtered"),
        (vec![errors::unauthorized()], "invalid_api_key", "Incorrect API key"),
        (vec![errors::no_such_model("gpt-9")], "model_not_found", "`gpt-9`"),
        (vec![errors::rate_limited(0); 4], "rate_limit_exceeded", "Rate limit reached"),
        (vec![errors::out_of_quota()], "insufficient_quota", "exceeded your current quota"),
        (now(errors::server_error()), "server_error", "had an error"),
        (now(errors::overloaded()), "server_error", "overloaded"),
        (now(errors::proxy_page()), "502", "502"),
        (vec![errors::html_page()], "invalid_response", "expected value"),
        (vec![errors::malformed_json()], "invalid_response", "EOF"),
        (vec![Reply::silence()], "timeout", ""),
        (vec![Reply::json(&json!({"a": "b"})).split_every(3).stall_after(1)], "timeout", ""),
    ]
}

#[tokio::test]
async fn errors_have_a_type_a_message_and_events() {
    for (replies, kind, words) in failures() {
        let setup = Setup::new().await;
        let attempts = replies.len();
        replies.into_iter().for_each(|reply| setup.fake.next(reply));
        setup.client().chat().create_byot::<_, Value>(question()).await.unwrap_err();
        let span = setup.telemetry.span().await;
        assert_eq!(span.get("error.type"), kind);
        let Status::Error { description } = &span.status else { panic!("{kind}: {:?}", span.status) };
        assert!(description.contains(words), "{kind}: {description}");
        let (name, attributes) = &span.events[0];
        assert_eq!((name.as_str(), span.events.len()), ("exception", 1), "{kind}");
        assert_eq!(get(attributes, "exception.message"), description.as_ref(), "{kind}");
        let exceptions: Vec<_> = setup
            .telemetry
            .events()
            .into_iter()
            .filter(|event| event.name == "gen_ai.client.operation.exception")
            .collect();
        assert_eq!(exceptions.len(), 1, "{kind}");
        assert_eq!(exceptions[0].span, Some(span.id), "{kind}");
        let durations = setup.telemetry.points_of("gen_ai.client.operation.duration");
        assert_eq!(durations[0].get("error.type"), kind);
        assert_eq!(setup.fake.requests().len(), attempts, "{kind}");
        registry::assert_valid(&setup.telemetry);
    }
}

#[tokio::test]
async fn retries_are_inside_the_one_span() {
    let setup = Setup::new().await;
    setup.fake.next(errors::rate_limited(0));
    setup.fake.next(errors::overloaded().header("retry-after", "0"));
    let span = setup.chat(question()).await;
    assert_eq!(setup.fake.requests().len(), 3);
    assert_eq!(span.get("http.request.resend_count"), 2);
    assert_eq!(span.status, Status::Unset);
    assert!(span.get("error.type").is_null());
    registry::assert_valid(&setup.telemetry);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_error() {
    let setup = Setup::new().await;
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = OpenAIConfig::new().with_api_base(format!("http://127.0.0.1:{port}/v1"));
    let client = Client::build(http_client(), config)
        .instrumented_with(&setup.telemetry.instrumentation().build(), http_client());
    client.chat().create_byot::<_, Value>(question()).await.unwrap_err();
    let span = setup.telemetry.span().await;
    assert_eq!(span.get("error.type"), "connection_error");
    assert_eq!(span.get("server.port"), port);
    assert_eq!(span.get("gen_ai.request.model"), "gpt-4o-mini");
    registry::assert_valid(&setup.telemetry);
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_its_span() {
    let setup = Setup::new().await;
    setup.fake.next(Reply::silence());
    let client = setup.client();
    let call = tokio::spawn(async move { client.chat().create_byot::<_, Value>(question()).await });
    while setup.fake.requests().is_empty() {
        tokio::task::yield_now().await;
    }
    call.abort();
    let span = setup.telemetry.span().await;
    assert_eq!(span.get("error.type"), "cancelled");
    registry::assert_valid(&setup.telemetry);
}

/// Some servers repeat the whole key in the error, some proxies in the answer.
#[tokio::test]
async fn a_key_that_the_server_repeats_is_not_recorded() {
    let repeated = json!({"error": {"message": format!("Bad key {API_KEY}!"), "code": "invalid_api_key"}});
    let answer = json!({"choices": [{"message": {"role": "assistant", "content": API_KEY}}]});
    for reply in [Reply::status(401, &repeated), Reply::json(&answer)] {
        let setup = Setup::new().await;
        setup.fake.next(reply);
        let _ = setup.client().chat().create_byot::<_, Value>(question()).await;
        let span = setup.telemetry.span().await;
        let everything = format!("{span:?} {:?}", setup.telemetry.events());
        assert!(!everything.contains(API_KEY), "{everything}");
    }
}

/// Scenario: a server that does not say why the model stopped, which is not a failure.
///
/// Guarantees: the message of a call that went well does not say `error`.
#[tokio::test]
async fn a_reason_that_is_missing_is_no_error() {
    let setup = Setup::new().await;
    setup.fake.next(Reply::json(&json!({"choices": [{"message": {"role": "assistant", "content": "Hi"}}]})));
    let span = setup.chat(question()).await;
    assert_ne!(span.content("gen_ai.output.messages")[0]["finish_reason"], "error");
}
