//! Several files, pipelines, and what components say about each other.

use super::*;

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
