//! What `log_metric` costs its caller in a hot loop, whatever the server does.
//!
//! The server here takes connections and answers nothing, so that the queue fills while the loop runs,
//! as with a server that stands still. `benches/track.py` measures the way to a real MLflow.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use opentelemetry_mlflow::tracking::{ActiveRun, Client, RunLimits, Spool, StartRun};

const CALLS: u32 = 100_000;
const ROUNDS: u32 = 9;

fn main() {
    // Connections are taken by the system, and nobody reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("http://{}", silent.local_addr().unwrap());
    let folder = std::env::temp_dir().join(format!("otel-mlflow-track-{}", std::process::id()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut nanoseconds = Vec::new();
    for round in 0..ROUNDS {
        let run = runtime.block_on(start(&uri, &folder));
        let each = measure(&run);
        drop(run);
        // The first round warms the allocator up.
        if round > 0 {
            nanoseconds.push(each);
        }
    }
    nanoseconds.sort_by(f64::total_cmp);
    let median = nanoseconds.get(nanoseconds.len() / 2).copied().unwrap_or(f64::NAN);
    println!("log_metric: {median:.0} ns a call (median of {} rounds of {CALLS} calls)", nanoseconds.len());
    let _ = std::fs::remove_dir_all(folder);
}

async fn start(uri: &str, folder: &std::path::Path) -> ActiveRun {
    let client = Client::connect(uri).await.unwrap();
    let mut limits = RunLimits::default();
    limits.start = Duration::from_millis(50);
    limits.end = Duration::from_millis(50);
    client.start_run(StartRun::named("bench").limits(limits).spool(Spool::new(folder))).await.unwrap()
}

/// Nanoseconds a call.
fn measure(run: &ActiveRun) -> f64 {
    let begun = Instant::now();
    for step in 0..CALLS {
        run.log_metric(black_box("loss"), f64::from(step), i64::from(step));
    }
    begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
}
