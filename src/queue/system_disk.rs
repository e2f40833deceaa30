//! The machine's own files and clock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use super::disk::{Disk, DiskFile, Entry, Holder};

/// The file whose lock keeps others out; says who has it.
const LOCK_FILE: &str = "lock";

/// The machine's file systems.
#[derive(Debug)]
pub struct SystemDisk {
    /// Where the clocks stood when this was made: only the monotonic one is read from then on.
    began: (Duration, Instant),
}

impl SystemDisk {
    /// The machine's file systems, and its clock as it stands.
    pub fn new() -> Self {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { began: (wall, Instant::now()) }
    }
}

impl Default for SystemDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk for SystemDisk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        create_directories(path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            // A name that is no text is none of ours.
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                entries.push(Entry { name, bytes: metadata.len() });
            }
        }
        Ok(entries)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile(OpenOptions::new().read(true).append(true).create_new(true).open(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(SystemFile(OpenOptions::new().read(true).append(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        sync_directory(directory)
    }

    fn lock(&self, directory: &Path) -> Result<Box<dyn Send + Sync>, Holder> {
        let path = directory.join(LOCK_FILE);
        // Not cut before it is ours: the text is the holder's.
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(Holder::Failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Holder::Other(holder(&path))),
            Err(TryLockError::Error(error)) => return Err(Holder::Failed(error)),
        }
        // Who we are only helps others; a full disk must not keep the log shut.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "process {}", std::process::id()));
        Ok(Box::new(file))
    }

    fn now(&self) -> Duration {
        self.began.0 + self.began.1.elapsed()
    }
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file, and names are kept with the files.
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Makes a directory and those above it, where missing, for the present user alone, as what senders say is in it; and
/// brings the name of each onto the medium: what is in it is no safer than its name.
///
/// # Errors
///
/// It cannot be made, or its name cannot be synced.
pub fn create_directories(path: &Path) -> io::Result<()> {
    create_synced(path, &sync_directory)
}

fn create_synced(path: &Path, sync: &dyn Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    if let Some(above) = above {
        create_synced(above, sync)?;
    }
    // It can be there by now, made by somebody else.
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    match above.map(sync) {
        // A directory to which names may be added, but that may not be read, cannot be synced.
        Some(Err(error)) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

/// What the holder of a lock said of himself.
fn holder(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path).ok()?.take(200).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A file of the machine.
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.seek(SeekFrom::Start(offset))?;
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Guarantees: each new directory is named on the medium by the one above it, from above; one that was there costs
    /// nothing.
    #[test]
    fn new_directories_are_synced() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let synced = RefCell::new(Vec::new());
        let sync = |directory: &Path| {
            synced.borrow_mut().push(directory.to_owned());
            Ok(())
        };
        create_synced(&root.join("a/b/c"), &sync).unwrap();
        assert!(root.join("a/b/c").is_dir());
        assert_eq!(synced.take(), [root.to_owned(), root.join("a"), root.join("a/b")]);
        create_synced(&root.join("a/b/c"), &sync).unwrap();
        assert!(synced.take().is_empty());
        create_synced(&root.join("a/d"), &sync).unwrap();
        assert_eq!(synced.take(), [root.join("a")]);
        let failing = |_: &Path| Err(io::Error::other("the disk fails"));
        create_synced(&root.join("e"), &failing).unwrap_err();
    }
}
