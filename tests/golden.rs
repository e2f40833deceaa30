//! Strict mapping against golden cases: requests, and the rows that MLflow 3.17.2 made of them.
//!
//! No database is involved: the rows are compared where the mapping hands them to a store.
//! `GOLDEN_CASES=FOLDER cargo test --test golden` runs other cases of the same form.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it compared"
)]
#![cfg(feature = "gateway")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use opentelemetry_mlflow::mapping::prices::PriceCatalogue;
use opentelemetry_mlflow::mapping::{Backend, MapContext, MapOptions, Mapped, Repairs, TraceUpdate, map};
use opentelemetry_mlflow::otlp::{Decoded, Encoding, decode};
use serde_json::Value;

#[path = "golden/store.rs"]
mod store;
use store::Store;

const TABLES: [&str; 5] =
    ["trace_info", "trace_tags", "trace_request_metadata", "spans", "entity_associations"];

/// How the updates of several requests reach the store.
#[derive(Clone, Copy, PartialEq)]
enum Writing {
    /// Request by request.
    OneByOne,
    /// All requests of a case in one write.
    Folded,
}

#[test]
fn rows_are_those_of_mlflow_on_sqlite() {
    run_cases(Backend::Sqlite, Writing::OneByOne);
}

#[test]
fn rows_are_those_of_mlflow_on_postgresql() {
    run_cases(Backend::Postgres, Writing::OneByOne);
}

#[test]
fn rows_of_folded_requests_are_those_of_single_ones() {
    run_cases(Backend::Sqlite, Writing::Folded);
}

/// The good spans of a request that MLflow refuses are kept, and each bad one is reported.
#[test]
fn refused_requests_lose_no_span_unreported() {
    let mut seen = 0;
    for case in cases() {
        for request in case.requests.iter().filter(|request| request.status != 200) {
            let Some(decoded) = request.decode(&case.folder) else { continue };
            let sent = decoded.accepted_spans();
            let mapped = map(&decoded.request, &case.context(request), &options(Backend::Sqlite));
            let kept: usize = mapped.updates.iter().map(|update| update.spans.len()).sum();
            let refused: usize = mapped.refusals.iter().map(|refusal| refusal.spans).sum();
            assert_eq!(kept + refused, sent, "{} {}: {:?}", case.name, request.file, mapped.refusals);
            for refusal in mapped.refusals.iter().chain(&decoded.refusals) {
                println!("{} {}: {}", case.name, request.file, refusal.reason);
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} refused requests were found");
}

fn run_cases(backend: Backend, writing: Writing) {
    let (mut compared, mut skipped, mut failed) = (0, 0, Vec::new());
    for case in cases() {
        if case.needs_start_trace {
            skipped += 1;
            println!("SKIP {}: needs start_trace", case.name);
            continue;
        }
        let differences = case.run(backend, writing);
        println!("{} {}", if differences.is_empty() { "PASS" } else { "FAIL" }, case.name);
        failed
            .extend(differences.into_iter().take(5).map(|difference| format!("{}: {difference}", case.name)));
        compared += 1;
    }
    println!("{compared} cases compared, {skipped} skipped");
    assert!(compared >= 70, "only {compared} cases were found");
    assert!(failed.is_empty(), "{} differences:\n{}", failed.len(), failed.join("\n"));
}

struct Case {
    name: String,
    folder: PathBuf,
    needs_start_trace: bool,
    requests: Vec<Request>,
    expected: Value,
    expected_postgres: Option<Value>,
}

struct Request {
    file: String,
    headers: BTreeMap<String, String>,
    /// MLflow's answer on SQLite.
    status: u64,
    /// MLflow's answer on PostgreSQL.
    status_postgres: u64,
}

fn cases() -> Vec<Case> {
    let bundled = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let root = std::env::var_os("GOLDEN_CASES").map_or_else(bundled, PathBuf::from);
    let folders = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.into_iter().map(Case::read).collect()
}

fn read_json(path: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

impl Case {
    fn read(folder: PathBuf) -> Self {
        let case = read_json(&folder.join("case.json")).unwrap();
        let expected = read_json(&folder.join("expected.json")).unwrap();
        let expected_postgres = read_json(&folder.join("expected.postgresql.json"));
        let requests = case["requests"].as_array().unwrap().iter().enumerate().map(|(index, request)| {
            let headers = request["headers"].as_object().unwrap();
            let status = |expected: &Value| expected["responses"][index]["status"].as_u64().unwrap();
            Request {
                file: request["file"].as_str().unwrap().to_owned(),
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned()))
                    .collect(),
                status: status(&expected),
                status_postgres: status(expected_postgres.as_ref().unwrap_or(&expected)),
            }
        });
        Self {
            name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            requests: requests.collect(),
            needs_start_trace: case["needs"].as_array().is_some_and(|needs| !needs.is_empty()),
            folder,
            expected,
            expected_postgres,
        }
    }

    /// Runs the requests that MLflow takes; gives the differences between our rows and MLflow's.
    fn run(&self, backend: Backend, writing: Writing) -> Vec<String> {
        let mut store = Store::default();
        let mut differences = Vec::new();
        let mut waiting: BTreeMap<String, Vec<TraceUpdate>> = BTreeMap::new();
        let artifacts = |experiment: i64| format!("mlflow-artifacts:/{experiment}");
        for request in &self.requests {
            let status = match backend {
                Backend::Sqlite => request.status,
                Backend::Postgres => request.status_postgres,
            };
            let Some(decoded) = request.decode(&self.folder).filter(|_| status == 200) else { continue };
            let Mapped { updates, refusals } =
                map(&decoded.request, &self.context(request), &options(backend));
            let mut refused: Vec<_> = decoded.refusals.into_iter().chain(refusals).collect();
            for update in updates {
                match writing {
                    Writing::OneByOne => refused.extend(store.write(&[update], artifacts)),
                    Writing::Folded => waiting.entry(update.trace_id.clone()).or_default().push(update),
                }
            }
            differences.extend(refused.iter().map(|refusal| format!("{}: {}", request.file, refusal.reason)));
        }
        for updates in waiting.values() {
            differences.extend(store.write(updates, artifacts).iter().map(|refusal| refusal.reason.clone()));
        }
        let expected = match backend {
            Backend::Sqlite => &self.expected,
            Backend::Postgres => self.expected_postgres.as_ref().unwrap_or(&self.expected),
        };
        differences.extend(compare(expected, &store));
        differences
    }

    fn context(&self, request: &Request) -> MapContext {
        let id = |role: &str| self.expected["experiments"][role]["experiment_id"].as_str().unwrap_or("0");
        let experiment = match request.headers.get("x-mlflow-experiment-id").map(String::as_str) {
            Some("$EXP") => id("main"),
            Some("$ALT") => id("alt"),
            other => other.unwrap_or("0"),
        };
        MapContext {
            json: request.encoding() == Encoding::Json,
            run_id: request.headers.get("x-mlflow-run-id").cloned(),
            experiment_id: experiment.parse().unwrap_or(0),
            ..MapContext::default()
        }
    }
}

fn options(backend: Backend) -> MapOptions {
    MapOptions { backend, prices: PriceCatalogue::bundled(), repairs: Repairs::NONE }
}

impl Request {
    fn encoding(&self) -> Encoding {
        let content_type = &self.headers["content-type"];
        if content_type.starts_with("application/json") { Encoding::Json } else { Encoding::Protobuf }
    }

    /// The request, unless it is for another endpoint or cannot be read at all.
    fn decode(&self, folder: &Path) -> Option<Decoded> {
        if self.file.ends_with(".rest.json") {
            return None;
        }
        let body = std::fs::read(folder.join(&self.file)).unwrap();
        decode(&self.decompress(body)?, self.encoding()).ok()
    }

    fn decompress(&self, body: Vec<u8>) -> Option<Vec<u8>> {
        let read = |mut reader: Box<dyn Read + '_>| {
            let mut plain = Vec::new();
            reader.read_to_end(&mut plain).ok().map(|_| plain)
        };
        match self.headers.get("content-encoding").map(|name| name.to_lowercase()).as_deref() {
            None | Some("") => Some(body),
            Some("gzip") => read(Box::new(flate2::read::GzDecoder::new(&body[..]))),
            Some("deflate") => read(Box::new(flate2::read::ZlibDecoder::new(&body[..])))
                .or_else(|| read(Box::new(flate2::read::DeflateDecoder::new(&body[..])))),
            Some(_) => None,
        }
    }
}

/// Compares all rows of all tables, columns as their types have them.
fn compare(expected: &Value, store: &Store) -> Vec<String> {
    let mut differences = Vec::new();
    let trace_ids = expected["trace_ids"].as_array().unwrap();
    for table in TABLES {
        let mut actual: BTreeMap<String, Value> = BTreeMap::new();
        for trace_id in trace_ids {
            let rows = store.rows(table, trace_id.as_str().unwrap());
            actual.extend(rows.into_iter().map(|row| (row_key(&row), row)));
        }
        for row in expected["tables"][table].as_array().unwrap() {
            match actual.remove(&row_key(row)) {
                None => differences.push(format!("{table}: missing row {}", row_key(row))),
                Some(found) => differences.extend(compare_row(table, row, &found)),
            }
        }
        differences.extend(actual.keys().map(|key| format!("{table}: unexpected row {key}")));
    }
    differences
}

fn row_key(row: &Value) -> String {
    let columns = ["request_id", "trace_id", "source_id", "span_id", "key", "destination_id"];
    columns.map(|column| row[column].as_str().unwrap_or_default()).join("/")
}

fn compare_row(table: &str, expected: &Value, actual: &Value) -> Vec<String> {
    let ignored = ["content_json", "association_id", "created_time"];
    let columns =
        expected.as_object().unwrap().iter().filter(|(column, _)| !ignored.contains(&column.as_str()));
    let differing = columns.filter(|(column, expected)| !is_same(expected, &actual[column.as_str()]));
    differing
        .map(|(column, expected)| {
            let key = row_key(actual);
            format!(
                "{table}.{column} of {key}:\n  expected {expected}\n  got      {}",
                actual[column.as_str()]
            )
        })
        .collect()
}

/// Equal, or both the same number: drivers give whole floats as integers.
fn is_same(expected: &Value, actual: &Value) -> bool {
    expected == actual
        || expected.as_f64().is_some_and(|number| expected.is_number() && actual.as_f64() == Some(number))
}
