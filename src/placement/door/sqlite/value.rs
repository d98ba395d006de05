//! Values between JSON and SQLite.

use rusqlite::types::{Value as Sqlite, ValueRef};
use serde_json::Value;

use crate::kernel::error::{Error, FieldError, Result};
use crate::placement::door::{cell, param};

/// How the values of a column are shown, by its declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Bool,
    Json,
    TimestampTz,
    Timestamp,
    Other,
}

impl Declared {
    /// By a declared type in lower case.
    pub(super) fn of(name: &str) -> Self {
        match name.split('(').next().unwrap_or("").trim() {
            "bool" | "boolean" => Self::Bool,
            "json" | "jsonb" => Self::Json,
            "timestamptz" | "timestamp with time zone" => Self::TimestampTz,
            "timestamp" | "timestamp without time zone" => Self::Timestamp,
            _ => Self::Other,
        }
    }
}

/// The word for a value's storage class; `None` for NULL, which has no say in a column's type.
pub(super) fn class(value: ValueRef<'_>) -> Option<&'static str> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(_) => Some("integer"),
        ValueRef::Real(_) => Some("real"),
        ValueRef::Text(_) => Some("text"),
        ValueRef::Blob(_) => Some("blob"),
    }
}

/// Appends a value as JSON.
pub(super) fn write(out: &mut Vec<u8>, declared: Declared, value: ValueRef<'_>) {
    match (value, declared) {
        (ValueRef::Null, _) => out.extend_from_slice(b"null"),
        (ValueRef::Integer(0), Declared::Bool) => out.extend_from_slice(b"false"),
        (ValueRef::Integer(1), Declared::Bool) => out.extend_from_slice(b"true"),
        (ValueRef::Integer(number), _) => cell::big_int(out, number),
        (ValueRef::Real(number), _) => match serde_json::Number::from_f64(number) {
            Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
            None if number.is_nan() => cell::string(out, "NaN"),
            None => cell::string(out, if number > 0.0 { "Infinity" } else { "-Infinity" }),
        },
        (ValueRef::Blob(bytes), _) => cell::bytes(out, bytes),
        (ValueRef::Text(text), _) => {
            let text = String::from_utf8_lossy(text);
            match declared {
                Declared::Json => cell::json(out, &text),
                Declared::TimestampTz if is_plain_time(&text) => {
                    cell::string(out, &cell::timestamp(&format!("{text}+00"), true));
                }
                Declared::Timestamp if is_plain_time(&text) => {
                    cell::string(out, &cell::timestamp(&text, false))
                }
                _ => cell::string(out, &text),
            }
        }
    }
}

/// `YYYY-MM-DD HH:MM:SS`, with or without a fraction: what CURRENT_TIMESTAMP stores, in UTC.
fn is_plain_time(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    whole.len() == 19
        && whole.bytes().zip("dddd-dd-dd dd:dd:dd".bytes()).all(|(byte, form)| match form {
            b'd' => byte.is_ascii_digit(),
            exact => byte == exact,
        })
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// Every parameter as SQLite takes it.
///
/// # Errors
/// [`Error::Invalid`] naming every value that is marked as bytes but is not base64.
pub(super) fn params(values: &[Value]) -> Result<Vec<Sqlite>> {
    let mut wrong = Vec::new();
    let mut out = Vec::with_capacity(values.len());
    for (at, value) in values.iter().enumerate() {
        match param(value) {
            Ok(value) => out.push(value),
            Err(detail) => wrong.push(FieldError { pointer: format!("/params/{at}"), detail }),
        }
    }
    if wrong.is_empty() { Ok(out) } else { Err(Error::Invalid(wrong)) }
}

fn param(value: &Value) -> Result<Sqlite, String> {
    if let Some(bytes) = param::marked_bytes(value) {
        return bytes.map(Sqlite::Blob);
    }
    Ok(match value {
        Value::Null => Sqlite::Null,
        Value::Bool(flag) => Sqlite::Integer(i64::from(*flag)),
        Value::Number(number) => match (number.as_i64(), number.is_u64(), number.as_f64()) {
            (Some(whole), _, _) => Sqlite::Integer(whole),
            // Beyond what SQLite's integers hold: as text no digit is lost.
            (None, false, Some(float)) => Sqlite::Real(float),
            _ => Sqlite::Text(number.to_string()),
        },
        Value::String(text) => Sqlite::Text(text.clone()),
        Value::Array(_) | Value::Object(_) => Sqlite::Text(value.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(declared: Declared, value: ValueRef<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, declared, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_by_their_declared_type() {
        let text = |text: &'static str| ValueRef::Text(text.as_bytes());
        for (declared, value, json) in [
            (Declared::Bool, ValueRef::Integer(1), "true"),
            (Declared::Bool, ValueRef::Integer(2), "2"),
            (Declared::Json, text("{\"a\":1}"), "{\"a\":1}"),
            (Declared::Json, text("nope"), "\"nope\""),
            (Declared::TimestampTz, text("2026-01-02 03:04:05"), "\"2026-01-02T03:04:05Z\""),
            (Declared::TimestampTz, text("2026-01-02 03:04:05.25"), "\"2026-01-02T03:04:05.25Z\""),
            (Declared::TimestampTz, text("tomorrow"), "\"tomorrow\""),
            (Declared::Other, ValueRef::Real(f64::INFINITY), "\"Infinity\""),
            (Declared::Other, ValueRef::Integer(i64::MAX), "\"9223372036854775807\""),
            (Declared::Other, ValueRef::Blob(&[0, 255]), "\"AP8=\""),
        ] {
            assert_eq!(shown(declared, value), json);
        }
    }

    #[test]
    fn parameters() {
        let values = [json!(true), json!(u64::MAX), json!(1.5), json!([1]), json!({"$base64": "AP8="})];
        assert_eq!(
            params(&values).unwrap(),
            [
                Sqlite::Integer(1),
                Sqlite::Text(u64::MAX.to_string()),
                Sqlite::Real(1.5),
                Sqlite::Text("[1]".into()),
                Sqlite::Blob(vec![0, 255]),
            ]
        );
        assert!(params(&[json!({"$base64": "?"})]).is_err());
    }
}
