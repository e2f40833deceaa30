//! The part of Python 3.11 that MLflow's stored rows depend on: `json`, `int()`, `float()`, `repr()`.
//!
//! MLflow keeps span attributes as JSON text and decides by what Python's `json` makes of that
//! text, so texts and decisions here are Python's to the byte. Everything is pure, nothing
//! recurses, and no input panics.
//!
//! * [`kind`] tells what a text is without building it; the hot path needs no more.
//! * [`loads`] builds a [`Value`]; [`dumps`] and [`adumps`] write one.
//! * [`int_from_str`], [`float_from_str`] and [`Number`] are Python's numbers.

mod bytes;
mod dict;
mod drive;
mod dumps;
mod float;
mod int;
mod kind;
mod loads;
mod number;
mod scan;
mod string;
#[cfg(test)]
mod tests;
mod text;
mod unicode;
mod value;

pub use bytes::{push_repr_bytes, repr_bytes};
pub use dict::Dict;
pub use drive::{LoadsError, MAX_DEPTH, Poison};
pub use dumps::{LoneSurrogate, adumps, adumps_into, dumps, dumps_into};
pub use float::{float_from_str, push_repr_float, repr_float};
pub use int::{Int, MAX_DIGITS, int_from_str};
pub use kind::{Kind, Type, kind, kind_of};
pub use loads::{loads, loads_text};
pub use number::{Number, Overflow};
pub use string::{write_ascii_json_string, write_json_string};
pub use text::Text;
pub use unicode::decimal_digit;
pub use value::Value;
