//! OpenTelemetry's and MLflow's environment variables, as far as the SDK does not read them itself.

use std::time::Duration;

use super::error::AutologError;
use super::plan::{Destination, Propagation, Signal};

/// Reads variables; empty ones count as not set, as OpenTelemetry's specification says.
pub(super) struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl<'a> Environment<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self(lookup)
    }

    /// A variable that is set to something.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// A switch: only `true`, in any case, is true.
    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// A number of milliseconds.
    pub(super) fn milliseconds(&self, name: &str) -> Result<Option<Duration>, AutologError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let parsed = value.parse().map(Duration::from_millis);
        parsed.map(Some).map_err(|_| unusable(name, value, "; write a number of milliseconds"))
    }

    /// `OTEL_EXPORTER_OTLP_<SIGNAL>_<name>`, or else the one for all signals, with its name.
    pub(super) fn otlp(&self, signal: Signal, name: &str) -> Option<(String, String)> {
        let variables =
            [format!("OTEL_EXPORTER_OTLP_{}_{name}", signal.upper()), format!("OTEL_EXPORTER_OTLP_{name}")];
        variables.into_iter().find_map(|variable| self.get(&variable).map(|value| (variable, value)))
    }

    /// The file that says everything.
    pub(super) fn config_file(&self) -> Option<String> {
        self.get("OTEL_CONFIG_FILE").or_else(|| self.get("OTEL_EXPERIMENTAL_CONFIG_FILE"))
    }

    /// Where a signal goes. `to_mlflow`: the program itself names MLflow as the destination of traces.
    pub(super) fn destinations(
        &self,
        signal: Signal,
        to_mlflow: bool,
    ) -> Result<Vec<Destination>, AutologError> {
        let variable = format!("OTEL_{}_EXPORTER", signal.upper());
        if let Some(list) = self.get(&variable) {
            return parse_list(&variable, &list, signal);
        }
        let otlp = self.otlp(signal, "ENDPOINT").or_else(|| self.otlp(signal, "PROTOCOL")).is_some();
        let both = self.flag("MLFLOW_TRACE_ENABLE_OTLP_DUAL_EXPORT");
        let mlflow = signal == Signal::Traces && (to_mlflow || both || !otlp);
        let otlp = otlp && (!to_mlflow || both || signal != Signal::Traces);
        let chosen = [(otlp, Destination::Otlp), (mlflow, Destination::Mlflow)];
        Ok(chosen.into_iter().filter_map(|(wanted, destination)| wanted.then_some(destination)).collect())
    }

    /// How the context travels between services. Names that nothing here can do are given back.
    pub(super) fn propagation(&self) -> (Vec<Propagation>, Vec<String>) {
        let list = self.get("OTEL_PROPAGATORS").unwrap_or_else(|| "tracecontext,baggage".to_owned());
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "none") {
            match Propagation::parse(name) {
                Some(propagation) if known.contains(&propagation) => {}
                Some(propagation) => known.push(propagation),
                None => unknown.push(name.to_owned()),
            }
        }
        (known, unknown)
    }
}

fn parse_list(variable: &str, list: &str, signal: Signal) -> Result<Vec<Destination>, AutologError> {
    let mut found = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let destination = match name.to_ascii_lowercase().as_str() {
            "none" => continue,
            "otlp" => Destination::Otlp,
            "console" => Destination::Console,
            "mlflow" if signal == Signal::Traces => Destination::Mlflow,
            _ => {
                let mlflow = if signal == Signal::Traces { ", `mlflow`" } else { "" };
                let hint = format!("; there are `otlp`, `console`{mlflow} and `none`, in a list with commas");
                return Err(unusable(variable, name, &hint));
            }
        };
        if !found.contains(&destination) {
            found.push(destination);
        }
    }
    Ok(found)
}

pub(super) fn unusable(variable: &str, value: impl Into<String>, hint: &str) -> AutologError {
    AutologError::Variable { variable: variable.to_owned(), value: value.into(), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destinations(variables: &[(&str, &str)], signal: Signal, to_mlflow: bool) -> Vec<Destination> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Environment::new(&lookup).destinations(signal, to_mlflow).unwrap()
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");

    #[test]
    fn traces_go_to_mlflow_unless_otlp_is_configured() {
        use Destination::{Console, Mlflow, Otlp};
        let dual = ("MLFLOW_TRACE_ENABLE_OTLP_DUAL_EXPORT", "TRUE");
        let traces = |variables: &[_], code| destinations(variables, Signal::Traces, code);
        assert_eq!(traces(&[], false), [Mlflow]);
        assert_eq!(traces(&[ENDPOINT, ("MLFLOW_TRACKING_URI", "http://m")], false), [Otlp]);
        assert_eq!(traces(&[ENDPOINT, dual], false), [Otlp, Mlflow]);
        assert_eq!(traces(&[ENDPOINT], true), [Mlflow]);
        assert_eq!(traces(&[ENDPOINT, ("OTEL_TRACES_EXPORTER", "none")], false), []);
        assert_eq!(traces(&[("OTEL_TRACES_EXPORTER", "console, mlflow,console")], false), [Console, Mlflow]);
        assert_eq!(traces(&[("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc")], false), [Otlp]);
        assert_eq!(traces(&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], false), [Mlflow]);
    }

    #[test]
    fn metrics_and_logs_go_nowhere_unless_otlp_is_configured() {
        for signal in [Signal::Metrics, Signal::Logs] {
            assert_eq!(destinations(&[], signal, false), []);
            assert_eq!(destinations(&[ENDPOINT], signal, true), [Destination::Otlp]);
        }
        let own = [("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://c")];
        assert_eq!(destinations(&own, Signal::Metrics, false), []);
    }

    #[test]
    fn an_unknown_exporter_is_refused_with_the_choice() {
        let lookup = |name: &str| (name == "OTEL_METRICS_EXPORTER").then(|| "prometheus".to_owned());
        let error = Environment::new(&lookup).destinations(Signal::Metrics, false).unwrap_err().to_string();
        assert!(error.contains("OTEL_METRICS_EXPORTER") && error.contains("`otlp`"), "{error}");
        assert!(!error.contains("`mlflow`"), "{error}");
    }

    #[test]
    fn propagators_are_w3c_by_default() {
        let unset = |_: &str| None;
        let both = vec![Propagation::TraceContext, Propagation::Baggage];
        assert_eq!(Environment::new(&unset).propagation(), (both, vec![]));
        let listed = |_: &str| Some("b3,baggage,baggage,none".to_owned());
        assert_eq!(
            Environment::new(&listed).propagation(),
            (vec![Propagation::Baggage], vec!["b3".to_owned()])
        );
    }
}
