//! JSON as Go writes it.
//!
//! What a revision records is raw JSON to the API server: it keeps the bytes it was sent, and refuses
//! every patch after which they are others (`data: field is immutable`). But on its way to the patch
//! it writes the object with Go's encoder, which escapes the characters of HTML. A command with a
//! `&&` in it would come out other than it went in, and its revision could never be patched again:
//! neither renumbered, when its template returns, nor adopted. So such characters are sent as Go
//! would write them. (`encoding/json`, `HTMLEscape`.)

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// `value` in as few bytes as Go would use.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, AsGo));
    debug_assert!(written.is_ok(), "a tree of JSON can always be written");
    bytes
}

struct AsGo;

impl Formatter for AsGo {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut chars = from.chars();
            if let Some(escaped) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(escaped))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_characters_of_html_are_escaped_and_nothing_else() {
        let value = json!({"a<": ["b && c > d", "\u{2028}\u{2029}", "\u{e9} \" \\ / \n \t"]});
        let text = String::from_utf8(bytes(&value)).unwrap();
        let expected =
            r#"{"a\u003c":["b \u0026\u0026 c \u003e d","\u2028\u2029","é \" \\ / \n \t"]}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }
}
