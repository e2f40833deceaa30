//! Requests, or some of their spans, that cannot be delivered: a file with a line for each, in JSON.
//!
//! ```text
//! exporter refuses ──> dead-letter.jsonl ── `dead-letter drop` ──> gone
//!                            └── `dead-letter retry` ──> retry-….jsonl ──> the queue, at once or at the next start
//! ```
//!
//! The file belongs to whoever holds the lock beside it: a running collector adds to it while the command line
//! takes entries out.

mod letter;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rand::RngExt as _;

pub use letter::DeadLetter;
pub(super) use letter::UNREADABLE;

use crate::queue::create_directories;

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
        self.add_line(&line(letter).map_err(self.failed())?, limit)
    }

    /// As [`Self::add`], for what may be no entry.
    pub(super) fn add_line(&self, line: &[u8], limit: u64) -> Result<(), DeadLetterError> {
        let path = self.path();
        let failed = failed(&path);
        create_directories(&self.directory).map_err(&failed)?;
        let _lock = self.lock()?;
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(&failed)?;
        let bytes = file.metadata().map_err(&failed)?.len();
        if bytes + line.len() as u64 > limit {
            return Err(DeadLetterError::Full { path, bytes });
        }
        let written = begin_line(&mut file, bytes).and_then(|()| file.write_all(line));
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

    /// Empties the file, damaged lines included; returns the entries.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written; then nothing is changed.
    pub fn clear(&self) -> Result<Vec<DeadLetter>, DeadLetterError> {
        if !self.path().exists() {
            return Ok(Vec::new());
        }
        let _lock = self.lock()?;
        let entries = self.read(&self.path())?;
        self.replace(&self.path(), &[])?;
        Ok(entries.letters)
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
        let mut taken = Vec::new();
        self.rewrite(&self.path(), |new| {
            for line in self.lines(&self.path())? {
                let line = line?;
                match serde_json::from_slice(&line) {
                    Ok(letter) if wanted(&letter) => taken.push(letter),
                    // A damaged line stays as well: a medium that has lost a part of it may have lost no more.
                    _ => new.write_all(&line).and_then(|()| new.write_all(b"\n")).map_err(self.failed())?,
                }
            }
            if taken.is_empty() { Ok(false) } else { keep(&taken).map(|()| true) }
        })?;
        Ok(taken)
    }

    /// Bytes of the entries, with those that are to go into the queue.
    pub(super) fn bytes(&self) -> u64 {
        let files = self.to_retry().into_iter().chain([self.path()]);
        files.filter_map(|path| path.metadata().ok()).map(|file| file.len()).sum()
    }

    /// Files whose entries are to go into the queue.
    pub(super) fn to_retry(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.directory) else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let wanted = names.filter(|name| name.starts_with(RETRY) && name.ends_with(".jsonl"));
        wanted.map(|name| self.directory.join(name)).collect()
    }

    /// Takes the first bytes away from a file.
    pub(super) fn cut(&self, path: &Path, bytes: u64) -> Result<(), DeadLetterError> {
        let failed = failed(path);
        let mut file = File::open(path).map_err(&failed)?;
        file.seek(SeekFrom::Start(bytes)).map_err(&failed)?;
        self.rewrite(path, |mut new| io::copy(&mut file, &mut new).map(|_| true).map_err(&failed))
    }

    /// The entries of a file.
    fn read(&self, path: &Path) -> Result<Entries, DeadLetterError> {
        let mut entries = Entries::default();
        for line in self.lines(path)? {
            match serde_json::from_slice(&line?) {
                Ok(letter) => entries.letters.push(letter),
                Err(_) => entries.damaged += 1,
            }
        }
        Ok(entries)
    }

    /// The lines of a file that are not empty.
    fn lines(
        &self,
        path: &Path,
    ) -> Result<impl Iterator<Item = Result<Vec<u8>, DeadLetterError>>, DeadLetterError> {
        let failed = failed(path);
        let lines = BufReader::new(File::open(path).map_err(&failed)?).split(b'\n');
        let lines = lines.map(move |line| line.map_err(&failed));
        Ok(lines.filter(|line| line.as_ref().map_or(true, |line| !line.is_empty())))
    }

    /// Writes a file anew, whole or not at all.
    fn replace(&self, path: &Path, letters: &[DeadLetter]) -> Result<(), DeadLetterError> {
        self.rewrite(path, |new| {
            letters
                .iter()
                .try_for_each(|letter| line(letter).and_then(|line| new.write_all(&line)))
                .map_err(self.failed())?;
            Ok(true)
        })
    }

    /// Puts what is written in the place of a file, whole or not at all, and not if `write` says so.
    fn rewrite(
        &self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> Result<bool, DeadLetterError>,
    ) -> Result<(), DeadLetterError> {
        let new = path.with_extension("new");
        let failed = failed(&new);
        let file = File::create(&new).and_then(|file| self.give_to_owner(&file).map(|()| file));
        let mut file = BufWriter::new(file.map_err(&failed)?);
        if !write(&mut file)? {
            return std::fs::remove_file(&new).map_err(failed);
        }
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(&failed)?;
        std::fs::rename(&new, path).map_err(&failed)?;
        if cfg!(unix) {
            File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(&failed)?;
        }
        Ok(())
    }

    fn failed(&self) -> impl Fn(io::Error) -> DeadLetterError + use<> {
        failed(&self.path())
    }

    /// Keeps others off the file until what is returned is dropped.
    fn lock(&self) -> Result<File, DeadLetterError> {
        let path = self.directory.join(LOCK);
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
        let locked = opened.and_then(|file| {
            self.give_to_owner(&file)?;
            file.lock().map(|()| file)
        });
        locked.map_err(|source| DeadLetterError::File { path, source })
    }

    /// Gives a file to the owner of the directory, which is the user of the collector: who works on dead letters may
    /// be root, and the collector has to write them.
    fn give_to_owner(&self, file: &File) -> io::Result<()> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt as _, fchown};
            let (folder, made) = (std::fs::metadata(&self.directory)?, file.metadata()?);
            if folder.uid() != made.uid() {
                return fchown(file, Some(folder.uid()), Some(folder.gid()));
            }
        }
        Ok(())
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> DeadLetterError + use<> {
    let path = path.to_owned();
    move |source| DeadLetterError::File { path: path.clone(), source }
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
