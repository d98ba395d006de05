//! Values of parameters, from JSON to what the engine takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

use super::cell::SAFE_INTEGER;
use super::literal;
use super::shape::{Shape, TypeInfo};
use crate::kernel::error::{Error, FieldError, Result};

/// The bytes of `{"$base64": "…"}`; `None` for any other value, `Err` for bad base64.
pub(super) fn marked_bytes(value: &Value) -> Option<Result<Vec<u8>, String>> {
    let object = value.as_object()?;
    match (object.len(), object.get("$base64")?) {
        (1, Value::String(text)) => Some(base64(text)),
        _ => None,
    }
}

fn base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|_| "this is not base64 (RFC 4648, with padding)".to_owned())
}

/// That a statement takes another number of parameters than it was given.
pub(super) fn wrong_count(expected: usize, given: usize) -> Error {
    Error::field(
        format!("/params/{}", expected.min(given)),
        format!("the statement takes {expected} parameter(s), {given} were given"),
    )
}

/// Each value in the text form of its PostgreSQL type; `None` stands for NULL.
///
/// # Errors
/// [`Error::Invalid`] naming every value that cannot be of its type.
pub(super) fn texts(values: &[Value], types: &[TypeInfo]) -> Result<Vec<Option<String>>> {
    if values.len() != types.len() {
        return Err(wrong_count(types.len(), values.len()));
    }
    let mut wrong = Vec::new();
    let mut out = Vec::with_capacity(values.len());
    for (at, (value, kind)) in values.iter().zip(types).enumerate() {
        match text(value, &kind.shape) {
            Ok(text) if text.as_deref().is_some_and(|text| text.contains('\0')) => wrong.push(FieldError {
                pointer: format!("/params/{at}"),
                detail: "text in PostgreSQL cannot hold the character U+0000".to_owned(),
            }),
            Ok(text) => out.push(text),
            Err(why) => wrong.push(FieldError {
                pointer: format!("/params/{at}"),
                detail: format!("{why}; the statement takes {} here", kind.name),
            }),
        }
    }
    if wrong.is_empty() { Ok(out) } else { Err(Error::Invalid(wrong)) }
}

fn text(value: &Value, shape: &Shape) -> Result<Option<String>, String> {
    if let Some(bytes) = marked_bytes(value) {
        return match shape {
            Shape::Bytes => Ok(Some(hex(&bytes?))),
            _ => Err("bytes fit bytea alone".to_owned()),
        };
    }
    Ok(Some(match (value, shape) {
        (Value::Null, _) => return Ok(None),
        (Value::String(text), Shape::Bytes) => hex(&base64(text)?),
        (_, Shape::Bytes) => return Err("bytes are sent as a base64 string".to_owned()),
        (Value::String(text), _) => text.clone(),
        (Value::Bool(flag), _) => flag.to_string(),
        (Value::Number(number), Shape::Int | Shape::BigInt) => whole(number),
        (Value::Number(number), _) => number.to_string(),
        (Value::Array(values), Shape::Array { of, delimiter }) => {
            let mut out = String::new();
            elements(&mut out, values, of, *delimiter)?;
            out
        }
        (Value::Array(_) | Value::Object(_), _) => value.to_string(),
    }))
}

/// `2.0` as `2`: clients whose numbers are all floats may still fill an integer.
fn whole(number: &Number) -> String {
    let text = number.to_string();
    match text.strip_suffix(".0") {
        Some(digits) if digits.parse::<i64>().is_ok_and(|n| n.unsigned_abs() <= SAFE_INTEGER) => {
            digits.to_owned()
        }
        _ => text,
    }
}

fn elements(out: &mut String, values: &[Value], of: &Shape, delimiter: char) -> Result<(), String> {
    out.push('{');
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            out.push(delimiter);
        }
        match value {
            Value::Array(inner) if *of != Shape::Json => elements(out, inner, of, delimiter)?,
            _ => match text(value, of)? {
                Some(element) => literal::push_quoted(out, &element),
                None => out.push_str("NULL"),
            },
        }
    }
    out.push('}');
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    let mut out = String::with_capacity(bytes.len().saturating_mul(2).saturating_add(2));
    out.push_str("\\x");
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::door::shape::builtin;
    use serde_json::json;

    fn as_type(value: Value, oid: u32) -> Result<Option<String>> {
        texts(&[value], &[builtin(oid).unwrap()]).map(|mut all| all.remove(0))
    }

    #[test]
    fn each_value_in_the_form_of_its_type() {
        for (value, oid, text) in [
            (json!(18_446_744_073_709_551_615u64), 1700, "18446744073709551615"),
            (json!(2.0), 20, "2"),
            (json!(2.5), 20, "2.5"),
            (json!(1.25), 1700, "1.25"),
            (json!(true), 16, "true"),
            (json!("AP8="), 17, "\\x00ff"),
            (json!({"$base64": "AP8="}), 17, "\\x00ff"),
            (json!({"a": [1]}), 3802, "{\"a\":[1]}"),
            (json!([1, 2]), 3802, "[1,2]"),
            (json!("{\"a\":1}"), 3802, "{\"a\":1}"),
            (json!([1, null, 3]), 1007, "{\"1\",NULL,\"3\"}"),
            (json!([["a\"", "\\"], ["", "x,y"]]), 1009, r#"{{"a\"","\\"},{"","x,y"}}"#),
            (json!([{"a": 1}, [2]]), 3807, r#"{"{\"a\":1}","[2]"}"#),
            (json!(["AP8="]), 1001, r#"{"\\x00ff"}"#),
            (json!("{1,2}"), 1007, "{1,2}"),
        ] {
            assert_eq!(as_type(value, oid).unwrap().as_deref(), Some(text));
        }
        assert_eq!(as_type(Value::Null, 25).unwrap(), None);
    }

    #[test]
    fn wrong_ones_are_named_all_at_once() {
        let types = [builtin(17).unwrap(), builtin(25).unwrap(), builtin(25).unwrap()];
        let Err(Error::Invalid(fields)) =
            texts(&[json!("?"), json!("a\0"), json!({"$base64": "AA=="})], &types)
        else {
            panic!()
        };
        let pointers: Vec<_> = fields.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(pointers, ["/params/0", "/params/1", "/params/2"]);
        let Err(Error::Invalid(fields)) = texts(&[json!(1)], &types) else { panic!() };
        assert_eq!(fields[0].pointer, "/params/1");
    }
}
