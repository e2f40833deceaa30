//! `otel-mlflow doctor`: tries what the configuration names, and says what to do where it fails.

use std::process::ExitCode;

use super::{addresses, say};
use crate::config::Loaded;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Good, with what was found.
    Good(String),
    /// Bad, with what is wrong and what to do.
    Bad(String),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What was checked.
    pub(super) subject: String,
    /// What came of it.
    pub(super) verdict: Verdict,
}

impl Finding {
    pub(super) fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good(found.into()) }
    }

    pub(super) fn bad(subject: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Bad(advice.into()) }
    }

    pub(super) fn line(&self) -> String {
        match &self.verdict {
            Verdict::Good(found) => format!("ok    {}: {found}", self.subject),
            Verdict::Bad(advice) => format!("FAIL  {}: {advice}", self.subject),
        }
    }
}

/// Checks a configuration, prints one line per check, and fails if one of them failed.
pub(super) fn doctor(loaded: &Loaded) -> ExitCode {
    say(&Finding::good("configuration", "is valid").line());
    let mut failed = false;
    for finding in addresses::check(&loaded.config) {
        failed |= matches!(finding.verdict, Verdict::Bad(_));
        say(&finding.line());
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
