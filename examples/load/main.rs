//! Load generator of `scripts/bench`: sends OTLP traces over N connections and prints what was accepted, as JSON.
#![allow(clippy::print_stdout, reason = "its output is its result")]

mod payload;
mod sender;

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::payload::Template;
use crate::sender::{Answer, Sender};

/// How requests travel.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// OTLP over HTTP/1.1.
    Http,
    /// OTLP over gRPC.
    Grpc,
}

/// Sends OTLP traces for a while, or a number of requests, and prints what was accepted.
#[derive(Clone, Debug, Parser)]
struct Args {
    /// Base URL of the receiver, such as http://127.0.0.1:4318.
    endpoint: String,
    /// How requests travel.
    #[arg(long, value_enum, default_value = "http")]
    protocol: Protocol,
    /// Requests in flight; each has its own connection.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Traces in one request.
    #[arg(long, default_value_t = 128)]
    traces: usize,
    /// Spans in one trace.
    #[arg(long, default_value_t = 4)]
    spans: usize,
    /// Length of each message, in bytes; a span has one in and one out.
    #[arg(long, default_value_t = 400)]
    message_bytes: usize,
    /// How long to send, in seconds.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Stop earlier, after this many requests in all.
    #[arg(long)]
    requests: Option<u64>,
    /// A header for every request: `name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
}

/// What one connection, or all of them, saw.
#[derive(Default)]
struct Tally {
    accepted_spans: u64,
    rejected_spans: u64,
    retries: u64,
    latencies: Vec<Duration>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let args = Args::parse();
    let template = Template::new(args.traces, args.spans, args.message_bytes)?;
    let body_bytes = template.len();
    let left = Arc::new(std::sync::atomic::AtomicU64::new(args.requests.unwrap_or(u64::MAX)));
    let started = Instant::now();
    let deadline = started + Duration::from_secs_f64(args.seconds);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..args.connections {
        let sender = Sender::connect(args.protocol, &args.endpoint, &args.headers).await?;
        workers.spawn(send_until(sender, template.clone(), deadline, Arc::clone(&left)));
    }
    let mut total = Tally::default();
    while let Some(worker) = workers.join_next().await {
        let tally = worker??;
        total.accepted_spans += tally.accepted_spans;
        total.rejected_spans += tally.rejected_spans;
        total.retries += tally.retries;
        total.latencies.extend(tally.latencies);
    }
    report(total, started.elapsed(), body_bytes);
    Ok(())
}

/// Sends requests, each with fresh ids, one after the other.
async fn send_until(
    mut sender: Sender,
    mut template: Template,
    deadline: Instant,
    left: Arc<std::sync::atomic::AtomicU64>,
) -> Result<Tally, Box<dyn Error + Send + Sync>> {
    use std::sync::atomic::Ordering::Relaxed;

    let mut tally = Tally::default();
    while Instant::now() < deadline && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    {
        let body = template.fresh();
        let begun = Instant::now();
        loop {
            match sender.send(body.clone()).await? {
                Answer::Accepted { rejected } => {
                    tally.rejected_spans += rejected;
                    tally.accepted_spans += template.spans().saturating_sub(rejected);
                    break;
                }
                Answer::Retry => {
                    tally.retries += 1;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        tally.latencies.push(begun.elapsed());
    }
    Ok(tally)
}

/// Prints the result as one line of JSON.
fn report(mut total: Tally, elapsed: Duration, body_bytes: usize) {
    total.latencies.sort_unstable();
    let at = |share: f64| -> f64 {
        let index = (total.latencies.len() as f64 * share) as usize;
        total
            .latencies
            .get(index.min(total.latencies.len().saturating_sub(1)))
            .map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    let result = serde_json::json!({
        "accepted_spans": total.accepted_spans,
        "rejected_spans": total.rejected_spans,
        "retries": total.retries,
        "requests": total.latencies.len(),
        "body_bytes": body_bytes,
        "seconds": elapsed.as_secs_f64(),
        "spans_per_second": total.accepted_spans as f64 / elapsed.as_secs_f64(),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
    });
    println!("{result}");
}
