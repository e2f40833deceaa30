//! The command line of `otel-mlflow`: arguments in, exit code out. The work is done elsewhere.

mod addresses;
mod arguments;
mod branches;
mod build;
mod components;
mod dead_letter;
mod destination;
mod doctor;
mod exporters;
#[cfg(feature = "client")]
mod import;
mod lifecycle;
mod reload;
mod run;
mod signals;
mod status;
mod summary;
mod validate;

use std::process::ExitCode;

use clap::Parser as _;

use crate::config::{Loaded, Process, Sources, load, whole_schema};
use arguments::{Arguments, Command};

/// Exit code: the configuration or the arguments are wrong.
const BAD_CONFIGURATION: u8 = 2;

/// Runs the command that the process's arguments name. Exits with 0 after a clean stop, 1 after a
/// failure at run time, 2 if the configuration or the arguments are wrong.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let sources = Sources { files: arguments.config, set: arguments.set };
    match arguments.command {
        None => with_configuration(&sources, |loaded| {
            let sources = sources.clone();
            run::run(&loaded.config, Box::new(move || load(&sources, &Process)))
        }),
        Some(Command::Validate) => with_configuration(&sources, |_| validate::say_valid(&sources)),
        Some(Command::Doctor) => with_configuration(&sources, |loaded| doctor::doctor(&loaded)),
        Some(Command::DeadLetter(wanted)) => {
            with_configuration(&sources, |loaded| dead_letter::dead_letter(&wanted, &loaded.config))
        }
        Some(Command::Status(wanted)) => match wanted.endpoint {
            Some(endpoint) => status::status(&endpoint),
            None => with_configuration(&sources, |loaded| status::status_of(&loaded.config)),
        },
        Some(Command::Components) => say(&components::list()),
        Some(Command::Schema) => say(&format!("{:#}", whole_schema())),
        #[cfg(feature = "client")]
        Some(Command::Import(wanted)) => import::import(&wanted),
    }
}

/// Loads the configuration, shows what is wrong with it, and goes on if it can be used.
fn with_configuration(sources: &Sources, then: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    match load(sources, &Process) {
        Ok(loaded) => {
            complain(&loaded.warnings.to_string());
            then(loaded)
        }
        Err(problems) => {
            complain(&problems.to_string());
            let errors = problems.errors();
            complain(&format!(
                "the configuration has {errors} {}",
                if errors == 1 { "error" } else { "errors" }
            ));
            ExitCode::from(BAD_CONFIGURATION)
        }
    }
}

/// Writes to standard output. That its reader may be gone is no reason to fail.
fn say(text: &str) -> ExitCode {
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
    ExitCode::SUCCESS
}

/// Writes to standard error, where there is something to say.
fn complain(text: &str) {
    use std::io::Write as _;
    if !text.is_empty() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}
