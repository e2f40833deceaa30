use serde_json::json;

use super::*;
use crate::otlp::model::AnyValue;
use crate::otlp::model::any_value::Value;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::String(value.to_owned()))
}

fn span(parent: &[u8], attributes: Vec<KeyValue>) -> Span {
    Span { parent_span_id: parent.to_vec(), attributes, ..Span::default() }
}

fn resource(attributes: Vec<KeyValue>) -> Resource {
    Resource { attributes, ..Resource::default() }
}

fn config(from: &[&str]) -> ExperimentConfig {
    serde_json::from_value(json!({ "from": from })).unwrap()
}

/// Where a root span with these attributes goes, by one source after the other.
fn route(from: &[&str], attributes: Vec<KeyValue>, resource_attributes: Vec<KeyValue>) -> ExperimentRef {
    let (span, resource) = (span(&[], attributes), resource(resource_attributes));
    config(from).route(None, &[RoutedSpan::new(&span, Some(&resource))])
}

fn name(name: &str) -> ExperimentRef {
    ExperimentRef::Name(name.to_owned())
}

#[test]
fn defaults_are_those_of_the_documentation() {
    let config: ExperimentConfig = serde_json::from_str("{}").unwrap();
    assert_eq!(config, ExperimentConfig::default());
    assert_eq!(config.validate(), []);
    assert_eq!(config.fallback(), name("Default"));
    assert_eq!((config.create, config.max_created), (true, 100));
    let (root, service) = (span(&[], vec![]), resource(vec![text("service.name", "shop")]));
    assert_eq!(config.route(None, &[RoutedSpan::new(&root, Some(&service))]), name("shop"));
    let named = span(&[], vec![text("mlflow.experiment_name", "mine")]);
    assert_eq!(config.route(None, &[RoutedSpan::new(&named, Some(&service))]), name("mine"));
    assert_eq!(config.route(None, &[RoutedSpan::new(&root, None)]), ExperimentRef::Fallback);
}

#[test]
fn header_wins_unless_it_is_no_id() {
    let span = span(&[], vec![text("mlflow.experiment_name", "mine")]);
    let spans = [RoutedSpan::new(&span, None)];
    let route = |header| ExperimentConfig::default().route(Some(header), &spans);
    assert_eq!(route("7"), ExperimentRef::Id(7));
    assert_eq!(route(" 0 "), ExperimentRef::Id(0));
    for unusable in ["", "abc", "-1", "1.5", "99999999999999999999"] {
        assert_eq!(route(unusable), name("mine"), "{unusable}");
    }
}

#[test]
fn attribute_whose_name_ends_in_experiment_id_holds_an_id() {
    let from = ["span.mlflow.experiment_id", "resource.team.experiment_id", "resource.service.name"];
    let shop = || text("service.name", "shop");
    let int = |value| attribute("mlflow.experiment_id", Value::Int(value));
    assert_eq!(route(&from, vec![int(5)], vec![shop()]), ExperimentRef::Id(5));
    assert_eq!(route(&from, vec![text("mlflow.experiment_id", "6")], vec![shop()]), ExperimentRef::Id(6));
    assert_eq!(route(&from, vec![], vec![text("team.experiment_id", "8"), shop()]), ExperimentRef::Id(8));
    for unusable in [int(-5), text("mlflow.experiment_id", "six"), text("mlflow.experiment_id", "")] {
        assert_eq!(route(&from, vec![unusable], vec![shop()]), name("shop"));
    }
    // Inside a template it is a part of a name.
    let template = ["no-${span.mlflow.experiment_id}"];
    assert_eq!(route(&template, vec![int(5)], vec![]), name("no-5"));
    assert_eq!(route(&["${span.mlflow.experiment_id}"], vec![int(5)], vec![]), name("5"));
}

#[test]
fn unusable_names_leave_the_word_to_the_next_source() {
    let from = ["span.team", "resource.service.name", "span.last"];
    let last = || text("last", "last resort");
    let long = "é".repeat(501);
    for unusable in ["", "  \t", long.as_str(), "nul\0"] {
        assert_eq!(route(&from, vec![text("team", unusable), last()], vec![]), name("last resort"));
    }
    for unusable in [Value::Bytes(vec![1]), Value::Array(Default::default())] {
        let attributes = vec![attribute("team", unusable), last()];
        assert_eq!(route(&from, attributes, vec![]), name("last resort"));
    }
    for service in ["unknown_service", "unknown_service:python"] {
        assert_eq!(route(&from, vec![last()], vec![text("service.name", service)]), name("last resort"));
    }
    let longest = "é".repeat(500);
    assert_eq!(route(&from, vec![text("team", &longest)], vec![]), name(&longest));
    // A repeated attribute has its last value, as in MLflow.
    assert_eq!(route(&from, vec![text("team", "a"), text("team", "b")], vec![]), name("b"));
    assert_eq!(route(&from, vec![attribute("team", Value::Double(1.0))], vec![]), name("1.0"));
    assert_eq!(route(&from, vec![attribute("team", Value::Bool(true))], vec![]), name("true"));
}

#[test]
fn template_needs_all_its_attributes() {
    let from = ["genai/${resource.service.name}/${span.team}$", "resource.service.name"];
    let shop = || vec![text("service.name", "shop")];
    assert_eq!(route(&from, vec![text("team", "red")], shop()), name("genai/shop/red$"));
    assert_eq!(route(&from, vec![], shop()), name("shop"));
    assert_eq!(route(&from, vec![text("team", "red")], vec![]), ExperimentRef::Fallback);
}

/// Scenario: a trace whose spans name different experiments, the root not first.
/// Guarantees: the root decides; without its word, the other spans in their order.
#[test]
fn roots_are_asked_first() {
    let child = span(&[1; 8], vec![text("mlflow.experiment_name", "child")]);
    let root = span(&[0; 8], vec![text("mlflow.experiment_name", "root")]);
    let silent = span(&[], vec![]);
    let of = |span| RoutedSpan::new(span, None);
    let config = ExperimentConfig::default();
    assert_eq!(config.route(None, &[of(&child), of(&root)]), name("root"));
    assert_eq!(config.route(None, &[of(&child), of(&silent)]), name("child"));
    assert_eq!(config.route(None, &[]), ExperimentRef::Fallback);
}

#[test]
fn unusable_sources_are_refused_with_advice() {
    let error = |source: &str| {
        let config: Result<ExperimentConfig, _> = serde_json::from_value(json!({ "from": [source] }));
        config.unwrap_err().to_string()
    };
    for (source, part) in [
        ("genai", "`genai` refers to no attribute; write span.<attribute>"),
        ("", "`` refers to no attribute"),
        ("service.name", "`service.name` refers to no attribute"),
        ("span.", "`span.` must begin with `span.` or `resource.` and name an attribute"),
        ("a/${service.name}", "`service.name` must begin with"),
        ("a/${}", "`` must begin with"),
        ("a/${span.team", "`a/${span.team` has a `${` without its `}`"),
    ] {
        let error = error(source);
        assert!(error.contains(part), "{source}: {error}");
    }
    let unknown: Result<ExperimentConfig, _> = serde_json::from_value(json!({"nmae": "x"}));
    assert!(unknown.unwrap_err().to_string().contains("unknown field `nmae`"));
}

#[test]
fn fallback_is_a_name_or_an_id() {
    let config = |value| serde_json::from_value::<ExperimentConfig>(value).unwrap();
    assert_eq!(config(json!({"id": 3})).fallback(), ExperimentRef::Id(3));
    assert_eq!(config(json!({"name": "x"})).fallback(), name("x"));
    let both = config(json!({"id": -3, "name": " "}));
    let all = [InvalidExperiment::NameAndId, InvalidExperiment::Name, InvalidExperiment::Id];
    assert_eq!(both.validate(), all);
}

#[test]
fn schema_takes_what_the_configuration_takes() {
    let schema = schemars::schema_for!(ExperimentConfig).to_value();
    assert_eq!(schema["additionalProperties"], json!(false));
    assert_eq!(schema["$defs"]["ExperimentSource"]["type"], json!("string"));
    assert_eq!(schema["properties"]["max_created"]["default"], json!(100));
    assert_eq!(
        schema["properties"]["from"]["default"],
        json!(["span.mlflow.experiment_name", "resource.service.name"])
    );
}

#[test]
fn runs_come_from_header_spans_and_resource() {
    let root = span(&[], vec![text("mlflow.run_id", "of-span")]);
    let child = span(&[1; 8], vec![text("mlflow.run_id", "of-child")]);
    let service = resource(vec![text("mlflow.run_id", "of-resource")]);
    let spans = [RoutedSpan::new(&root, Some(&service)), RoutedSpan::new(&child, Some(&service))];
    let all = ["of-header", "of-span", "of-resource", "of-child"];
    assert_eq!(run_ids(Some("of-header"), &spans, MAX_RUN_ID), all);
    // MLflow applies the header to traces whose root is in the request.
    let [_, without_root] = spans;
    assert_eq!(run_ids(Some("of-header"), &[without_root], MAX_RUN_ID), ["of-child", "of-resource"]);
}

#[test]
fn unusable_run_ids_are_left_out() {
    let long = "f".repeat(37);
    let root = span(&[], vec![text("mlflow.run_id", &long)]);
    let spans = [RoutedSpan::new(&root, None)];
    assert!(run_ids(Some(""), &spans, MAX_RUN_ID).is_empty());
    assert!(run_ids(Some("nul\0"), &spans, MAX_RUN_ID).is_empty());
    assert_eq!(run_ids(None, &spans, usize::MAX), [long]);
}
