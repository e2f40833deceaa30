//! `otel-mlflow doctor`: tries what the configuration names, and says what to do where it fails.

use std::process::ExitCode;

use super::{addresses, build, destination, say};
use crate::config::{ComponentKind, Config, Loaded};
use crate::receivers::otlp::OtlpReceiverConfig;

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
    let mut findings = addresses::check(&loaded.config);
    findings.extend(trust(&loaded.config));
    findings.extend(destinations(&loaded.config));
    for finding in findings {
        failed |= matches!(finding.verdict, Verdict::Bad(_));
        say(&finding.line());
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether the receivers could use their certificates, tokens and passwords.
fn trust(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for receiver in config.running(ComponentKind::Receiver).into_iter().filter(|one| one.id.kind() == "otlp")
    {
        let subject = format!("receivers.{}", receiver.id);
        let settings: OtlpReceiverConfig = match receiver.settings() {
            Ok(settings) => settings,
            Err(error) => {
                findings.push(Finding::bad(subject, error.to_string()));
                continue;
            }
        };
        findings.extend(settings.check_trust().into_iter().map(|(listener, tried)| match tried {
            Ok(()) => Finding::good(format!("{subject}.{listener}"), "`tls` and `auth` can be used"),
            Err(error) => Finding::bad(format!("{subject}.{listener}"), error.to_string()),
        }));
    }
    findings
}

/// Whether the exporters could write where they are told to.
fn destinations(config: &Config) -> Vec<Finding> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Finding::bad("exporters", format!("cannot start the runtime: {error}"))],
    };
    let mut findings = Vec::new();
    for exporter in config.running(ComponentKind::Exporter) {
        let subject = format!("exporters.{}", exporter.id);
        // What cannot be read of an exporter was said before.
        if let Ok((queue, _)) = build::queue_of(exporter)
            && let Some(directory) = queue.top_directory()
        {
            findings.push(destination::queue(&format!("{subject}.sending_queue"), directory));
        }
        if exporter.id.kind() != "mlflow" {
            continue;
        }
        match exporter.settings() {
            Ok(settings) => findings.extend(runtime.block_on(destination::check(&subject, &settings))),
            Err(error) => findings.push(Finding::bad(subject, error.to_string())),
        }
    }
    findings
}
