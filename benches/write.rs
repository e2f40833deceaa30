//! Spans per second of `SqlStore::write`, beside a raw prepared bulk insert of the same rows.
//!
//! Raw means: the rows lie ready, the statements are prepared, nothing is looked up or merged. Both
//! use the same settings of the connection. PostgreSQL takes part where
//! `OTEL_MLFLOW_TEST_POSTGRES` is the URL of a server on which databases may be created.
//!
//! `cargo bench --features full --bench write [-- SPANS]`
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark fails loudly, and prints"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use opentelemetry_mlflow::mapping::{SpanUsage, TraceRepairs, TraceUpdate};
use opentelemetry_mlflow::mlflow::records::{Cost, SpanRecord, SpanStatus, TraceState};
use opentelemetry_mlflow::mlflow::tracking_uri::TrackingUri;
use opentelemetry_mlflow::store::sql::{SqlOptions, SqlStore};
use tokio_postgres::Client;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

const SPANS_PER_TRACE: usize = 4;
const CONTENT_BYTES: usize = 3_300;
const ROUNDS: usize = 3;

#[tokio::main]
async fn main() {
    let total = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(64_000);
    let server = std::env::var("OTEL_MLFLOW_TEST_POSTGRES").ok();
    if server.is_none() {
        eprintln!("SKIPPED for PostgreSQL: OTEL_MLFLOW_TEST_POSTGRES is not set");
    }
    for per_transaction in [4_000, 16_000] {
        let mut sqlite = Figures::default();
        let mut postgres = Figures::default();
        for _ in 0..ROUNDS {
            sqlite.raw.push(raw_sqlite(total, per_transaction));
            sqlite.store.push(store_sqlite(total, per_transaction).await);
            if let Some(server) = &server {
                postgres.raw.push(raw_postgres(server, total, per_transaction).await);
                postgres.store.push(store_postgres(server, total, per_transaction).await);
            }
        }
        sqlite.print("SQLite", total, per_transaction);
        if server.is_some() {
            postgres.print("PostgreSQL", total, per_transaction);
        }
    }
}

#[derive(Default)]
struct Figures {
    raw: Vec<Duration>,
    store: Vec<Duration>,
}

impl Figures {
    fn print(&self, database: &str, total: usize, per_transaction: usize) {
        let rate = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort();
            total as f64 / times[times.len() / 2].as_secs_f64()
        };
        let (raw, store) = (rate(&self.raw), rate(&self.store));
        println!(
            "{database}, {per_transaction} spans per transaction: raw {raw:.0} spans/s, store {store:.0} spans/s, \
             ratio {:.2}",
            store / raw
        );
    }
}

/// Spread as random ids are, and the same in each run.
fn hash(number: u64) -> u64 {
    let mut value = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn content(seed: u64) -> String {
    let mut text = String::from(r#"{"attributes": {"mlflow.spanInputs": ""#);
    let mut number = seed;
    while text.len() < CONTENT_BYTES {
        number = hash(number);
        text.push_str(WORDS[number as usize % WORDS.len()]);
        if number.is_multiple_of(11) {
            text.push_str(&format!(" {:x}", number >> 40));
        }
    }
    text.push_str("\"}}");
    text
}

const WORDS: [&str; 16] = [
    " the",
    " model",
    " answers",
    " a question",
    " about",
    " traces",
    " and",
    " tokens",
    " \\\"role\\\": \\\"user\\\"",
    " content",
    " of",
    " weather",
    " in",
    " Berlin",
    " with",
    " tools",
];

fn updates(first: usize, spans: usize) -> Vec<TraceUpdate> {
    (first..first + spans).step_by(SPANS_PER_TRACE).map(|number| update(number as u64)).collect()
}

fn update(number: u64) -> TraceUpdate {
    let root = format!("{:016x}", hash(number ^ 0xff00_0000));
    let start = 1_700_000_000_000 + i64::try_from(number).unwrap() * 3;
    let spans: Vec<_> =
        (0..SPANS_PER_TRACE as u64).map(|child| span(number + child, child, &root, start)).collect();
    TraceUpdate {
        trace_id: format!("tr-{:016x}{:016x}", hash(number), hash(number + 1)),
        experiment_id: 0,
        min_start_ms: start,
        max_end_ms: start + 900,
        state: Some(TraceState::Ok),
        trace_name: Some("agent".to_owned()),
        session_id: None,
        user: None,
        request_preview: Some("what is the weather in Berlin?".to_owned()),
        response_preview: Some("sunny".to_owned()),
        preview_failed: false,
        tags: [
            ("mlflow.trace.spansLocation", "TRACKING_STORE"),
            ("service.name", "shop"),
            ("host.name", "node-1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec(),
        usage: vec![SpanUsage::default(); spans.len()],
        spans,
        run_ids: Vec::new(),
        repairs: TraceRepairs::default(),
    }
}

fn span(number: u64, child: u64, root: &str, start_ms: i64) -> SpanRecord {
    let start = start_ms * 1_000_000 + i64::try_from(child).unwrap() * 1_000;
    SpanRecord {
        span_id: if child == 0 { root.to_owned() } else { format!("{:016x}", hash(number)) },
        parent_span_id: (child > 0).then(|| root.to_owned()),
        name: "chat gpt-5".to_owned(),
        span_type: Some("CHAT_MODEL".to_owned()),
        status: SpanStatus::Ok,
        start_time_unix_nano: start,
        end_time_unix_nano: start + i64::try_from(hash(number) % 900_000_000).unwrap(),
        content: content(number),
        cost: Cost { input: Some(0.001), output: Some(0.002), total: Some(0.003) },
        model_name: Some("gpt-5".to_owned()),
        model_provider: Some("openai".to_owned()),
    }
}

async fn connect(uri: &str) -> SqlStore {
    SqlStore::connect(&TrackingUri::parse(uri).unwrap(), SqlOptions::default()).await.unwrap()
}

async fn store(uri: &str, total: usize, per_transaction: usize) -> Duration {
    let store = connect(uri).await;
    let mut spent = Duration::ZERO;
    for first in (0..total).step_by(per_transaction) {
        let updates = updates(first, per_transaction.min(total - first));
        let begin = Instant::now();
        assert!(store.write(updates).await.unwrap().is_empty());
        spent += begin.elapsed();
    }
    let begin = Instant::now();
    store.close().await;
    spent + begin.elapsed()
}

async fn store_sqlite(total: usize, per_transaction: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    store(&format!("sqlite:///{}", folder.path().join("x.db").display()), total, per_transaction).await
}

fn raw_sqlite(total: usize, per_transaction: usize) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.db");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async { connect(&format!("sqlite:///{}", file.display())).await.close().await });
        });
    });
    raw_sqlite_into(&file, total, per_transaction)
}

fn raw_sqlite_into(file: &Path, total: usize, per_transaction: usize) -> Duration {
    let mut connection = rusqlite::Connection::open(file).unwrap();
    connection
        .execute_batch(
            "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000; \
             PRAGMA wal_autocheckpoint = 16384;",
        )
        .unwrap();
    let mut spent = Duration::ZERO;
    for first in (0..total).step_by(per_transaction) {
        let updates = updates(first, per_transaction.min(total - first));
        let begin = Instant::now();
        let transaction = connection.transaction().unwrap();
        raw_sqlite_rows(&transaction, &updates).unwrap();
        transaction.commit().unwrap();
        spent += begin.elapsed();
    }
    let begin = Instant::now();
    drop(connection);
    spent + begin.elapsed()
}

fn raw_sqlite_rows(connection: &rusqlite::Connection, updates: &[TraceUpdate]) -> rusqlite::Result<()> {
    let mut trace = connection.prepare_cached(
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, trace_name, \
         request_preview, response_preview, db_payload_generation) VALUES (?1, 0, ?2, 900, 'OK', ?3, ?4, ?5, 1)",
    )?;
    let mut span = connection.prepare_cached(
        "INSERT INTO spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, \
         start_time_unix_nano, end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, \
         model_provider) VALUES (?1, 0, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    let mut tag =
        connection.prepare_cached("INSERT INTO trace_tags (key, value, request_id) VALUES (?1, ?2, ?3)")?;
    for update in updates {
        let preview = (&update.request_preview, &update.response_preview);
        trace.execute((&update.trace_id, update.min_start_ms, &update.trace_name, preview.0, preview.1))?;
        for row in &update.spans {
            span.execute(rusqlite::params![
                update.trace_id,
                row.span_id,
                row.parent_span_id,
                row.name,
                row.span_type,
                row.status.as_str(),
                row.start_time_unix_nano,
                row.end_time_unix_nano,
                row.content,
                row.cost.input,
                row.cost.output,
                row.cost.total,
                row.model_name,
                row.model_provider,
            ])?;
        }
        for (key, value) in &update.tags {
            tag.execute((key, value, &update.trace_id))?;
        }
        let location = format!("mlflow-artifacts:/0/traces/{}/artifacts", update.trace_id);
        tag.execute(("mlflow.artifactLocation", location, &update.trace_id))?;
    }
    Ok(())
}

/// A fresh database on the server, with the tables in it.
async fn fresh(server: &str, name: &str) -> (Client, String) {
    let (admin, connection) = tokio_postgres::connect(server, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    let uri = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    connect(&uri).await.close().await;
    // Each run starts with the same work behind it.
    admin.batch_execute("CHECKPOINT").await.unwrap();
    (admin, uri)
}

async fn store_postgres(server: &str, total: usize, per_transaction: usize) -> Duration {
    let (admin, uri) = fresh(server, "otel_mlflow_bench").await;
    let spent = store(&uri, total, per_transaction).await;
    admin.batch_execute("DROP DATABASE otel_mlflow_bench WITH (FORCE)").await.unwrap();
    spent
}

async fn raw_postgres(server: &str, total: usize, per_transaction: usize) -> Duration {
    let (admin, uri) = fresh(server, "otel_mlflow_bench").await;
    let (mut client, connection) = tokio_postgres::connect(&uri, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("SET default_toast_compression = 'lz4'").await.unwrap();
    let mut spent = Duration::ZERO;
    for first in (0..total).step_by(per_transaction) {
        let updates = updates(first, per_transaction.min(total - first));
        let begin = Instant::now();
        raw_postgres_rows(&mut client, &updates).await.unwrap();
        spent += begin.elapsed();
    }
    drop(client);
    admin.batch_execute("DROP DATABASE otel_mlflow_bench WITH (FORCE)").await.unwrap();
    spent
}

async fn raw_postgres_rows(
    client: &mut Client,
    updates: &[TraceUpdate],
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let into = "COPY trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status, trace_name, \
                request_preview, response_preview, db_payload_generation) FROM STDIN (FORMAT binary)";
    let types = [
        Type::VARCHAR,
        Type::INT4,
        Type::INT8,
        Type::INT8,
        Type::VARCHAR,
        Type::VARCHAR,
        Type::VARCHAR,
        Type::VARCHAR,
        Type::INT4,
    ];
    let mut rows = Box::pin(BinaryCopyInWriter::new(transaction.copy_in::<_, Bytes>(into).await?, &types));
    for update in updates {
        let (preview, answer) = (&update.request_preview, &update.response_preview);
        rows.as_mut()
            .write(&[
                &update.trace_id,
                &0,
                &update.min_start_ms,
                &900_i64,
                &"OK",
                &update.trace_name,
                preview,
                answer,
                &1,
            ])
            .await?;
    }
    rows.as_mut().finish().await?;
    raw_postgres_spans(&transaction, updates).await?;
    let into = "COPY trace_tags (key, value, request_id) FROM STDIN (FORMAT binary)";
    let types = [Type::VARCHAR, Type::VARCHAR, Type::VARCHAR];
    let mut rows = Box::pin(BinaryCopyInWriter::new(transaction.copy_in::<_, Bytes>(into).await?, &types));
    for update in updates {
        for (key, value) in &update.tags {
            rows.as_mut().write(&[key, value, &update.trace_id]).await?;
        }
        let location = format!("mlflow-artifacts:/0/traces/{}/artifacts", update.trace_id);
        rows.as_mut().write(&[&"mlflow.artifactLocation", &location, &update.trace_id]).await?;
    }
    rows.as_mut().finish().await?;
    transaction.commit().await
}

async fn raw_postgres_spans(
    transaction: &tokio_postgres::Transaction<'_>,
    updates: &[TraceUpdate],
) -> Result<(), tokio_postgres::Error> {
    let into = "COPY spans (trace_id, experiment_id, span_id, parent_span_id, name, type, status, \
                start_time_unix_nano, end_time_unix_nano, content, input_cost, output_cost, total_cost, model_name, \
                model_provider) FROM STDIN (FORMAT binary)";
    let types = [
        Type::VARCHAR,
        Type::INT4,
        Type::VARCHAR,
        Type::VARCHAR,
        Type::TEXT,
        Type::VARCHAR,
        Type::VARCHAR,
        Type::INT8,
        Type::INT8,
        Type::TEXT,
        Type::FLOAT8,
        Type::FLOAT8,
        Type::FLOAT8,
        Type::VARCHAR,
        Type::VARCHAR,
    ];
    let mut rows = Box::pin(BinaryCopyInWriter::new(transaction.copy_in::<_, Bytes>(into).await?, &types));
    for update in updates {
        for row in &update.spans {
            rows.as_mut()
                .write(&[
                    &update.trace_id,
                    &0,
                    &row.span_id,
                    &row.parent_span_id,
                    &row.name,
                    &row.span_type,
                    &row.status.as_str(),
                    &row.start_time_unix_nano,
                    &row.end_time_unix_nano,
                    &row.content,
                    &row.cost.input,
                    &row.cost.output,
                    &row.cost.total,
                    &row.model_name,
                    &row.model_provider,
                ])
                .await?;
        }
    }
    rows.as_mut().finish().await.map(|_| ())
}
