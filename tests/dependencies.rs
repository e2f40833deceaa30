//! Who asks for little compiles little: the dependency trees of the library's smaller features.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::process::Command;

/// What only the gateway needs.
const GATEWAY: &[&str] = &[
    "axum",
    "clap",
    "flate2",
    "num-bigint",
    "prometheus-client",
    "prost",
    "rusqlite",
    "saphyr-parser",
    "schemars",
    "tikv-jemallocator",
    "tokio-postgres",
    "tonic",
    "tracing-subscriber",
    "zstd",
];

/// Names of all crates that a user with these features compiles.
fn crates(features: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", "opentelemetry-mlflow", "--features", features])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
}

#[test]
fn an_instrumented_service_compiles_nothing_of_the_gateway() {
    let tree = crates("async-openai,macros");
    assert!(tree.contains("async-openai") && tree.contains("opentelemetry"), "{tree:?}");
    let found: Vec<_> = GATEWAY.iter().filter(|name| tree.contains(**name)).collect();
    assert!(found.is_empty(), "the layer depends on {found:?}");
    assert!(!tree.contains("opentelemetry_sdk"), "the layer talks to the API alone");
}

#[test]
fn the_layer_adds_few_crates_to_its_client() {
    let client = crates("async-openai");
    let ours = crates("instrument");
    assert!(!ours.contains("reqwest") && !ours.contains("tokio"), "{ours:?}");
    assert!(ours.len() <= 40, "the default features compile {} crates: {ours:?}", ours.len());
    assert!(client.is_superset(&ours));
}
