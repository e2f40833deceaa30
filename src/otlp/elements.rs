//! A bound on what decoding may cost: a few bytes of a body can become hundreds in memory.
//!
//! An empty span takes two bytes on the wire and about 270 as a struct, so a limit on the size of the
//! body alone would allow a hundred times that size in memory. The walk below reads tags and lengths
//! only and allocates nothing.

use super::DecodeError;

/// The most parts of one body: 64 MiB of spans with 3 KB each have about 700,000.
const MAX_ELEMENTS: usize = 2_000_000;

/// A span's struct is as large as that many attributes.
const SPAN_WEIGHT: usize = 5;

/// Deeper than any decoder goes; what lies below is not decoded, so it is not counted.
const MAX_DEPTH: usize = 101;

/// Refuses a protobuf body of too many parts. Says nothing about a body that is malformed.
pub(super) fn check_protobuf(body: &[u8]) -> Result<(), DecodeError> {
    let mut walk = Walk { left: MAX_ELEMENTS };
    match walk.message(body, Kind::Request, MAX_DEPTH) {
        Some(()) => Ok(()),
        None => Err(DecodeError::TooManyElements { limit: MAX_ELEMENTS }),
    }
}

/// Refuses a JSON body of too many parts: counts commas and opening brackets outside strings.
pub(super) fn check_json(body: &[u8]) -> Result<(), DecodeError> {
    let mut elements = 0;
    let (mut inside_string, mut escaped) = (false, false);
    for byte in body {
        match (inside_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => inside_string = !inside_string,
            (false, b',' | b'{' | b'[') => elements += 1,
            _ => {}
        }
    }
    // OTLP/JSON spells one part of the message with up to four: an attribute is `{"key":"a","value":{}}`.
    if elements > 4 * MAX_ELEMENTS {
        Err(DecodeError::TooManyElements { limit: MAX_ELEMENTS })
    } else {
        Ok(())
    }
}

/// The messages of a request, as far as they nest.
#[derive(Clone, Copy)]
enum Kind {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
    Link,
    Attributed,
    KeyValue,
    AnyValue,
    List,
}

impl Kind {
    /// The message in a length-delimited field of this one; `None` is text, bytes, or unknown.
    fn child(self, field: u64) -> Option<Self> {
        match (self, field) {
            (Self::Request, 1) => Some(Self::ResourceSpans),
            (Self::ResourceSpans, 2) => Some(Self::ScopeSpans),
            (Self::ResourceSpans | Self::ScopeSpans, 1) => Some(Self::Attributed),
            (Self::ScopeSpans, 2) => Some(Self::Span),
            (Self::Span, 11) => Some(Self::Event),
            (Self::Span, 13) => Some(Self::Link),
            (Self::Span, 9) | (Self::Event, 3) | (Self::Link, 4) => Some(Self::KeyValue),
            (Self::Attributed, 1 | 3) => Some(Self::KeyValue),
            (Self::KeyValue, 2) => Some(Self::AnyValue),
            (Self::AnyValue, 5 | 6) => Some(Self::List),
            // An array's elements and a map's pairs cost the same; both hold an AnyValue at field 2
            // or are one, so the union of both is walked.
            (Self::List, 1) => Some(Self::AnyValue),
            (Self::AnyValue, 2) => Some(Self::AnyValue),
            _ => None,
        }
    }

    fn weight(self) -> usize {
        match self {
            Self::Span | Self::Event | Self::Link | Self::ScopeSpans | Self::ResourceSpans => SPAN_WEIGHT,
            _ => 1,
        }
    }
}

struct Walk {
    left: usize,
}

impl Walk {
    /// Counts the parts of a message; `None` when there are too many.
    fn message(&mut self, mut bytes: &[u8], kind: Kind, depth: usize) -> Option<()> {
        let Some(depth) = depth.checked_sub(1) else { return Some(()) };
        while let Some(tag) = varint(&mut bytes) {
            let skipped = match tag & 7 {
                0 => varint(&mut bytes).map(|_| None),
                1 => split(&mut bytes, 8).map(|_| None),
                2 => varint(&mut bytes).and_then(|length| split(&mut bytes, length)).map(Some),
                5 => split(&mut bytes, 4).map(|_| None),
                // Groups and invalid types: the decoder fails here or skips what it does not know.
                3 | 4 => Some(None),
                _ => None,
            };
            // Malformed: the decoder says so better.
            let Some(payload) = skipped else { return Some(()) };
            if let (Some(payload), Some(child)) = (payload, kind.child(tag >> 3)) {
                self.left = self.left.checked_sub(child.weight())?;
                self.message(payload, child, depth)?;
            }
        }
        Some(())
    }
}

fn split<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, tail) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = tail;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request of one scope with `count` empty spans.
    fn empty_spans(count: usize) -> Vec<u8> {
        let mut body: Vec<u8> = [0x12, 0x00].repeat(count);
        for field in [0x12, 0x0a] {
            let mut length = body.len();
            let mut head = vec![field];
            while length >= 0x80 {
                head.push((length & 0x7f) as u8 | 0x80);
                length >>= 7;
            }
            head.push(length as u8);
            body.splice(0..0, head);
        }
        body
    }

    #[test]
    fn a_body_of_empty_spans_is_refused_before_it_is_decoded() {
        assert!(check_protobuf(&empty_spans(300_000)).is_ok());
        let error = check_protobuf(&empty_spans(500_000)).unwrap_err();
        assert_eq!(error, DecodeError::TooManyElements { limit: MAX_ELEMENTS });
    }

    #[test]
    fn json_is_counted_outside_strings_only() {
        let text = format!(r#"{{"a":"{}\""}}"#, ",".repeat(9_000_000));
        assert!(check_json(text.as_bytes()).is_ok());
        let text = format!("[{}0]", "0,".repeat(9_000_000));
        assert!(check_json(text.as_bytes()).is_err());
    }
}
