//! Load generator of `scripts/bench` and `scripts/bench-overload`: sends OTLP traces over N connections and prints what
//! was accepted, as JSON.
#![allow(clippy::print_stdout, reason = "its output is its result")]

mod payload;
mod sender;
mod tally;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::payload::Template;
use crate::sender::{Answer, Sender};
use crate::tally::Tally;

type AnyError = Box<dyn Error + Send + Sync>;

/// The wait before a refused body is sent again, if the receiver names none.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How requests travel.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Protocol {
    /// OTLP over HTTP/1.1.
    Http,
    /// OTLP over gRPC.
    Grpc,
}

/// How bodies are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompressionKind {
    None,
    Gzip,
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
    /// Attempt to send this many spans a second, whatever becomes of them: no refusal is waited for, a refused body is
    /// its connection's next attempt. Without it, each connection sends as fast as it is answered, and waits when told.
    #[arg(long)]
    rate: Option<f64>,
    /// How bodies are compressed; over HTTP.
    #[arg(long, value_enum, default_value = "none")]
    compression: CompressionKind,
    /// A header for every request: `name: value`.
    #[arg(long = "header")]
    headers: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let args = Args::parse();
    let gzip = args.compression == CompressionKind::Gzip;
    let mut template = Template::new(args.traces, args.spans, args.message_bytes, gzip)?;
    let body_bytes = template.len();
    let sent_bytes = template.fresh()?.len();
    let spans_per_body = template.spans();
    let mut senders = Vec::new();
    for _ in 0..args.connections {
        senders.push(Sender::connect(args.protocol, &args.endpoint, &args.headers, gzip).await?);
    }
    let left = Arc::new(AtomicU64::new(args.requests.unwrap_or(u64::MAX)));
    let started = Instant::now();
    let deadline = started + Duration::from_secs_f64(args.seconds);
    let mut workers = tokio::task::JoinSet::new();
    for (number, sender) in senders.into_iter().enumerate() {
        let template = template.clone();
        match args.rate {
            None => workers.spawn(send_until(sender, template, deadline, Arc::clone(&left))),
            Some(rate) => {
                let every = Duration::from_secs_f64(spans_per_body as f64 * args.connections as f64 / rate);
                let first = started + every.mul_f64(number as f64 / args.connections as f64);
                workers.spawn(attempt_until(sender, template, deadline, first, every))
            }
        };
    }
    let mut total = Tally::default();
    while let Some(worker) = workers.join_next().await {
        total.add(worker??);
    }
    let mut report = total.report(started.elapsed(), spans_per_body);
    if let Some(report) = report.as_object_mut() {
        report.insert("body_bytes".to_owned(), body_bytes.into());
        report.insert("sent_bytes".to_owned(), sent_bytes.into());
    }
    println!("{report}");
    Ok(())
}

/// Sends requests, each with fresh ids, one after the other, and each until it is accepted.
async fn send_until(
    mut sender: Sender,
    mut template: Template,
    deadline: Instant,
    left: Arc<AtomicU64>,
) -> Result<Tally, AnyError> {
    let mut tally = Tally::default();
    let take_one = |left: u64| left.checked_sub(1);
    while Instant::now() < deadline
        && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take_one).is_ok()
    {
        let body = template.fresh()?;
        let begun = Instant::now();
        loop {
            tally.attempts += 1;
            match sender.send(body.clone()).await? {
                Answer::Accepted { rejected } => {
                    tally.accept(template.spans(), rejected, begun.elapsed());
                    break;
                }
                Answer::Refused { status, after } => {
                    tally.refuse(status, after);
                    tokio::time::sleep(after.unwrap_or(RETRY_AFTER)).await;
                }
            }
        }
    }
    Ok(tally)
}

/// Attempts at fixed times, those that were missed while an answer was awaited at once. A body is made when the one
/// before it was accepted, so that most attempts cost the generator next to nothing.
async fn attempt_until(
    mut sender: Sender,
    mut template: Template,
    deadline: Instant,
    first: Instant,
    every: Duration,
) -> Result<Tally, AnyError> {
    let mut tally = Tally::default();
    let mut times = tokio::time::interval_at(first.into(), every);
    let mut body = template.fresh()?;
    let mut unknown = false;
    loop {
        let at = times.tick().await;
        if at.into_std() >= deadline || Instant::now() >= deadline {
            break;
        }
        let begun = Instant::now();
        tally.attempts += 1;
        match sender.send(body.clone()).await {
            Ok(Answer::Accepted { rejected }) => {
                tally.accept(template.spans(), rejected, begun.elapsed());
                body = template.fresh()?;
                unknown = false;
            }
            Ok(Answer::Refused { status, after }) => tally.refuse(status, after),
            Err(error) => {
                tally.failed += 1;
                tally.failure.get_or_insert_with(|| format!("{error:?}"));
                unknown = true;
            }
        }
    }
    if unknown {
        tally.unknown_spans = template.spans();
    }
    Ok(tally)
}
