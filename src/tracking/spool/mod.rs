//! What could not be delivered to MLflow, kept in files until it can.
//!
//! ```text
//! run ── server down ──> .otel-mlflow/spool/<key>.jsonl ── otel-mlflow import, or the next start ──> MLflow
//! ```
//!
//! One file for each run, one JSON object a line, only ever appended to, locked by the process that
//! writes it. A process that is killed loses the line it was writing, if any. A file may be delivered
//! twice without harm: a metric that MLflow has already stays one row, parameters and tags are set to
//! what they are, and a run carries the key of its file as the tag `otel_mlflow.run_key`, by which it
//! is found again.

mod deliver;
mod file;
mod record;

use std::io;
use std::path::{Path, PathBuf};

pub use deliver::{Delivered, SpoolError};
pub(crate) use deliver::{RUN_KEY, Refusals, deliver, experiment_id, log_isolating};
pub(crate) use file::SpoolFile;
pub(crate) use record::{Create, End, Entries, ExperimentRef, Head, Record};

/// Version of the format.
pub(crate) const VERSION: u32 = 1;
/// Where the files are, below the working directory.
const FOLDER: &str = ".otel-mlflow/spool";
/// How much all files together may take.
const MAX_BYTES: u64 = 256 << 20;
/// How the files' names end.
const EXTENSION: &str = "jsonl";

/// The folder for what could not be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    folder: PathBuf,
    max_bytes: u64,
}

impl Default for Spool {
    /// `OTEL_MLFLOW_SPOOL_DIR`, else `.otel-mlflow/spool` below the working directory; 256 MiB.
    fn default() -> Self {
        let named = std::env::var_os("OTEL_MLFLOW_SPOOL_DIR").filter(|folder| !folder.is_empty());
        Self { folder: named.map_or_else(|| PathBuf::from(FOLDER), PathBuf::from), max_bytes: MAX_BYTES }
    }
}

impl Spool {
    /// A folder, which is made when it is first needed.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), max_bytes: MAX_BYTES }
    }

    /// How many bytes all files together may take; what comes after that is dropped and counted.
    #[must_use]
    pub fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files, the oldest first. A missing folder has none.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(path);
            }
        }
        // Names begin with the time: parents come before their children.
        files.sort();
        Ok(files)
    }

    /// Makes the file of a run.
    pub(crate) fn create(&self, key: &str) -> io::Result<SpoolFile> {
        std::fs::create_dir_all(&self.folder)?;
        SpoolFile::create(self.folder.join(format!("{key}.{EXTENSION}")))
    }

    /// Opens a file; nothing if another process is at it.
    pub(crate) fn open(path: &Path) -> io::Result<Option<SpoolFile>> {
        SpoolFile::open(path)
    }

    /// What may still be written.
    pub(crate) fn room(&self) -> u64 {
        let files = self.files().unwrap_or_default();
        let sizes = files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len());
        self.max_bytes.saturating_sub(sizes.sum())
    }
}
