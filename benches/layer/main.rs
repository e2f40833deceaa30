//! What the layer costs a call: the same client over an in-process transport, with and without the
//! layer, in one run. Prints microseconds a call, and a streamed chunk. What is allocated is counted
//! by `tests/allocations.rs`.
//!
//! `cargo bench --bench layer --features full`, with `-- chunk` only those of that name.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark prints what it measured, and stops at what it did not expect"
)]

mod calls;

use std::time::{Duration, Instant};

use calls::{CHUNKS, Clients, chat, request, stream};
use opentelemetry_mlflow::genai::CaptureMode;

const CALLS: u32 = 2_000;
const STREAMS: u32 = 50;
const ROUNDS: usize = 15;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let clients = Clients::new();
    let calls =
        [("no content", 300, CaptureMode::NoContent), ("1 KB of content", 512, CaptureMode::SpanOnly)];
    for (signals, metrics) in [("spans", false), ("spans and metrics", true)] {
        for (content, size, mode) in calls {
            let traced = clients.traced(mode, metrics);
            let request = request(size);
            let without = || runtime.block_on(chat(&clients.plain, &request));
            let with = || runtime.block_on(chat(&traced, &request));
            report(&format!("chat call, {signals}, {content}"), CALLS, 1, without, with);
            let without = || runtime.block_on(stream(&clients.plain));
            let with = || runtime.block_on(stream(&traced));
            report(&format!("streamed chunk, {signals}, {content}"), STREAMS, CHUNKS, without, with);
        }
    }
}

/// Alternates the two, and compares the best of each: what disturbs a machine only ever adds.
fn report(name: &str, calls: u32, parts: usize, without: impl Fn(), with: impl Fn()) {
    if std::env::args().skip(1).any(|part| !part.starts_with("--") && !name.contains(&part)) {
        return;
    }
    let (mut fast_without, mut fast_with) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        fast_without = fast_without.min(timed(calls, &without));
        fast_with = fast_with.min(timed(calls, &with));
    }
    let micros = |total: Duration| total.as_secs_f64() * 1e6 / f64::from(calls) / parts as f64;
    println!(
        "{name}: {:.2} us more ({:.2} with, {:.2} without)",
        micros(fast_with) - micros(fast_without),
        micros(fast_with),
        micros(fast_without),
    );
}

fn timed(calls: u32, call: &impl Fn()) -> Duration {
    let start = Instant::now();
    (0..calls).for_each(|_| call());
    start.elapsed()
}
