//! Values of results, from the engine's text to JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;

use super::shape::Shape;

/// The largest integer that every JSON client reads without losing digits: 2^53 − 1.
pub(crate) const SAFE_INTEGER: u64 = 9_007_199_254_740_991;

/// Appends a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    if serde_json::to_writer(&mut *out, text).is_err() {
        out.extend_from_slice(b"null");
    }
}

/// Appends a 64-bit integer: a number as long as no client loses digits, else a string.
pub(crate) fn big_int(out: &mut Vec<u8>, value: i64) {
    let text = value.to_string();
    if value.unsigned_abs() <= SAFE_INTEGER {
        out.extend_from_slice(text.as_bytes());
    } else {
        string(out, &text);
    }
}

/// Appends bytes as a base64 string.
pub(crate) fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    string(out, &STANDARD.encode(value));
}

/// Appends JSON text as it is, or as a string when it is not JSON after all.
pub(crate) fn json(out: &mut Vec<u8>, text: &str) {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => out.extend_from_slice(raw.get().as_bytes()),
        Err(_) => string(out, text),
    }
}

/// Appends `text`, PostgreSQL's text form of a value of `shape`. What does not look as it should
/// becomes a string: a value is never refused.
pub(crate) fn write(out: &mut Vec<u8>, shape: &Shape, text: &str) {
    match shape {
        Shape::Bool => match text {
            "t" => out.extend_from_slice(b"true"),
            "f" => out.extend_from_slice(b"false"),
            _ => string(out, text),
        },
        Shape::Int => match text.parse::<i64>() {
            Ok(_) => out.extend_from_slice(text.as_bytes()),
            Err(_) => string(out, text),
        },
        Shape::BigInt => match text.parse() {
            Ok(value) => big_int(out, value),
            Err(_) => string(out, text),
        },
        Shape::Float if is_number(text) => out.extend_from_slice(text.as_bytes()),
        Shape::Float | Shape::Text => string(out, text),
        Shape::Json => json(out, text),
        Shape::Bytes => match text.strip_prefix("\\x").and_then(unhex) {
            Some(value) => bytes(out, &value),
            None => string(out, text),
        },
        Shape::TimestampTz => string(out, &timestamp(text, true)),
        Shape::Timestamp => string(out, &timestamp(text, false)),
        Shape::Array { of, delimiter } => {
            let start = out.len();
            if super::literal::read(out, text, of, *delimiter).is_none() {
                out.truncate(start);
                string(out, text);
            }
        }
    }
}

/// Whether `text` is a number by JSON's grammar.
fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E'))
        && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// The ISO form with a `T`, and with `Z` for UTC; `infinity` and years BC stay PostgreSQL's text.
pub(crate) fn timestamp(text: &str, zoned: bool) -> String {
    let Some((date, time)) = text.split_once(' ') else { return text.to_owned() };
    if time.contains(' ') {
        return text.to_owned();
    }
    if !zoned {
        return format!("{date}T{time}");
    }
    let Some(at) = time.find(['+', '-']) else { return text.to_owned() };
    let (clock, offset) = time.split_at_checked(at).unwrap_or((time, ""));
    match offset {
        "+00" | "+00:00" => format!("{date}T{clock}Z"),
        _ if offset.len() == 3 => format!("{date}T{clock}{offset}:00"),
        _ => format!("{date}T{clock}{offset}"),
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some((digit(high)? << 4) | digit(low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(shape: &Shape, text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, shape, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers_keep_their_digits() {
        assert_eq!(shown(&Shape::BigInt, "9007199254740991"), "9007199254740991");
        assert_eq!(shown(&Shape::BigInt, "-9007199254740992"), "\"-9007199254740992\"");
        assert_eq!(shown(&Shape::BigInt, "-9223372036854775808"), "\"-9223372036854775808\"");
    }

    #[test]
    fn floats_are_numbers_unless_json_has_none() {
        for (text, json) in [
            ("1.5", "1.5"),
            ("1e+20", "1e+20"),
            ("-0", "-0"),
            ("NaN", "\"NaN\""),
            ("-Infinity", "\"-Infinity\""),
        ] {
            assert_eq!(shown(&Shape::Float, text), json);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        for (text, json) in [
            ("2026-01-02 03:04:05.678901+00", "2026-01-02T03:04:05.678901Z"),
            ("2026-01-02 03:04:05+05:30", "2026-01-02T03:04:05+05:30"),
            ("2026-01-02 03:04:05-08", "2026-01-02T03:04:05-08:00"),
            ("0044-03-15 00:00:00+00 BC", "0044-03-15 00:00:00+00 BC"),
            ("infinity", "infinity"),
        ] {
            assert_eq!(timestamp(text, true), json);
        }
        assert_eq!(timestamp("2026-01-02 03:04:05", false), "2026-01-02T03:04:05");
    }

    #[test]
    fn bytes_json_and_bools() {
        assert_eq!(shown(&Shape::Bytes, "\\x00ff"), "\"AP8=\"");
        assert_eq!(shown(&Shape::Bytes, "\\x0"), "\"\\\\x0\"");
        assert_eq!(
            shown(&Shape::Json, "{\"a\": 12345678901234567890.123}"),
            "{\"a\": 12345678901234567890.123}"
        );
        assert_eq!(shown(&Shape::Json, "{"), "\"{\"");
        assert_eq!(shown(&Shape::Bool, "t"), "true");
    }

    proptest::proptest! {
        #[test]
        fn every_text_of_every_shape_is_json(text: String) {
            let array = Shape::Array { of: std::sync::Arc::new(Shape::BigInt), delimiter: ',' };
            for shape in [Shape::Bool, Shape::Int, Shape::BigInt, Shape::Float, Shape::Json, Shape::Bytes,
                          Shape::TimestampTz, Shape::Timestamp, Shape::Text, array] {
                let json = shown(&shape, &text);
                proptest::prop_assert!(serde_json::from_str::<&RawValue>(&json).is_ok(), "{shape:?} {json}");
            }
        }
    }
}
