//! Files that can be used, and all that can be wrong with others.

use std::collections::HashMap;

use opentelemetry::Key;

use super::super::plan::{Exporter, Mode, Propagation};
use super::*;

/// One file, and an environment.
struct Fake<'a> {
    text: &'a str,
    variables: HashMap<&'static str, &'static str>,
}

impl Lookup for Fake<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).map(|value| (*value).to_owned())
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        match path {
            "otel.yaml" => Ok(self.text.to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

fn read_text(text: &str) -> (Option<Declared>, Vec<String>) {
    read_with(text, &[])
}

fn read_with(text: &str, variables: &[(&'static str, &'static str)]) -> (Option<Declared>, Vec<String>) {
    let lookup = Fake { text, variables: variables.iter().copied().collect() };
    let (declared, problems) = read("otel.yaml", &lookup);
    (declared, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn the_example_of_the_documentation_is_used_without_a_word() {
    let (declared, problems) = read_text(include_str!("example.yaml"));
    assert!(problems.is_empty(), "{problems:#?}");
    let Declared { disabled, plan, layer } = declared.unwrap();
    assert!(!disabled);
    assert_eq!(plan.propagation, [Propagation::TraceContext, Propagation::Baggage]);
    assert_eq!(plan.resource.get(&Key::new("service.name")), Some("shop".into()));
    assert!(plan.resource.get(&Key::new("telemetry.sdk.name")).is_some());
    let exporters: Vec<_> = plan.traces.processors.iter().map(|processor| &processor.exporter).collect();
    assert!(matches!(exporters[0], Exporter::Mlflow(_)));
    let Exporter::Otlp(otlp) = exporters[1] else { panic!("{exporters:?}") };
    assert_eq!((otlp.grpc, otlp.endpoint.as_deref()), (true, Some("http://localhost:4317")));
    assert!(matches!(&plan.traces.processors[0].mode, Mode::Batch { .. }));
    assert_eq!((plan.readers.len(), plan.logs.len()), (1, 1));
    let policy = layer.unwrap().capture(Some(CaptureMode::NoContent));
    assert_eq!(policy.mode(), CaptureMode::SpanOnly);
    assert!(format!("{policy:?}").contains("max_part_bytes: 65536"), "{policy:?}");
}

/// The getting-started file of the format, shortened.
#[test]
fn a_file_for_all_languages_is_used_but_for_what_rust_has_not() {
    let text = r#"
file_format: "1.1"
log_level: info
resource:
  attributes_list: ${OTEL_RESOURCE_ATTRIBUTES}
  attributes:
    - {name: replicas, value: 3}
    - {name: zones, value: [a, b], type: string_array}
  detection/development: {detectors: [{host: }]}
attribute_limits: {attribute_value_length_limit: , attribute_count_limit: 64}
tracer_provider:
  processors:
    - simple: {exporter: {console: }}
  sampler: {parent_based: {root: {always_on: }, remote_parent_not_sampled: {always_off: }}}
logger_provider:
  processors:
    - batch: {exporter: {otlp_grpc: {endpoint: "collector:4317", tls: {insecure: true}}}}
meter_provider:
  readers:
    - periodic: {exporter: {otlp_http: {temporality_preference: delta, headers: [{name: a, value: b}]}}}
  views:
    - selector: {instrument_name: "gen_ai.*", instrument_type: histogram}
      stream: {aggregation: {base2_exponential_bucket_histogram: {max_scale: 20, max_size: 160}}}
instrumentation/development:
  java: {anything: [1]}
"#;
    let (declared, problems) =
        read_with(text, &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=web%20shop,team=a")]);
    let words = ["file_format", "log_level", "detection/development"];
    assert_eq!(problems.len(), words.len(), "{problems:#?}");
    for (problem, word) in problems.iter().zip(words) {
        assert!(problem.contains("warning") && problem.contains(word), "{problem}");
    }
    let plan = declared.unwrap().plan;
    assert_eq!(plan.resource.get(&Key::new("service.name")), Some("web shop".into()));
    assert_eq!(plan.resource.get(&Key::new("replicas")), Some(3.into()));
    let limits = plan.traces.limits.unwrap();
    assert_eq!((limits.max_attributes_per_span, limits.max_events_per_span), (64, 128));
    let Exporter::Otlp(logs) = &plan.logs[0].exporter else { panic!("{:?}", plan.logs) };
    assert_eq!(logs.endpoint.as_deref(), Some("http://collector:4317"));
    assert!(!logs.https);
    let reader = &plan.readers[0];
    assert_eq!(reader.temporality, Some(opentelemetry_sdk::metrics::Temporality::Delta));
    assert_eq!(plan.views.len(), 1);
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_where() {
    let text = r#"
file_format: "2.0"
propagatr: {}
propagator: {composite: [{b3: }]}
tracer_provider:
  sampler: {always_on: , always_off: }
  limits: {attribute_value_length_limit: 100}
  processors:
    - batch:
        max_queue_size: 10
        max_export_batch_size: 20
        exporter: {otlp_htp: {}}
    - batch: {schedule_delay: soon, exporter: {mlflow: {tracking_uri: "ftp://u:secret@h"}}}
    - {}
meter_provider:
  readers: [{pull: {exporter: {}}}]
logger_provider:
  processors:
    - simple: {exporter: {otlp_http: {endpoint: "localhost:4318", encoding: json}}}
instrumentation/development:
  rust: {openai: {capture_message_content: SPANS, max_part_bytes: lots}}
"#;
    let (declared, problems) = read_text(text);
    assert!(declared.is_none());
    let all = problems.join("\n");
    let expected = [
        "otel.yaml:2:14: file_format",
        "did you mean `propagator`?",
        "`b3` is not available in Rust",
        "tracer_provider.limits.attribute_value_length_limit",
        "did you mean `otlp_http`?",
        "schedule_delay: expected a whole number",
        "`pull` is not available in Rust; use a `periodic` reader",
        "unknown value `json`",
        "unknown value `SPANS`",
    ];
    for part in expected {
        assert!(all.contains(part), "{part} is not in:\n{all}");
    }
    assert!(!all.contains("secret"), "{all}");
    let lines: Vec<usize> = problems.iter().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
    assert!(lines.is_sorted(), "{problems:#?}");
}

#[test]
fn what_only_makes_no_sense_together_is_said_too() {
    let text = r#"
file_format: "1.0"
resource: {attributes: [{name: n, value: x, type: int}]}
tracer_provider:
  sampler: {always_on: , always_off: }
  processors:
    - batch: {max_queue_size: 10, max_export_batch_size: 20, exporter: {}}
    - {}
    - batch: {exporter: {mlflow: {tracking_uri: "ftp://u:secret@h", experiment: {name: a, id: 1}}}}
logger_provider:
  processors:
    - simple: {exporter: {otlp_http: {endpoint: "localhost:4318"}}}
meter_provider:
  readers: [{periodic: {exporter: {console: , otlp_http: }}}]
  views: [{selector: {}, stream: {aggregation: {explicit_bucket_histogram: {boundaries: [2, 1]}}}}]
"#;
    let (declared, problems) = read_text(text);
    assert!(declared.is_none());
    let paths = [
        "resource.attributes[0].value",
        "tracer_provider.sampler: must have only one",
        "tracer_provider.processors[0].batch.max_export_batch_size",
        "tracer_provider.processors[0].batch.exporter: must have one of",
        "tracer_provider.processors[1]: must have one of `batch` or `simple`",
        "tracer_provider.processors[2].batch.exporter.mlflow.tracking_uri",
        "tracer_provider.processors[2].batch.exporter.mlflow.experiment",
        "logger_provider.processors[0].simple.exporter.otlp_http.endpoint",
        "meter_provider.readers[0].periodic.exporter: must have only one",
        "boundaries: must rise",
    ];
    let all = problems.join("\n");
    assert_eq!(problems.len(), paths.len(), "{all}");
    for path in paths {
        assert!(all.contains(path), "{path} is not in:\n{all}");
    }
    assert!(!all.contains("secret"), "{all}");
}

#[test]
fn a_file_that_is_none_is_said_so() {
    let (declared, problems) = read_text("file_format: [");
    assert!(declared.is_none() && problems[0].contains("not valid YAML"), "{problems:?}");
    let (declared, problems) = read_text("");
    assert!(declared.is_none() && problems[0].contains("file_format"), "{problems:?}");
    let lookup = Fake { text: "", variables: HashMap::new() };
    let (_, problems) = read("gone.yaml", &lookup);
    assert!(problems.to_string().contains("OTEL_CONFIG_FILE"), "{problems}");
}

#[test]
fn a_file_that_says_nothing_of_content_leaves_it_to_the_environment() {
    let text = "file_format: \"1.0\"\ndisabled: true\ninstrumentation/development: {rust: {openai: }}\n";
    let (declared, problems) = read_text(text);
    assert!(problems.is_empty(), "{problems:?}");
    let declared = declared.unwrap();
    assert!(declared.disabled);
    let layer = declared.layer.unwrap();
    assert_eq!(layer.capture(Some(CaptureMode::NoContent)).mode(), CaptureMode::NoContent);
    assert_eq!(layer.capture(None).mode(), CaptureMode::SpanOnly);
}
