//! Traces whose root never comes, or comes late.

use super::*;

/// What a gateway with repairs says about a trace; number 0 is the root.
fn marking(trace: usize, spans: std::ops::Range<usize>) -> TraceUpdate {
    let has_root = spans.contains(&0);
    let mut one = update(&id(trace), 0);
    one.usage = spans.clone().map(|_| SpanUsage::default()).collect();
    one.spans = spans.map(span).collect();
    one.repairs.mark_end = true;
    if !has_root {
        one.state = None;
        one.trace_name = None;
        one.request_preview = None;
        one.max_end_ms = 1_500;
    }
    one
}

const MARKS: &str = "SELECT key FROM trace_tags WHERE key LIKE 'otel_mlflow.%' ORDER BY key";
const HEAD: &str = "SELECT status, trace_name, execution_time_ms FROM trace_info";

#[tokio::test]
async fn a_trace_without_a_root_is_closed_and_a_late_root_repairs_it() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![marking(1, 1..3)]).await.unwrap();
        assert_eq!(fresh.rows(MARKS).await, ["otel_mlflow.end_awaited"]);
        // Written just now, so nothing that ended a minute ago.
        let swept = store.close_unfinished_traces(now_ms() - 60_000).await.unwrap();
        assert_eq!((swept.closed, swept.more), (0, false));
        assert_eq!(fresh.rows(HEAD).await, ["IN_PROGRESS|NULL|500"]);

        assert_eq!(store.close_unfinished_traces(now_ms() + 1_000).await.unwrap().closed, 1);
        assert_eq!(fresh.rows(HEAD).await, ["STATE_UNSPECIFIED|NULL|500"]);
        assert_eq!(fresh.rows(MARKS).await, ["otel_mlflow.end_not_received"]);
        assert_eq!(store.close_unfinished_traces(now_ms() + 1_000).await.unwrap().closed, 0, "once");

        // A late span that is no root leaves it closed.
        store.write(vec![marking(1, 3..4)]).await.unwrap();
        assert_eq!(fresh.rows(MARKS).await, ["otel_mlflow.end_not_received"]);
        store.write(vec![marking(1, 0..1)]).await.unwrap();
        assert_eq!(fresh.rows(HEAD).await, ["OK|ask|1000"]);
        assert_eq!(fresh.rows(MARKS).await, [""; 0]);
        assert_eq!(fresh.rows("SELECT count(*) FROM spans").await, ["4"]);
    }
}

#[tokio::test]
async fn a_root_that_comes_in_time_leaves_no_mark() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![marking(1, 1..3)]).await.unwrap();
        store.write(vec![marking(1, 0..1), marking(2, 0..2)]).await.unwrap();
        assert_eq!(fresh.rows(MARKS).await, [""; 0]);
        assert_eq!(store.close_unfinished_traces(now_ms() + 1_000).await.unwrap().closed, 0);
        assert_eq!(fresh.rows("SELECT DISTINCT status FROM trace_info").await, ["OK"]);
    }
}

#[tokio::test]
async fn what_is_not_ours_stays_in_progress_and_what_others_ended_stays_ended() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let mut unmarked = marking(1, 1..2);
        unmarked.repairs.mark_end = false;
        store.write(vec![unmarked, marking(2, 1..2)]).await.unwrap();
        fresh.run(&format!("UPDATE trace_info SET status = 'ERROR' WHERE request_id = '{}'", id(2))).await;
        assert_eq!(store.close_unfinished_traces(now_ms() + 1_000).await.unwrap().closed, 0);
        assert_eq!(
            fresh.rows("SELECT status FROM trace_info ORDER BY request_id").await,
            ["IN_PROGRESS", "ERROR"]
        );
        assert_eq!(fresh.rows(MARKS).await, [""; 0], "nobody waits for the end of a trace that has ended");
    }
}

/// Scenario: two gateways close the same traces while a third writes their roots.
/// Guarantees: every trace ends with the state of its root and without marks, and nobody fails.
#[tokio::test]
async fn gateways_that_close_and_write_at_once_do_not_fight() {
    const TRACES: usize = 250;
    for fresh in Fresh::all().await {
        let (left, right, writer) = (fresh.open().await, fresh.open().await, fresh.open().await);
        writer.write((0..TRACES).map(|trace| marking(trace, 1..2)).collect()).await.unwrap();
        let all = async |store: &SqlStore| {
            let mut closed = 0;
            loop {
                let swept = store.close_unfinished_traces(now_ms() + 60_000).await.unwrap();
                closed += swept.closed;
                if !swept.more {
                    return closed;
                }
            }
        };
        let roots = async {
            for trace in (0..TRACES).rev() {
                assert_eq!(writer.write(vec![marking(trace, 0..1)]).await.unwrap(), []);
            }
        };
        let (closed_left, closed_right, ()) = tokio::join!(all(&left), all(&right), roots);
        assert!(closed_left + closed_right <= TRACES, "{closed_left} + {closed_right}: one was closed twice");
        assert_eq!(
            fresh.rows("SELECT status, count(*) FROM trace_info GROUP BY status").await,
            [format!("OK|{TRACES}")]
        );
        assert_eq!(fresh.rows(MARKS).await, [""; 0]);
    }
}
