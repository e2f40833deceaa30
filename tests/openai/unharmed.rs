//! Scenario: an application makes every call there is, with the layer and without.
//!
//! Guarantees: the server gets the same bytes, the caller sees the same results, errors and chunks,
//! and what is recorded is as the registry says, without the key.

use crate::cases;
use crate::fake::API_KEY;
use crate::registry;
use crate::setup::Setup;
use crate::telemetry::object;

#[tokio::test]
async fn calls_are_the_same_with_and_without_the_layer() {
    let mut different = Vec::new();
    for case in cases::all() {
        let setup = Setup::new().await;
        let mut outcomes = Vec::new();
        for client in [setup.plain(), setup.client()] {
            case.replies.iter().for_each(|reply| setup.fake.next(reply.clone()));
            let seen = (case.call)(client).await;
            let requests: Vec<_> =
                setup.fake.take_requests().into_iter().map(|request| request.with_known_boundary()).collect();
            outcomes.push((requests, seen));
        }
        let (plain, traced) = (&outcomes[0], &outcomes[1]);
        if plain.0 != traced.0 {
            different.push(format!("{}: other requests\n{:?}\n{:?}", case.name, plain.0, traced.0));
        }
        if plain.1 != traced.1 {
            let start = |text: &str| text.chars().take(400).collect::<String>();
            different.push(format!("{}: seen\n{}\n{}", case.name, start(&plain.1), start(&traced.1)));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[tokio::test]
async fn what_is_recorded_is_as_the_registry_says() {
    let mut wrong = Vec::new();
    for case in cases::all() {
        let setup = Setup::new().await;
        case.replies.iter().for_each(|reply| setup.fake.next(reply.clone()));
        (case.call)(setup.client()).await;
        if !case.traced {
            assert!(setup.telemetry.spans().is_empty(), "{} is traced", case.name);
            continue;
        }
        let span = setup.telemetry.span().await;
        wrong.extend(
            registry::violations(&setup.telemetry).into_iter().map(|words| format!("{}: {words}", case.name)),
        );
        let durations = setup.telemetry.points_of("gen_ai.client.operation.duration");
        assert_eq!(durations.iter().map(|point| point.count).sum::<u64>(), 1, "{}", case.name);
        let everything = format!("{span:?} {:?}", setup.telemetry.events());
        assert!(!everything.contains(API_KEY), "{} shows the key", case.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Calls at a time do not mix: each has its own span, with its own answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_at_a_time_do_not_mix() {
    let setup = Setup::new().await;
    let client = setup.client();
    let calls: Vec<_> = (0..32)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut request = cases::question();
                request["seed"] = number.into();
                if number % 2 == 0 {
                    crate::setup::seen_stream(
                        client
                            .chat()
                            .create_stream_byot::<_, serde_json::Value>(cases::streamed(request))
                            .await,
                    )
                    .await
                } else {
                    crate::setup::seen(client.chat().create_byot::<_, serde_json::Value>(request).await)
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let spans = setup.telemetry.finished(32).await;
    let mut seeds: Vec<_> =
        spans.iter().map(|span| span.get("gen_ai.request.seed").as_i64().unwrap()).collect();
    seeds.sort_unstable();
    assert_eq!(seeds, (0..32).collect::<Vec<_>>());
    for span in &spans {
        let streamed = span.get("gen_ai.request.seed").as_i64().unwrap() % 2 == 0;
        assert_eq!(span.get("gen_ai.request.stream").as_bool().unwrap_or(false), streamed);
        assert_eq!(
            span.content("gen_ai.output.messages")[0]["parts"][0]["content"],
            "Hello! How can I assist you today?",
            "{}",
            object(&span.attributes)
        );
    }
    registry::assert_valid(&setup.telemetry);
}
