//! Tells the program its commit, for `--version`, `components` and the metrics.
//!
//! `OTEL_MLFLOW_COMMIT` decides, for builds that have no repository, such as one in a container. A release build asks
//! git, or reads what cargo put into a published package. A debug build does not: it would be compiled anew after each
//! commit. Without any of these the program knows no commit, and says its version alone.
#![allow(clippy::print_stdout, reason = "this is how a build script answers")]

use std::path::{Path, PathBuf};
use std::process::Command;

const VARIABLE: &str = "OTEL_MLFLOW_COMMIT";
/// Digits of a commit that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let given = std::env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    let folder = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = || if is_release { git(&folder).or_else(|| package(&folder)) } else { None };
    if let Some(commit) = given.or_else(found) {
        println!("cargo::rustc-env={VARIABLE}={commit}");
    }
}

/// The commit of the working copy. Not of one around it: an unpacked archive may lie in any repository.
fn git(folder: &Path) -> Option<String> {
    if !folder.join(".git").exists() {
        return None;
    }
    let ask = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    // Grows with every commit and every checkout.
    let log = folder.join(ask(&["rev-parse", "--git-path", "logs/HEAD"])?);
    if log.exists() {
        println!("cargo::rerun-if-changed={}", log.display());
    }
    ask(&["rev-parse", &format!("--short={DIGITS}"), "HEAD"]).filter(|commit| is_commit(commit))
}

/// The commit of a published package, from the file that `cargo package` adds: `{"git": {"sha1": "…"}, …}`.
fn package(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    is_commit(commit).then(|| commit.chars().take(DIGITS).collect())
}

fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
