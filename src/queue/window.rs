//! Buffered reads of a segment's file, and what to do where it cannot be read.

use std::io;

use super::disk::DiskFile;

/// Bytes that are read at once.
const WINDOW_BYTES: u64 = 64 << 10;

/// What a medium fails to read at least.
const BLOCK_BYTES: u64 = 4 << 10;

/// A file, and the part of it that was read last.
pub(super) struct Window {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    start: u64,
    /// Whether what cannot be read is taken for zeros, which no checksum accepts.
    pub(super) tolerant: bool,
}

impl Window {
    /// A file of which nothing was read yet.
    pub(super) fn new(file: Box<dyn DiskFile>) -> Self {
        Self { file, buffer: Vec::new(), start: 0, tolerant: false }
    }

    /// The file.
    pub(super) fn file(&mut self) -> &mut dyn DiskFile {
        self.file.as_mut()
    }

    /// Bytes from `offset` on: at least `length`, unless `limit` comes first.
    pub(super) fn peek(&mut self, offset: u64, length: u64, limit: u64) -> io::Result<&[u8]> {
        let wanted = length.min(limit.saturating_sub(offset));
        if self.buffered(offset).is_none_or(|bytes| (bytes.len() as u64) < wanted) {
            let length = wanted.max(WINDOW_BYTES).min(limit.saturating_sub(offset));
            self.buffer.clear();
            self.buffer.resize(usize::try_from(length).unwrap_or(0), 0);
            self.start = offset;
            let (done, outcome) = fill(self.file.as_mut(), offset, &mut self.buffer, self.tolerant);
            if outcome.is_err() {
                // What comes before the place that cannot be read is good.
                self.buffer.truncate(done);
                if (done as u64) < wanted {
                    outcome?;
                }
            }
        }
        Ok(self.buffered(offset).unwrap_or_default())
    }

    /// A copy of `length` bytes from `offset` on; zeros for what the file does not have.
    pub(super) fn read(&mut self, offset: u64, length: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length as usize];
        let buffered = self.buffered(offset).unwrap_or_default();
        let ready = buffered.len().min(bytes.len());
        let (front, rest) = bytes.split_at_mut(ready);
        front.copy_from_slice(buffered.get(..ready).unwrap_or_default());
        fill(self.file.as_mut(), offset + ready as u64, rest, self.tolerant).1?;
        Ok(bytes)
    }

    fn buffered(&self, offset: u64) -> Option<&[u8]> {
        self.buffer.get(usize::try_from(offset.checked_sub(self.start)?).ok()?..)
    }
}

/// Reads into the whole buffer, which is zeros, as far as the file goes; returns how much was read before an error.
fn fill(file: &mut dyn DiskFile, offset: u64, buffer: &mut [u8], tolerant: bool) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let place = offset + done as u64;
        done += match file.read_at(place, rest) {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) if tolerant => unreadable(file, place, rest),
            Err(error) => return (done, Err(error)),
        };
    }
    (done, Ok(()))
}

/// Reads the rest of the block at `offset` alone, or leaves zeros for it; returns its bytes.
fn unreadable(file: &mut dyn DiskFile, offset: u64, buffer: &mut [u8]) -> usize {
    let block = (BLOCK_BYTES - offset % BLOCK_BYTES) as usize;
    let block = block.min(buffer.len());
    match buffer.get_mut(..block).map(|part| file.read_at(offset, part)) {
        Some(Ok(read)) if read > 0 => read,
        _ => block,
    }
}
