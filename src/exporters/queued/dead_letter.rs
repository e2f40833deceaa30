//! Requests, or some of their spans, that cannot be delivered: a file with a line for each, in JSON.
//!
//! ```text
//! exporter refuses ──> dead-letter.jsonl ── `dead-letter drop` ──> gone
//!                            └── `dead-letter retry` ──> retry-….jsonl ──> the queue, at once or at the next start
//! ```
//!
//! The file belongs to whoever holds the lock beside it: a running collector adds to it while the command line
//! takes entries out.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use super::record::StoredRequest;
use crate::pipeline::RequestMetadata;

const FILE: &str = "dead-letter.jsonl";
const LOCK: &str = "dead-letter.lock";
/// The beginning of the names of files whose entries go back into the queue.
const RETRY: &str = "retry-";

/// What cannot be done with dead letters.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeadLetterError {
    /// The system refuses something.
    #[error("{}: {source}; check that the directory is there and may be written", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file has grown as large as it may.
    #[error(
        "{} has {bytes} bytes, as many as it may: look at it with `otel-mlflow dead-letter list`, then `retry` or `drop`",
        path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
}

/// A request that was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// What the command line calls it.
    pub id: String,
    /// When it was given up, in milliseconds since the Unix epoch.
    pub time: u64,
    /// Why, as one of a few fixed words: `rejected`, `partial_success`, `retries_exhausted`, `unreadable`.
    pub kind: String,
    /// Why, as the destination said it.
    pub reason: String,
    /// Spans in the request.
    pub spans: usize,
    /// Spans of it that were not delivered; which of them, the destination may not have said.
    pub refused_spans: usize,
    /// Experiment that the sender named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_id: Option<String>,
    /// Run that the sender named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Workspace that the sender named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// Whether the request came as OTLP/JSON.
    #[serde(default)]
    pub json: bool,
    /// The request as OTLP protobuf, in base64; of an unreadable record, its bytes.
    pub body: String,
}

impl DeadLetter {
    /// A request that is given up now.
    pub(super) fn new(
        request: &StoredRequest,
        kind: &'static str,
        reason: &str,
        refused_spans: usize,
    ) -> Self {
        let metadata = request.metadata.clone();
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("{:08x}", rand::rng().random::<u32>()),
            time: u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
            kind: kind.to_owned(),
            reason: reason.to_owned(),
            spans: request.spans,
            refused_spans,
            experiment_id: metadata.experiment_id,
            run_id: metadata.run_id,
            workspace: metadata.workspace,
            json: metadata.json,
            body: BASE64.encode(&request.body),
        }
    }

    /// The request again; none if its body was damaged.
    pub(super) fn request(&self) -> Option<StoredRequest> {
        let body: bytes::Bytes = BASE64.decode(&self.body).ok()?.into();
        let metadata = RequestMetadata {
            experiment_id: self.experiment_id.clone(),
            run_id: self.run_id.clone(),
            workspace: self.workspace.clone(),
            json: self.json,
            bytes: body.len(),
        };
        Some(StoredRequest { spans: self.spans, metadata, body })
    }
}

/// The dead letters of a queue. Cheap to make: nothing is kept open.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    directory: PathBuf,
}

/// Entries of a file, and how many of its lines are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// Those that can be read, oldest first.
    pub letters: Vec<DeadLetter>,
    /// Lines that cannot: a write did not finish.
    pub damaged: usize,
}

impl DeadLetters {
    /// The dead letters in the directory of a queue.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Adds an entry and brings it onto the medium; the file may then have `limit` bytes.
    pub(super) fn add(&self, letter: &DeadLetter, limit: u64) -> Result<(), DeadLetterError> {
        let path = self.path();
        let failed = |source| DeadLetterError::File { path: path.clone(), source };
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        let _lock = self.lock()?;
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        let line = line(letter).map_err(failed)?;
        if bytes + line.len() as u64 > limit {
            return Err(DeadLetterError::Full { path, bytes });
        }
        let written = begin_line(&mut file, bytes).and_then(|()| file.write_all(&line));
        if let Err(error) = written.and_then(|()| file.sync_all()) {
            // What is half there would be a damaged line.
            let _ = file.set_len(bytes);
            return Err(failed(error));
        }
        Ok(())
    }

    /// All entries.
    ///
    /// # Errors
    ///
    /// The file cannot be read; that there is none is no error.
    pub fn list(&self) -> Result<Entries, DeadLetterError> {
        if !self.path().exists() {
            return Ok(Entries::default());
        }
        let _lock = self.lock()?;
        self.read(&self.path())
    }

    /// Takes the entries out for which `wanted` is true, for good; returns them.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written; then nothing is changed.
    pub fn remove(&self, wanted: impl Fn(&DeadLetter) -> bool) -> Result<Vec<DeadLetter>, DeadLetterError> {
        self.take(wanted, |_| Ok(()))
    }

    /// Hands the entries for which `wanted` is true to the collector of this queue, which puts them into the queue
    /// within a second, or when it starts; returns them.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written; then no entry is lost, though some may be delivered and be listed still.
    pub fn retry(&self, wanted: impl Fn(&DeadLetter) -> bool) -> Result<Vec<DeadLetter>, DeadLetterError> {
        self.take(wanted, |taken| {
            let name = format!("{RETRY}{:016x}.jsonl", rand::rng().random::<u64>());
            self.replace(&self.directory.join(name), taken)
        })
    }

    fn take(
        &self,
        wanted: impl Fn(&DeadLetter) -> bool,
        keep: impl FnOnce(&[DeadLetter]) -> Result<(), DeadLetterError>,
    ) -> Result<Vec<DeadLetter>, DeadLetterError> {
        if !self.path().exists() {
            return Ok(Vec::new());
        }
        let _lock = self.lock()?;
        let entries = self.read(&self.path())?;
        let (taken, left): (Vec<_>, Vec<_>) = entries.letters.into_iter().partition(wanted);
        if !taken.is_empty() {
            keep(&taken)?;
            self.replace(&self.path(), &left)?;
        }
        Ok(taken)
    }

    /// Files whose entries are to go into the queue.
    pub(super) fn to_retry(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let wanted = names.filter(|name| name.starts_with(RETRY) && name.ends_with(".jsonl"));
        wanted.map(|name| self.directory.join(name)).collect()
    }

    /// The entries of a file.
    pub(super) fn read(&self, path: &Path) -> Result<Entries, DeadLetterError> {
        let failed = |source| DeadLetterError::File { path: path.to_owned(), source };
        let mut entries = Entries::default();
        for line in BufReader::new(File::open(path).map_err(failed)?).split(b'\n') {
            let line = line.map_err(failed)?;
            match serde_json::from_slice(&line) {
                Ok(letter) => entries.letters.push(letter),
                Err(_) if line.is_empty() => {}
                Err(_) => entries.damaged += 1,
            }
        }
        Ok(entries)
    }

    /// Writes a file anew, whole or not at all. A line that a crash cut off is left out: its request was not
    /// acknowledged, and is in the queue still.
    pub(super) fn replace(&self, path: &Path, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        let new = path.with_extension("new");
        let failed = |source| DeadLetterError::File { path: new.clone(), source };
        let mut file = File::create(&new).map_err(failed)?;
        for letter in letters {
            line(letter).and_then(|line| file.write_all(&line)).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        std::fs::rename(&new, path).map_err(failed)?;
        if cfg!(unix) {
            File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        }
        Ok(())
    }

    /// Keeps others off the file until what is returned is dropped.
    fn lock(&self) -> Result<File, DeadLetterError> {
        let path = self.directory.join(LOCK);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let locked = opened.and_then(|file| file.lock().map(|()| file));
        locked.map_err(|source| DeadLetterError::File { path, source })
    }
}

fn line(letter: &DeadLetter) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(letter)?;
    line.push(b'\n');
    Ok(line)
}

/// Ends the line that a crash has left open.
fn begin_line(file: &mut File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::Start(bytes - 1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &'static [u8]) -> StoredRequest {
        let metadata = RequestMetadata {
            run_id: Some("run".to_owned()),
            json: true,
            bytes: text.len(),
            ..RequestMetadata::default()
        };
        StoredRequest { spans: 4, metadata, body: bytes::Bytes::from_static(text) }
    }

    fn add(letters: &DeadLetters, text: &'static [u8]) -> DeadLetter {
        let letter = DeadLetter::new(&request(text), "rejected", "no\nnewline", 4);
        letters.add(&letter, u64::MAX).unwrap();
        letter
    }

    #[test]
    fn an_entry_gives_the_request_back() {
        let directory = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(directory.path().join("made/when/needed"));
        assert_eq!(letters.list().unwrap(), Entries::default());
        let added = add(&letters, b"spans");
        let listed = letters.list().unwrap();
        assert_eq!(listed, Entries { letters: vec![added], damaged: 0 });
        assert_eq!(listed.letters[0].request(), Some(request(b"spans")));
    }

    #[test]
    fn a_line_that_a_crash_cut_off_costs_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(directory.path());
        let first = add(&letters, b"1");
        add(&letters, b"2");
        let text = std::fs::read(letters.path()).unwrap();
        std::fs::write(letters.path(), &text[..text.len() - 9]).unwrap();
        let third = add(&letters, b"3");
        assert_eq!(letters.list().unwrap(), Entries { letters: vec![first, third], damaged: 1 });
    }

    #[test]
    fn what_is_retried_or_removed_is_listed_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(directory.path());
        let [first, second, third] = [add(&letters, b"1"), add(&letters, b"2"), add(&letters, b"3")];
        let retried = letters.retry(|letter| letter.id == second.id).unwrap();
        assert_eq!(retried, std::slice::from_ref(&second));
        assert_eq!(letters.remove(|letter| letter.id == first.id).unwrap(), [first]);
        assert_eq!(letters.list().unwrap().letters, [third]);
        let files = letters.to_retry();
        assert_eq!(files.len(), 1);
        assert_eq!(letters.read(&files[0]).unwrap().letters, [second]);
        assert_eq!(letters.retry(|_| false).unwrap(), []);
        assert_eq!(letters.to_retry(), files, "an empty file was made");
    }

    #[test]
    fn the_file_does_not_outgrow_its_limit() {
        let directory = tempfile::tempdir().unwrap();
        let letters = DeadLetters::new(directory.path());
        add(&letters, b"1");
        let before = std::fs::read(letters.path()).unwrap();
        let letter = DeadLetter::new(&request(b"2"), "rejected", "", 4);
        let error = letters.add(&letter, before.len() as u64 + 10).unwrap_err();
        assert!(matches!(error, DeadLetterError::Full { .. }), "{error}");
        assert_eq!(std::fs::read(letters.path()).unwrap(), before);
    }
}
