//! JSON, with mistakes in the words of the original.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::ApiError;

/// Writes a value as Go does: `<`, `>` and `&` are escaped.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    // Only maps with keys that are no text cannot be written, and there are none.
    let plain = serde_json::to_vec(value).unwrap_or_default();
    if !plain.iter().any(|byte| matches!(byte, b'<' | b'>' | b'&')) {
        return plain;
    }
    let mut out = Vec::with_capacity(plain.len() + 32);
    for byte in plain {
        match byte {
            b'<' => out.extend_from_slice(b"\\u003c"),
            b'>' => out.extend_from_slice(b"\\u003e"),
            b'&' => out.extend_from_slice(b"\\u0026"),
            other => out.push(other),
        }
    }
    out
}

/// Reads a request.
///
/// # Errors
/// [`ApiError`] 10025, which says what is wrong with the JSON.
pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(text).map_err(|error| ApiError::bad_json(&json_error(text, &error)))
}

/// Reads a request that may be empty.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_or_default<T: DeserializeOwned + Default>(text: &[u8]) -> Result<T, ApiError> {
    if text.trim_ascii().is_empty() { Ok(T::default()) } else { parse(text) }
}

/// What is wrong with `text`, in the words of the original where it has some.
pub(crate) fn json_error(text: &[u8], error: &serde_json::Error) -> String {
    let message = error.to_string();
    let quoted = |prefix: &str| -> Option<String> {
        let rest = message.strip_prefix(prefix)?;
        Some(rest.split('`').next()?.to_owned())
    };
    match error.classify() {
        Category::Eof => "unexpected end of JSON input".to_owned(),
        Category::Data => {
            if let Some(field) = quoted("unknown field `") {
                return format!("json: unknown field \"{field}\"");
            }
            if let Some(word) = quoted("unknown variant `") {
                return format!("can not unmarshal \"\\\"{word}\\\"\"");
            }
            message
        }
        Category::Syntax | Category::Io => {
            let mut lines = text.split(|byte| *byte == b'\n');
            let line = lines.nth(error.line().saturating_sub(1)).unwrap_or_default();
            let column = error.column();
            let found = line.get(column.saturating_sub(1)).copied().map_or(' ', char::from);
            let place = if message.starts_with("key must be a string") {
                "looking for beginning of object key string"
            } else if message.starts_with("expected value") {
                "looking for beginning of value"
            } else {
                return format!("invalid character '{found}' at offset {column}");
            };
            format!("invalid character '{found}' {place} at offset {column}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::config::StreamConfig;

    #[test]
    fn mistakes_are_told_as_the_original_tells_them() {
        for (text, expected) in [
            (
                "{bad",
                "invalid JSON: invalid character 'b' looking for beginning of object key string at offset 2",
            ),
            (
                r#"{"name":"U","retention":"weird"}"#,
                r#"invalid JSON: can not unmarshal "\"weird\"""#,
            ),
            (r#"{"name":"U","foo":true}"#, "invalid JSON: json: unknown field \"foo\""),
            (r#"{"name":"#, "invalid JSON: unexpected end of JSON input"),
        ] {
            let error = parse::<StreamConfig>(text.as_bytes()).expect_err(text);
            assert_eq!((error.err_code, error.description.as_str()), (10025, expected));
        }
    }

    #[test]
    fn what_html_would_read_is_escaped() {
        assert_eq!(json(&"a.>"), b"\"a.\\u003e\"");
    }
}
