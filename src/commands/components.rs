//! `otel-mlflow components`: what is built in, as YAML in the Collector's form.

use std::fmt::Write as _;

use crate::config::{BUILT_IN, ComponentKind};
use crate::telemetry::{COMMIT, VERSION};

/// The components of this build.
pub(super) fn list() -> String {
    let mut text = format!("buildinfo:\n  command: otel-mlflow\n  version: {VERSION}\n");
    if let Some(commit) = COMMIT {
        let _ = writeln!(text, "  commit: {commit}");
    }
    for kind in ComponentKind::ALL {
        let components = BUILT_IN.of(kind);
        let _ = writeln!(text, "{}:{}", kind.section(), if components.is_empty() { " []" } else { "" });
        let what = if kind == ComponentKind::Extension { "extension" } else { "traces" };
        for component in components {
            let _ = writeln!(text, "  - name: {}", component.name);
            // In quotes: a colon would make it a map.
            let _ = writeln!(text, "    description: {:?}", component.description);
            let _ = writeln!(text, "    stability:\n      {what}: {}", component.stability.as_str());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_is_listed_under_its_section() {
        let text = list();
        for kind in ComponentKind::ALL {
            let (_, section) = text.split_once(&format!("\n{}:", kind.section())).unwrap();
            for component in BUILT_IN.of(kind) {
                assert!(section.contains(&format!("  - name: {}\n", component.name)), "{text}");
            }
        }
    }
}
