//! What Python 3.11 (Unicode 14) counts as a decimal digit or as white space in numbers.

use std::borrow::Cow;

/// Code points of the digit zero of every decimal script; nine digits follow each.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xde6, 0xe50,
    0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40,
    0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x104a0, 0x10d30, 0x11066,
    0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950,
    0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6,
    0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// A number's text with decimal digits of every script as ASCII and without white space around
/// it; what no number can hold becomes `?`.
pub(super) fn ascii_number(text: &str) -> Cow<'_, str> {
    let mut number = Cow::Borrowed(text);
    if !text.is_ascii() {
        number = Cow::Owned(text.chars().map(ascii_of).collect());
    }
    let blank = |character: char| matches!(character, '\t'..='\r' | ' ');
    match number {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_matches(blank)),
        Cow::Owned(text) => Cow::Owned(text.trim_matches(blank).to_owned()),
    }
}

fn ascii_of(character: char) -> char {
    if character.is_ascii() {
        character
    } else if is_wide_blank(character) {
        ' '
    } else {
        decimal_digit(character).unwrap_or('?')
    }
}

/// White space beyond ASCII, as `str.isspace`.
fn is_wide_blank(character: char) -> bool {
    matches!(
        character,
        '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// The ASCII digit of the same value; none for what is no decimal digit (`\d` of Python's `re`).
pub fn decimal_digit(character: char) -> Option<char> {
    let point = u32::from(character);
    let after = ZEROS.partition_point(|zero| *zero <= point);
    let zero = ZEROS.get(after.checked_sub(1)?)?;
    char::from_digit(point - zero, 10)
}
