//! `repr(bytes)`.

/// Python's `repr` of bytes, such as `b'\x00\xffa'`.
pub fn repr_bytes(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 3);
    push_repr_bytes(&mut out, bytes);
    out
}

/// Appends what [`repr_bytes`] gives.
pub fn push_repr_bytes(out: &mut String, bytes: &[u8]) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { '"' } else { '\'' };
    out.push('b');
    out.push(quote);
    for byte in bytes {
        match char::from(*byte) {
            '\\' => out.push_str("\\\\"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            character if character == quote => out.extend(['\\', quote]),
            character @ ' '..='~' => out.push(character),
            _ => {
                out.push_str("\\x");
                for digit in [byte >> 4, byte & 0x0f] {
                    out.extend(char::from_digit(u32::from(digit), 16));
                }
            }
        }
    }
    out.push(quote);
}
