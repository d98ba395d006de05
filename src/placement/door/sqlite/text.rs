//! SQLite's functions of text whose own versions take time or memory that grows faster than their
//! arguments. A single call of a function is not interruptible (the progress handler runs between the
//! machine's steps), so a statement's timeout holds only if each call is quick; these are linear, or
//! refuse what is too long, and else answer as SQLite's own do.

use std::collections::HashMap;
use std::sync::Arc;

use memchr::memmem;
use parking_lot::Mutex;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::limits::Limit;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ffi};

use super::open::VALUE_BYTES;

/// Most bytes of JSON that `json_patch`, which is quadratic, takes: 0.9 s.
const PATCH_BYTES: usize = 128 << 10;
/// Most bytes of JSON that `json_pretty` takes; nested deeply they make some 200 MB before its limit.
const PRETTY_BYTES: usize = 64 << 10;
/// Longest indentation for `json_pretty`.
const INDENT_BYTES: usize = 8;
/// Longest character of UTF-8 and to spare; a longer run of bytes is no character, and not trimmed.
const CHARACTER_BYTES: usize = 8;
/// The mark on text that it is JSON; see `JSON_SUBTYPE` in SQLite's `json.c`.
const JSON: std::ffi::c_uint = 74;

/// What a function answers.
#[derive(Debug)]
enum Out {
    Null,
    Integer(i64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl ToSql for Out {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            // Of a tenant's making, so that it may be no UTF-8, as with SQLite's own functions.
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// An engine with its own functions, for small arguments. It has no file.
#[derive(Clone, Default)]
struct Plain(Arc<Mutex<Option<Connection>>>);

impl Plain {
    fn call(&self, sql: &str, args: &[ValueRef<'_>]) -> rusqlite::Result<Out> {
        let mut db = self.0.lock();
        let db = match &mut *db {
            Some(db) => db,
            none => {
                let db = Connection::open_in_memory()?;
                db.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES)?;
                none.insert(db)
            }
        };
        let args = args.iter().map(|arg| ToSqlOutput::Borrowed(*arg));
        db.prepare_cached(sql)?.query_row(rusqlite::params_from_iter(args), |row| {
            Ok(match row.get_ref(0)? {
                ValueRef::Null | ValueRef::Real(_) => Out::Null,
                ValueRef::Integer(number) => Out::Integer(number),
                ValueRef::Text(text) => Out::Text(text.to_vec()),
                ValueRef::Blob(bytes) => Out::Blob(bytes.to_vec()),
            })
        })
    }

    /// Calls `work` with the value's text, as SQLite has it; `None` for NULL.
    fn text<T>(
        &self,
        value: ValueRef<'_>,
        work: impl FnOnce(Option<&[u8]>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        match value {
            ValueRef::Null => work(None),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => work(Some(bytes)),
            ValueRef::Integer(number) => work(Some(number.to_string().as_bytes())),
            ValueRef::Real(_) => match self.call("SELECT CAST(?1 AS TEXT)", &[value])? {
                Out::Text(text) => work(Some(&text)),
                _ => work(None),
            },
        }
    }
}

/// Puts the functions in the place of SQLite's own.
pub(super) fn register(db: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    let plain = Plain::default();
    let it = plain.clone();
    db.create_scalar_function("instr", 2, flags, move |args| {
        let (whole, part) = (args.get_raw(0), args.get_raw(1));
        if let (ValueRef::Blob(whole), ValueRef::Blob(part)) = (whole, part) {
            return Ok(Out::Integer(position(memmem::find(whole, part))));
        }
        both(&it, args, |whole, part| Ok(Out::Integer(instr(whole, part))))
    })?;
    let it = plain.clone();
    db.create_scalar_function("replace", 3, flags, move |args| {
        both(&it, args, |text, from| {
            if from.first().is_none_or(|first| *first == 0) {
                return Ok(Out::Text(text.to_vec()));
            }
            it.text(args.get_raw(2), |to| to.map_or(Ok(Out::Null), |to| replace(text, from, to)))
        })
    })?;
    for (name, left, right) in [("ltrim", true, false), ("rtrim", false, true), ("trim", true, true)] {
        let it = plain.clone();
        db.create_scalar_function(name, 1, flags, move |args| {
            it.text(args.get_raw(0), |text| {
                Ok(text.map_or(Out::Null, |text| Out::Text(Set::new(b" ").trim(text, left, right).to_vec())))
            })
        })?;
        let it = plain.clone();
        db.create_scalar_function(name, 2, flags, move |args| {
            both(&it, args, |text, set| Ok(Out::Text(Set::new(set).trim(text, left, right).to_vec())))
        })?;
    }
    let it = plain.clone();
    db.create_scalar_function("unhex", 2, flags, move |args| {
        both(&it, args, |text, set| Ok(unhex(text, &Set::new(set)).map_or(Out::Null, Out::Blob)))
    })?;
    let it = plain.clone();
    let marked = flags | FunctionFlags::SQLITE_RESULT_SUBTYPE;
    db.create_scalar_function("json_patch", 2, marked, move |args| {
        let out = bounded(&it, args, PATCH_BYTES, "SELECT json_patch(?1, ?2)")?;
        let mark = matches!(out, Out::Text(_)).then_some(JSON);
        Ok((out, mark))
    })?;
    let it = plain.clone();
    db.create_scalar_function("jsonb_patch", 2, flags, move |args| {
        bounded(&it, args, PATCH_BYTES, "SELECT jsonb_patch(?1, ?2)")
    })?;
    let it = plain.clone();
    db.create_scalar_function("json_pretty", 1, flags, move |args| {
        bounded(&it, args, PRETTY_BYTES, "SELECT json_pretty(?1)")
    })?;
    db.create_scalar_function("json_pretty", 2, flags, move |args| {
        if size(args.get_raw(1)) > INDENT_BYTES {
            return Err(too_big());
        }
        bounded(&plain, args, PRETTY_BYTES, "SELECT json_pretty(?1, ?2)")
    })
}

/// Calls `work` with the texts of the first two arguments; NULL if one is.
fn both(
    plain: &Plain,
    args: &Context<'_>,
    work: impl FnOnce(&[u8], &[u8]) -> rusqlite::Result<Out>,
) -> rusqlite::Result<Out> {
    plain.text(args.get_raw(0), |first| {
        plain.text(args.get_raw(1), |second| match (first, second) {
            (Some(first), Some(second)) => work(first, second),
            _ => Ok(Out::Null),
        })
    })
}

/// The engine's own answer, for arguments of `most` bytes together.
fn bounded(plain: &Plain, args: &Context<'_>, most: usize, sql: &str) -> rusqlite::Result<Out> {
    let values: Vec<_> = (0..args.len()).map(|at| args.get_raw(at)).collect();
    let sum = values.iter().fold(0usize, |sum, value| sum.saturating_add(size(*value)));
    if sum > most { Err(too_big()) } else { plain.call(sql, &values) }
}

fn size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

/// In SQLite's own words.
fn too_big() -> rusqlite::Error {
    let code = ffi::Error::new(ffi::SQLITE_TOOBIG);
    rusqlite::Error::SqliteFailure(code, Some("string or blob too big".to_owned()))
}

/// From 1; 0 if there is none.
fn position(at: Option<usize>) -> i64 {
    at.map_or(0, |at| i64::try_from(at).unwrap_or(i64::MAX).saturating_add(1))
}

fn continues(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// The number of the character at which `part` starts, from 1.
fn instr(whole: &[u8], part: &[u8]) -> i64 {
    // Past the first byte SQLite looks only where a character starts.
    if part.first().is_some_and(|first| continues(*first)) {
        return i64::from(whole.starts_with(part));
    }
    let at = memmem::find(whole, part).map(|at| {
        whole.iter().take(at).skip(1).filter(|byte| !continues(**byte)).count() + usize::from(at > 0)
    });
    position(at)
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> rusqlite::Result<Out> {
    let most = usize::try_from(VALUE_BYTES).unwrap_or(usize::MAX);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let finder = memmem::Finder::new(from);
    while let Some((before, after)) = finder.find(rest).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(before);
        out.extend_from_slice(to);
        if out.len() > most {
            return Err(too_big());
        }
        rest = after.get(from.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    if out.len() > most { Err(too_big()) } else { Ok(Out::Text(out)) }
}

/// The characters of a text, up to its first NUL, with the place of each one's first appearance.
#[derive(Debug, Default)]
struct Set {
    places: HashMap<u64, usize>,
    /// Whether there are characters of one byte, of two, …
    lengths: [bool; CHARACTER_BYTES],
}

impl Set {
    fn new(text: &[u8]) -> Self {
        let mut set = Self::default();
        let mut rest = text;
        let mut place = 0usize;
        while rest.first().is_some_and(|byte| *byte != 0) {
            let (character, after) = rest.split_at_checked(character(rest)).unwrap_or((rest, &[]));
            if let (Some(key), Some(has)) = (key(character), set.lengths.get_mut(character.len() - 1)) {
                *has = true;
                set.places.entry(key).or_insert(place);
            }
            place = place.saturating_add(1);
            rest = after;
        }
        set
    }

    /// The length of the first of these characters that `part` finds in a text.
    fn first<'t>(&self, part: impl Fn(usize) -> Option<&'t [u8]>) -> Option<usize> {
        let lengths = self.lengths.iter().zip(1usize..).filter(|(has, _)| **has).map(|(_, length)| length);
        lengths
            .filter_map(|length| Some((*self.places.get(&key(part(length)?)?)?, length)))
            .min()
            .map(|(_, length)| length)
    }

    fn trim<'t>(&self, mut text: &'t [u8], left: bool, right: bool) -> &'t [u8] {
        while left && let Some(length) = self.first(|length| text.get(..length)) {
            text = text.get(length..).unwrap_or_default();
        }
        let from_end = |text: &'t [u8], length| text.len().checked_sub(length).and_then(|at| text.get(at..));
        while right && let Some(length) = self.first(|length| from_end(text, length)) {
            text = text.get(..text.len().saturating_sub(length)).unwrap_or_default();
        }
        text
    }
}

/// The length of the text's first character, as SQLite reads it.
fn character(text: &[u8]) -> usize {
    match text.first() {
        Some(0xc0..) => text.iter().skip(1).take_while(|byte| continues(**byte)).count() + 1,
        _ => 1,
    }
}

/// A character as a number; none starts with a NUL, so that they all differ.
fn key(character: &[u8]) -> Option<u64> {
    let short = character.len() <= CHARACTER_BYTES && character.first().is_some_and(|byte| *byte != 0);
    short.then(|| character.iter().fold(0, |key, byte| key << 8 | u64::from(*byte)))
}

/// The bytes of pairs of hexadecimal digits, between which the characters of the set may stand.
fn unhex(text: &[u8], between: &Set) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut rest = text;
    while let Some(first) = rest.first().copied().filter(|byte| *byte != 0) {
        if let Some(high) = digit(first) {
            out.push(high << 4 | digit(*rest.get(1)?)?);
            rest = rest.get(2..).unwrap_or_default();
        } else {
            let length = character(rest);
            between.places.get(&key(rest.get(..length)?)?)?;
            rest = rest.get(length..).unwrap_or_default();
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::types::Value;

    /// Answers of SQLite's own function and of ours.
    fn answers(sql: &str, args: &[Value]) -> [Result<(Value, String), String>; 2] {
        let ours = Connection::open_in_memory().unwrap();
        register(&ours).unwrap();
        [Connection::open_in_memory().unwrap(), ours].map(|db| {
            db.query_row(
                &format!("SELECT CAST(r AS BLOB), typeof(r) FROM (SELECT {sql} AS r)"),
                rusqlite::params_from_iter(args),
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .map_err(|error| error.to_string())
        })
    }

    fn small() -> impl Strategy<Value = Value> {
        prop_oneof![
            1 => Just(Value::Null),
            1 => (-20i64..300).prop_map(Value::Integer),
            1 => (-20i32..300).prop_map(|number| Value::Real(f64::from(number) * 7.0 / 16.0)),
            1 => any::<f64>().prop_map(Value::Real),
            8 => "[abAB01 é漢😀\u{0}]{0,8}".prop_map(Value::Text),
            8 => "[ab1 é]{0,3}".prop_map(Value::Text),
            4 => prop::collection::vec(prop_oneof![Just(b'a'), Just(0xc3), Just(0xa9), Just(0u8), Just(b'1')], 0..6)
                .prop_map(Value::Blob),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]
        #[test]
        fn the_answers_are_those_of_sqlite(a in small(), b in small(), c in small()) {
            for (sql, args) in [
                ("instr(?1, ?2)", 2), ("replace(?1, ?2, ?3)", 3), ("trim(?1)", 1), ("ltrim(?1)", 1),
                ("rtrim(?1)", 1), ("trim(?1, ?2)", 2), ("ltrim(?1, ?2)", 2), ("rtrim(?1, ?2)", 2),
            ] {
                let [theirs, ours] = answers(sql, &[a.clone(), b.clone(), c.clone()][..args]);
                prop_assert_eq!(theirs, ours, "{} {:?}", sql, (&a, &b, &c));
            }
        }

        #[test]
        fn unhex_answers_as_sqlite(text in "[0-9a-fA-F é-]{0,6}", set in "[ é-]{0,2}") {
            let [theirs, ours] = answers("unhex(?1, ?2)", &[Value::Text(text), Value::Text(set)]);
            prop_assert_eq!(theirs, ours);
        }
    }

    #[test]
    fn json_stays_json() {
        for sql in [
            "json_array(json_patch('{\"a\":1}', '{\"b\":2}'))",
            "json_array(json_patch('{', '{}'))",
            "json_patch(NULL, 1)",
            "jsonb_patch('{\"a\":1}', '{\"a\":null}')",
            "json_pretty('[1,{\"a\":2}]')",
            "json_pretty('[1]', ' ')",
            "json_array(json_pretty('[1]', NULL))",
        ] {
            let [theirs, ours] = answers(sql, &[]);
            assert_eq!(theirs, ours, "{sql}");
        }
    }
}
