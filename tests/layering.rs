//! The import rules of the architecture: data goes left to right, imports go right to left.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it compared"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Which of our modules a module may import; everything may import those of [`EVERYBODYS`].
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("semconv", &[]),
    ("units", &[]),
    ("dates", &[]),
    ("hints", &[]),
    ("tls", &[]),
    ("genai", &["semconv"]),
    ("instrument", &["semconv", "genai"]),
    ("otlp", &[]),
    ("mlflow", &["semconv"]),
    ("mapping", &["semconv", "genai", "otlp", "mlflow"]),
    ("store", &["semconv", "otlp", "mlflow", "mapping"]),
    ("queue", &[]),
    ("pipeline", &["otlp", "queue"]),
    ("processors", &["otlp", "pipeline"]),
    ("receivers", &["otlp", "pipeline"]),
    ("exporters", &["otlp", "pipeline", "queue", "mapping", "store", "mlflow", "semconv", "tracking"]),
    ("exporter", &["otlp", "pipeline", "exporters", "mapping", "store", "mlflow", "semconv", "tracking"]),
    (
        "autolog",
        &[
            "instrument",
            "genai",
            "semconv",
            "document",
            "exporter",
            "exporters",
            "mapping",
            "mlflow",
            "store",
            "tracking",
        ],
    ),
    ("tracking", &["semconv", "mlflow", "store", "instrument"]),
    ("evaluate", &["semconv", "mlflow", "mapping", "store", "tracking"]),
    ("document", &[]),
    ("config", &["document", "receivers", "processors", "exporters", "pipeline"]),
    ("telemetry", &[]),
    (
        "commands",
        &[
            "config",
            "otlp",
            "pipeline",
            "receivers",
            "processors",
            "exporters",
            "store",
            "mlflow",
            "tracking",
        ],
    ),
    ("bin", &["commands"]),
];

/// Small modules without a place in the architecture.
const EVERYBODYS: &[&str] = &["telemetry", "tls", "units", "dates", "hints"];

#[test]
fn modules_import_only_what_the_architecture_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let rules: BTreeMap<_, BTreeSet<_>> =
        MAY_IMPORT.iter().map(|(module, imports)| (*module, imports.iter().copied().collect())).collect();
    let mut seen = 0;
    let mut broken = Vec::new();
    for file in rust_files(&root) {
        let relative = file.strip_prefix(&root).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if module == "lib" {
            continue;
        }
        let Some(allowed) = rules.get(module) else {
            broken.push(format!("{}: module `{module}` is not in the table", relative.display()));
            continue;
        };
        for import in imports(&std::fs::read_to_string(&file).unwrap()) {
            seen += 1;
            let everybodys = EVERYBODYS.contains(&import.as_str());
            if import != module && !everybodys && !allowed.contains(import.as_str()) {
                broken.push(format!("{}: `{module}` may not import `{import}`", relative.display()));
            }
        }
    }
    assert!(seen > 0, "no import was found: the test reads the wrong folder");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Every `crate::name` or `opentelemetry_mlflow::name` of a source text, outside comments.
fn imports(source: &str) -> Vec<String> {
    let code =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for prefix in ["crate::", "opentelemetry_mlflow::"] {
        for (at, _) in code.match_indices(prefix) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(group_members(group)),
                None => found.push(identifier(rest)),
            }
        }
    }
    found
}

/// The first identifier of each member of a `use crate::{…}` group.
fn group_members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut members = vec![String::new()];
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => members.push(String::new()),
            _ => members.last_mut().unwrap().push(character),
        }
    }
    members.iter().map(|member| identifier(member.trim())).filter(|name| !name.is_empty()).collect()
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
