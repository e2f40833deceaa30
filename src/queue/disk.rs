//! What a log needs of the machine, behind a trait so that tests can break it.

use std::io;
use std::path::Path;
use std::time::Duration;

/// A file of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Why a directory could not be locked.
#[derive(Debug)]
pub enum Holder {
    /// Somebody has it, who said this of himself.
    Other(Option<String>),
    /// It could not be tried.
    Failed(io::Error),
}

/// Files and a clock.
pub trait Disk: Send + Sync + 'static {
    /// Makes a directory and those above it, where missing, so that they outlast a power loss.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn create_directory(&self, path: &Path) -> io::Result<()>;

    /// The files of a directory, in no order; no directories.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a file for appending.
    ///
    /// # Errors
    ///
    /// As the system's; if the file is there already.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that is there, for reading, cutting and syncing.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of what had that name.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Deletes a file.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Brings the names of a directory onto the medium.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// Keeps others out of a directory until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// Who has it, or why it could not be tried.
    fn lock(&self, directory: &Path) -> Result<Box<dyn Send + Sync>, Holder>;

    /// The time since the Unix epoch. Within a process it must not jump with the machine's clock, or a wrong clock
    /// would age every record at once.
    fn now(&self) -> Duration;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all bytes at the end. After an error any part of them may be there.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Brings what was written onto the medium. After an error nothing that was written since the last success is
    /// known to be there, even if a later call succeeds.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn set_length(&mut self, bytes: u64) -> io::Result<()>;

    /// Reads some bytes from an offset; 0 at the end of the file.
    ///
    /// # Errors
    ///
    /// As the system's.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}
