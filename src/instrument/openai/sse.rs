//! Server-sent events, read as they pass by
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use bytes::{Bytes, BytesMut};

/// A line longer than this is not kept: the event that it belongs to is not seen.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// Finds events in the pieces of a stream, wherever they are cut.
#[derive(Debug, Default)]
pub(super) struct Sse {
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was `\r`: a `\n` after it ends no further line.
    after_cr: bool,
    begun: bool,
    too_long: bool,
}

impl Sse {
    /// Takes a piece in and calls back with the data of each event that it completes.
    pub(super) fn push(&mut self, mut piece: &[u8], mut event: impl FnMut(&[u8])) {
        if self.after_cr {
            self.after_cr = false;
            piece = piece.strip_prefix(b"\n").unwrap_or(piece);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', piece) {
            let (line, rest) = piece.split_at(end);
            self.take_line(line, &mut event);
            piece = match rest {
                [b'\r', b'\n', rest @ ..] => rest,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, rest @ ..] => rest,
                [] => &[],
            };
        }
        self.keep(piece);
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.line.len() + piece.len() > MAX_EVENT {
            self.too_long = true;
            self.line = Vec::new();
        } else if !self.too_long {
            self.line.extend_from_slice(piece);
        }
    }

    fn take_line(&mut self, end: &[u8], event: &mut impl FnMut(&[u8])) {
        if self.line.is_empty() && !self.too_long {
            // The usual case: the whole line is in this piece, and nothing is copied.
            return self.whole_line(end, event);
        }
        self.keep(end);
        let line = std::mem::take(&mut self.line);
        if !std::mem::take(&mut self.too_long) {
            self.whole_line(&line, event);
        }
        self.line = line;
        self.line.clear();
    }

    fn whole_line(&mut self, mut line: &[u8], event: &mut impl FnMut(&[u8])) {
        if !self.begun {
            self.begun = true;
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            if self.has_data {
                event(&self.data);
                self.data.clear();
                self.has_data = false;
            }
            return;
        }
        let Some(value) = line.strip_prefix(b"data") else { return };
        let value = match value {
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            [] => &[],
            _ => return,
        };
        if self.data.len() + value.len() > MAX_EVENT {
            return;
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
    }
}

/// Passes events on whole, so that some of them can be left out.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    held: BytesMut,
    /// What was made of the last event, whose `\r` may still be followed by its `\n`.
    last_was_passed: bool,
}

impl Blocks {
    /// Takes a piece in and gives the events that it completes, without those for which the callback
    /// says that they are to be left out.
    pub(super) fn push(&mut self, piece: &[u8], sse: &mut Sse, mut hide: impl FnMut(&[u8]) -> bool) -> Bytes {
        let mut passed = BytesMut::new();
        let ends_last = sse.after_cr && self.held.is_empty() && piece.first() == Some(&b'\n');
        if ends_last && self.last_was_passed {
            passed.extend_from_slice(b"\n");
        }
        for (at, line) in piece.split_inclusive(|byte| *byte == b'\n').enumerate() {
            if at == 0 && ends_last {
                sse.push(line, |_| {});
                continue;
            }
            self.held.extend_from_slice(line);
            let (mut complete, mut hidden) = (false, false);
            sse.push(line, |event| {
                complete = true;
                hidden = hide(event);
            });
            // Comments are passed at their end as well, and what has no end is not held for ever.
            if complete || ends_block(&self.held) || self.held.len() > MAX_EVENT {
                if !hidden {
                    passed.extend_from_slice(&self.held);
                }
                self.held.clear();
                self.last_was_passed = !hidden;
            }
        }
        passed.freeze()
    }

    /// What was not an event to its end.
    pub(super) fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Whether the last line is empty.
fn ends_block(held: &[u8]) -> bool {
    let Some(held) = held.strip_suffix(b"\n") else { return false };
    let held = held.strip_suffix(b"\r").unwrap_or(held);
    held.is_empty() || held.ends_with(b"\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(stream: &[u8], sizes: &[usize]) -> Vec<String> {
        let mut sse = Sse::default();
        let mut events = Vec::new();
        let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
            let (piece, after) = rest.split_at(size);
            sse.push(piece, |data| events.push(String::from_utf8_lossy(data).into_owned()));
            rest = after;
        }
        events
    }

    const STREAM: &[u8] =
        b"\xEF\xBB\xBF: comment\n\ndata: one\n\nevent: x\r\ndata:two\r\ndata: lines\r\n\r\n\
        data: \xC3\xA9\rid: 4\r\rdatabase: no\n\ndata\n\ndata: unfinished\n";

    proptest! {
        #[test]
        fn events_are_the_same_however_the_stream_is_cut(sizes in prop::collection::vec(1usize..12, 1..8)) {
            prop_assert_eq!(read(STREAM, &sizes), ["one", "two\nlines", "é", ""]);
        }
    }

    #[test]
    fn hidden_events_leave_no_trace() {
        let stream = "data: one\r\n\r\ndata: hide\n\ndata: two\n\n: end";
        for size in 1..stream.len() {
            let (mut sse, mut blocks) = (Sse::default(), Blocks::default());
            let mut passed = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                passed.extend_from_slice(&blocks.push(piece, &mut sse, |event| event == b"hide"));
            }
            passed.extend_from_slice(&blocks.finish());
            assert_eq!(String::from_utf8(passed).unwrap(), "data: one\r\n\r\ndata: two\n\n: end", "{size}");
        }
    }

    #[test]
    fn what_is_no_event_is_not_held_back() {
        let (mut sse, mut blocks) = (Sse::default(), Blocks::default());
        assert_eq!(blocks.push(b": keep-alive\n\n", &mut sse, |_| true), ": keep-alive\n\n");
        assert!(blocks.push(b"data: ", &mut sse, |_| true).is_empty());
        let passed: usize =
            (0..40).map(|_| blocks.push(&[b'x'; 1024 * 1024], &mut sse, |_| true).len()).sum();
        assert!(passed > MAX_EVENT && blocks.held.len() <= MAX_EVENT);
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut sse = Sse::default();
        let mut seen = Vec::new();
        sse.push(b"data: ", |_| {});
        (0..40).for_each(|_| sse.push(&[b'x'; 1024 * 1024], |_| {}));
        assert!(sse.line.capacity() <= 2 * MAX_EVENT);
        sse.push(b"\n\ndata: next\n\n", |data| seen.push(data.to_vec()));
        assert_eq!(seen, [b"next"]);
    }
}
