//! `otel-mlflow status`: asks a running collector how it is, and prints the answer for a person.

use std::fmt::Write as _;
use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::process::ExitCode;
use std::time::Duration;

use super::{complain, say};
use crate::config::{ComponentKind, Config};
use crate::telemetry::{AdminConfig, Readiness};

/// How long the collector may take to answer; it does nothing but look.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most that is read of an answer.
const MAX_BYTES: u64 = 16 << 20;
/// Before the name of every metric.
const PREFIX: &str = "otel_mlflow_";

/// Asks the collector that a configuration describes.
pub(super) fn status_of(config: &Config) -> ExitCode {
    match endpoint(config) {
        Ok(endpoint) => status(&endpoint),
        Err(reason) => {
            complain(&reason);
            ExitCode::FAILURE
        }
    }
}

/// Asks the admin server at an address; succeeds if the collector is ready.
pub(super) fn status(endpoint: &str) -> ExitCode {
    match asked(endpoint) {
        Ok((ready, text)) => {
            say(&text);
            if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            complain(&reason);
            ExitCode::FAILURE
        }
    }
}

fn endpoint(config: &Config) -> Result<String, String> {
    let extensions = config.running(ComponentKind::Extension);
    let Some(admin) = extensions.into_iter().find(|extension| extension.id.kind() == "admin") else {
        return Err("the configuration runs no `admin` extension, which could be asked; add it, or say \
                    where to ask: --endpoint HOST:PORT"
            .to_owned());
    };
    let settings: AdminConfig =
        admin.settings().map_err(|error| format!("extensions.{}: {error}", admin.id))?;
    Ok(settings.endpoint)
}

fn asked(endpoint: &str) -> Result<(bool, String), String> {
    let address = reachable(endpoint);
    let silent = |error: Error| match error.kind() {
        ErrorKind::ConnectionRefused => format!(
            "nothing listens on {address}: no collector runs there, or its `extensions.admin.endpoint` is \
             another; name it with --endpoint HOST:PORT"
        ),
        _ => format!("{address} cannot be asked: {error}"),
    };
    let (status, body) = get(&address, "/readyz").map_err(silent)?;
    let readiness: Readiness = serde_json::from_str(&body).map_err(|_| {
        format!(
            "{address} is not the admin server of otel-mlflow: /readyz answered {status} with something else"
        )
    })?;
    let (_, metrics) = get(&address, "/metrics").map_err(silent)?;
    Ok((readiness.ready, render(&address, &readiness, &metrics)))
}

/// An address that means every interface is reached on this machine.
fn reachable(endpoint: &str) -> String {
    match endpoint.rsplit_once(':') {
        Some(("" | "0.0.0.0", port)) => format!("127.0.0.1:{port}"),
        Some(("[::]", port)) => format!("[::1]:{port}"),
        _ => endpoint.to_owned(),
    }
}

/// HTTP/1.0, where the end of the answer is the end of the connection.
fn get(address: &str, path: &str) -> Result<(u16, String), Error> {
    let mut connected = Err(Error::new(ErrorKind::NotFound, "the name has no address"));
    for socket in address.to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&socket, PATIENCE);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_BYTES).read_to_string(&mut answer)?;
    let no_http = || Error::new(ErrorKind::InvalidData, "it does not speak HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(no_http)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(no_http)?;
    Ok((status, body.to_owned()))
}

fn render(address: &str, readiness: &Readiness, metrics: &str) -> String {
    let mut text = String::new();
    let verdict = if readiness.ready { "ready" } else { "NOT READY" };
    let _ = writeln!(text, "{verdict}: otel-mlflow {} at {address}\n\ncomponents", readiness.version);
    for component in &readiness.components {
        let mark = match (component.ready, &component.reason) {
            (true, None) => "ok  ",
            (true, Some(_)) => "warn",
            (false, _) => "FAIL",
        };
        let about = component.about.as_ref().map(|about| format!(" ({about})")).unwrap_or_default();
        let _ = write!(text, "  {mark}  {}{about}", component.component);
        if let Some(reason) = &component.reason {
            let _ = write!(text, ": {reason}");
        }
        if let Some(seconds) = component.failing_for_seconds {
            let _ = write!(text, " (for {seconds} s)");
        }
        text.push('\n');
    }
    text.push_str("\ncounters and sizes, but for those that are 0\n");
    let samples: Vec<(String, &str)> = metrics.lines().filter_map(sample).collect();
    let width = samples.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in samples {
        let _ = writeln!(text, "  {name:<width$}  {value}");
    }
    text
}

/// A line of the metrics with its name shortened and its labels' values behind it; none for what is
/// 0, a part of a histogram, or a date.
fn sample(line: &str) -> Option<(String, &str)> {
    let (series, value) = line.strip_prefix(PREFIX)?.rsplit_once(' ')?;
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let is_shown =
        !name.ends_with("_bucket") && !name.starts_with("build") && !name.starts_with("process_start");
    if !is_shown || value.parse::<f64>().ok()? == 0.0 {
        return None;
    }
    let values = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once("=\""));
    let values: Vec<&str> = values.map(|(_, value)| value.trim_end_matches('"')).collect();
    let name = name.strip_suffix("_total").unwrap_or(name);
    Some((format!("{name} {}", values.join(" ")).trim_end().to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{AdminServer, Telemetry};

    fn ask(telemetry: &Telemetry) -> (bool, String) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let config = AdminConfig { endpoint: "127.0.0.1:0".to_owned(), ..AdminConfig::default() };
        let server = runtime.block_on(AdminServer::bind(&config)).unwrap();
        let address = server.address().unwrap().to_string();
        runtime.spawn(server.serve(telemetry.clone(), std::future::pending()));
        asked(&address).unwrap()
    }

    #[test]
    fn a_running_collector_tells_its_components_and_counters() {
        let telemetry = Telemetry::default();
        let mlflow = telemetry.health.register("exporters.mlflow");
        mlflow.about("sqlite:///mlflow.db");
        mlflow.ready();
        telemetry.metrics.exporter("mlflow").sent_spans(12);
        telemetry.metrics.exporter("mlflow").refused_spans("mapping", 3);
        let (ready, text) = ask(&telemetry);
        assert!(ready);
        for line in [
            "ready: otel-mlflow ",
            "  ok    exporters.mlflow (sqlite:///mlflow.db)\n",
            "  exporter_sent_spans mlflow             12\n",
            "  exporter_refused_spans mlflow mapping  3\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing from\n{text}");
        }
        assert!(!text.contains("retries"), "what is 0 is left out:\n{text}");
    }

    #[test]
    fn what_is_not_ready_is_told_with_its_reason() {
        let telemetry = Telemetry::default();
        telemetry.health.register("exporters.mlflow").not_ready("wrong password");
        let (ready, text) = ask(&telemetry);
        assert!(!ready);
        assert!(text.starts_with("NOT READY"), "{text}");
        assert!(text.contains("  FAIL  exporters.mlflow: wrong password\n"), "{text}");
    }

    #[test]
    fn where_nothing_runs_the_error_says_what_to_do() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = asked(&free.to_string()).unwrap_err();
        assert!(error.contains("no collector runs there"), "{error}");
        assert!(error.contains("--endpoint"), "{error}");
    }

    #[test]
    fn every_interface_is_reached_on_this_machine() {
        assert_eq!(reachable(":13133"), "127.0.0.1:13133");
        assert_eq!(reachable("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reachable("[::]:1"), "[::1]:1");
        assert_eq!(reachable("gateway:1"), "gateway:1");
    }
}
