//! The server itself: what a client sees that has no layer.

use std::time::Duration;

use async_openai::Client;
use async_openai::config::{AzureConfig, OpenAIConfig};
use async_openai::error::OpenAIError;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::reply::Gate;
use super::{API_KEY, Fake, Reply, chat, errors, responses};
use crate::setup::http_client;

fn client(fake: &Fake) -> Client<OpenAIConfig> {
    Client::build(http_client(), OpenAIConfig::new().with_api_base(fake.base_url()).with_api_key(API_KEY))
}

fn request() -> Value {
    json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]})
}

fn streaming() -> Value {
    json!({"model": "gpt-4o-mini", "messages": [], "stream": true, "stream_options": {"include_usage": true}})
}

/// All that a stream gives, errors as texts.
async fn read(client: &Client<OpenAIConfig>, request: Value) -> Vec<Result<Value, String>> {
    let stream = client.chat().create_stream_byot::<_, Value>(request).await.unwrap();
    stream.map(|chunk| chunk.map_err(|error: OpenAIError| error.to_string())).collect().await
}

/// What the chunks of the first choice say together.
fn said(chunks: &[Result<Value, String>]) -> String {
    let chunks = chunks.iter().map(|chunk| chunk.as_ref().unwrap());
    chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

#[tokio::test]
async fn ordinary_requests_get_the_answers_of_the_api() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let answer: Value = client.chat().create_byot(request()).await.unwrap();
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello! How can I assist you today?");
    let received = fake.request();
    assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(received.header("authorization"), Some(format!("Bearer {API_KEY}").as_str()));
    assert_eq!(received.json(), request());
    // The types of the client know all of it.
    client.models().list().await.unwrap();
    client.files().list().await.unwrap();
    client.responses().retrieve(responses::ID).await.unwrap();
}

#[tokio::test]
async fn azure_is_at_its_own_paths() {
    let fake = Fake::start().await;
    let config = AzureConfig::new()
        .with_api_base(fake.resource_url())
        .with_deployment_id("my-gpt")
        .with_api_version("2024-10-21")
        .with_api_key(API_KEY);
    let answer: Value = Client::build(http_client(), config).chat().create_byot(request()).await.unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(fake.request().target, "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21");
}

#[tokio::test]
async fn streams_say_what_the_whole_answer_says_however_they_are_cut() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let text = "Grüße aus dem Café – 你好 🌍!";
    let completion = chat::completion(&streaming(), &[(chat::text(text), "stop")]);
    let reply = || Reply::stream(&chat::chunks(&completion, true));
    let plain = {
        fake.next(reply());
        read(&client, streaming()).await
    };
    assert_eq!(said(&plain), text);
    assert_eq!(plain.last().unwrap().as_ref().unwrap()["usage"]["prompt_tokens"], 19);
    for (name, cut) in [
        ("one byte at a time", reply().split_every(1)),
        ("in pieces of seven bytes", reply().split_every(7)),
        ("inside a character", reply().split_inside("🌍", 2)),
        ("inside the name of the field", reply().split_inside("data:", 3)),
        ("between the ends of lines", reply().with_crlf().split_inside("\r\n", 1)),
        ("with comments", reply().with_comments()),
        ("in one piece", reply().in_one_piece()),
    ] {
        fake.next(cut);
        assert_eq!(read(&client, streaming()).await, plain, "{name}");
    }
}

#[tokio::test]
async fn choices_and_tool_calls_come_interleaved() {
    let message = chat::tool_calls(&[("call_1", "weather", r#"{"in": "Paris"}"#), ("call_2", "time", "{}")]);
    let completion =
        chat::completion(&request(), &[(message, "tool_calls"), (chat::text("No tool."), "stop")]);
    let chunks = chat::chunks(&completion, false);
    let indexes: Vec<_> =
        chunks.iter().take(4).map(|chunk| chunk["choices"][0]["index"].as_u64().unwrap()).collect();
    assert_eq!(indexes, [0, 1, 0, 1]);
    let of_call = |index: u64| {
        let deltas = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0]);
        deltas.filter(|delta| delta["index"] == index).collect::<Vec<_>>()
    };
    let first = of_call(0);
    assert_eq!((&first[0]["id"], &first[0]["function"]["name"]), (&json!("call_1"), &json!("weather")));
    assert!(first[1..].iter().all(|delta| delta["id"].is_null()), "only the first delta has the id");
    let arguments: String =
        first.iter().map(|delta| delta["function"]["arguments"].as_str().unwrap()).collect();
    assert_eq!(arguments, r#"{"in": "Paris"}"#);
    assert_eq!(of_call(1)[0]["id"], "call_2");
}

#[tokio::test]
async fn responses_stream_events_that_the_client_knows() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let request =
        json!({"model": "o4-mini", "input": "Hi", "reasoning": {"effort": "low", "summary": "auto"}});
    let whole = responses::response(
        &request,
        &[
            responses::reasoning("Think first."),
            responses::message("Hello there."),
            responses::refusal("I cannot."),
            responses::function_call("call_1", "weather", r#"{"in": "Paris"}"#),
        ],
    );
    for end in [whole.clone(), responses::incomplete(whole.clone()), responses::failed(whole.clone())] {
        fake.next(Reply::typed_stream(&responses::events(&end)));
        let typed = serde_json::from_value(json!({"model": "o4-mini", "input": "Hi"})).unwrap();
        let stream = client.responses().create_stream(typed).await.unwrap();
        let events: Vec<_> = stream.collect().await;
        assert_eq!(events.len(), responses::events(&end).len());
        assert!(events.iter().all(Result::is_ok), "{events:?}");
    }
}

#[tokio::test]
async fn errors_are_those_of_the_api() {
    let fake = Fake::start().await;
    let client = client(&fake);
    for (reply, expected) in [
        (errors::bad_request(), "400 Bad Request invalid_request_error: Invalid value"),
        (errors::unauthorized(), "401 Unauthorized invalid_request_error: Incorrect API key"),
        (errors::no_such_model("x"), "404 Not Found invalid_request_error: The model `x`"),
        (errors::out_of_quota(), "429 Too Many Requests insufficient_quota: You exceeded"),
        (errors::html_page(), "failed to deserialize api response"),
        (errors::malformed_json(), "failed to deserialize api response"),
        (errors::prompt_filtered(), "400 Bad Request The response was filtered"),
    ] {
        fake.next(reply);
        let error = client.chat().create_byot::<_, Value>(request()).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let wrong = OpenAIConfig::new().with_api_base(fake.base_url()).with_api_key("sk-wrong");
    let error =
        Client::build(http_client(), wrong).chat().create_byot::<_, Value>(request()).await.unwrap_err();
    assert!(error.to_string().starts_with("401"), "{error}");
}

#[tokio::test]
async fn the_client_tries_again_where_the_server_says_so() {
    let fake = Fake::start().await;
    for reply in [errors::rate_limited(0), errors::overloaded().header("retry-after", "0")] {
        fake.next(reply);
    }
    client(&fake).chat().create_byot::<_, Value>(request()).await.unwrap();
    assert_eq!(fake.requests().len(), 3);
}

#[tokio::test]
async fn connections_break_where_the_script_says_so() {
    let fake = Fake::start().await;
    let client = client(&fake);
    let chunks = chat::chunks(&chat::completion(&streaming(), &[(chat::text("a b c"), "stop")]), false);
    fake.next(Reply::stream(&chunks).disconnect_after(2));
    let read = read(&client, streaming()).await;
    assert_eq!(read.len(), 3);
    assert!(read[2].as_ref().unwrap_err().starts_with("stream failed"), "{read:?}");

    let impatient = reqwest::Client::builder().timeout(Duration::from_millis(100)).build().unwrap();
    for reply in [Reply::silence(), Reply::json(&json!({})).stall_after(0)] {
        // For the first attempt and for those that the client makes after it.
        (0..6).for_each(|_| fake.next(reply.clone()));
        let patience = client
            .clone()
            .with_http_service(async_openai::middleware::ReqwestService::new(impatient.clone()));
        let error = patience.chat().create_byot::<_, Value>(request()).await.unwrap_err();
        let OpenAIError::Reqwest(error) = error else { panic!("{error}") };
        assert!(error.is_timeout(), "{error:?}");
        while fake.take_requests().is_empty() {}
    }
}

#[tokio::test]
async fn a_gate_holds_the_pieces_back() {
    let fake = Fake::start().await;
    let gate = Gate::closed();
    let chunks = chat::chunks(&chat::completion(&streaming(), &[(chat::text("a b"), "stop")]), false);
    fake.next(Reply::stream(&chunks).gated(&gate));
    let mut stream = client(&fake).chat().create_stream_byot::<_, Value>(streaming()).await.unwrap();
    let mut next = Box::pin(stream.next());
    let early = tokio::time::timeout(Duration::from_millis(50), &mut next).await;
    assert!(early.is_err(), "{early:?}");
    gate.open(1);
    let first = next.await.unwrap().unwrap();
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    gate.open(100);
    assert_eq!(stream.count().await, 3);
}
