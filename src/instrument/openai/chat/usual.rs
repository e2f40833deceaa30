//! The usual answer and the usual chunk: one choice, nothing but text. Read without building a tree;
//! everything else, such as tool calls, several choices or shapes of other servers, is none of it, and
//! is read as a tree.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::genai::{Text, utf8};
use crate::instrument::openai::usage::ChatUsage;

/// What answers and chunks have around their choices.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
pub(super) struct Usual<'a, C> {
    #[serde(borrow, default)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) service_tier: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) system_fingerprint: Option<Text<'a>>,
    #[serde(default)]
    pub(super) usage: Option<ChatUsage>,
    pub(super) choices: (C,),
    #[serde(default)]
    error: Option<IgnoredAny>,
}

/// What came for one choice of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(default)]
    pub(super) index: i64,
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    /// Of legacy completions.
    #[serde(borrow, default)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) delta: Option<Delta<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delta<'a> {
    #[serde(borrow, default)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

/// A choice of a whole answer, where its content is not recorded.
#[derive(Debug, Deserialize)]
pub(super) struct Brief<'a> {
    #[serde(borrow, default)]
    pub(super) finish_reason: Option<Text<'a>>,
    message: Calls,
}

#[derive(Debug, Deserialize)]
struct Calls {
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
    #[serde(default)]
    function_call: Option<IgnoredAny>,
}

impl<'a> Usual<'a, Piece<'a>> {
    pub(super) fn chunk(data: &'a [u8]) -> Option<Self> {
        let chunk: Self = read(data)?;
        let usual = chunk.usage.is_none() && chunk.error.is_none() && chunk.choices.0.is_text();
        usual.then_some(chunk)
    }
}

impl Piece<'_> {
    /// Whether it holds nothing but text.
    fn is_text(&self) -> bool {
        self.delta.as_ref().is_none_or(|delta| delta.tool_calls.is_none() && delta.function_call.is_none())
    }
}

/// What every chunk of a stream repeats before its choices, byte for byte. A chunk that begins like
/// the one before says nothing new there, and is read from the choices on.
#[derive(Default)]
pub(super) struct Repeated {
    prefix: Vec<u8>,
    /// What follows the choices, as an object of its own.
    rest: Vec<u8>,
}

/// What may follow the choices of a usual chunk: no member that the beginning could have had.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rest {
    #[serde(default, rename = "usage")]
    _usage: (),
    #[serde(default, rename = "obfuscation")]
    _obfuscation: IgnoredAny,
}

impl Repeated {
    /// More than any server sends before the choices.
    const MAX: usize = 1024;

    /// Keeps the beginning of a chunk that was read whole.
    pub(super) fn remember(&mut self, data: &[u8]) {
        const CHOICES: &[u8] = b"\"choices\":";
        self.prefix.clear();
        let head = data.get(..data.len().min(Self::MAX)).unwrap_or_default();
        let Some(end) = memchr::memmem::find(head, CHOICES).map(|at| at + CHOICES.len()) else { return };
        let prefix = head.get(..end).unwrap_or_default();
        // Within a member of another name the key would be another's.
        let nested = prefix.iter().skip(1).any(|byte| matches!(byte, b'{' | b'['));
        if !nested && prefix.first() == Some(&b'{') {
            self.prefix.extend_from_slice(prefix);
        }
    }

    /// The choice of a usual chunk that begins like the last one that was read whole.
    pub(super) fn piece<'a>(&mut self, data: &'a [u8]) -> Option<Piece<'a>> {
        let after = data.strip_prefix(self.prefix.as_slice()).filter(|_| !self.prefix.is_empty())?;
        let mut values = serde_json::Deserializer::from_str(utf8(after).ok()?).into_iter::<(Piece<'a>,)>();
        let (piece,) = values.next()?.ok()?;
        let rest = after.get(values.byte_offset()..)?;
        (piece.is_text() && self.is_usual(rest)).then_some(piece)
    }

    fn is_usual(&mut self, rest: &[u8]) -> bool {
        if rest == b"}" {
            return true;
        }
        let Some(members) = rest.strip_prefix(b",") else { return false };
        self.rest.clear();
        self.rest.push(b'{');
        self.rest.extend_from_slice(members);
        serde_json::from_slice::<Rest>(&self.rest).is_ok()
    }
}

impl<'a> Usual<'a, Brief<'a>> {
    pub(super) fn answer(body: &'a [u8]) -> Option<Self> {
        let answer: Self = read(body)?;
        let message = &answer.choices.0.message;
        let calls = message.tool_calls.is_some() || message.function_call.is_some();
        (answer.error.is_none() && !calls).then_some(answer)
    }
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_str(utf8(bytes).ok()?).ok()
}
