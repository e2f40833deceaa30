//! The addresses to listen on: whether they are free.

use std::net::TcpListener;

use super::doctor::Finding;
use crate::config::{ComponentKind, Config};

/// Tries every address of the components that run.
pub(super) fn check(config: &Config) -> Vec<Finding> {
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
    // The Collector's short form for every interface.
    let full = match endpoint.strip_prefix(':') {
        Some(port) => format!("0.0.0.0:{port}"),
        None => endpoint.to_owned(),
    };
    match TcpListener::bind(&full) {
        Ok(_) => Finding::good(subject, format!("{endpoint} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => Finding::bad(
            subject,
            format!(
                "{endpoint} is in use; stop what listens there (another otel-mlflow?), or change the port"
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
        let finding = address("receivers.otlp.endpoint".to_owned(), "127.0.0.1:0");
        assert_eq!(finding.line(), "ok    receivers.otlp.endpoint: 127.0.0.1:0 is free");
    }

    #[test]
    fn an_address_of_another_machine_is_bad() {
        let finding = address("x".to_owned(), "192.0.2.1:4317");
        assert!(finding.line().contains("give an address of this machine"), "{}", finding.line());
    }
}
