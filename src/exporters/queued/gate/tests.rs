//! Tests of the gate.

use super::*;
use crate::pipeline::Delivered;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(3600);

fn gate(initial_interval: Duration) -> Arc<Gate> {
    growing(initial_interval, initial_interval)
}

fn growing(initial_interval: Duration, max_interval: Duration) -> Arc<Gate> {
    let retry = RetryOnFailure {
        initial_interval,
        max_interval,
        randomization_factor: 0.0,
        multiplier: 2.0,
        ..RetryOnFailure::default()
    };
    Arc::new(Gate::new("traces/x".to_owned(), retry))
}

fn ok() -> Delivery {
    Ok(Delivered::default())
}

fn down(after: Option<Duration>) -> Delivery {
    Err(ExportError::Retry { after, reason: "gone".to_owned() })
}

async fn attempt(gate: &Arc<Gate>) -> Attempt {
    gate.attempt(Duration::ZERO).await.unwrap()
}

async fn fail(gate: &Arc<Gate>) {
    attempt(gate).await.answered(&down(None));
}

async fn close(gate: &Arc<Gate>) {
    for _ in 0..FAILURES {
        fail(gate).await;
    }
}

/// Lets the other tasks run until they all wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_failing_request_holds_back_no_other() {
    let gate = gate(LONG);
    for _ in 0..10 {
        fail(&gate).await;
        fail(&gate).await;
        let other = attempt(&gate).await;
        assert!(!other.is_probe());
        other.answered(&ok());
    }
    assert_eq!(gate.trouble(), None);
}

#[tokio::test]
async fn a_dead_destination_is_tried_by_one_at_a_time() {
    let gate = gate(SHORT);
    close(&gate).await;
    assert!(gate.is_down());
    let probe = attempt(&gate).await;
    assert!(probe.is_probe());
    assert!(tokio::time::timeout(SHORT * 4, attempt(&gate)).await.is_err(), "two probes at a time");
    probe.answered(&ok());
    assert!(!attempt(&gate).await.is_probe());
}

#[tokio::test]
async fn a_dead_destination_is_left_alone_as_long_as_it_asks() {
    let gate = gate(SHORT);
    close(&gate).await;
    attempt(&gate).await.answered(&down(Some(LONG)));
    assert!(tokio::time::timeout(SHORT * 4, attempt(&gate)).await.is_err(), "tried before its time");
}

/// Scenario: a write of twelve requests fails once, and so does a second one that was under way with it.
/// Guarantees: that is one failure of the destination, and the gate stays open.
#[tokio::test]
async fn a_failed_write_of_many_requests_is_one_failure() {
    let gate = growing(LONG, LONG * 1_000);
    let mut together = Vec::new();
    for _ in 0..24 {
        together.push(attempt(&gate).await);
    }
    for attempt in together {
        attempt.answered(&down(None));
    }
    assert!(!gate.is_down());
    assert!(gate.trouble().is_some());
    fail(&gate).await;
    let (first, second) = (attempt(&gate).await, attempt(&gate).await);
    first.answered(&down(None));
    second.answered(&down(None));
    assert!(gate.is_down());
    assert!(gate.state().not_before <= Instant::now() + LONG, "more than the first step of the backoff");
}

#[tokio::test]
async fn a_wait_beyond_all_time_is_no_panic() {
    let gate = gate(SHORT);
    close(&gate).await;
    attempt(&gate).await.answered(&down(Some(Duration::MAX)));
    assert!(tokio::time::timeout(SHORT * 4, attempt(&gate)).await.is_err(), "tried before its time");
}

#[tokio::test]
async fn those_who_rest_are_woken_when_the_destination_works_again() {
    let gate = gate(SHORT);
    close(&gate).await;
    let probe = attempt(&gate).await;
    // Ends only because of the success: an hour is longer than any test.
    tokio::join!(gate.rest(LONG), async { probe.answered(&ok()) });
    assert!(!gate.is_down());
}

/// Scenario: the destination asked for an hour; a request that it was given before that is taken after all.
/// Guarantees: neither the one whose turn it is nor those behind it wait for the hour.
#[tokio::test]
async fn a_probe_hears_that_the_destination_is_back() {
    let gate = gate(SHORT);
    let old = attempt(&gate).await;
    close(&gate).await;
    attempt(&gate).await.answered(&down(Some(LONG)));
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let gate = Arc::clone(&gate);
            tokio::spawn(async move { attempt(&gate).await.is_probe() })
        })
        .collect();
    settle().await;
    old.answered(&ok());
    for one in waiting {
        assert!(!one.await.unwrap());
    }
}

#[tokio::test]
async fn those_behind_a_probe_without_an_answer_hear_it_too() {
    let gate = gate(SHORT);
    let old = attempt(&gate).await;
    close(&gate).await;
    let _hangs = attempt(&gate).await;
    let behind = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { attempt(&gate).await.is_probe() }
    });
    settle().await;
    old.answered(&ok());
    assert!(!behind.await.unwrap());
}

#[tokio::test]
async fn a_closed_gate_lets_nobody_through_and_all_go() {
    let gate = gate(LONG);
    close(&gate).await;
    let waiting = tokio::spawn({
        let gate = Arc::clone(&gate);
        async move { gate.attempt(Duration::ZERO).await.is_none() }
    });
    settle().await;
    gate.close();
    assert!(waiting.await.unwrap());
    assert!(gate.attempt(Duration::ZERO).await.is_none());
}

#[tokio::test]
async fn trouble_lasts_since_the_first_failure_until_nothing_is_left() {
    let gate = gate(SHORT);
    fail(&gate).await;
    let first = gate.trouble().unwrap();
    attempt(&gate).await.answered(&Err(ExportError::fatal("second")));
    let expected = Trouble { since: first.since, reason: "second".to_owned(), fatal: true };
    assert_eq!(gate.trouble(), Some(expected));
    gate.forget_passing_trouble();
    assert!(gate.trouble().is_some(), "somebody has to change something");
    fail(&gate).await;
    gate.forget_passing_trouble();
    assert_eq!(gate.trouble(), None);
}

/// Guarantees: silence begins with the oldest question, or the last answer to another; time for which an exporter
/// holds requests back is none.
#[tokio::test]
async fn a_destination_is_silent_that_is_asked_and_answers_nobody() {
    let gate = gate(SHORT);
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    assert_eq!(gate.silence(start), None);
    let hangs = attempt(&gate).await;
    let other = attempt(&gate).await;
    let asked = Instant::now();
    assert!(gate.silence(asked + second * 5).unwrap() >= second * 5);
    other.answered(&ok());
    let answered = gate.state().answered;
    assert_eq!(gate.silence(answered + second), Some(second));
    drop(hangs);
    assert_eq!(gate.silence(answered + second), None);
    let _held_back = gate.attempt(LONG).await;
    assert_eq!(gate.silence(Instant::now()), Some(Duration::ZERO));
    assert!(gate.silence(Instant::now() + LONG + second).unwrap() >= second);
}
