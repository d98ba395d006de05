//! Names and values in SQL text, escaped. All SQL that is built goes through these two.

pub(super) use postgres_protocol::escape::{escape_identifier as ident, escape_literal as literal};

/// `"schema"."name"`.
pub(super) fn within(schema: &str, name: &str) -> String {
    format!("{}.{}", ident(schema), ident(name))
}
