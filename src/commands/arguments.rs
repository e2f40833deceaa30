//! The arguments, in the Collector's manner.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Parser, Subcommand};

use crate::telemetry::{COMMIT, VERSION};

/// `0.1.0`, or `0.1.0 (commit)` where the build knows its commit.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| match COMMIT {
    Some(commit) => format!("{VERSION} ({commit})"),
    None => VERSION.to_owned(),
});

/// Takes OpenTelemetry traces in and writes them into MLflow.
#[derive(Debug, Parser)]
#[command(name = "otel-mlflow", version = LONG_VERSION.as_str(), disable_help_subcommand = true)]
#[command(after_help = "\
Without a command the collector runs. Without --config it takes OTLP on 127.0.0.1:4317 (gRPC) and
127.0.0.1:4318 (HTTP), and writes to MLFLOW_TRACKING_URI, or to ./mlflow.db.

Exit codes: 0 clean stop, 1 failure at run time, 2 bad configuration or arguments.")]
pub(super) struct Arguments {
    /// Configuration file in YAML; may be given several times, each is laid over those before it
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) config: Vec<PathBuf>,

    /// One value of the configuration, laid over the files: --set exporters.mlflow.timeout=5s
    #[arg(long, value_name = "KEY.PATH=VALUE", global = true)]
    pub(super) set: Vec<String>,

    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

/// What to do instead of running.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum Command {
    /// Check the configuration, and say all that is wrong with it
    Validate,
    /// List the components that are built in
    Components,
    /// Print the JSON Schema of the configuration
    Schema,
    /// Check that what the configuration names is there: addresses, tracking URI, credentials
    Doctor,
    /// Look at, deliver again or delete the spans that could not be delivered
    #[command(subcommand)]
    DeadLetter(DeadLetter),
    /// Say how a running collector is: readiness, destinations, what waits, what was counted
    Status(Status),
    /// Deliver to MLflow what runs could not while it was down
    #[cfg(feature = "client")]
    Import(Import),
}

/// What to do with dead letters: requests that a destination refused for good, with the reason.
///
/// Each queue has its own, in the directory of its `sending_queue`. The configuration says which queues there are:
/// give the same --config as to the collector, which may be running.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum DeadLetter {
    /// List the dead letters of every queue: id, time, number of spans, and why
    List,
    /// Put dead letters back into their queue: a running collector delivers them within seconds, else the next one
    Retry(Letters),
    /// Delete dead letters for good
    Drop(Letters),
}

/// Which dead letters.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
#[group(required = true, multiple = true)]
pub(super) struct Letters {
    /// Ids, as `list` shows them
    #[arg(value_name = "ID", conflicts_with = "all")]
    pub(super) ids: Vec<String>,

    /// All of every queue
    #[arg(long)]
    pub(super) all: bool,
}

/// Which collector to ask.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub(super) struct Status {
    /// Address of its admin server [default: that of the configuration]
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) endpoint: Option<String>,
}

/// What to import, and where to.
#[cfg(feature = "client")]
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub(super) struct Import {
    /// Folder of the spool [default: OTEL_MLFLOW_SPOOL_DIR, or .otel-mlflow/spool]
    #[arg(long, value_name = "FOLDER")]
    pub(super) spool: Option<PathBuf>,

    /// Deliver all of it there, instead of to the server that it was meant for
    #[arg(long, value_name = "URI")]
    pub(super) tracking_uri: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("otel-mlflow").chain(arguments.iter().copied()))
    }

    #[test]
    fn options_stand_before_or_after_the_command() {
        let arguments = parse(&["--config", "a.yaml", "--set", "x=1", "validate", "--config", "b.yaml"]);
        let arguments = arguments.unwrap();
        assert_eq!(arguments.command, Some(Command::Validate));
        let after = parse(&["validate", "--config", "a.yaml", "--config", "b.yaml"]).unwrap();
        assert_eq!(after.config, [PathBuf::from("a.yaml"), PathBuf::from("b.yaml")]);
        assert_eq!(parse(&["--config=a.yaml"]).unwrap().command, None);
    }

    #[test]
    fn dead_letters_are_named_or_all_of_them_are_meant() {
        let named = Letters { ids: vec!["1a".to_owned(), "2b".to_owned()], all: false };
        let command = parse(&["dead-letter", "drop", "1a", "2b"]).unwrap().command;
        assert_eq!(command, Some(Command::DeadLetter(DeadLetter::Drop(named))));
        let all = Letters { ids: Vec::new(), all: true };
        let command = parse(&["dead-letter", "retry", "--all"]).unwrap().command;
        assert_eq!(command, Some(Command::DeadLetter(DeadLetter::Retry(all))));
        for wrong in [&["dead-letter", "drop"][..], &["dead-letter", "drop", "1a", "--all"], &["dead-letter"]]
        {
            assert_eq!(parse(wrong).unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn a_wrong_argument_ends_with_code_2() {
        assert_eq!(parse(&["valdiate"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["--confg", "x"]).unwrap_err().exit_code(), 2);
        assert_eq!(parse(&["--version"]).unwrap_err().exit_code(), 0);
    }
}
