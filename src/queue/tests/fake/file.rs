//! A file that is open on the disk in memory.

use std::io;

use super::FakeDisk;
use crate::queue::DiskFile;

pub(super) struct FakeFile {
    pub(super) disk: FakeDisk,
    pub(super) inode: usize,
    /// A file that was opened before a crash is of a process that is dead.
    pub(super) boot: u64,
}

impl Drop for FakeFile {
    fn drop(&mut self) {
        self.disk.world().inodes[self.inode].opened -= 1;
    }
}

impl DiskFile for FakeFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.world();
        assert_eq!(world.boots, self.boot, "a dead process writes");
        let outcome = world.change();
        let fits = bytes.len().min(world.room());
        let (written, outcome) = match outcome {
            Ok(()) if fits == bytes.len() => (fits, Ok(())),
            Ok(()) => (fits, Err(io::ErrorKind::StorageFull.into())),
            Err((error, partial)) => (if partial { fits / 2 } else { 0 }, Err(error)),
        };
        let inode = &mut world.inodes[self.inode];
        let start = inode.content.len();
        inode.content.extend_from_slice(&bytes[..written]);
        inode.dirty.push(start..start + written);
        outcome
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.disk.world();
        assert_eq!(world.boots, self.boot, "a dead process writes");
        let outcome = world.change();
        if world.crashed {
            return outcome.map_err(|(error, _)| error);
        }
        let inode = &mut world.inodes[self.inode];
        let dirty = std::mem::take(&mut inode.dirty);
        outcome.map_err(|(error, _)| error)?;
        inode.synced.resize(inode.content.len(), 0);
        for range in dirty {
            let range = range.start.min(inode.content.len())..range.end.min(inode.content.len());
            inode.synced[range.clone()].copy_from_slice(&inode.content[range]);
        }
        Ok(())
    }

    fn set_length(&mut self, bytes: u64) -> io::Result<()> {
        let mut world = self.disk.world();
        assert_eq!(world.boots, self.boot, "a dead process writes");
        world.change().map_err(|(error, _)| error)?;
        let inode = &mut world.inodes[self.inode];
        inode.content.truncate(bytes as usize);
        for range in &mut inode.dirty {
            *range = range.start.min(bytes as usize)..range.end.min(bytes as usize);
        }
        Ok(())
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let world = self.disk.world();
        world.alive()?;
        let mut from = world.inodes[self.inode].content.get(offset as usize..).unwrap_or_default();
        if let Some(range) = world.unreadable.as_ref().filter(|range| offset < range.end) {
            // What comes before is read, as by Linux.
            match range.start.checked_sub(offset) {
                None | Some(0) => return Err(io::Error::other("bad sector")),
                Some(readable) => from = &from[..from.len().min(readable as usize)],
            }
        }
        let length = from.len().min(buffer.len());
        buffer[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }
}
