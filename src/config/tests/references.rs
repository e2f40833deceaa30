//! References to the environment and to files.

use super::*;

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
