//! Paths of artifacts: relative, with slashes, and never out of their folder.

use std::path::{Component, Path, PathBuf};

use crate::mlflow::tracking_uri::percent_decode;
use crate::store::tracking::TrackingError;

/// A path below an artifact root, in normal form: `dir/file.json`. Empty for the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ArtifactPath(String);

impl ArtifactPath {
    /// Reads a path that somebody gave. `.` and doubled slashes are taken out, as MLflow does.
    ///
    /// # Errors
    ///
    /// If the path is absolute, leaves its folder, or has a character that MLflow refuses.
    pub(super) fn parse(text: &str) -> Result<Self, TrackingError> {
        let refused = |why: &str| {
            TrackingError::invalid(format!(
                "the artifact path {text:?} {why}: give a path relative to the artifact root, such as \
                 `tables/scores.json`"
            ))
        };
        // The server decodes a path until nothing is left to decode, and looks at what comes out.
        let decoded = fully_decoded(text);
        if decoded.starts_with('/') || is_drive(&decoded) {
            return Err(refused("is absolute"));
        }
        if decoded.split(['/', '\\']).any(|part| part == "..") {
            return Err(refused("leaves its folder"));
        }
        if text.contains(['\\', '#']) || text.contains(char::is_control) {
            return Err(refused("has a backslash, a `#` or a control character, which MLflow refuses"));
        }
        if decoded != text {
            return Err(refused("has a percent-encoded character, which MLflow would decode"));
        }
        let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
        Ok(Self(parts.join("/")))
    }

    /// As [`Self::parse`], of a file: the root is none.
    pub(super) fn file(text: &str) -> Result<Self, TrackingError> {
        let path = Self::parse(text)?;
        if path.is_root() || text.ends_with('/') {
            return Err(TrackingError::invalid(format!("the artifact path {text:?} names no file")));
        }
        Ok(path)
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path of something in this folder.
    pub(super) fn join(&self, below: &Self) -> Self {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => Self(format!("{}/{}", self.0, below.0)),
        }
    }

    /// The folder that it is in.
    pub(super) fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map(|(parent, _)| parent.to_owned()).unwrap_or_default())
    }

    /// The last part.
    pub(super) fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The place below a local folder.
    pub(super) fn below(&self, folder: &Path) -> PathBuf {
        // Every part is a plain name: `parse` let nothing else through.
        if self.is_root() { folder.to_owned() } else { folder.join(&self.0) }
    }
}

/// A file's path below a folder of ours as artifact path.
pub(super) fn from_local(relative: &Path) -> Result<ArtifactPath, TrackingError> {
    let mut parts = Vec::new();
    for component in relative.components() {
        let Component::Normal(part) = component else {
            return Err(TrackingError::invalid(format!("{} is no relative path", relative.display())));
        };
        let part = part.to_str().ok_or_else(|| {
            TrackingError::invalid(format!("{} is not UTF-8, which artifact paths are", relative.display()))
        })?;
        parts.push(part);
    }
    ArtifactPath::file(&parts.join("/"))
}

fn fully_decoded(text: &str) -> String {
    let mut text = text.to_owned();
    loop {
        // Every round that changes something makes the text shorter.
        let decoded = percent_decode(&text);
        if decoded == text {
            return text;
        }
        text = decoded;
    }
}

/// `C:`, which is absolute on Windows.
fn is_drive(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic()) && characters.next() == Some(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_to_their_normal_form() {
        for (text, normal) in [
            ("a/b.txt", "a/b.txt"),
            ("./a//b.txt", "a/b.txt"),
            ("", ""),
            (".", ""),
            ("ä b/ü.txt", "ä b/ü.txt"),
        ] {
            assert_eq!(ArtifactPath::parse(text).unwrap().as_str(), normal, "{text}");
        }
        assert!(ArtifactPath::file("dir/").is_err());
        assert!(ArtifactPath::file("").is_err());
    }

    #[test]
    fn no_path_leaves_its_folder() {
        for text in [
            "..",
            "../a",
            "a/../../b",
            "a/..",
            "/etc/passwd",
            "//x",
            "%2e%2e/a",
            "%252e%252e/a",
            "a%2f..%2fb",
            "..\\a",
            "a\\b",
            "C:/x",
            "c:x",
            "%2Fetc",
            "a#b",
            "a\0b",
            "a\nb",
            "50%25",
        ] {
            assert!(ArtifactPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_percent_sign_that_encodes_nothing_is_a_name() {
        assert_eq!(ArtifactPath::parse("100%.txt").unwrap().as_str(), "100%.txt");
    }

    #[test]
    fn folders_are_joined_and_taken_apart() {
        let path = ArtifactPath::parse("a/b").unwrap().join(&ArtifactPath::parse("c.txt").unwrap());
        assert_eq!((path.as_str(), path.parent().as_str(), path.name()), ("a/b/c.txt", "a/b", "c.txt"));
        assert_eq!(ArtifactPath::default().join(&path), path);
    }
}
