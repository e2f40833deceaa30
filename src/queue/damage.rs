//! Setting damaged bytes aside, for whoever wants to look at them.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::disk::Disk;
use super::flood::Flood;
use super::segment::SegmentId;
use super::window::Window;

/// Bytes that are copied at once.
const COPY_BYTES: u64 = 64 << 10;

/// The directory for damaged data, in that of the log.
pub(super) fn directory(log: &Path) -> PathBuf {
    log.join("corrupt")
}

/// Copies damaged bytes of a segment to a file that says where they were.
///
/// A failure is logged and nothing more: reading goes on without the copy.
pub(super) fn set_aside(
    disk: &dyn Disk,
    log: &Path,
    id: SegmentId,
    range: Range<u64>,
    from: &mut Window,
    said: &Flood,
) {
    let name = format!("{}-{}.bin", id.file_name(), range.start);
    let (segment, offset, aside) = (id.file_name(), range.start, range.end - range.start);
    let copied = copy(disk, &directory(log).join(name), range, from);
    let Some(bytes) = said.due(aside) else { return };
    match copied {
        // A run before this one may have found it too.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            tracing::warn!(%error, segment, offset, bytes, "damaged data in the queue; it could not be set aside");
        }
        _ => tracing::warn!(segment, offset, bytes, "damaged data in the queue"),
    }
}

fn copy(disk: &dyn Disk, path: &Path, range: Range<u64>, from: &mut Window) -> io::Result<()> {
    let mut file = disk.create(path)?;
    let mut offset = range.start;
    while offset < range.end {
        let length = COPY_BYTES.min(range.end - offset);
        let bytes = from.read(offset, u32::try_from(length).unwrap_or(0))?;
        if let Err(error) = file.append(&bytes) {
            // Half a copy helps nobody, and a full disk needs its bytes.
            let _ = disk.remove(path);
            return Err(error);
        }
        offset += length;
    }
    Ok(())
}
