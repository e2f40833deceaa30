//! The file of a cursor: what it acknowledged, written whole under another name and then renamed.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic and version |
//! | 4 | number of ranges |
//! | 16 each | first sequence, and one past the last |
//! | 4 | crc32c of the cursor's name and all before |

use std::io;
use std::path::Path;

use bytes::{Buf as _, BufMut as _};

use super::disk::Disk;
use super::record::SEQUENCE_LIMIT;
use super::sequences::Sequences;

/// The end of a cursor file's name.
const SUFFIX: &str = ".cursor";

/// The end of the name while the file is written.
const UNFINISHED: &str = ".cursor.tmp";

const MAGIC: &[u8; 8] = b"queuecu\x01";

/// More ranges than any reader leaves; a larger file is damaged.
const FILE_LIMIT: u64 = 64 << 20;

/// Whether a file was being written when the process died.
pub(super) fn is_unfinished(file_name: &str) -> bool {
    file_name.ends_with(UNFINISHED)
}

/// The cursor that a file belongs to, if it is a cursor's.
pub(super) fn cursor_of(file_name: &str) -> Option<String> {
    let encoded = file_name.strip_suffix(SUFFIX)?;
    let mut name = Vec::new();
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        name.push(match byte {
            b'%' => 16 * hex(bytes.next()?)? + hex(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(name).ok()
}

/// The file of a cursor: its name, with what a file name may not have as `%XX`.
pub(super) fn file_name(cursor: &str) -> String {
    let mut encoded = String::new();
    for byte in cursor.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded + SUFFIX
}

fn hex(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// The content of a cursor's file.
pub(super) fn encode(cursor: &str, done: &Sequences) -> Vec<u8> {
    let ranges = done.ranges();
    let mut bytes = Vec::with_capacity(16 + 16 * ranges.len());
    bytes.put_slice(MAGIC);
    bytes.put_u32_le(u32::try_from(ranges.len()).unwrap_or(u32::MAX));
    for range in ranges {
        bytes.put_u64_le(range.start);
        bytes.put_u64_le(range.end);
    }
    bytes.put_u32_le(checksum(cursor, &bytes));
    bytes
}

/// What a cursor's file says; `None` if it is damaged.
pub(super) fn decode(cursor: &str, bytes: &[u8]) -> Option<Sequences> {
    let (checked, mut crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc.try_get_u32_le().ok()? != checksum(cursor, checked) {
        return None;
    }
    let mut fields = checked.strip_prefix(MAGIC)?;
    let count = fields.try_get_u32_le().ok()?;
    let mut done = Sequences::default();
    for _ in 0..count {
        let (start, end) = (fields.try_get_u64_le().ok()?, fields.try_get_u64_le().ok()?);
        if start >= end || end > SEQUENCE_LIMIT {
            return None;
        }
        done.insert(start..end);
    }
    Some(done)
}

fn checksum(cursor: &str, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(cursor.as_bytes()), bytes)
}

/// Reads the file of a cursor; `None` if it is damaged.
pub(super) fn read(
    disk: &dyn Disk,
    directory: &Path,
    cursor: &str,
    bytes: u64,
) -> io::Result<Option<Sequences>> {
    if bytes > FILE_LIMIT {
        return Ok(None);
    }
    let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
    let mut file = disk.open(&directory.join(file_name(cursor)))?;
    let mut done = 0;
    while let Some(rest) = content.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(done as u64, rest)? {
            0 => break,
            read => done += read,
        }
    }
    Ok(decode(cursor, &content))
}

/// Replaces the file of a cursor: after a crash it is the old one or the new one, whole.
pub(super) fn replace(disk: &dyn Disk, directory: &Path, cursor: &str, content: &[u8]) -> io::Result<()> {
    let path = directory.join(file_name(cursor));
    let unfinished = path.with_extension("cursor.tmp");
    let written = write_new(disk, &unfinished, content).and_then(|()| disk.rename(&unfinished, &path));
    if let Err(error) = written {
        // A full disk gets its bytes back; if not even that works, the next attempt starts with it.
        let _ = disk.remove(&unfinished);
        return Err(error);
    }
    disk.sync_directory(directory)
}

fn write_new(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = match disk.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(path)?;
            disk.create(path)?
        }
        created => created?,
    };
    file.append(content)?;
    file.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let mut done = Sequences::default();
        done.insert(0..7);
        done.insert(9..12);
        assert_eq!(decode("otlp/b", &encode("otlp/b", &done)), Some(done));
    }

    #[test]
    fn a_damaged_or_foreign_file_is_none() {
        let mut done = Sequences::default();
        done.insert(0..7);
        let bytes = encode("mlflow", &done);
        assert_eq!(decode("otlp", &bytes), None);
        for cut in 0..bytes.len() {
            assert_eq!(decode("mlflow", &bytes[..cut]), None);
            let mut changed = bytes.clone();
            changed[cut] ^= 4;
            assert_eq!(decode("mlflow", &changed), None);
        }
    }

    #[test]
    fn every_name_has_a_file_name_of_its_own() {
        for name in ["mlflow", "otlp/backup", "a.b%2F", "ü ..", "%"] {
            let file = file_name(name);
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(cursor_of(&file).as_deref(), Some(name));
            assert!(!is_unfinished(&file));
        }
    }
}
