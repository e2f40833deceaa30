//! Session, user and source of a trace, in the names of every dialect.

use super::attributes::Attributes;
use super::dialects::DIALECTS;
use super::limits::{SESSION_ID, cut};
use super::span::MappedSpan;
use crate::otlp::model::{Resource, any_value};
use crate::semconv::gen_ai::CONVERSATION_ID;
use crate::semconv::mlflow::{SOURCE_NAME, TRACE_SESSION, TRACE_USER};
use crate::semconv::otel;

/// Characters of a hash in hex, and of the dash before it.
const HASH: usize = 17;

/// The session that spans name: the root's, or else the earliest span's.
pub(super) fn session(spans: &[MappedSpan<'_>]) -> Option<String> {
    let known = [otel::SESSION_ID, CONVERSATION_ID, TRACE_SESSION].into_iter();
    let dialects = DIALECTS.iter().filter_map(|dialect| dialect.session);
    first(spans, &known.chain(dialects).collect::<Vec<_>>())
}

/// The user that spans name: the root's, or else the earliest span's.
pub(super) fn user(spans: &[MappedSpan<'_>]) -> Option<String> {
    let known = [otel::USER_ID, otel::ENDUSER_ID, TRACE_USER].into_iter();
    let dialects = DIALECTS.iter().filter_map(|dialect| dialect.user);
    first(spans, &known.chain(dialects).collect::<Vec<_>>())
}

fn first(spans: &[MappedSpan<'_>], keys: &[&str]) -> Option<String> {
    let read = |attributes: &Attributes<'_>| {
        let texts = keys.iter().filter_map(|key| attributes.usable(key));
        texts.map(|text| text.plain_lossy().into_owned()).find(|text| !text.trim().is_empty())
    };
    let found = spans.iter().filter_map(|span| Some((span, read(&span.attributes)?)));
    let order =
        |span: &MappedSpan<'_>| (span.ids.parent.is_some(), span.record.start_time_unix_nano, span.ids.span);
    found.min_by_key(|(span, _)| order(span)).map(|(_, text)| text)
}

/// The program that made the trace, as metadata.
pub(super) fn source(resource: &Resource) -> Option<(String, String)> {
    let pair = resource.attributes.iter().find(|pair| pair.key == otel::SERVICE_NAME)?;
    match &pair.value.as_ref()?.value {
        Some(any_value::Value::String(name)) if !name.is_empty() && !name.starts_with("unknown_service") => {
            Some((SOURCE_NAME.to_owned(), name.clone()))
        }
        _ => None,
    }
}

/// A session id that is too long, cut, with a hash of the whole at its end.
pub(super) fn shorten_session(id: String) -> String {
    let kept = cut(&id, SESSION_ID - HASH);
    if cut(&id, SESSION_ID).len() == id.len() { id } else { format!("{kept}-{:016x}", fnv1a(id.as_bytes())) }
}

/// The FNV-1a hash: stable over versions and machines.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_sessions_are_cut_and_stay_apart() {
        let (one, other) = ("é".repeat(300), format!("{}x", "é".repeat(299)));
        let (short, other) = (shorten_session(one.clone()), shorten_session(other));
        assert_eq!(short.chars().count(), SESSION_ID);
        assert_ne!(short, other);
        assert_eq!(shorten_session(one), short);
        assert_eq!(shorten_session("s".repeat(250)), "s".repeat(250));
    }
}
