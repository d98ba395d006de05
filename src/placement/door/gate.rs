//! The first look at a statement: by its first keyword, is it of a kind that the door runs?
//!
//! This is courtesy, and a second line of defence: it answers early and in plain words what the
//! engine's own rights would refuse anyway. It deliberately understands no SQL beyond spaces, comments
//! and opening parentheses; that a text holds just one statement is left to the engines' parsers.

use crate::kernel::error::{Error, Result};

/// Whose lexical rules apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    fn allowed(self) -> &'static [&'static str] {
        match self {
            Self::Postgres => &[
                "SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE", "EXPLAIN", "SHOW",
            ],
            Self::Sqlite => &["SELECT", "INSERT", "REPLACE", "UPDATE", "DELETE", "WITH", "VALUES", "EXPLAIN"],
        }
    }

    fn is_space(self, c: char) -> bool {
        matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{c}')
    }

    /// `text` after a `--`: what follows the comment. PostgreSQL ends it at a carriage return too.
    fn after_line(self, text: &str) -> &str {
        let end = |c| c == '\n' || (c == '\r' && self == Self::Postgres);
        text.find(end).and_then(|at| text.get(at..)).unwrap_or("")
    }

    /// `text` after a `/*`: what follows the comment. PostgreSQL nests them.
    fn after_block(self, mut text: &str) -> &str {
        let mut depth = 1u32;
        loop {
            let close = text.find("*/");
            let open = match self {
                Self::Postgres => text.find("/*"),
                Self::Sqlite => None,
            };
            let (at, deeper) = match (open, close) {
                (Some(open), Some(close)) if open < close => (open, true),
                (_, Some(close)) => (close, false),
                (_, None) => return "",
            };
            text = text.get(at.saturating_add(2)..).unwrap_or("");
            depth = if deeper { depth.saturating_add(1) } else { depth.saturating_sub(1) };
            if depth == 0 {
                return text;
            }
        }
    }

    /// `sql` without leading spaces and comments.
    fn skip(self, mut sql: &str) -> &str {
        loop {
            sql = sql.trim_start_matches(|c| self.is_space(c));
            if let Some(rest) = sql.strip_prefix("--") {
                sql = self.after_line(rest);
            } else if let Some(rest) = sql.strip_prefix("/*") {
                sql = self.after_block(rest);
            } else {
                return sql;
            }
        }
    }
}

/// The refusal of a text with more than one statement.
pub(crate) fn several() -> Error {
    Error::refused("multiple_statements", "send one statement per call; each call is one transaction")
}

fn empty() -> Error {
    Error::refused("empty_statement", "the text holds no statement")
}

/// Lets through what starts like a query or a change of rows.
///
/// # Errors
/// [`Error::Refused`] with `empty_statement`, `multiple_statements` (it starts with a `;`) or
/// `statement_not_allowed`; [`Error::Invalid`] for a NUL character.
pub(crate) fn check(sql: &str, dialect: Dialect) -> Result<()> {
    if sql.contains('\0') {
        return Err(Error::field("/sql", "a statement cannot hold the character U+0000"));
    }
    let mut rest = dialect.skip(sql);
    if rest.is_empty() {
        return Err(empty());
    }
    if rest.starts_with(';') {
        while let Some(next) = rest.strip_prefix(';') {
            rest = dialect.skip(next);
        }
        return Err(if rest.is_empty() { empty() } else { several() });
    }
    while let Some(inner) = rest.strip_prefix('(') {
        rest = dialect.skip(inner);
    }
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let goes_on =
        after.chars().next().is_some_and(|c| c == '_' || c == '$' || c.is_ascii_digit() || !c.is_ascii());
    let word = word.to_ascii_uppercase();
    if !goes_on && dialect.allowed().contains(&word.as_str()) {
        return Ok(());
    }
    Err(Error::refused("statement_not_allowed", refusal(&word, goes_on, dialect)))
}

fn refusal(word: &str, goes_on: bool, dialect: Dialect) -> String {
    let allowed = dialect.allowed().join(", ");
    if word.is_empty() || goes_on {
        return format!("a statement starts with one of {allowed}");
    }
    let why = match word {
        "CREATE" | "ALTER" | "DROP" | "TRUNCATE" | "COMMENT" | "GRANT" | "REVOKE" | "REINDEX" | "CLUSTER"
        | "REFRESH" | "REASSIGN" | "SECURITY" | "IMPORT" => {
            "changes of the schema and of rights go through the application's migrations"
        }
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" | "LOCK" => {
            "each call is one statement in a transaction of its own; use WITH to change several tables at once"
        }
        "SET" | "RESET" | "DISCARD" | "LISTEN" | "UNLISTEN" | "NOTIFY" | "PREPARE" | "EXECUTE"
        | "DEALLOCATE" | "DECLARE" | "FETCH" | "MOVE" | "CLOSE" | "LOAD" | "PRAGMA" => {
            "no session lasts beyond one call, and its settings are fixed"
        }
        "DO" | "CALL" => "procedures and anonymous code blocks are not run here",
        "COPY" => "send rows with INSERT and read them with SELECT; for a whole tenant use its export",
        "ATTACH" | "DETACH" => "only the tenant's own data can be reached",
        "VACUUM" | "ANALYZE" | "CHECKPOINT" => "upkeep is the operator's",
        _ => "it is not a query or a change of rows",
    };
    format!("{word} is not run here: {why}. Allowed are {allowed}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(sql: &str, dialect: Dialect) -> &'static str {
        match check(sql, dialect) {
            Ok(()) => "ok",
            Err(Error::Refused { code, .. }) => code,
            Err(Error::Invalid(_)) => "invalid",
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn queries_pass_whatever_stands_before_them() {
        for sql in [
            "select 1",
            " \n\t\x0c-- note\nSELECT 1",
            "/* a /* nested */ b */ select 1",
            "((select 1) union (select 2))",
            "( /* x */ ( -- y\n with a as (select 1) select * from a))",
            "values(1)",
            "table notes",
            "show all;",
            "explain select 1",
            "Merge into x using y on true when matched then delete",
        ] {
            assert_eq!(code(sql, Dialect::Postgres), "ok", "{sql}");
        }
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        for word in [
            "BEGIN",
            "COMMIT",
            "SET",
            "RESET",
            "DO",
            "COPY",
            "CREATE",
            "ALTER",
            "GRANT",
            "LISTEN",
            "PREPARE",
            "VACUUM",
            "CALL",
            "LOCK",
            "PRAGMA",
            "ATTACH",
            "DISCARD",
            "selects",
            "select_",
            "seléct",
            "\u{feff}select",
            "$1",
            "\"select\"",
            "'a'",
            "\u{b}select",
        ] {
            for dialect in [Dialect::Postgres, Dialect::Sqlite] {
                assert_eq!(code(&format!("{word} x"), dialect), "statement_not_allowed", "{word}");
            }
        }
        assert_eq!(code("show all", Dialect::Sqlite), "statement_not_allowed");
        assert_eq!(code("replace into a values (1)", Dialect::Postgres), "statement_not_allowed");
    }

    #[test]
    fn each_engine_ends_comments_in_its_own_way() {
        assert_eq!(code("-- x\rset a=1", Dialect::Postgres), "statement_not_allowed");
        assert_eq!(code("-- x\rset a=1", Dialect::Sqlite), "empty_statement");
        assert_eq!(code("/* /* */ set */ select 1", Dialect::Postgres), "ok");
        assert_eq!(code("/* /* */ drop table a; */ select 1", Dialect::Sqlite), "statement_not_allowed");
    }

    #[test]
    fn nothing_and_too_much() {
        for sql in ["", "  ", "--", "-- a", "/* */", "/*", ";", " ; ;-- a\n;"] {
            assert_eq!(code(sql, Dialect::Postgres), "empty_statement", "{sql}");
        }
        assert_eq!(code(";select 1", Dialect::Postgres), "multiple_statements");
        assert_eq!(code("select '\0'", Dialect::Postgres), "invalid");
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text: String) {
            let _ = check(&text, Dialect::Postgres);
            let _ = check(&text, Dialect::Sqlite);
        }
    }
}
