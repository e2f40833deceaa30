//! Texts that are no configuration, or try to be too much.

use super::*;

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
