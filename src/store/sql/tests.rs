//! What holds for every database, on each of them.
//!
//! PostgreSQL takes part where `OTEL_MLFLOW_TEST_POSTGRES` is the URL of a server on which
//! databases may be created.

mod databases;
mod unfinished;

use std::path::PathBuf;

use super::samples::{span, update};
use super::*;
use crate::mapping::SpanUsage;
use crate::mlflow::records::TraceState;

/// A fresh database, and a way to look into it.
pub(super) struct Fresh {
    uri: String,
    server: Option<tokio_postgres::Client>,
    _folder: tempfile::TempDir,
    file: PathBuf,
}

impl Fresh {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mlflow.db");
        Self { uri: format!("sqlite:///{}", file.display()), server: None, _folder: folder, file }
    }

    async fn postgres(url: &str) -> Self {
        let name = format!("otel_mlflow_{}", random_id());
        let admin = client(url).await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let (before, _) = url.rsplit_once('/').unwrap();
        let uri = format!("{before}/{name}");
        let server = Some(client(&uri).await);
        let folder = tempfile::tempdir().unwrap();
        Self { uri, server, file: folder.path().join("unused"), _folder: folder }
    }

    /// One of each database.
    pub(super) async fn all() -> Vec<Self> {
        let mut all = vec![Self::sqlite()];
        match std::env::var("OTEL_MLFLOW_TEST_POSTGRES") {
            Ok(url) => all.push(Self::postgres(&url).await),
            Err(_) => eprintln!("SKIPPED for PostgreSQL: OTEL_MLFLOW_TEST_POSTGRES is not set"),
        }
        all
    }

    pub(super) async fn open(&self) -> SqlStore {
        self.try_open(SqlOptions::default()).await.unwrap()
    }

    async fn try_open(&self, options: SqlOptions) -> Result<SqlStore, StoreError> {
        SqlStore::connect(&TrackingUri::parse(&self.uri).unwrap(), options).await
    }

    pub(super) async fn run(&self, sql: &str) {
        match &self.server {
            Some(client) => client.batch_execute(sql).await.unwrap(),
            None => rusqlite::Connection::open(&self.file).unwrap().execute_batch(sql).unwrap(),
        }
    }

    /// The rows of a query, columns joined by `|`.
    pub(super) async fn rows(&self, sql: &str) -> Vec<String> {
        let Some(client) = &self.server else { return sqlite_rows(&self.file, sql) };
        let messages = client.simple_query(sql).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|column| row.get(column).unwrap_or("NULL").to_owned());
                Some(values.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        });
        rows.collect()
    }
}

async fn client(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn sqlite_rows(file: &std::path::Path, sql: &str) -> Vec<String> {
    use rusqlite::types::ValueRef;
    let connection = rusqlite::Connection::open(file).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..columns).map(|column| match row.get_ref(column).unwrap() {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => value.to_string(),
            ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8(text.to_vec()).unwrap(),
        });
        Ok(values.collect::<Vec<_>>().join("|"))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn id(number: usize) -> String {
    format!("tr-{number:032x}")
}

#[tokio::test]
async fn an_empty_database_gets_the_tables_of_mlflow_and_its_default_experiment() {
    for fresh in Fresh::all().await {
        fresh.open().await.close().await;
        // Opening it again changes nothing.
        fresh.open().await;
        assert_eq!(fresh.rows("SELECT version_num FROM alembic_version").await, ["dc11669786a5"]);
        assert_eq!(
            fresh.rows("SELECT experiment_id, name, artifact_location, lifecycle_stage, workspace FROM experiments").await,
            ["0|Default|mlflow-artifacts:/0|active|default"]
        );
        assert_eq!(fresh.rows("SELECT name FROM workspaces").await, ["default"]);
    }
}

#[tokio::test]
async fn two_gateways_may_create_the_tables_at_once() {
    for fresh in Fresh::all().await {
        let (left, right) = tokio::join!(fresh.open(), fresh.open());
        drop((left, right));
        assert_eq!(fresh.rows("SELECT count(*) FROM experiments").await, ["1"]);
    }
}

#[tokio::test]
async fn a_new_trace_becomes_its_rows() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let mut one = update(&id(1), 2);
        one.run_ids = vec!["r1".to_owned()];
        assert_eq!(store.write(vec![one]).await.unwrap(), []);
        assert_eq!(
            fresh
                .rows(
                    "SELECT request_id, experiment_id, timestamp_ms, execution_time_ms, status, client_request_id, \
                     request_preview, response_preview, db_payload_generation, trace_name, session_id, input_tokens \
                     FROM trace_info"
                )
                .await,
            [format!("{}|0|1000|1000|OK|NULL|why?|because|1|ask|s1|NULL", id(1))]
        );
        assert_eq!(
            fresh
                .rows(
                    "SELECT span_id, parent_span_id, name, type, status, start_time_unix_nano, end_time_unix_nano, \
                     duration_ns, content, input_cost, output_cost, total_cost, model_name, model_provider \
                     FROM spans ORDER BY span_id"
                )
                .await,
            [
                "0000000000000001|NULL|chat|CHAT_MODEL|OK|1000000000|2000000000|1000000000|\
                 {\"span_id\": \"0000000000000001\", \"attributes\": {}}|0.5|NULL|0.5|gpt-5|NULL",
                "0000000000000002|0000000000000001|chat|CHAT_MODEL|OK|1000000000|2000000000|1000000000|\
                 {\"span_id\": \"0000000000000002\", \"attributes\": {}}|0.5|NULL|0.5|gpt-5|NULL",
            ]
        );
        assert_eq!(
            fresh.rows("SELECT key, value FROM trace_tags ORDER BY key").await,
            [
                format!("mlflow.artifactLocation|mlflow-artifacts:/0/traces/{}/artifacts", id(1)),
                "mlflow.trace.spansLocation|TRACKING_STORE".to_owned(),
                "service.name|shop".to_owned(),
            ]
        );
        assert_eq!(
            fresh.rows("SELECT key, value FROM trace_request_metadata").await,
            ["mlflow.trace.user|ada"]
        );
        assert_eq!(
            fresh
                .rows("SELECT source_type, source_id, destination_type, destination_id, length(association_id) FROM entity_associations")
                .await,
            [format!("trace|{}|run|r1|32", id(1))]
        );
    }
}

#[tokio::test]
async fn writing_the_same_again_changes_only_the_generation() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let mut one = update(&id(1), 3);
        one.run_ids = vec!["r1".to_owned()];
        let tables = [
            "SELECT * FROM spans ORDER BY span_id",
            "SELECT * FROM trace_tags ORDER BY key",
            "SELECT * FROM trace_request_metadata",
            "SELECT * FROM entity_associations",
        ];
        store.write(vec![one.clone()]).await.unwrap();
        let mut before = Vec::new();
        for table in tables {
            before.push(fresh.rows(table).await);
        }
        store.write(vec![one.clone(), one]).await.unwrap();
        for (table, before) in tables.iter().zip(before) {
            assert_eq!(fresh.rows(table).await, before);
        }
        assert_eq!(fresh.rows("SELECT db_payload_generation FROM trace_info").await, ["3"]);
    }
}

#[tokio::test]
async fn a_late_span_and_a_changed_one_reach_an_existing_trace() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let mut child = update(&id(1), 0);
        child.spans = vec![span(1)];
        child.usage = vec![SpanUsage::default()];
        (child.state, child.trace_name, child.user) = (None, None, None);
        store.write(vec![child]).await.unwrap();
        assert_eq!(fresh.rows("SELECT status, trace_name FROM trace_info").await, ["IN_PROGRESS|NULL"]);
        fresh
            .run(&format!(
                "INSERT INTO assessments (assessment_id, trace_id, name, assessment_type, value, created_timestamp, \
                 last_updated_timestamp, source_type, valid, trace_timestamp_ms) \
                 VALUES ('a-1', '{}', 'good', 'feedback', 'true', 1, 1, 'HUMAN', true, 1000)",
                id(1)
            ))
            .await;
        let mut whole = update(&id(1), 2);
        whole.min_start_ms = 500;
        whole.spans[1].content = "{}".to_owned();
        store.write(vec![whole]).await.unwrap();
        assert_eq!(
            fresh.rows("SELECT status, trace_name, timestamp_ms, execution_time_ms FROM trace_info").await,
            ["OK|ask|500|1500"]
        );
        assert_eq!(fresh.rows("SELECT content FROM spans WHERE parent_span_id IS NOT NULL").await, ["{}"]);
        assert_eq!(fresh.rows("SELECT trace_timestamp_ms FROM assessments").await, ["500"]);
    }
}

#[tokio::test]
async fn a_trace_of_an_unknown_experiment_is_refused_alone() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let mut lost = update(&id(2), 2);
        lost.experiment_id = 4_000_000_000;
        let refused = store.write(vec![update(&id(3), 1), lost, update(&id(1), 1)]).await.unwrap();
        let reason = format!("trace {}: experiment 4000000000 does not exist", id(2));
        assert_eq!(refused, [RefusedUpdate { index: 1, spans: 2, reason }]);
        assert_eq!(fresh.rows("SELECT count(*) FROM trace_info").await, ["2"]);
    }
}

#[tokio::test]
async fn a_row_that_the_database_refuses_costs_its_update_only() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        // The same refusal from both databases, as MySQL or an administrator's constraint would give it.
        match fresh.server {
            Some(_) => fresh.run("ALTER TABLE spans ADD CHECK (name <> 'bad')").await,
            None => {
                fresh
                    .run("CREATE TRIGGER t BEFORE INSERT ON spans WHEN NEW.name = 'bad' BEGIN SELECT RAISE(ABORT, 'bad name'); END")
                    .await;
            }
        }
        let mut updates: Vec<_> = (0..9).map(|number| update(&id(number), 2)).collect();
        updates.push(update(&id(4), 1));
        updates[4].spans[1].name = "bad".to_owned();
        let refused = store.write(updates).await.unwrap();
        let refused: Vec<_> = refused.iter().map(|refused| (refused.index, refused.spans)).collect();
        assert_eq!(refused, [(4, 2)]);
        assert_eq!(fresh.rows("SELECT count(*) FROM trace_info").await, ["9"]);
        assert_eq!(fresh.rows("SELECT count(*) FROM spans").await, ["17"]);
    }
}

#[tokio::test]
async fn text_with_nul_never_stops_the_others() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        let mut odd = update(&id(1), 1);
        odd.spans[0].name = "a\0b".to_owned();
        let refused = store.write(vec![odd, update(&id(2), 1)]).await.unwrap();
        assert_eq!(refused.len(), usize::from(fresh.server.is_some()), "{refused:?}");
        assert_eq!(
            fresh.rows(&format!("SELECT count(*) FROM spans WHERE trace_id = '{}'", id(2))).await,
            ["1"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_writing_one_trace_agree_on_it() {
    for fresh in Fresh::all().await {
        let (left, right) = (fresh.open().await, fresh.open().await);
        let writes = (0..20).map(|number| {
            let store = if number % 2 == 0 { &left } else { &right };
            let mut one = update(&id(7), 0);
            one.spans = vec![span(number)];
            one.usage = vec![SpanUsage::default()];
            one.min_start_ms = 1_000 - i64::try_from(number).unwrap();
            store.write(vec![one, update(&id(number), 1)])
        });
        for outcome in futures_util::future::join_all(writes).await {
            assert_eq!(outcome.unwrap(), []);
        }
        assert_eq!(
            fresh
                .rows(
                    "SELECT timestamp_ms, db_payload_generation FROM trace_info WHERE request_id LIKE '%0007'"
                )
                .await,
            ["981|21"]
        );
        assert_eq!(fresh.rows("SELECT count(*) FROM trace_info").await, ["20"]);
        assert_eq!(fresh.rows("SELECT count(*) FROM spans WHERE trace_id LIKE '%0007'").await, ["20"]);
    }
}

#[tokio::test]
async fn experiments_are_found_and_created_once() {
    for fresh in Fresh::all().await {
        let (left, right) = (fresh.open().await, fresh.open().await);
        assert_eq!(left.find("chat").await.unwrap(), None);
        let (one, other) = tokio::join!(left.create("chat"), right.create("chat"));
        let created = one.unwrap();
        assert_eq!(other.unwrap().id, created.id);
        let location = format!("mlflow-artifacts:/{}", created.id);
        assert_eq!(created.artifact_location, Some(location));
        assert_eq!(left.find("chat").await.unwrap(), Some(created.clone()));
        assert_eq!(left.get(created.id).await.unwrap(), Some(created));
        assert_eq!(left.get(i64::MAX).await.unwrap(), None);
        fresh.run("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name = 'chat'").await;
        assert!(left.find("chat").await.unwrap().unwrap().deleted);
    }
}

#[tokio::test]
async fn a_client_that_closed_the_trace_keeps_its_state() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&id(1), 1)]).await.unwrap();
        fresh
            .run(&format!(
                "INSERT INTO trace_request_metadata (key, value, request_id) \
                 VALUES ('mlflow.trace.infoFinalized', 'true', '{}')",
                id(1)
            ))
            .await;
        let mut late = update(&id(1), 1);
        (late.min_start_ms, late.state) = (5, Some(TraceState::Error));
        store.write(vec![late]).await.unwrap();
        assert_eq!(fresh.rows("SELECT timestamp_ms, status FROM trace_info").await, ["1000|OK"]);
    }
}

#[tokio::test]
async fn an_archived_trace_takes_no_spans() {
    for fresh in Fresh::all().await {
        let store = fresh.open().await;
        store.write(vec![update(&id(1), 1)]).await.unwrap();
        fresh.run("UPDATE trace_tags SET value = 'ARCHIVE' WHERE key = 'mlflow.trace.spansLocation'").await;
        let refused = store.write(vec![update(&id(1), 2), update(&id(2), 1)]).await.unwrap();
        assert_eq!(refused.len(), 1);
        assert!(refused[0].index == 0 && refused[0].reason.contains("archived"), "{refused:?}");
        assert_eq!(fresh.rows("SELECT count(*) FROM spans").await, ["2"]);
    }
}
