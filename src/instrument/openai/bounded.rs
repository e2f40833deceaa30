//! Texts of a stream, kept until it ends: within a limit, and only if they are recorded.

use std::borrow::Cow;

use super::facts::Facts;

/// How much of a stream is still kept.
#[derive(Default)]
pub(super) struct Bounded {
    left: usize,
}

impl Bounded {
    /// As much as may be recorded, with room for what base64 adds; little if nothing is.
    pub(super) fn new(facts: &Facts) -> Self {
        // Names and arguments of tool calls are wanted even without content: tools look for their call.
        let left =
            if facts.wants_content() { facts.policy().content_limit().saturating_mul(2) } else { 64 * 1024 };
        Self { left }
    }

    /// Adds a piece to a text, as long as there is room.
    pub(super) fn push(&mut self, text: &mut String, piece: Option<Cow<'_, str>>) {
        let Some(piece) = piece else { return };
        let end = piece.floor_char_boundary(self.left.min(piece.len()));
        text.push_str(piece.get(..end).unwrap_or_default());
        self.left -= end;
    }
}
