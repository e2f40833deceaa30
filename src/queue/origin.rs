//! Reading a record again, so that nobody has to keep it while its delivery may still fail.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;

use super::QueueError;
use super::record::Header;
use super::scan::{Found, Scanner};
use super::segment::SegmentId;
use super::shared::Shared;

/// Where a record is. [`Log::read_again`](super::Log::read_again) reads it from there until it is acknowledged, or a
/// limit takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(Medium);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Medium {
    Memory(Bytes),
    File { id: SegmentId, offset: u64, header: Header },
}

impl Origin {
    /// In memory.
    pub(super) fn memory(payload: Bytes) -> Self {
        Self(Medium::Memory(payload))
    }

    /// In a file; it ends before the offset `end`.
    pub(super) fn file(id: SegmentId, end: u64, header: Header) -> Self {
        Self(Medium::File { id, offset: end.saturating_sub(header.record_bytes()), header })
    }
}

impl Shared {
    /// Reads a record again; may block.
    pub(super) fn read_again(&self, origin: &Origin) -> Result<Bytes, QueueError> {
        let (id, offset, header) = match &origin.0 {
            Medium::Memory(payload) => return Ok(payload.clone()),
            Medium::File { id, offset, header } => (*id, *offset, *header),
        };
        let found = self.open_segment(id).and_then(|file| {
            let end = offset.saturating_add(header.record_bytes());
            Scanner::at(offset, file, id.tag).next(end, &(header.sequence..header.sequence + 1))
        });
        let segment = id.file_name();
        let error = match found {
            Ok(Found::Record(again, payload)) if again == header => return Ok(payload),
            // A file that a limit takes may be cut before it is deleted.
            _ if !self.state().has(id) => QueueError::Gone { segment },
            Ok(_) => QueueError::Damaged { segment },
            Err(error) if error.kind() == ErrorKind::NotFound => QueueError::Gone { segment },
            Err(error) => QueueError::Read { segment, source: Arc::new(error) },
        };
        Err(error)
    }
}
