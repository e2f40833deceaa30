//! Every configuration that we hand out can be used: the built-in one, the files of `collector-config/`
//! that are ours, that of the image, and the YAML blocks of the README and of the documentation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it compared"
)]
#![cfg(all(feature = "gateway", feature = "sqlite", feature = "postgres"))]

use std::path::Path;

use opentelemetry_mlflow::config::{DEFAULT, Lookup, Sources, load};

/// Texts in place of files; no variable with a default is set, so that the defaults are tried.
struct Texts<'a>(&'a [(&'a str, &'a str)]);

impl Lookup for Texts<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        // Has no default, for it is a secret.
        (name == "OTEL_MLFLOW_TOKEN").then(|| "secret".to_owned())
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        let text = self.0.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
        text.ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }
}

/// Loads texts laid over each other; `None` if they can be used.
fn problems(texts: &[(&str, &str)]) -> Option<String> {
    let files = texts.iter().map(|(name, _)| (*name).into()).collect();
    let sources = Sources { files, set: Vec::new() };
    load(&sources, &Texts(texts)).err().map(|problems| problems.to_string())
}

#[test]
fn the_built_in_configuration_can_be_used() {
    assert_eq!(problems(&[("default", DEFAULT)]), None);
}

#[test]
fn our_files_of_collector_config_can_be_used() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("collector-config");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Those of the official Collector are checked by the official Collector.
        if !name.ends_with(".yaml") || name.starts_with("otelcol") {
            continue;
        }
        assert_eq!(problems(&[(name, &std::fs::read_to_string(&path).unwrap())]), None);
        checked += 1;
    }
    assert!(checked > 0, "collector-config/ has no configuration of ours");
}

#[test]
fn the_configuration_of_the_image_can_be_used() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/docker/config.yaml");
    assert_eq!(problems(&[("config.yaml", &std::fs::read_to_string(path).unwrap())]), None);
}

#[test]
fn the_yaml_blocks_of_the_documentation_can_be_used() {
    for document in ["README.md", "docs/security.md", "docs/assembly.md", "docs/configuration.md"] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
        let blocks = yaml_blocks(&text);
        assert!(!blocks.is_empty(), "{document}");
        for (index, block) in blocks.into_iter().enumerate() {
            // A block without a service is a part to put into the built-in configuration.
            let texts = [("default", DEFAULT), (document, block)];
            let whole = block.lines().any(|line| line.starts_with("service:"));
            let texts = if whole { &texts[1..] } else { &texts[..] };
            assert_eq!(problems(texts), None, "YAML block {} of {document}", index + 1);
        }
    }
}

#[test]
fn the_yaml_blocks_of_the_documentation_of_processors_can_be_used() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/processors.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = yaml_blocks(&page);
    assert!(!blocks.is_empty());
    for block in blocks {
        assert_eq!(problems(&[("default", DEFAULT), ("processors.md", block)]), None);
    }
}

/// What stands between "```yaml" and "```". A block for another program says so: "```yaml otelcol".
fn yaml_blocks(text: &str) -> Vec<&str> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("\n```yaml\n") {
        let Some((block, after)) = after.split_once("```") else { break };
        blocks.push(block);
        rest = after;
    }
    blocks
}

#[test]
fn yaml_blocks_are_found_and_those_of_other_programs_are_not() {
    let text = "x\n```yaml\na: 1\n```\ny\n```yaml otelcol\nb: 2\n```\n```yaml\nc: 3\n```\n";
    assert_eq!(yaml_blocks(text), ["a: 1\n", "c: 3\n"]);
}
