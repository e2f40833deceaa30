//! The file that is appended to.

use std::io;

use super::disk::DiskFile;
use super::record::Header;
use super::segment::SegmentId;
use super::state::Pending;

/// Small payloads are gathered up to so many bytes before they are written.
const GATHERED_BYTES: usize = 256 << 10;

/// A payload from this size on is written from where it is.
const LARGE_BYTES: usize = 64 << 10;

/// The segment that is appended to.
pub(super) struct Active {
    pub(super) id: SegmentId,
    file: Box<dyn DiskFile>,
    /// Bytes whose records were published.
    bytes: u64,
}

impl Active {
    /// A new file.
    pub(super) fn new(id: SegmentId, file: Box<dyn DiskFile>) -> Self {
        Self { id, file, bytes: 0 }
    }

    /// Bytes whose records were published.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes records with consecutive sequences, and brings them onto the medium if told to.
    pub(super) fn write(&mut self, records: &[Pending], first: u64, sync: bool) -> io::Result<()> {
        let mut gathered = Vec::new();
        for (record, sequence) in records.iter().zip(first..) {
            let header = Header {
                // The limit of a record is a u32.
                length: u32::try_from(record.payload.len()).map_err(io::Error::other)?,
                sequence,
                time: record.time,
                payload_crc: record.crc,
            };
            header.encode(self.id.tag, &mut gathered);
            if record.payload.len() >= LARGE_BYTES {
                self.flush(&mut gathered)?;
                self.file.append(&record.payload)?;
            } else {
                gathered.extend_from_slice(&record.payload);
                if gathered.len() >= GATHERED_BYTES {
                    self.flush(&mut gathered)?;
                }
            }
        }
        self.flush(&mut gathered)?;
        if sync { self.file.sync() } else { Ok(()) }
    }

    fn flush(&mut self, gathered: &mut Vec<u8>) -> io::Result<()> {
        if !gathered.is_empty() {
            self.file.append(gathered)?;
            gathered.clear();
        }
        Ok(())
    }

    /// Takes note that so many bytes more were published.
    pub(super) fn grow(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Cuts off what was written after the last published record; says whether that worked.
    pub(super) fn cut(&mut self) -> bool {
        self.file.set_length(self.bytes).is_ok()
    }
}
