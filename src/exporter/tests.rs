//! The exporter with a real database, and without anything that answers.

use std::path::Path;
use std::time::Duration;

use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};

use super::convert::tests::sample;
use super::*;

fn builder() -> MlflowExporterBuilder {
    MlflowExporterBuilder::from_config(MlflowConfig::default()).silent(true)
}

fn file(folder: &Path) -> String {
    format!("sqlite:///{}", folder.join("m.db").display())
}

fn export(exporter: &MlflowExporter, spans: Vec<SpanData>) -> OTelSdkResult {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(exporter.export(spans))
}

#[test]
fn spans_are_in_the_database_when_the_provider_is_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = builder().tracking_uri(file(folder.path())).experiment("e").build().unwrap();
    let monitor = exporter.monitor();
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    provider.tracer("t").in_span("one", |_| {});
    provider.force_flush().unwrap();
    assert_eq!(monitor.counts(), SpanCounts { written: 1, ..SpanCounts::default() });
    provider.tracer("t").in_span("two", |_| {});
    provider.shutdown().unwrap();
    assert_eq!(monitor.counts(), SpanCounts { written: 2, ..SpanCounts::default() });
    let database = rusqlite::Connection::open(folder.path().join("m.db")).unwrap();
    let query =
        "SELECT COUNT(*) FROM spans JOIN experiments USING (experiment_id) WHERE experiments.name = 'e'";
    let rows: i64 = database.query_row(query, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
}

#[test]
fn nothing_happens_without_spans() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = builder().tracking_uri(file(folder.path())).build().unwrap();
    exporter.force_flush().unwrap();
    exporter.shutdown().unwrap();
    assert!(!folder.path().join("m.db").exists());
    assert!(matches!(exporter.shutdown(), Err(OTelSdkError::AlreadyShutdown)));
    assert!(export(&exporter, vec![sample(1)]).is_err());
    assert_eq!(exporter.monitor().counts().lost, 1);
}

#[test]
fn a_span_that_cannot_be_stored_hurts_only_itself() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = builder().tracking_uri(file(folder.path())).build().unwrap();
    let mut spans = vec![sample(1), sample(2)];
    spans[1].start_time = std::time::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX) * 4);
    let outcome = export(&exporter, spans);
    let counts = exporter.monitor().counts();
    assert_eq!((counts.written, counts.refused, counts.lost), (1, 1, 0), "{outcome:?}");
}

#[test]
fn an_unreachable_server_keeps_nobody_waiting_and_the_loss_is_counted() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let exporter = builder().tracking_uri(format!("http://{closed}")).build().unwrap();
    assert!(export(&exporter, vec![sample(1)]).is_err());
    assert!(export(&exporter, vec![sample(2), sample(3)]).is_err());
    let monitor = exporter.monitor();
    assert_eq!(monitor.counts(), SpanCounts { waiting: 3, ..SpanCounts::default() });
    assert!(monitor.flush(Duration::from_millis(1)).is_err());
    // On a busy machine the worker may say what is lost after the shutdown has ended.
    let _ = exporter.shutdown_with_timeout(Duration::from_millis(300));
    monitor.flush(Duration::from_secs(60)).unwrap();
    assert_eq!(monitor.counts(), SpanCounts { lost: 3, ..SpanCounts::default() });
}

#[test]
fn what_cannot_be_written_at_all_is_lost_at_once() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.db"), "this is no database, however long one looks at it").unwrap();
    let exporter = builder().tracking_uri(file(folder.path())).build().unwrap();
    let message = export(&exporter, vec![sample(1)]).unwrap_err().to_string();
    assert!(message.contains("m.db") && message.contains("not an SQLite database"), "{message}");
    assert_eq!(exporter.monitor().counts().lost, 1);
}

#[test]
fn spans_wait_for_a_destination_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let exporter =
        builder().tracking_uri(file(folder.path())).answer_within(Duration::from_millis(1)).build().unwrap();
    // The tables are made on the way, so the first outcome may come late: what counts is the last.
    let _ = export(&exporter, vec![sample(1)]);
    exporter.monitor().flush(Duration::from_secs(60)).unwrap();
    let other = rusqlite::Connection::open(folder.path().join("m.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    assert!(export(&exporter, vec![sample(2)]).is_err());
    assert_eq!(exporter.monitor().counts(), SpanCounts { written: 1, waiting: 1, ..SpanCounts::default() });
    other.execute_batch("ROLLBACK").unwrap();
    exporter.monitor().flush(Duration::from_secs(60)).unwrap();
    assert_eq!(exporter.monitor().counts(), SpanCounts { written: 2, ..SpanCounts::default() });
}
