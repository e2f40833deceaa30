//! What the collector prints when it has started: where it listens, where it writes, how to look.

use std::fmt::Write as _;

use crate::telemetry::VERSION;

/// Where an exporter writes.
pub(super) struct Destination {
    /// Without credentials, such as `sqlite:///mlflow.db (compat: enriched)`.
    pub(super) target: String,
    /// The command or address that shows what was written.
    pub(super) view: Option<String>,
}

/// What has started.
#[derive(Default)]
pub(super) struct Summary {
    /// Receiver and address.
    pub(super) receives: Vec<(String, String)>,
    /// Exporter and destination.
    pub(super) writes: Vec<(String, Destination)>,
    /// Address of the admin server.
    pub(super) admin: Option<String>,
}

impl Summary {
    /// The text to print.
    pub(super) fn text(&self) -> String {
        let mut text = format!("otel-mlflow {VERSION} has started\n");
        for (receiver, address) in &self.receives {
            let _ = writeln!(text, "  receives  {receiver}: {address}");
        }
        for (exporter, destination) in &self.writes {
            let _ = writeln!(text, "  writes    {exporter}: {}", destination.target);
        }
        for view in self.writes.iter().filter_map(|(_, destination)| destination.view.as_ref()) {
            let _ = writeln!(text, "  look      {view}");
        }
        if let Some(admin) = &self.admin {
            let _ = writeln!(text, "  admin     http://{admin}/readyz, /livez, /metrics");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_where_data_comes_in_and_goes_and_how_to_see_it() {
        let destination = Destination {
            target: "sqlite:///mlflow.db".to_owned(),
            view: Some("mlflow ui --backend-store-uri sqlite:///mlflow.db".to_owned()),
        };
        let summary = Summary {
            receives: vec![("otlp".to_owned(), "OTLP/gRPC on 127.0.0.1:4317".to_owned())],
            writes: vec![("mlflow".to_owned(), destination)],
            admin: Some("127.0.0.1:13133".to_owned()),
        };
        let expected = format!(
            "otel-mlflow {VERSION} has started\n  \
             receives  otlp: OTLP/gRPC on 127.0.0.1:4317\n  \
             writes    mlflow: sqlite:///mlflow.db\n  \
             look      mlflow ui --backend-store-uri sqlite:///mlflow.db\n  \
             admin     http://127.0.0.1:13133/readyz, /livez, /metrics\n"
        );
        assert_eq!(summary.text(), expected);
    }
}
