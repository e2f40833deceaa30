//! Durations and sizes as people write them in a configuration.
//!
//! Use them with serde: `#[serde(with = "crate::units::duration")]`, and
//! `#[schemars(with = "String")]` for the schema.

use std::time::Duration;

/// A text that is no duration or no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: write {example}")]
pub struct UnitError {
    text: String,
    what: &'static str,
    example: &'static str,
}

/// Units of a duration, in nanoseconds; a unit stands before every unit that it begins with.
const DURATION_UNITS: &[(&str, f64)] =
    &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3_600e9)];

/// Units of a size, in bytes; `KiB` and `KB` differ.
const SIZE_UNITS: &[(&str, f64)] = &[
    ("KiB", 1_024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("B", 1.0),
];

/// A size for the schema: a number of bytes, or a text with a unit.
#[derive(schemars::JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "describes what `size` reads")]
pub(crate) enum SizeSchema {
    Bytes(usize),
    Text(String),
}

/// Reads a duration as the Collector does: `1s`, `500ms`, `1m30s`, `0`.
///
/// # Errors
///
/// If the text has no unit, an unknown one, or a negative number.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let error =
        || UnitError { text: text.to_owned(), what: "duration", example: "`500ms`, `30s` or `1m30s`" };
    let trimmed = text.trim();
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanoseconds = 0.0;
    let mut rest = trimmed;
    while !rest.is_empty() {
        let (amount, after) = leading_number(rest).ok_or_else(error)?;
        let (unit, scale) =
            DURATION_UNITS.iter().find(|(unit, _)| after.starts_with(unit)).ok_or_else(error)?;
        nanoseconds += amount * scale;
        rest = after.strip_prefix(unit).unwrap_or_default();
    }
    if trimmed.is_empty() {
        return Err(error());
    }
    Duration::try_from_secs_f64(nanoseconds / 1e9).map_err(|_| error())
}

/// Writes a duration so that [`parse_duration`] reads the same.
pub fn format_duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_nanos()) {
        (seconds, 0) => format!("{seconds}s"),
        (seconds, nanoseconds) if nanoseconds % 1_000_000 == 0 => {
            format!("{}ms", seconds * 1_000 + u64::from(nanoseconds / 1_000_000))
        }
        _ => format!("{}ns", duration.as_nanos()),
    }
}

/// Reads a size: a number of bytes, or one with a unit such as `16MiB`.
///
/// # Errors
///
/// If the text is no number, or its unit is unknown.
pub fn parse_size(text: &str) -> Result<usize, UnitError> {
    let error = || UnitError { text: text.to_owned(), what: "size", example: "`512KiB` or `16MiB`" };
    let (amount, after) = leading_number(text.trim()).ok_or_else(error)?;
    let unit = after.trim();
    let scale = match SIZE_UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() => 1.0,
        None => return Err(error()),
    };
    let bytes = amount * scale;
    // 2^53: above it, not every whole number of bytes can be told from its neighbour.
    if bytes.fract() != 0.0 || bytes > 9_007_199_254_740_992.0 {
        return Err(error());
    }
    usize::try_from(bytes as u64).map_err(|_| error())
}

/// Splits a text after its leading digits and decimal point.
fn leading_number(text: &str) -> Option<(f64, &str)> {
    let end =
        text.find(|character: char| !character.is_ascii_digit() && character != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, rest))
}

/// A duration field, for `#[serde(with = …)]`.
pub mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Reads a text such as `30s`.
    ///
    /// # Errors
    ///
    /// If the value is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// Writes a text such as `30s`.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }
}

/// A size field in bytes, for `#[serde(with = …)]`.
pub mod size {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Bytes(usize),
        Text(String),
    }

    /// Reads a number of bytes, or a text such as `16MiB`.
    ///
    /// # Errors
    ///
    /// If the value is no size.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(bytes),
            Written::Text(text) => super::parse_size(&text).map_err(D::Error::custom),
        }
    }

    /// Writes the number of bytes.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(bytes: &usize, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(*bytes as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_collector_writes_them() {
        let cases = [
            ("1s", Duration::from_secs(1)),
            ("500ms", Duration::from_millis(500)),
            ("1m30s", Duration::from_secs(90)),
            ("1.5h", Duration::from_secs(5_400)),
            ("250us", Duration::from_micros(250)),
            ("0", Duration::ZERO),
            ("0s", Duration::ZERO),
        ];
        for (text, duration) in cases {
            assert_eq!(parse_duration(text), Ok(duration), "{text}");
        }
        for text in ["", "1", "s", "-1s", "1x", "1s2", "1.2.3s", "999999999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_written_duration_reads_back() {
        for duration in [Duration::ZERO, Duration::from_millis(1_500), Duration::from_nanos(7)] {
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let cases = [("4096", 4_096), ("16MiB", 16 << 20), ("1.5KiB", 1_536), ("2 MB", 2_000_000), ("1B", 1)];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "1TB", "-1", "0.5", "99999999999999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
