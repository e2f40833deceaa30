//! `otel-mlflow doctor`: tries what the configuration names, and says what to do where it fails.

use std::net::TcpListener;
use std::process::ExitCode;

use super::say;
use crate::config::{ComponentKind, Config, Loaded};

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
    fn good(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Good(found.into()) }
    }

    fn bad(subject: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject: subject.into(), verdict: Verdict::Bad(advice.into()) }
    }

    fn line(&self) -> String {
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
    for finding in addresses(&loaded.config) {
        failed |= matches!(finding.verdict, Verdict::Bad(_));
        say(&finding.line());
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Whether the addresses to listen on are free.
fn addresses(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for kind in [ComponentKind::Receiver, ComponentKind::Extension] {
        for component in config.running(kind) {
            for (key, endpoint) in &component.endpoints {
                let subject = format!("{}.{}.{key}", kind.section(), component.id);
                findings.push(address(subject, endpoint));
            }
        }
    }
    findings
}

fn address(subject: String, endpoint: &str) -> Finding {
    let full = match endpoint.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => endpoint.to_owned(),
    };
    match TcpListener::bind(&full) {
        Ok(_) => Finding::good(subject, format!("{endpoint} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::bad(
            subject,
            format!(
                "{endpoint} is in use; stop what listens there (otel-mlflow itself?), or change the port"
            ),
        ),
        Err(error) => Finding::bad(
            subject,
            format!("{endpoint}: {error}; give an address of this machine as host:port"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_address_is_good_and_a_taken_one_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = taken.local_addr().unwrap().to_string();
        let finding = address("receivers.otlp.endpoint".to_owned(), &endpoint);
        assert!(
            finding.line().starts_with(&format!("FAIL  receivers.otlp.endpoint: {endpoint} is in use; "))
        );
        drop(taken);
        let finding = address("receivers.otlp.endpoint".to_owned(), &endpoint);
        assert_eq!(finding.line(), format!("ok    receivers.otlp.endpoint: {endpoint} is free"));
    }

    #[test]
    fn an_address_of_another_machine_is_bad() {
        let finding = address("x".to_owned(), "192.0.2.1:4317");
        assert!(finding.line().contains("give an address of this machine"), "{}", finding.line());
    }
}
