//! Dead letters on their way back into the queue: files that the command line made.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::dead_letter::{DeadLetter, DeadLetters};
use super::explain;
use super::shared::Shared;

/// What of the files is in the queue already.
#[derive(Debug)]
pub(super) struct Returning {
    letters: DeadLetters,
    /// Bytes of each file that need no second look: to put its letters there twice, or to write it anew with each try,
    /// would fill a disk that is full.
    taken: HashMap<PathBuf, u64>,
    /// Whether it was said that letters have to wait.
    is_waiting: bool,
}

impl Returning {
    pub(super) fn new(letters: DeadLetters) -> Self {
        Self { letters, taken: HashMap::new(), is_waiting: false }
    }

    /// Puts the letters into the queue, as far as that takes them. Says once that they have to wait. Blocks.
    pub(super) fn take_back(&mut self, shared: &Shared) {
        for path in self.letters.to_retry() {
            match self.take_file_back(shared, &path) {
                Ok(requests) => {
                    self.is_waiting = false;
                    tracing::info!(queue = shared.name, requests, "dead letters are delivered again");
                }
                Err(reason) => {
                    if !std::mem::replace(&mut self.is_waiting, true) {
                        let path = path.display();
                        tracing::warn!(queue = shared.name, "dead letters wait in {path}: {reason}");
                    }
                    return;
                }
            }
        }
    }

    fn take_file_back(&mut self, shared: &Shared, path: &Path) -> Result<usize, String> {
        let done = self.taken.get(path).copied().unwrap_or_default();
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        file.seek(SeekFrom::Start(done)).map_err(failed)?;
        let (mut requests, mut line) = (0, Vec::new());
        while !shared.stop.is_cancelled() {
            line.clear();
            let read = file.read_until(b'\n', &mut line).map_err(failed)?;
            if read == 0 {
                std::fs::remove_file(path).map_err(failed)?;
                self.taken.remove(path);
                return Ok(requests);
            }
            let letter = serde_json::from_slice::<DeadLetter>(&line);
            match letter.ok().and_then(|letter| letter.record()) {
                Some(record) => {
                    shared.log.append(record).wait().map_err(|error| explain(&error))?;
                    requests += 1;
                }
                None if line.trim_ascii().is_empty() => {}
                None => self.keep(shared, &mut line)?,
            }
            *self.taken.entry(path.to_owned()).or_default() += read as u64;
        }
        Err("the collector is shutting down".to_owned())
    }

    /// What is damaged cannot be delivered; it goes back to where somebody can look at it.
    fn keep(&self, shared: &Shared, line: &mut Vec<u8>) -> Result<(), String> {
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        self.letters.add_line(line, u64::MAX).map_err(|error| error.to_string())?;
        tracing::error!(
            queue = shared.name,
            "a dead letter is damaged and cannot be delivered; its line is in {} again",
            self.letters.path().display()
        );
        Ok(())
    }

    /// Takes what is in the queue out of the files, so that the next start does not put it there again. Where that
    /// fails, it is delivered twice.
    pub(super) fn forget_taken(&self) {
        for (path, taken) in &self.taken {
            if *taken > 0
                && let Err(error) = self.letters.cut(path, *taken)
            {
                tracing::debug!(%error, "dead letters that are in the queue already stay in their file");
            }
        }
    }
}
