//! Escaping, so that nothing a client sends can forge a log line or break a JSON document.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Whether the byte stands for itself both in a text line and in a JSON string: printable ASCII
/// other than the quote and the backslash.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) & (byte != b'"') & (byte != b'\\')
}

/// Whether all of `bytes` are plain. Looks at each without an early end, which the compiler turns
/// into vector instructions.
fn are_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| plain & is_plain(*byte))
}

/// Whether the character could end a line or steer a terminal.
fn is_dangerous(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// Appends `bytes` to a text line: quotes and backslashes get a backslash, control characters, line
/// separators and what is not UTF-8 become `\xHH` per byte.
pub(super) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    if are_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let encoded = character.encode_utf8(&mut buffer).as_bytes();
            match character {
                '"' | '\\' => {
                    out.push(b'\\');
                    out.extend_from_slice(encoded);
                }
                _ if is_dangerous(character) => hex_bytes(out, encoded),
                _ => out.extend_from_slice(encoded),
            }
        }
        hex_bytes(out, chunk.invalid());
    }
}

/// Appends `bytes` to a JSON string (RFC 8259), without its quotes; what is not UTF-8 becomes
/// U+FFFD.
pub(super) fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    if are_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            json_char(out, character);
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn json_char(out: &mut Vec<u8>, character: char) {
    match character {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        _ if is_dangerous(character) => {
            // Dangerous characters all lie in the basic plane, so four digits do.
            let code = u32::from(character);
            out.extend_from_slice(b"\\u");
            for shift in [12, 8, 4, 0] {
                out.push(hex_digit(code >> shift));
            }
        }
        _ => {
            let mut buffer = [0; 4];
            out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

fn hex_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.extend_from_slice(&[b'\\', b'x', hex_digit(u32::from(byte >> 4)), hex_digit(u32::from(*byte))]);
    }
}

fn hex_digit(nibble: u32) -> u8 {
    HEX[(nibble & 0xf) as usize]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        text(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    fn to_json(bytes: &[u8]) -> String {
        let mut out = vec![b'"'];
        json(&mut out, bytes);
        out.push(b'"');
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_keeps_what_is_harmless_and_escapes_the_rest() {
        assert_eq!(to_text(b"curl/8.5 (x)"), "curl/8.5 (x)");
        assert_eq!(to_text(b"a\" 200 \"b"), "a\\\" 200 \\\"b");
        assert_eq!(to_text(b"a\nb\tc\x1b[2J"), "a\\x0ab\\x09c\\x1b[2J");
        assert_eq!(to_text("gr\u{fc}n".as_bytes()), "gr\u{fc}n");
        assert_eq!(to_text("a\u{85}b\u{2028}c".as_bytes()), "a\\xc2\\x85b\\xe2\\x80\\xa8c");
        assert_eq!(to_text(b"a\xffb"), "a\\xffb");
    }

    #[test]
    fn json_escapes_by_the_rfc() {
        assert_eq!(to_json(b"a\"b\\c\n\x00"), r#""a\"b\\c\n\u0000""#);
        assert_eq!(to_json(b"\x7f"), "\"\\u007f\"");
        assert_eq!(to_json(b"a\xff\xfeb"), "\"a\u{fffd}\u{fffd}b\"");
    }

    proptest! {
        #[test]
        fn text_is_always_one_printable_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let line = to_text(&bytes);
            prop_assert!(!line.chars().any(is_dangerous));
            let mut previous_escapes = false;
            for character in line.chars() {
                prop_assert!(character != '"' || previous_escapes, "a bare quote in {line:?}");
                previous_escapes = character == '\\' && !previous_escapes;
            }
        }

        #[test]
        fn json_reads_back_as_the_text_it_was_made_from(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let read: String = serde_json::from_str(&to_json(&bytes)).unwrap();
            prop_assert_eq!(read, String::from_utf8_lossy(&bytes));
        }
    }
}
