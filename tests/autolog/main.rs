//! `autolog()` as a process sees it: each case runs in a process of its own, because the providers,
//! the environment and the end of a process are one per process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and a case tells its test what it saw"
)]

mod cases;
mod child;
mod collector;

use std::path::Path;

use child::Child;
use collector::Collector;

/// The names of the spans in a database, with the names of their experiments and traces' tags.
fn rows(database: &Path, query: &str) -> Vec<String> {
    let database = rusqlite::Connection::open(database).unwrap();
    let mut statement = database.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

const SPANS: &str = "SELECT name FROM spans ORDER BY name";
const EXPERIMENTS: &str =
    "SELECT DISTINCT experiments.name FROM spans JOIN experiments USING (experiment_id) ORDER BY 1";

fn sqlite(folder: &Path) -> String {
    format!("sqlite:///{}", folder.join("m.db").display())
}

#[test]
fn traces_are_in_the_database_when_the_guard_is_gone_on_every_runtime() {
    for case in ["no_runtime", "current_thread", "multi_thread"] {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::new(case, folder.path())
            .env("MLFLOW_TRACKING_URI", sqlite(folder.path()))
            .env("MLFLOW_EXPERIMENT_NAME", "mine");
        child.run().succeeded();
        assert_eq!(rows(&folder.path().join("m.db"), SPANS), ["inner", "outer"], "{case}");
        assert_eq!(rows(&folder.path().join("m.db"), EXPERIMENTS), ["mine"], "{case}");
    }
}

#[test]
fn a_panic_in_main_does_not_lose_what_came_before() {
    let folder = tempfile::tempdir().unwrap();
    for case in ["panic_without_runtime", "panic_on_current_thread"] {
        let child = Child::new(case, folder.path()).env("MLFLOW_TRACKING_URI", sqlite(folder.path()));
        assert!(!child.run().success, "{case} has to fail");
    }
    assert_eq!(rows(&folder.path().join("m.db"), SPANS), ["inner", "inner", "outer", "outer"]);
}

#[test]
fn without_any_variable_traces_go_to_a_file_in_the_working_directory() {
    let folder = tempfile::tempdir().unwrap();
    Child::new("current_thread", folder.path()).run().succeeded();
    assert_eq!(rows(&folder.path().join("mlflow.db"), SPANS), ["inner", "outer"]);
    assert_eq!(rows(&folder.path().join("mlflow.db"), EXPERIMENTS), ["Default"]);
}

#[test]
fn nothing_is_written_where_nothing_is_wanted() {
    for (variable, value) in [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_TRACES_EXPORTER", "none")] {
        let folder = tempfile::tempdir().unwrap();
        Child::new("current_thread", folder.path()).env(variable, value).run().succeeded();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{variable}");
    }
    let folder = tempfile::tempdir().unwrap();
    Child::new("no_spans", folder.path()).run().succeeded();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "no span, no file");
}

#[test]
fn otlp_arrives_over_http_and_grpc_from_every_runtime() {
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    for (protocol, endpoint) in [("http/protobuf", collector.http()), ("grpc", collector.grpc())] {
        for case in ["no_runtime", "current_thread"] {
            let child = Child::new(case, folder.path())
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
                .env("OTEL_EXPORTER_OTLP_HEADERS", "x-mlflow-experiment-id=7")
                .env("OTEL_SERVICE_NAME", "shop")
                .env("MLFLOW_EXPERIMENT_NAME", "mine");
            child.run().succeeded();
            let mut seen = collector.take();
            seen.sort();
            let expected = ["7 shop inner user.id=u", "7 shop outer mlflow.experiment_name=mine user.id=u"];
            assert_eq!(seen, expected, "{protocol} {case}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "OTLP and MLflow are not both used");
}

#[test]
fn otlp_and_mlflow_get_the_same_where_that_is_asked_for() {
    let collector = Collector::start();
    let folder = tempfile::tempdir().unwrap();
    let child = Child::new("multi_thread", folder.path())
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/v1/traces", collector.http()))
        .env("MLFLOW_TRACE_ENABLE_OTLP_DUAL_EXPORT", "true");
    child.run().succeeded();
    assert_eq!(collector.take().len(), 2);
    assert_eq!(rows(&folder.path().join("mlflow.db"), SPANS).len(), 2);
}

#[test]
fn a_file_says_everything() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "file_format: \"1.0\"\nresource: {{attributes: [{{name: team, value: \"${{TEAM:-none}}\"}}]}}\ntracer_provider:\n  \
         processors: [{{batch: {{exporter: {{mlflow: {{tracking_uri: \"{}\", experiment: {{name: filed}}}}}}}}}}]\n",
        sqlite(folder.path())
    );
    std::fs::write(folder.path().join("otel.yaml"), text).unwrap();
    let child = Child::new("current_thread", folder.path())
        .env("OTEL_CONFIG_FILE", "otel.yaml")
        .env("TEAM", "blue")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    child.run().succeeded();
    assert_eq!(rows(&folder.path().join("m.db"), EXPERIMENTS), ["filed"]);
    let tags = "SELECT value FROM trace_tags WHERE key = 'team'";
    assert_eq!(rows(&folder.path().join("m.db"), tags), ["blue"]);
}

#[test]
fn all_that_is_wrong_with_a_file_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let text = "file_format: \"1.0\"\ntracer_provider:\n  processors:\n    - batch: {exporter: {otlp_htp: }}\n  \
                sampler: {always_onn: }\nmeter_provider: {readers: [{pull: }]}\n";
    std::fs::write(folder.path().join("otel.yaml"), text).unwrap();
    let output =
        Child::new("start_error", folder.path()).env("OTEL_EXPERIMENTAL_CONFIG_FILE", "otel.yaml").run();
    output.succeeded();
    for part in [
        "otel.yaml:4:26: tracer_provider.processors[0].batch.exporter.otlp_htp",
        "did you mean `otlp_http`?",
        "did you mean `always_on`?",
        "`pull` is not available in Rust",
    ] {
        assert!(output.text.contains(part), "{part} is not in:\n{}", output.text);
    }
}

#[test]
fn what_cannot_work_is_an_error_at_the_start() {
    let cases = [
        ("MLFLOW_TRACKING_URI", "ftp://x"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("MLFLOW_EXPERIMENT_ID", "seven"),
    ];
    for (variable, value) in cases {
        let folder = tempfile::tempdir().unwrap();
        let output = Child::new("start_error", folder.path()).env(variable, value).run();
        output.succeeded();
        assert!(output.text.contains(variable), "{variable}:\n{}", output.text);
    }
}

#[test]
fn a_destination_that_is_down_or_hangs_holds_nobody_back() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    // Takes connections, and never answers.
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [closed, hanging.local_addr().unwrap()] {
        let folder = tempfile::tempdir().unwrap();
        let mlflow =
            Child::new("many_spans", folder.path()).env("MLFLOW_TRACKING_URI", format!("http://{address}"));
        let http = Child::new("many_spans", folder.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
        let grpc = Child::new("many_spans", folder.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"))
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        for child in [mlflow, http, grpc] {
            let output = child.run();
            output.succeeded();
            assert!(output.text.contains("recorded 3000, flushed false"), "{}", output.text);
        }
    }
}

#[test]
fn the_guard_is_one_and_content_is_captured_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    Child::new("twice", folder.path()).run().succeeded();
    let seen = |child: Child| child.run().text;
    let captured = seen(Child::new("settings", folder.path()));
    assert!(captured.contains("mode: SpanOnly"), "{captured}");
    let name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
    let told = seen(Child::new("settings", folder.path()).env(name, "NO_CONTENT"));
    assert!(told.contains("mode: NoContent"), "{told}");
}

#[test]
fn the_console_shows_spans() {
    let folder = tempfile::tempdir().unwrap();
    let output = Child::new("current_thread", folder.path()).env("OTEL_TRACES_EXPORTER", "console").run();
    output.succeeded();
    assert!(output.text.contains("span outer trace="), "{}", output.text);
}
