//! Reads the records of a segment in order, and finds the next one after damage.

use std::io;
use std::ops::Range;

use bytes::Bytes;

use super::disk::DiskFile;
use super::record::{HEADER_BYTES, Header, MAGIC};
use super::window::Window;

/// What is next in a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A record as it was written.
    Record(Header, Bytes),
    /// A record whose payload is not what was written.
    Payload(Header, u64),
    /// Bytes that are no record.
    Garbage(Range<u64>),
    /// Nothing more of this segment.
    End,
}

/// A place in a segment's file.
pub(super) struct Scanner {
    window: Window,
    tag: u64,
    offset: u64,
}

impl Scanner {
    /// The start of a file.
    pub(super) fn new(file: Box<dyn DiskFile>, tag: u64) -> Self {
        Self { window: Window::new(file), tag, offset: 0 }
    }

    /// A place in a file.
    pub(super) fn at(offset: u64, file: Box<dyn DiskFile>, tag: u64) -> Self {
        Self { offset, ..Self::new(file, tag) }
    }

    /// What the headers of this file are checked with.
    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    /// Where it goes on.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The file, and how it is read.
    pub(super) fn window(&mut self) -> &mut Window {
        &mut self.window
    }

    /// Goes on to the next record in `wanted`, reading no further than `limit`. Payloads of earlier records are
    /// not read.
    pub(super) fn next(&mut self, limit: u64, wanted: &Range<u64>) -> io::Result<Found> {
        while self.offset < limit {
            let offset = self.offset;
            let Some(header) = self.header_at(offset, limit)? else {
                let end = self.resync(limit)?;
                self.offset = end;
                return Ok(Found::Garbage(offset..end));
            };
            // Left over from a write that failed: what was accepted under this sequence is in the next segment.
            if header.sequence >= wanted.end {
                break;
            }
            if header.sequence >= wanted.start {
                let payload = self.window.read(offset + HEADER_BYTES as u64, header.length)?;
                self.offset += header.record_bytes();
                let intact = crc32c::crc32c(&payload) == header.payload_crc;
                return Ok(if intact {
                    Found::Record(header, payload.into())
                } else {
                    Found::Payload(header, offset)
                });
            }
            self.offset += header.record_bytes();
        }
        Ok(Found::End)
    }

    /// Goes on to the next record before the sequence `end`; gives its header and the first bytes of its payload, whose
    /// checksum is not looked at.
    pub(super) fn next_head(
        &mut self,
        limit: u64,
        end: u64,
        bytes: usize,
    ) -> io::Result<Option<(Header, &[u8])>> {
        while self.offset < limit {
            match self.header_at(self.offset, limit)? {
                None => self.offset = self.resync(limit)?,
                Some(header) if header.sequence >= end => break,
                Some(header) => {
                    let start = self.offset + HEADER_BYTES as u64;
                    self.offset += header.record_bytes();
                    let head = self.window.peek(start, bytes as u64, self.offset)?;
                    return Ok(Some((header, head.get(..bytes).unwrap_or(head))));
                }
            }
        }
        Ok(None)
    }

    /// The header at an offset, if it and its payload are before `limit`.
    fn header_at(&mut self, offset: u64, limit: u64) -> io::Result<Option<Header>> {
        let bytes = self.window.peek(offset, HEADER_BYTES as u64, limit)?;
        let header = Header::decode(bytes, self.tag);
        Ok(header.filter(|header| header.record_bytes() <= limit - offset))
    }

    /// The offset of the next header, or `limit`.
    fn resync(&mut self, limit: u64) -> io::Result<u64> {
        let mut offset = self.offset + 1;
        while offset < limit {
            let bytes = self.window.peek(offset, HEADER_BYTES as u64, limit)?;
            let length = bytes.len() as u64;
            match bytes.windows(MAGIC.len()).position(|part| part == MAGIC) {
                Some(at) => {
                    offset += at as u64;
                    if self.header_at(offset, limit)?.is_some() {
                        return Ok(offset);
                    }
                    offset += 1;
                }
                // The last bytes may be the first of a magic.
                None => offset += length.saturating_sub(MAGIC.len() as u64 - 1).max(1),
            }
        }
        Ok(limit)
    }
}
