//! The form of a record in a segment: a header of 32 bytes, then the payload.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | magic, by which the next record is found after damage |
//! | 4 | length of the payload |
//! | 8 | sequence |
//! | 8 | milliseconds since the Unix epoch |
//! | 4 | crc32c of the payload |
//! | 4 | crc32c of the segment's tag and the 28 bytes before |
//!
//! All little-endian. The tag, which is part of the file's name and partly random, keeps a payload that looks like
//! a record (a client can send one) from being taken for one after damage.

use bytes::{Buf as _, BufMut as _};

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = 32;

/// The first bytes of a record; the last of them is the version of the form.
pub(super) const MAGIC: [u8; 4] = [0xF6, b'Q', b'R', 1];

/// Every sequence is below; room for a million records a second for a hundred thousand years, and no sum of two
/// overflows.
pub(super) const SEQUENCE_LIMIT: u64 = 1 << 62;

/// What stands before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the payload.
    pub(super) length: u32,
    /// Place in the log.
    pub(super) sequence: u64,
    /// When it was appended, in milliseconds since the Unix epoch.
    pub(super) time: u64,
    /// Checksum of the payload.
    pub(super) payload_crc: u32,
}

impl Header {
    /// Adds the header to a buffer.
    pub(super) fn encode(&self, tag: u64, buffer: &mut Vec<u8>) {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.put_slice(&MAGIC);
        header.put_u32_le(self.length);
        header.put_u64_le(self.sequence);
        header.put_u64_le(self.time);
        header.put_u32_le(self.payload_crc);
        header.put_u32_le(checksum(tag, &header));
        buffer.append(&mut header);
    }

    /// Reads the header at the start of some bytes, if there is a valid one.
    pub(super) fn decode(bytes: &[u8], tag: u64) -> Option<Self> {
        let (checked, mut crc) = bytes.get(..HEADER_BYTES)?.split_at_checked(HEADER_BYTES - 4)?;
        let mut fields = checked.strip_prefix(&MAGIC)?;
        if crc.try_get_u32_le().ok()? != checksum(tag, checked) {
            return None;
        }
        let header = Self {
            length: fields.try_get_u32_le().ok()?,
            sequence: fields.try_get_u64_le().ok()?,
            time: fields.try_get_u64_le().ok()?,
            payload_crc: fields.try_get_u32_le().ok()?,
        };
        (header.sequence < SEQUENCE_LIMIT).then_some(header)
    }

    /// Bytes of the header and its payload.
    pub(super) fn record_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.length)
    }
}

fn checksum(tag: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&tag.to_le_bytes()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { length: 7, sequence: 9, time: 11, payload_crc: 13 };

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let mut bytes = Vec::new();
        HEADER.encode(5, &mut bytes);
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(Header::decode(&bytes, 5), Some(HEADER));
    }

    #[test]
    fn a_header_of_another_segment_is_none() {
        let mut bytes = Vec::new();
        HEADER.encode(5, &mut bytes);
        assert_eq!(Header::decode(&bytes, 6), None);
    }

    #[test]
    fn no_changed_bit_goes_unseen() {
        let mut bytes = Vec::new();
        HEADER.encode(5, &mut bytes);
        for bit in 0..HEADER_BYTES * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&changed, 5), None, "bit {bit}");
        }
    }
}
