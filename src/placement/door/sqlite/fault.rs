//! SQLite's errors in PostgreSQL's vocabulary, so that a client branches on one set of codes.

use rusqlite::ffi;

use crate::kernel::error::{Error, SqlProblem};
use crate::placement::door::Caps;

/// That the tenant's file cannot be opened or read.
pub(super) fn unreachable(cause: impl std::fmt::Display) -> Error {
    Error::unavailable("database_unavailable", "the tenant's database is not reachable; retry shortly", cause)
}

/// What a caller reads when a statement failed.
pub(super) fn told(error: rusqlite::Error, caps: Caps, read_only: bool) -> Error {
    let (error, message, position) = match error {
        rusqlite::Error::SqliteFailure(error, message) => {
            (error, message.unwrap_or_else(|| error.to_string()), None)
        }
        rusqlite::Error::SqlInputError { error, msg, sql, offset } => (error, msg, place(&sql, offset)),
        other => return Error::internal(other),
    };
    let code = error.extended_code;
    match code & 0xff {
        ffi::SQLITE_IOERR
        | ffi::SQLITE_CORRUPT
        | ffi::SQLITE_NOTADB
        | ffi::SQLITE_CANTOPEN
        | ffi::SQLITE_PROTOCOL => {
            return unreachable(message);
        }
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => {
            return problem("55P03", "another write to this tenant's data did not end in time", None, None);
        }
        ffi::SQLITE_FULL => return full(caps),
        ffi::SQLITE_NOMEM => return starved(),
        _ => {}
    }
    let sqlstate = sqlstate(code, &message);
    let hint =
        (sqlstate == "42501" && read_only).then(|| "this caller may only read this tenant's data".to_owned());
    let sqlstate = if hint.is_some() { "25006" } else { sqlstate };
    problem(sqlstate, &message, hint, position)
}

/// That the file may not grow any more.
fn full(caps: Caps) -> Error {
    let message = format!(
        "the tenant's database is full: it has reached its limit of {} bytes, or its disk has no more room",
        caps.file_bytes
    );
    let hint = "delete what is not needed, or ask the operator for more room";
    problem("53100", &message, Some(hint.to_owned()), None)
}

/// That a statement took too much memory.
pub(super) fn starved() -> Error {
    let hint = "make it return or sort less; a statement that needs little may have met another one's hunger, and \
         can be tried again";
    let message = "the server's memory ran short while the statement ran, which was stopped";
    problem("53200", message, Some(hint.to_owned()), None)
}

/// The engine's byte offset as a character's number, from 1; it is negative when there is none.
fn place(sql: &str, offset: i32) -> Option<u32> {
    let before = sql.get(..usize::try_from(offset).ok()?)?;
    u32::try_from(before.chars().count()).ok()?.checked_add(1)
}

/// A write by a caller who may only read, found before it ran.
pub(super) fn read_only() -> Error {
    let hint = Some("this caller may only read this tenant's data".to_owned());
    problem("25006", "cannot execute a write in a read-only transaction", hint, None)
}

fn problem(sqlstate: &str, message: &str, hint: Option<String>, position: Option<u32>) -> Error {
    Error::Sql(Box::new(SqlProblem {
        sqlstate: sqlstate.to_owned(),
        constraint: constraint(sqlstate, message),
        message: message.chars().take(2_000).collect(),
        detail: None,
        hint,
        position,
    }))
}

/// `UNIQUE constraint failed: notes.a, notes.b` names the columns; `CHECK constraint failed: x` the rule.
fn constraint(sqlstate: &str, message: &str) -> Option<String> {
    if !sqlstate.starts_with("23") {
        return None;
    }
    message.split_once(" failed: ").map(|(_, name)| name.to_owned())
}

fn sqlstate(code: i32, message: &str) -> &'static str {
    match code {
        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
            "23505"
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY => "23503",
        ffi::SQLITE_CONSTRAINT_NOTNULL => "23502",
        ffi::SQLITE_CONSTRAINT_CHECK => "23514",
        // Ours on each table, which says so; see `placement::sqlite::own_rows`.
        ffi::SQLITE_CONSTRAINT_TRIGGER if message.starts_with("CHECK constraint failed: ") => "23514",
        ffi::SQLITE_CONSTRAINT_TRIGGER => "P0001",
        ffi::SQLITE_CONSTRAINT_DATATYPE => "42804",
        _ => match code & 0xff {
            ffi::SQLITE_CONSTRAINT => "23000",
            ffi::SQLITE_AUTH | ffi::SQLITE_PERM => "42501",
            ffi::SQLITE_READONLY => "25006",
            ffi::SQLITE_INTERRUPT => "57014",
            ffi::SQLITE_TOOBIG => "54000",
            ffi::SQLITE_MISMATCH => "42804",
            ffi::SQLITE_SCHEMA => "40001",
            ffi::SQLITE_ERROR => by_message(message),
            _ => "XX000",
        },
    }
}

/// SQLite has one code for all that is wrong with a statement; only the words tell.
fn by_message(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("no such table") || has("no such view") {
        "42P01"
    } else if has("no such column") || has("has no column named") {
        "42703"
    } else if has("no such function") || has("wrong number of arguments") {
        "42883"
    } else if has("ambiguous column") {
        "42702"
    } else if has("not authorized") || has("prohibited") || has("may not be modified") || has("unsafe use of")
    {
        "42501"
    } else if has("too many")
        || has("too large")
        || has("too big")
        || has("too deep")
        || has("too long")
        || has("too complex")
    {
        "54000"
    } else if has("malformed JSON") || has("JSON") {
        "22P02"
    } else if has("integer overflow") {
        "22003"
    } else {
        "42601"
    }
}
