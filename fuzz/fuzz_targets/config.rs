//! Any text as a configuration file, as an environment variable and as a file that it refers to: it
//! ends as a configuration or as problems, never as a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_mlflow::config::{Lookup, Sources, load};

/// The first part of the input is the file, the second is what every reference gives.
struct World<'a> {
    file: &'a str,
    content: &'a str,
}

impl Lookup for World<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        (name != "UNSET").then(|| self.content.to_owned())
    }

    fn file(&self, path: &str) -> std::io::Result<String> {
        match path {
            "c.yaml" => Ok(self.file.to_owned()),
            "none" => Err(std::io::ErrorKind::NotFound.into()),
            _ => Ok(self.content.to_owned()),
        }
    }
}

fuzz_target!(|text: &str| {
    let (file, content) = text.split_once('\u{0}').unwrap_or((text, text));
    let sources = Sources { files: vec!["c.yaml".into()], set: vec![content.to_owned()] };
    let outcome = load(&sources, &World { file, content });
    // Whatever is wrong can be shown.
    if let Err(problems) = outcome {
        assert!(problems.has_errors());
        assert!(!problems.to_string().is_empty());
    }
});
