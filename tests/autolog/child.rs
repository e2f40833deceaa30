//! Runs one case in a process of its own: this binary again, with one test chosen.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the case in the process that runs it.
pub(crate) const VARIABLE: &str = "AUTOLOG_TEST_CASE";

/// How long a case may take before it counts as one that hangs.
const HANGS: Duration = Duration::from_secs(120);

pub(crate) struct Child(Command);

pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) text: String,
}

impl Child {
    /// A case in an empty environment, with a working directory.
    pub(crate) fn new(case: &str, folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["cases::one_case", "--exact", "--nocapture", "--test-threads=1"])
            .env_clear()
            .env(VARIABLE, case)
            .current_dir(folder);
        Self(command)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.env(name, value);
        self
    }

    #[expect(clippy::disallowed_methods, reason = "there is no runtime here whose worker would be blocked")]
    pub(crate) fn run(mut self) -> Output {
        let output = tempfile::tempfile().unwrap();
        let errors = output.try_clone().unwrap();
        self.0.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(errors);
        let mut process = self.0.spawn().unwrap();
        let started = Instant::now();
        let success = loop {
            match process.try_wait().unwrap() {
                Some(status) => break status.success(),
                None if started.elapsed() > HANGS => {
                    process.kill().unwrap();
                    panic!("the case hangs:\n{}", text(output));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        Output { success, text: text(output) }
    }
}

fn text(mut file: std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

impl Output {
    pub(crate) fn succeeded(&self) {
        assert!(self.success, "the case failed:\n{}", self.text);
    }
}
