//! A disk in memory that loses what was not synced, fails when told to, and can be full.

mod file;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::queue::{Disk, DiskFile, Entry, Holder};
use file::FakeFile;

/// What happens to a write, sync, rename or any other change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails.
    Error(io::ErrorKind),
    /// It fails, after a part of a write was done.
    Partial(io::ErrorKind),
    /// It panics.
    Panic,
    /// The process or the machine dies before it.
    Crash,
    /// The process or the machine dies after a part of a write was done.
    PartialCrash,
}

/// Makes the error of an `open`.
pub(super) type Refusal = fn() -> io::Error;

/// What a restart finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restart {
    /// The process was killed: what it wrote is there.
    Killed,
    /// The machine lost power: what was not synced is there, or in part, or not; the number decides.
    PowerLoss(u64),
}

#[derive(Clone, Default)]
pub(super) struct FakeDisk(Arc<Mutex<World>>);

#[derive(Default)]
struct World {
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// The names after each change since the last sync.
    name_changes: Vec<BTreeMap<PathBuf, usize>>,
    inodes: Vec<Inode>,
    changes: u64,
    fault: Option<(Range<u64>, Fault)>,
    crashed: bool,
    locked: BTreeSet<PathBuf>,
    boots: u64,
    capacity: Option<u64>,
    unreadable: Option<Range<u64>>,
    /// Why no file can be opened.
    closed: Option<Refusal>,
    now: Duration,
}

#[derive(Clone, Default)]
struct Inode {
    content: Vec<u8>,
    synced: Vec<u8>,
    /// Written and not synced. A failed sync forgets it without syncing, as Linux does.
    dirty: Vec<Range<usize>>,
    /// How often it is open.
    opened: u64,
}

impl FakeDisk {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many changes were made.
    pub(super) fn changes(&self) -> u64 {
        self.world().changes
    }

    /// So many changes fail after `after` others from now on.
    pub(super) fn fail_after(&self, after: u64, times: u64, fault: Fault) {
        let mut world = self.world();
        let first = world.changes + after;
        world.fault = Some((first..first + times, fault));
    }

    /// No change fails any more.
    pub(super) fn heal(&self) {
        self.world().fault = None;
    }

    /// Leaves so many bytes of room, or any.
    pub(super) fn leave_room(&self, bytes: Option<u64>) {
        let mut world = self.world();
        world.capacity = bytes.map(|bytes| world.used() + bytes);
    }

    /// Bytes of any segment that cannot be read.
    pub(super) fn make_unreadable(&self, range: Option<Range<u64>>) {
        self.world().unreadable = range;
    }

    /// No file can be opened, or all can.
    pub(super) fn refuse_to_open(&self, refusal: Option<Refusal>) {
        self.world().closed = refusal;
    }

    pub(super) fn advance(&self, time: Duration) {
        self.world().now += time;
    }

    pub(super) fn crashed(&self) -> bool {
        self.world().crashed
    }

    /// The process or machine dies now.
    pub(super) fn crash(&self) {
        self.world().crashed = true;
    }

    /// Starts again after a crash.
    pub(super) fn restart(&self, restart: Restart) {
        let mut world = self.world();
        if let Restart::PowerLoss(seed) = restart {
            world.lose_power(&mut Random(seed.wrapping_mul(2).wrapping_add(1)));
        }
        world.crashed = false;
        world.fault = None;
        world.locked.clear();
        world.boots += 1;
    }

    /// The files whose name ends so, with their content.
    pub(super) fn files(&self, suffix: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let world = self.world();
        let named = world.names.iter().filter(|(path, _)| path.to_str().unwrap().ends_with(suffix));
        named.map(|(path, &inode)| (path.clone(), world.inodes[inode].content.clone())).collect()
    }

    /// Changes what a file has, on the medium too, if it was not deleted.
    pub(super) fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut world = self.world();
        let Some(&inode) = world.names.get(path) else { return };
        change(&mut world.inodes[inode].content);
        change(&mut world.inodes[inode].synced);
    }

    /// Puts a file there, synced.
    pub(super) fn put(&self, path: &Path, content: Vec<u8>) {
        let mut world = self.world();
        let inode = world.inodes.len();
        world.inodes.push(Inode { synced: content.clone(), content, ..Inode::default() });
        world.names.insert(path.to_owned(), inode);
        world.synced_names.insert(path.to_owned(), inode);
    }

    pub(super) fn delete(&self, path: &Path) {
        let mut world = self.world();
        world.names.remove(path);
        world.synced_names.remove(path);
    }
}

impl World {
    /// A file keeps its room as long as it has a name or is open.
    fn used(&self) -> u64 {
        let named: BTreeSet<usize> = self.names.values().copied().collect();
        let kept = |at: &usize| named.contains(at) || self.inodes[*at].opened > 0;
        (0..self.inodes.len()).filter(kept).map(|at| self.inodes[at].content.len() as u64).sum()
    }

    fn open(&mut self, disk: &FakeDisk, inode: usize) -> Box<dyn DiskFile> {
        self.inodes[inode].opened += 1;
        Box::new(FakeFile { disk: disk.clone(), inode, boot: self.boots })
    }

    fn room(&self) -> usize {
        self.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(self.used()) as usize)
    }

    /// Counts a change; says whether it fails, and whether a part of it is done.
    fn change(&mut self) -> Result<(), (io::Error, bool)> {
        self.alive().map_err(|error| (error, false))?;
        let fault = self.fault.as_ref().filter(|(at, _)| at.contains(&self.changes)).map(|(_, fault)| *fault);
        self.changes += 1;
        match fault {
            None => Ok(()),
            Some(Fault::Error(kind)) => Err((kind.into(), false)),
            Some(Fault::Panic) => panic!("told to"),
            Some(Fault::Partial(kind)) => Err((kind.into(), true)),
            Some(fault @ (Fault::Crash | Fault::PartialCrash)) => {
                self.crashed = true;
                Err((io::Error::other("crashed"), fault == Fault::PartialCrash))
            }
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.crashed { Err(io::Error::other("crashed")) } else { Ok(()) }
    }

    fn renamed(&mut self) {
        let names = self.names.clone();
        self.name_changes.push(names);
    }

    fn lose_power(&mut self, random: &mut Random) {
        let kept = random.below(self.name_changes.len() + 1);
        self.names = match kept {
            0 => self.synced_names.clone(),
            kept => self.name_changes[kept - 1].clone(),
        };
        self.synced_names = self.names.clone();
        self.name_changes.clear();
        for inode in &mut self.inodes {
            let mut content = inode.synced.clone();
            // The length may be there without the bytes: zeros.
            let longest = inode.content.len().max(content.len());
            let length = content.len() + random.below(longest - content.len() + 1);
            content.resize(length, 0);
            for dirty in std::mem::take(&mut inode.dirty) {
                let end = dirty.start + random.below(dirty.len() + 1);
                let end = end.min(length).min(inode.content.len());
                if dirty.start < end {
                    content[dirty.start..end].copy_from_slice(&inode.content[dirty.start..end]);
                }
            }
            inode.synced = content.clone();
            inode.content = content;
        }
    }
}

impl Disk for FakeDisk {
    fn create_directory(&self, _: &Path) -> io::Result<()> {
        self.world().alive()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Entry>> {
        let world = self.world();
        world.alive()?;
        let here = world.names.iter().filter(|(path, _)| path.parent() == Some(directory));
        Ok(here
            .map(|(path, &inode)| Entry {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                bytes: world.inodes[inode].content.len() as u64,
            })
            .collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.change().map_err(|(error, _)| error)?;
        if world.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if world.room() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let inode = world.inodes.len();
        world.inodes.push(Inode::default());
        world.names.insert(path.to_owned(), inode);
        world.renamed();
        Ok(world.open(self, inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.world();
        world.alive()?;
        if let Some(refusal) = world.closed {
            return Err(refusal());
        }
        let inode = *world.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(world.open(self, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change().map_err(|(error, _)| error)?;
        let inode = world.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        world.names.insert(to.to_owned(), inode);
        world.renamed();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change().map_err(|(error, _)| error)?;
        world.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        world.renamed();
        Ok(())
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.change().map_err(|(error, _)| error)?;
        world.synced_names = world.names.clone();
        world.name_changes.clear();
        Ok(())
    }

    fn lock(&self, directory: &Path) -> Result<Box<dyn Send + Sync>, Holder> {
        let mut world = self.world();
        world.alive().map_err(Holder::Failed)?;
        if !world.locked.insert(directory.to_owned()) {
            return Err(Holder::Other(Some("a test".to_owned())));
        }
        Ok(Box::new(FakeLock { disk: self.clone(), path: directory.to_owned(), boot: world.boots }))
    }

    fn now(&self) -> Duration {
        self.world().now
    }
}

struct FakeLock {
    disk: FakeDisk,
    path: PathBuf,
    boot: u64,
}

impl Drop for FakeLock {
    fn drop(&mut self) {
        let mut world = self.disk.world();
        if world.boots == self.boot {
            world.locked.remove(&self.path);
        }
    }
}

/// Numbers that look random.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
