//! Python's mixed arithmetic of integers and floats, as far as usage and cost need it.

use std::cmp::Ordering;

use super::{Int, repr_float};

/// A Python `int` or `float`.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    /// An integer.
    Int(Int),
    /// A float.
    Float(f64),
}

/// An integer too large for a float met one; Python raises `OverflowError`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("integer is too large to be converted to a float")]
pub struct Overflow;

impl Number {
    /// The integer 0.
    pub fn zero() -> Self {
        Self::Int(Int::from(0))
    }

    /// Python's `float(number)`.
    ///
    /// # Errors
    /// If an integer is beyond the range of a float.
    pub fn to_f64(&self) -> Result<f64, Overflow> {
        match self {
            Self::Int(value) => value.to_f64().ok_or(Overflow),
            Self::Float(value) => Ok(*value),
        }
    }

    /// Python's `self + other`: an integer only if both are.
    ///
    /// # Errors
    /// If a float meets an integer that is beyond its range.
    pub fn plus(&self, other: &Self) -> Result<Self, Overflow> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Ok(Self::Int(left.plus(right))),
            _ => Ok(Self::Float(self.to_f64()? + other.to_f64()?)),
        }
    }

    /// Python's `self - other`: an integer only if both are.
    ///
    /// # Errors
    /// If a float meets an integer that is beyond its range.
    pub fn minus(&self, other: &Self) -> Result<Self, Overflow> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Ok(Self::Int(left.minus(right))),
            _ => Ok(Self::Float(self.to_f64()? - other.to_f64()?)),
        }
    }

    /// Whether the number equals 0.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::Int(value) => value.is_zero(),
            Self::Float(value) => *value == 0.0,
        }
    }

    /// Python's `self > other`, exact also between an integer and a float.
    pub fn is_greater_than(&self, other: &Self) -> bool {
        self.compare(other) == Some(Ordering::Greater)
    }

    fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(left), Self::Int(right)) => Some(left.cmp(right)),
            (Self::Float(left), Self::Float(right)) => left.partial_cmp(right),
            (Self::Int(left), Self::Float(right)) => compare_mixed(left, *right),
            (Self::Float(left), Self::Int(right)) => compare_mixed(right, *left).map(Ordering::reverse),
        }
    }

    /// The number as a 64-bit column takes it: `Decimal(str(number))` if that is whole and fits.
    ///
    /// The decimal text decides, so `4.611686018427388e+18` is 4611686018427388000.
    pub fn to_i64_column(&self) -> Option<i64> {
        match self {
            Self::Int(value) => value.as_i64(),
            Self::Float(value) => whole_decimal(&repr_float(*value)),
        }
    }
}

fn compare_mixed(int: &Int, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    let Some(floor) = Int::from_f64(float.floor()) else {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    };
    let above = if float.fract() == 0.0 { Ordering::Equal } else { Ordering::Less };
    Some(int.cmp(&floor).then(above))
}

/// The value of a float's `repr`, if it is whole and fits 64 bits.
fn whole_decimal(repr: &str) -> Option<i64> {
    let (mantissa, exponent) = repr.split_once('e').unwrap_or((repr, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    if digits == 0 {
        return Some(0);
    }
    let shift = exponent - i32::try_from(fraction.len()).ok()?;
    let factor = 10_i128.checked_pow(shift.unsigned_abs())?;
    let value = if shift >= 0 {
        digits.checked_mul(factor)?
    } else {
        (digits % factor == 0).then_some(digits / factor)?
    };
    i64::try_from(value).ok()
}
