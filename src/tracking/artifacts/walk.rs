//! The files below a folder of this machine.

use std::path::{Path, PathBuf};

use super::local::failed;
use super::path::{ArtifactPath, from_local};
use crate::store::tracking::TrackingError;

/// All files below a folder, each with its path relative to it, in order. Links to files count as
/// files, links to folders are left out.
pub(super) async fn files(folder: &Path) -> Result<Vec<(PathBuf, ArtifactPath)>, TrackingError> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(current) = waiting.pop() {
        let mut entries = tokio::fs::read_dir(&current).await.map_err(|error| failed(&current, error))?;
        while let Some(entry) = entries.next_entry().await.map_err(|error| failed(&current, error))? {
            let path = entry.path();
            let kind = entry.file_type().await.map_err(|error| failed(&path, error))?;
            if kind.is_dir() {
                waiting.push(path);
            } else if kind.is_file() || is_link_to_file(&path).await {
                let relative = path.strip_prefix(folder).unwrap_or(&path);
                let below = from_local(relative)?;
                found.push((path, below));
            }
        }
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}

async fn is_link_to_file(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|metadata| metadata.is_file())
}
