//! Configurations with one thing wrong each, and what is said about it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::components::{Catalogue, ComponentConfig, ComponentKind, ComponentType, Setting, Stability};
use super::load::{Loaded, Sources, load_with};
use super::{Lookup, Problems};

/// Stands in for a receiver.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Listener {
    endpoint: String,
    protocols: Protocols,
    limit: u16,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Protocols {
    grpc: Option<Protocol>,
    http: Option<Protocol>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Protocol {
    endpoint: String,
}

impl ComponentConfig for Listener {
    fn endpoints(&self) -> Vec<Setting> {
        vec![("endpoint".to_owned(), self.endpoint.clone())]
    }
}

/// Stands in for an exporter.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sender {
    uri: String,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    from: Vec<String>,
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(with = "String")]
    timeout: Duration,
    #[serde(default, deserialize_with = "seconds")]
    #[schemars(with = "String")]
    pause: Duration,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    /// As it should be.
    Enriched,
    /// As it is.
    Strict,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| D::Error::custom(format!("`{text}` is not a duration")))
}

impl ComponentConfig for Sender {
    fn problems(&self) -> Vec<Setting> {
        let mut problems = Vec::new();
        if !self.uri.contains("://") {
            problems.push(("uri".to_owned(), format!("`{}` is not a URI", self.uri)));
        }
        if self.from.iter().any(|from| from == "bad") {
            problems.push(("from[1]".to_owned(), "bad source".to_owned()));
        }
        let _ = (&self.mode, &self.headers, self.timeout, self.pause);
        problems
    }
}

const CATALOGUE: Catalogue = Catalogue {
    receivers: &[ComponentType::new::<Listener>("listener", Stability::Alpha, "listens")],
    processors: &[],
    exporters: &[ComponentType::new::<Sender>("sender", Stability::Alpha, "sends")],
    extensions: &[ComponentType::new::<Listener>("side", Stability::Alpha, "stands beside")],
};

/// Environment and files of a test.
#[derive(Default)]
struct World {
    variables: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
    set: Vec<String>,
}

impl Lookup for World {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.files.get(path).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}

impl World {
    fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file_of(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }

    fn set(mut self, option: &str) -> Self {
        self.set.push(option.to_owned());
        self
    }

    fn load(&self, files: &[&str]) -> Result<Loaded, Problems> {
        let sources = Sources { files: files.iter().map(PathBuf::from).collect(), set: self.set.clone() };
        load_with(&sources, self, &CATALOGUE)
    }

    /// Loads one text as `c.yaml`.
    fn load_text(self, text: &str) -> Result<Loaded, Problems> {
        self.file_of("c.yaml", text).load(&["c.yaml"])
    }
}

/// Everything that is said about a text, one problem per line; warnings too.
fn said(text: &str) -> String {
    said_in(World::default(), text)
}

fn said_in(world: World, text: &str) -> String {
    match world.load_text(text) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(problems) => problems.to_string(),
    }
}

/// The settings of the exporter `sender` after loading.
fn sender(world: World, text: &str) -> serde_json::Value {
    let loaded = world.load_text(text).unwrap();
    loaded.config.component(ComponentKind::Exporter, "sender").unwrap().settings().unwrap()
}

/// A configuration that is right, with the exporter's settings and a pipeline to be chosen.
fn with_exporter(settings: &str) -> String {
    format!("receivers: {{listener: }}\nexporters:\n  sender: {{{settings}}}\n{SERVICE}")
}

const SERVICE: &str = "service: {pipelines: {traces: {receivers: [listener], exporters: [sender]}}}\n";

#[test]
fn a_right_configuration_has_no_problem() {
    let text = with_exporter("uri: 'a://b', mode: strict, headers: {x-a: b}, timeout: 3s");
    let loaded = World::default().load_text(&text).unwrap();
    assert_eq!(loaded.warnings.to_string(), "");
    let running = loaded.config.running(ComponentKind::Receiver);
    assert_eq!(running.iter().map(|component| component.id.to_string()).collect::<Vec<_>>(), ["listener"]);
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    let text = "\
recievers:
  listener:
exporters:
  sender:
    urii: a://b
    mode: strickt
    headers: [x]
    timeout: 3
  sender/2:
    uri: nowhere
    timeout: soon
    pause: later
  sendr:
service:
  pipelines:
    traces:
      receivers: [listener]
      exporters: [sender, sender/3]
";
    assert_eq!(
        said(text),
        "\
c.yaml:1:1: recievers: unknown key `recievers`; did you mean `receivers`?
c.yaml:5:5: exporters.sender.urii: unknown key `urii`; did you mean `uri`?
c.yaml:5:5: exporters.sender.uri: the key `uri` is missing
c.yaml:6:11: exporters.sender.mode: unknown value `strickt`; did you mean `strict`?
c.yaml:7:14: exporters.sender.headers: expected a map, got a list
c.yaml:8:14: exporters.sender.timeout: expected text, got a number; put it in quotes to make it text
c.yaml:9:3: warning: exporters.sender/2: the exporter is defined, but no pipeline uses it
c.yaml:11:14: exporters.sender/2.timeout: `soon` is not a duration
c.yaml:12:12: exporters.sender/2.pause: `later` is not a duration
c.yaml:13:3: exporters.sendr: unknown exporter type `sendr`; did you mean `sender`?
c.yaml:17:19: service.pipelines.traces.receivers[0]: the receiver `listener` is not defined under `receivers`; there are none
c.yaml:18:27: service.pipelines.traces.exporters[1]: the exporter `sender/3` is not defined under `exporters`; did you mean `sender/2`?"
    );
}

#[test]
fn a_component_judges_its_own_settings() {
    let text = with_exporter("uri: nowhere, from: [good, bad]");
    assert_eq!(
        said(&text),
        "c.yaml:3:17: exporters.sender.uri: `nowhere` is not a URI\n\
         c.yaml:3:39: exporters.sender.from[1]: bad source"
    );
}

#[test]
fn a_key_that_does_not_fit_hides_no_other_problem() {
    assert_eq!(
        said(&with_exporter("uri: nowhere, mdoe: strict, timeout: soon, from: [1, good]")),
        "c.yaml:3:26: exporters.sender.mdoe: unknown key `mdoe`; did you mean `mode`?\n\
         c.yaml:3:49: exporters.sender.timeout: `soon` is not a duration\n\
         c.yaml:3:62: exporters.sender.from[0]: expected text, got a number; put it in quotes to make it text"
    );
    assert_eq!(
        said(&with_exporter("uri: nowhere, mdoe: strict")),
        "c.yaml:3:17: exporters.sender.uri: `nowhere` is not a URI\n\
         c.yaml:3:26: exporters.sender.mdoe: unknown key `mdoe`; did you mean `mode`?"
    );
}

#[test]
fn a_far_key_gets_the_choice() {
    let text = with_exporter("uri: a://b, sending_queue: {}");
    assert_eq!(
        said(&text),
        "c.yaml:3:24: exporters.sender.sending_queue: unknown key `sending_queue`; \
         known are `uri`, `mode`, `headers`, `from`, `timeout` and `pause`"
    );
}

#[test]
fn numbers_have_their_range() {
    let text = format!(
        "receivers: {{listener: {{limit: 70000}}}}\nexporters: {{sender: {{uri: 'a://b'}}}}\n{SERVICE}"
    );
    assert_eq!(said(&text), "c.yaml:1:31: receivers.listener.limit: must be from 0 to 65535");
}

#[test]
fn enumeration_values_may_be_written_in_capitals() {
    assert_eq!(said(&with_exporter("uri: a://b, mode: STRICT")), "");
}

#[test]
fn an_empty_protocol_is_switched_on_and_a_missing_one_is_off() {
    let text = format!(
        "receivers:\n  listener:\n    protocols:\n      grpc:\nexporters: {{sender: {{uri: 'a://b'}}}}\n{SERVICE}"
    );
    let loaded = World::default().load_text(&text).unwrap();
    let listener: Listener =
        loaded.config.component(ComponentKind::Receiver, "listener").unwrap().settings().unwrap();
    assert!(listener.protocols.grpc.is_some());
    assert!(listener.protocols.http.is_none());
}

#[test]
fn references_take_the_type_of_their_content() {
    let world = World::default().with("LIMIT", "12").with("URI", "a://b").with("HEADERS", "{x-a: '1'}");
    let text = "
receivers: {listener: {limit: '${env:LIMIT}', endpoint: \"host:${LIMIT}\"}}
exporters: {sender: {uri: '${env:URI}', headers: '${env:HEADERS}', mode: '${env:MODE:-strict}'}}
service: {pipelines: {traces: {receivers: [listener], exporters: [sender]}}}
";
    let loaded = world.load_text(text).unwrap();
    let settings: serde_json::Value =
        loaded.config.component(ComponentKind::Receiver, "listener").unwrap().settings().unwrap();
    assert_eq!(settings, serde_json::json!({"limit": 12, "endpoint": "host:12"}));
    let settings: serde_json::Value =
        loaded.config.component(ComponentKind::Exporter, "sender").unwrap().settings().unwrap();
    let expected = serde_json::json!({"uri": "a://b", "headers": {"x-a": "1"}, "mode": "strict"});
    assert_eq!(settings, expected);
}

#[test]
fn a_reference_where_text_is_wanted_stays_as_it_is() {
    let world = World::default().with("A", "0123").with("B", "x # y").with("C", "k: v").with("D", "a$$${b}");
    let text = with_exporter(
        "uri: a://b, headers: {a: '${env:A}', b: '${env:B}', c: '${env:C}', d: '${env:D}', e: '<${env:A}>'}",
    );
    let expected = serde_json::json!({"a": "0123", "b": "x # y", "c": "k: v", "d": "a$$${b}", "e": "<0123>"});
    assert_eq!(sender(world, &text)["headers"], expected);
}

#[test]
fn dollars_are_escaped_and_templates_stay() {
    let text = with_exporter(
        "uri: a://b, from: ['$${env:X}', 'a$b$$', 'genai/${resource.service.name}', '${span.a.b}', '${env:Q:-${env:R:-z}}']",
    );
    let expected =
        serde_json::json!(["${env:X}", "a$b$", "genai/${resource.service.name}", "${span.a.b}", "z"]);
    assert_eq!(sender(World::default(), &text)["from"], expected);
}

#[test]
fn a_file_gives_text_or_a_part_of_the_tree() {
    let world = World::default()
        .with("MODE", "strict")
        .file_of("token", "s3cr3t\n")
        .file_of("part.yaml", "uri: a://b\nmode: ${env:MODE}\nheaders: {a: '${file:token}'}\n");
    let text = format!("receivers: {{listener: }}\nexporters: {{sender: '${{file:part.yaml}}'}}\n{SERVICE}");
    let expected = serde_json::json!({"uri": "a://b", "mode": "strict", "headers": {"a": "s3cr3t"}});
    assert_eq!(sender(world, &text), expected);
}

#[test]
fn a_problem_in_a_referred_file_has_its_place_there() {
    let world = World::default().file_of("part.yaml", "uri: a://b\nmode: strickt\n");
    let text = format!("receivers: {{listener: }}\nexporters: {{sender: '${{file:part.yaml}}'}}\n{SERVICE}");
    assert_eq!(
        said_in(world, &text),
        "part.yaml:2:7: exporters.sender.mode: unknown value `strickt`; did you mean `strict`?"
    );
}

#[test]
fn broken_references_are_named() {
    let cases = [
        (
            "${env:1X}",
            "`1X` is not the name of an environment variable; write $${ for the characters themselves",
        ),
        (
            "${vault:x}",
            "`vault` is not a source of values; use ${env:NAME} or ${file:PATH}, or write $${ for the characters themselves",
        ),
        ("${env:X", "`${` is never closed; write $${ for the characters themselves"),
        ("${file:/none}", "cannot read the file `/none`: entity not found"),
    ];
    for (reference, message) in cases {
        let text = with_exporter(&format!("uri: a://b, headers: {{a: '{reference}'}}"));
        assert_eq!(said(&text), format!("c.yaml:3:37: exporters.sender.headers.a: {message}"));
    }
}

#[test]
fn a_file_that_refers_to_itself_ends() {
    let world = World::default().file_of("loop", "[\"${file:loop}\"]");
    let problems = said_in(world, &with_exporter("uri: a://b, from: '${file:loop}'"));
    assert!(problems.contains("references are nested deeper than 8 levels"), "{problems}");
}

#[test]
fn an_unset_variable_is_empty_with_a_warning() {
    assert_eq!(
        said(&with_exporter("uri: 'a://b${env:NONE}'")),
        "c.yaml:3:17: warning: exporters.sender.uri: the environment variable NONE is not set, \
         so the value is empty; set it, or write ${env:NONE:-default}"
    );
}

#[test]
fn what_the_environment_holds_is_never_repeated() {
    let secrets = ["hunter2", "[hunter2, x]", "{hunter2: x}", "123456789", "true", "[1, hunter2"];
    for secret in secrets {
        let settings = [
            "uri: '${env:S}'",
            "uri: 'a//${env:S}'",
            "uri: a://b, mode: '${env:S}'",
            "uri: a://b, mode: 'x${env:S}'",
            "uri: a://b, headers: '${env:S}'",
            "uri: a://b, from: '${env:S}'",
            "uri: a://b, timeout: '${env:S}'",
            "uri: a://b, timeout: '${file:s}', urii: '${env:S}'",
            "uri: '${file:s}'",
        ];
        for settings in settings {
            let world = World::default().with("S", secret).file_of("s", secret);
            let said = said_in(world, &with_exporter(settings));
            for part in ["hunter2", "123456789"] {
                assert!(!said.contains(part), "{settings} says {said}");
            }
        }
    }
}

#[test]
fn a_component_that_repeats_its_value_gets_the_reference_put_back() {
    let world = World::default().with("S", "hunter2");
    assert_eq!(
        said_in(world, &with_exporter("uri: '${env:S}'")),
        "c.yaml:3:17: exporters.sender.uri: `${env:S}` is not a URI"
    );
}

#[test]
fn a_part_of_a_text_is_hidden_where_a_component_repeats_it() {
    let world = World::default().with("USER", "bob").with("PASSWORD", "hunter2");
    assert_eq!(
        said_in(world, &with_exporter("uri: 'bob:${env:PASSWORD}@there', from: ['${env:USER}']")),
        "c.yaml:3:17: exporters.sender.uri: `bob:${env:PASSWORD}@there` is not a URI"
    );
}

#[test]
fn later_files_and_options_lie_over_earlier_ones() {
    let base = with_exporter("uri: a://b, headers: {a: '1', b: '2'}, from: [x, y]");
    let over = "exporters: {sender: {headers: {b: '3'}, from: [z]}}";
    let world = World::default()
        .file_of("base.yaml", &base)
        .file_of("over.yaml", over)
        .set("exporters.sender.headers.c=w=1")
        .set("exporters.sender.mode=strict");
    let loaded = world.load(&["base.yaml", "over.yaml"]).unwrap();
    let settings: serde_json::Value =
        loaded.config.component(ComponentKind::Exporter, "sender").unwrap().settings().unwrap();
    let expected = serde_json::json!({
        "uri": "a://b", "headers": {"a": "1", "b": "3", "c": "w=1"}, "from": ["z"], "mode": "strict",
    });
    assert_eq!(settings, expected);
}

#[test]
fn problems_of_each_source_name_it() {
    let world = World::default()
        .file_of("a.yaml", &with_exporter("uri: a://b"))
        .file_of("b.yaml", "exporters: {sender: {mdoe: strict}}")
        .set("exporters.sender.mode=strickt")
        .set("exporters.sender.timeout")
        .set("exporters..x=1");
    assert_eq!(
        world.load(&["a.yaml", "b.yaml", "none.yaml"]).unwrap_err().to_string(),
        "\
--set: is not of the form key.path=value
--set exporters..x: has an empty key; write key.path=value
--set exporters.sender.mode: exporters.sender.mode: unknown value `strickt`; did you mean `strict`?
b.yaml:1:22: exporters.sender.mdoe: unknown key `mdoe`; did you mean `mode`?
none.yaml: cannot read the file: entity not found"
    );
}

#[test]
fn a_pipeline_needs_ends_and_carries_traces() {
    let head = "receivers: {listener: }\nexporters: {sender: {uri: 'a://b'}}\nservice:\n  pipelines:\n";
    let cases = [
        (
            "    metrics: {receivers: [listener], exporters: [sender]}",
            "service.pipelines.metrics: metrics pipelines are not supported, only traces: MLflow stores nothing else",
        ),
        (
            "    trace: {receivers: [listener], exporters: [sender]}",
            "service.pipelines.trace: unknown signal `trace`; did you mean `traces`?",
        ),
        (
            "    traces: {exporters: [sender]}",
            "service.pipelines.traces.receivers: a pipeline needs at least one receiver",
        ),
        (
            "    traces: {receivers: [listener]}",
            "service.pipelines.traces.exporters: a pipeline needs at least one exporter",
        ),
        (
            "    traces: {receivers: [listener, listener], exporters: [sender]}",
            "service.pipelines.traces.receivers[1]: `listener` stands in this list twice; remove one of them",
        ),
        (
            "    traces: {receivers: [listener], exporters: [sender], processors: [batch]}",
            "service.pipelines.traces.processors[0]: the processor `batch` is not defined under `processors`; there are none",
        ),
        ("    {}", "service.pipelines: there is no pipeline; add `traces` with its receivers and exporters"),
    ];
    for (pipeline, message) in cases {
        let said = said(&format!("{head}{pipeline}\n"));
        assert!(said.lines().any(|line| line.ends_with(message) && line.starts_with("c.yaml:")), "{said}");
    }
}

#[test]
fn a_missing_service_is_named() {
    assert_eq!(said("receivers: {listener: }"), "service: the key `service` is missing");
}

#[test]
fn what_no_pipeline_uses_is_a_warning() {
    let text = format!(
        "extensions: {{side: }}\nreceivers: {{listener: , listener/2: }}\nexporters: {{sender: {{uri: 'a://b'}}}}\n{SERVICE}"
    );
    assert_eq!(
        said(&text),
        "c.yaml:1:14: warning: extensions.side: the extension is defined, but `service.extensions` does not list it\n\
         c.yaml:2:25: warning: receivers.listener/2: the receiver is defined, but no pipeline uses it"
    );
}

#[test]
fn an_unknown_extension_is_named() {
    let text = "receivers: {listener: }\nexporters: {sender: {uri: 'a://b'}}\n\
                service: {extensions: [sid], pipelines: {traces: {receivers: [listener], exporters: [sender]}}}\n";
    assert_eq!(
        said(text),
        "c.yaml:3:24: service.extensions[0]: the extension `sid` is not defined under `extensions`; there are none"
    );
}

#[test]
fn an_unusable_component_is_reported_once() {
    let text =
        format!("receivers: {{listener: , listner/2: }}\nexporters: {{sender: {{uri: 'a://b'}}}}\n{SERVICE}")
            .replace("[listener]", "[listener, listner/2]");
    assert_eq!(
        said(&text),
        "c.yaml:1:25: receivers.listner/2: unknown receiver type `listner`; did you mean `listener`?"
    );
}

#[test]
fn two_listeners_cannot_share_an_address() {
    let text = "
extensions: {side: {endpoint: 'localhost:4317'}, side/2: {endpoint: '127.0.0.1:0'}, side/3: {endpoint: '127.0.0.1:0'}}
receivers: {listener: {endpoint: '0.0.0.0:4317'}}
exporters: {sender: {uri: 'a://b'}}
service:
  extensions: [side, side/2, side/3]
  pipelines: {traces: {receivers: [listener], exporters: [sender]}}
";
    assert_eq!(
        said(text),
        "c.yaml:2:31: extensions.side.endpoint: listens on the same address as receivers.listener.endpoint; \
         change one of the ports"
    );
}

#[test]
fn the_logs_of_the_service_are_configured_in_the_collectors_words() {
    let service = |logs: &str| {
        format!(
            "receivers: {{listener: }}\nexporters: {{sender: {{uri: 'a://b'}}}}\nservice:\n  telemetry: {{logs: {logs}}}\n  \
             pipelines: {{traces: {{receivers: [listener], exporters: [sender]}}}}\n"
        )
    };
    let loaded = World::default().load_text(&service("{level: DEBUG, encoding: json}")).unwrap();
    assert_eq!(loaded.config.service.telemetry.logs.level, crate::telemetry::LogLevel::Debug);
    assert_eq!(
        said(&service("{level: verbose}")),
        "c.yaml:4:29: service.telemetry.logs.level: unknown value `verbose`; known are `debug`, `info`, `warn` and `error`"
    );
}

#[test]
fn text_that_is_not_yaml_is_located() {
    let cases = [
        ("a: [1, 2\nb: 3", "c.yaml:2:2: not valid YAML: "),
        ("a: 1\na: 2", "c.yaml:2:1: the key `a` stands here twice; remove one of them"),
        ("--- 1\n--- 2", "c.yaml:2:1: a file holds one document"),
        ("[a]: 1", "c.yaml:1:1: a key must be plain text"),
        ("a: !secret x", "c.yaml:1:4: the tag `!secret` is not supported"),
        ("a: *none", "c.yaml:1:4: not valid YAML: "),
        ("- a", "c.yaml:1:1: expected a map with `receivers`"),
        ("a: &a [*a]", "c.yaml:1:8: "),
    ];
    for (text, start) in cases {
        let said = said(text);
        assert!(said.lines().any(|line| line.starts_with(start)), "{text} says {said}");
    }
}

#[test]
fn bombs_end_as_a_problem() {
    let laughs: String = (1..20)
        .map(|level| format!("a{level}: &a{level} [{0}, {0}, {0}, {0}]\n", format!("*a{}", level - 1)))
        .collect();
    let cases = [
        (format!("a0: &a0 [x, x, x, x]\n{laughs}"), "more than 50000 values"),
        (format!("{}{}", "[".repeat(200), "]".repeat(200)), "nested deeper than 64 levels"),
        (format!("a: [{}]", "x,".repeat(60_000)), "more than 50000 values"),
        ("#".repeat(1_100_000), "the file is larger than 1048576 bytes"),
        (format!("{}x", "&a ? ".repeat(100)), ""),
    ];
    for (text, message) in cases {
        let said = said(&text);
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn merge_keys_and_anchors_work() {
    let text = format!(
        "receivers: {{listener: }}\nexporters:\n  sender: &base {{uri: 'a://b', mode: strict}}\n  \
         sender/2: {{<<: *base, mode: enriched}}\n{SERVICE}"
    );
    let loaded = World::default().load_text(&text).unwrap();
    let settings: serde_json::Value =
        loaded.config.component(ComponentKind::Exporter, "sender/2").unwrap().settings().unwrap();
    assert_eq!(settings, serde_json::json!({"mode": "enriched", "uri": "a://b"}));
}

#[test]
fn the_debug_form_of_a_configuration_hides_its_settings() {
    let loaded = World::default().load_text(&with_exporter("uri: 'hunter2://b'")).unwrap();
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

proptest::proptest! {
    /// Pieces of YAML and of references in any order end as a configuration or as problems.
    #[test]
    fn no_text_panics(pieces in proptest::collection::vec(0_usize..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().filter_map(|piece| PIECES.get(*piece)).copied().collect();
        let world = World::default().with("A", &text).with("B", "[1, {x: 2}]").file_of("f", &text);
        let _ = said_in(world, &text);
        let _ = said_in(World::default().with("A", &text), &with_exporter("uri: '${env:A}', headers: '${A}'"));
    }
}

const PIECES: &[&str] = &[
    "receivers",
    "exporters",
    "service",
    "pipelines",
    "traces",
    "sender",
    "listener",
    "uri",
    "mode",
    "headers",
    "from",
    ": ",
    ":",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    "\"",
    "#",
    " ",
    "\t",
    "&a ",
    "*a",
    "<<: ",
    "? ",
    "| ",
    "> ",
    "!!str ",
    "!x ",
    "---\n",
    "...\n",
    "%TAG ! x\n",
    "$",
    "$$",
    "${",
    "${env:A}",
    "${env:B}",
    "${file:f}",
    "${A:-",
    "1",
    "0x1F",
    "1e999",
    ".inf",
    "~",
    "true",
    "é",
    "\u{0}",
    "\u{feff}",
    "\r\n",
];
