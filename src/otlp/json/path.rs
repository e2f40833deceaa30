//! Where in a JSON body something is wrong, built without allocating until it is.

use std::fmt;

use super::JsonError;

/// A place in the body, such as `resourceSpans[0].scopeSpans[1].spans[2].kind`.
#[derive(Clone, Copy)]
pub(super) enum Path<'a> {
    /// The body itself.
    Root,
    /// A member of an object.
    Key(&'a Path<'a>, &'static str),
    /// An element of a list.
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The place of a member.
    pub(super) fn key(&'a self, name: &'static str) -> Path<'a> {
        Path::Key(self, name)
    }

    /// The place of an element.
    pub(super) fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    /// An error at this place.
    pub(super) fn error(&self, reason: impl Into<String>) -> JsonError {
        JsonError { path: self.to_string(), reason: reason.into() }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("the body"),
            Self::Key(Self::Root, name) => formatter.write_str(name),
            Self::Key(parent, name) => write!(formatter, "{parent}.{name}"),
            Self::Index(parent, index) => write!(formatter, "{parent}[{index}]"),
        }
    }
}
