//! Integers of any size, and `int(str)`.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::BigInt;

use super::unicode::ascii_number;

/// Most digits that Python 3.11 converts from text to `int`; more raise `ValueError`.
pub const MAX_DIGITS: usize = 4300;

/// A Python integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Int(Repr);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Repr {
    Small(i64),
    /// Outside the range of `i64`, so that no integer has two representations.
    Big(BigInt),
}

impl Int {
    /// The value, if it fits 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Small(value) => Some(*value),
            Repr::Big(_) => None,
        }
    }

    /// Whether the value is 0.
    pub fn is_zero(&self) -> bool {
        self.0 == Repr::Small(0)
    }

    /// The nearest float, ties to even; none where Python raises `OverflowError`.
    pub fn to_f64(&self) -> Option<f64> {
        match &self.0 {
            Repr::Small(value) => Some(*value as f64),
            // Reading the decimal digits is the one conversion that is sure to round correctly.
            Repr::Big(value) => value.to_string().parse().ok().filter(|value: &f64| value.is_finite()),
        }
    }

    /// Python's `int(value)`; none for NaN and the infinities.
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let whole = value.trunc();
        // `{}` writes every digit of the float's exact value.
        Self::from_digits(&format!("{whole:.0}"))
    }

    /// Takes an optional sign and ASCII digits.
    pub(super) fn from_digits(digits: &str) -> Option<Self> {
        match digits.parse() {
            Ok(value) => Some(Self(Repr::Small(value))),
            Err(_) => digits.parse::<BigInt>().ok().map(Self::from),
        }
    }

    /// [`Self::from_digits`] of bytes.
    pub(super) fn from_ascii(digits: &[u8]) -> Option<Self> {
        std::str::from_utf8(digits).ok().and_then(Self::from_digits)
    }

    fn to_big(&self) -> BigInt {
        match &self.0 {
            Repr::Small(value) => BigInt::from(*value),
            Repr::Big(value) => value.clone(),
        }
    }

    /// The sum.
    pub fn plus(&self, other: &Self) -> Self {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0)
            && let Some(sum) = left.checked_add(*right)
        {
            return Self::from(sum);
        }
        Self::from(self.to_big() + other.to_big())
    }

    /// The difference.
    pub fn minus(&self, other: &Self) -> Self {
        if let (Repr::Small(left), Repr::Small(right)) = (&self.0, &other.0)
            && let Some(difference) = left.checked_sub(*right)
        {
            return Self::from(difference);
        }
        Self::from(self.to_big() - other.to_big())
    }
}

impl From<i64> for Int {
    fn from(value: i64) -> Self {
        Self(Repr::Small(value))
    }
}

impl From<BigInt> for Int {
    fn from(value: BigInt) -> Self {
        match i64::try_from(&value) {
            Ok(small) => Self(Repr::Small(small)),
            Err(_) => Self(Repr::Big(value)),
        }
    }
}

impl PartialOrd for Int {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Int {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Small(left), Repr::Small(right)) => left.cmp(right),
            _ => self.to_big().cmp(&other.to_big()),
        }
    }
}

impl fmt::Display for Int {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Small(value) => value.fmt(formatter),
            Repr::Big(value) => value.fmt(formatter),
        }
    }
}

/// Python's `int(text)`; none where Python raises `ValueError`.
///
/// Takes white space around, one sign, single underscores between digits, and decimal digits of
/// every script; no more than [`MAX_DIGITS`] digits.
pub fn int_from_str(text: &str) -> Option<Int> {
    let text = ascii_number(text);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    if count > MAX_DIGITS || !digits.split('_').all(is_digits) {
        return None;
    }
    Int::from_digits(&text.replace('_', ""))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
