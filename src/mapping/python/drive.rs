//! The grammar of Python's `json.loads`: one loop, whatever is done with what it finds.

use super::scan::{RawNumber, RawString, Scanner};

/// Deepest nesting that MLflow's server reads; one level more raises `RecursionError`.
///
/// Python's limit is 1000 frames, of which MLflow's handler has used the others. Measured on
/// MLflow 3.17.2 with an attribute of nested lists, and of nested objects.
pub const MAX_DEPTH: usize = 985;

/// Why Python does not read a text as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadsError {
    /// Not JSON: Python raises `JSONDecodeError`, which MLflow handles as "a plain text".
    #[error("text is not JSON")]
    Invalid,
    /// Python raises something else, which makes MLflow refuse the whole request.
    #[error(transparent)]
    Poison(Poison),
}

/// What in a text makes MLflow refuse the request that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Poison {
    /// `ValueError` from `int()`.
    #[error("text holds an integer of more than 4300 digits")]
    Digits,
    /// `RecursionError`.
    #[error("text is JSON nested more than 985 deep")]
    Depth,
}

/// Takes what the grammar finds, in order.
pub(super) trait Sink {
    /// `null`, `true` or `false`.
    fn literal(&mut self, value: Option<bool>);
    /// A number in digits.
    fn number(&mut self, number: RawNumber<'_>);
    /// `NaN`, `Infinity` or `-Infinity`.
    fn special(&mut self, value: f64);
    /// A string that is a value.
    fn string(&mut self, string: RawString<'_>);
    /// The key of the value that comes next.
    fn key(&mut self, string: RawString<'_>);
    /// The begin of a list or an object.
    fn begin(&mut self, container: Container);
    /// The end of the innermost list or object.
    fn end(&mut self);
}

/// A value that holds values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    List,
    Object,
}

/// Reads a whole text and tells the sink.
///
/// Errors come in the order of the text, as Python finds them.
pub(super) fn drive(bytes: &[u8], sink: &mut impl Sink) -> Result<(), LoadsError> {
    let mut scanner = Scanner::new(bytes);
    let mut open = Nesting::default();
    scanner.skip_blanks();
    loop {
        if value(&mut scanner, &mut open, sink)? == Next::Value {
            continue;
        }
        loop {
            scanner.skip_blanks();
            match open.innermost() {
                None => return scanner.peek().map_or(Ok(()), |_| Err(LoadsError::Invalid)),
                Some(container) => {
                    if after_element(&mut scanner, container, sink)? == Next::Value {
                        break;
                    }
                    open.pop();
                    sink.end();
                }
            }
        }
    }
}

/// What the grammar expects.
#[derive(PartialEq)]
enum Next {
    /// A value.
    Value,
    /// What may come after a complete value.
    AfterValue,
}

/// Reads a value, or the begin of one.
fn value(scanner: &mut Scanner<'_>, open: &mut Nesting, sink: &mut impl Sink) -> Result<Next, LoadsError> {
    match scanner.peek() {
        Some(b'"') => sink.string(scanner.string()?),
        Some(b'[') => return begin(scanner, open, sink, Container::List),
        Some(b'{') => return begin(scanner, open, sink, Container::Object),
        Some(b'0'..=b'9') => sink.number(scanner.number()?),
        Some(b'-') if scanner.take_word("-Infinity") => sink.special(f64::NEG_INFINITY),
        Some(b'-') => sink.number(scanner.number()?),
        Some(b'n') if scanner.take_word("null") => sink.literal(None),
        Some(b't') if scanner.take_word("true") => sink.literal(Some(true)),
        Some(b'f') if scanner.take_word("false") => sink.literal(Some(false)),
        Some(b'N') if scanner.take_word("NaN") => sink.special(f64::NAN),
        Some(b'I') if scanner.take_word("Infinity") => sink.special(f64::INFINITY),
        _ => return Err(LoadsError::Invalid),
    }
    Ok(Next::AfterValue)
}

fn begin(
    scanner: &mut Scanner<'_>,
    open: &mut Nesting,
    sink: &mut impl Sink,
    container: Container,
) -> Result<Next, LoadsError> {
    open.push(container)?;
    sink.begin(container);
    scanner.bump();
    scanner.skip_blanks();
    if scanner.take(container.close()) {
        open.pop();
        sink.end();
        return Ok(Next::AfterValue);
    }
    if container == Container::Object {
        key(scanner, sink)?;
    }
    Ok(Next::Value)
}

fn key(scanner: &mut Scanner<'_>, sink: &mut impl Sink) -> Result<(), LoadsError> {
    sink.key(scanner.string()?);
    scanner.skip_blanks();
    if !scanner.take(b':') {
        return Err(LoadsError::Invalid);
    }
    scanner.skip_blanks();
    Ok(())
}

/// Reads what separates an element from the next one, or the closing bracket.
fn after_element(
    scanner: &mut Scanner<'_>,
    container: Container,
    sink: &mut impl Sink,
) -> Result<Next, LoadsError> {
    if scanner.take(container.close()) {
        return Ok(Next::AfterValue);
    }
    if !scanner.take(b',') {
        return Err(LoadsError::Invalid);
    }
    scanner.skip_blanks();
    if container == Container::Object {
        key(scanner, sink)?;
    }
    Ok(Next::Value)
}

impl Container {
    fn close(self) -> u8 {
        match self {
            Self::List => b']',
            Self::Object => b'}',
        }
    }
}

const WORDS: usize = MAX_DEPTH.div_ceil(64);

/// The open lists and objects: a bit for each, so that checking a text allocates nothing.
#[derive(Default)]
struct Nesting {
    is_object: [u64; WORDS],
    depth: usize,
}

impl Nesting {
    fn push(&mut self, container: Container) -> Result<(), LoadsError> {
        let word = self.is_object.get_mut(self.depth / 64).filter(|_| self.depth < MAX_DEPTH);
        let word = word.ok_or(LoadsError::Poison(Poison::Depth))?;
        let bit = 1 << (self.depth % 64);
        match container {
            Container::List => *word &= !bit,
            Container::Object => *word |= bit,
        }
        self.depth += 1;
        Ok(())
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<Container> {
        let last = self.depth.checked_sub(1)?;
        let word = self.is_object.get(last / 64)?;
        Some(if word >> (last % 64) & 1 == 1 { Container::Object } else { Container::List })
    }
}
