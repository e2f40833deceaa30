//! One run's file: appended to by one process, read back line by line.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::record::Record;

/// No line is longer: a batch of MLflow's has at most 100 parameters and 100 tags of 8,000 characters.
const MAX_LINE: u64 = 16 << 20;

/// A file that this process has for itself.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    path: PathBuf,
    file: File,
    size: u64,
}

impl SpoolFile {
    /// Makes a new file.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create_new(true).read(true).append(true).open(&path)?;
        lock(&file)?;
        Ok(Self { path, file, size: 0 })
    }

    /// Opens a file that somebody left; nothing if another process is at it.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).append(true).open(path)?;
        if !lock(&file)? {
            return Ok(None);
        }
        let size = file.metadata()?.len();
        let mut opened = Self { path: path.to_owned(), file, size };
        opened.end_torn_line()?;
        Ok(Some(opened))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// What the file system says. A line that is written in part is skipped by readers.
    pub(crate) fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line) {
            // The next line must not join what there is of this one.
            let _ = self.end_torn_line();
            return Err(error);
        }
        self.size += line.len() as u64;
        Ok(())
    }

    /// Waits until the system has written everything to the disk.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Reads from the beginning; gives what can be read, and how many lines cannot.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn lines(&self) -> io::Result<Lines> {
        let mut file = OpenOptions::new().read(true).open(&self.path)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Lines { reader: BufReader::new(file), torn: 0 })
    }

    /// Removes the file: all of it is delivered.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// A process that was killed may have left half a line.
    fn end_torn_line(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if size > 0 {
            let mut last = [0];
            self.file.seek(SeekFrom::Start(size - 1))?;
            self.file.read_exact(&mut last)?;
            if last != [b'\n'] {
                self.file.write_all(b"\n")?;
            }
        }
        self.size = self.file.metadata()?.len();
        Ok(())
    }
}

/// The readable lines of a file.
#[derive(Debug)]
pub(crate) struct Lines {
    reader: BufReader<File>,
    torn: u64,
}

impl Lines {
    /// The next record.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        loop {
            let mut line = Vec::new();
            let read = self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
            if read == 0 {
                return Ok(None);
            }
            match serde_json::from_slice(&line) {
                Ok(record) => return Ok(Some(record)),
                Err(_) if line.trim_ascii().is_empty() => {}
                Err(_) => self.torn += 1,
            }
        }
    }

    /// How many lines could not be read so far.
    pub(crate) fn torn(&self) -> u64 {
        self.torn
    }
}

/// Takes the lock; false if another process has it. The system frees it when a process ends.
fn lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        // Some network file systems have no locks: delivering twice does no harm.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracking::spool::record::Entries;

    fn all(file: &SpoolFile) -> (Vec<Record>, u64) {
        let mut lines = file.lines().unwrap();
        let mut records = Vec::new();
        while let Some(record) = lines.next().unwrap() {
            records.push(record);
        }
        (records, lines.torn())
    }

    #[test]
    fn a_torn_last_line_costs_itself_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let mut file = SpoolFile::create(path.clone()).unwrap();
        file.append(&Record::Run("r".to_owned())).unwrap();
        file.append(&Record::Log(Entries::default())).unwrap();
        drop(file);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 4]).unwrap();

        let mut file = SpoolFile::open(&path).unwrap().unwrap();
        assert_eq!(all(&file), (vec![Record::Run("r".to_owned())], 1));
        file.append(&Record::Resumed).unwrap();
        assert_eq!(all(&file), (vec![Record::Run("r".to_owned()), Record::Resumed], 1));
        assert_eq!(file.size(), std::fs::metadata(&path).unwrap().len());
    }

    #[test]
    fn a_file_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.jsonl");
        let file = SpoolFile::create(path.clone()).unwrap();
        assert!(SpoolFile::open(&path).unwrap().is_none());
        drop(file);
        let file = SpoolFile::open(&path).unwrap().unwrap();
        file.remove().unwrap();
        assert!(!path.exists());
    }
}
