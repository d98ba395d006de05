//! What a tenant's statement may touch. SQLite asks about every action while it compiles a statement,
//! also those inside views, triggers and the SQL of virtual tables.

use std::sync::atomic::{AtomicU8, Ordering};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

/// Our own statements: everything goes.
pub(super) const OURS: u8 = 0;
/// A tenant's statement that may only read.
pub(super) const READ: u8 = 1;
/// A tenant's statement that may change rows.
pub(super) const WRITE: u8 = 2;

/// Pragmas that only describe the schema, or that full-text search asks for by itself.
const PRAGMAS: [&str; 8] = [
    "data_version",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "table_info",
    "table_list",
    "table_xinfo",
];

/// Functions that reach outside of the file or into the process, wherever they may come from.
const FUNCTIONS: [&str; 5] = ["edit", "fts3_tokenizer", "load_extension", "readfile", "writefile"];

/// Tables that describe the file's pages.
const TABLES: [&str; 2] = ["dbstat", "sqlite_dbpage"];

/// Tables that belong to the engine or to the control plane.
const PREFIXES: [&str; 3] = ["sqlite_", "tenantry_", "_tenantry"];

/// Whether `context` is allowed in the present mode. The answer to anything unknown is no.
pub(super) fn judge(mode: &AtomicU8, context: &AuthContext<'_>) -> Authorization {
    let mode = mode.load(Ordering::Relaxed);
    let allowed = mode == OURS
        || match context.action {
            AuthAction::Select | AuthAction::Recursive => true,
            AuthAction::Read { table_name, .. } => !is_one_of(&TABLES, table_name),
            AuthAction::Function { function_name } => !is_one_of(&FUNCTIONS, function_name),
            AuthAction::Pragma { pragma_name, .. } => is_one_of(&PRAGMAS, pragma_name),
            AuthAction::Insert { table_name }
            | AuthAction::Delete { table_name }
            | AuthAction::Update { table_name, .. } => mode == WRITE && !is_reserved(table_name),
            _ => false,
        };
    if allowed { Authorization::Allow } else { Authorization::Deny }
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn is_reserved(table: &str) -> bool {
    PREFIXES
        .iter()
        .any(|prefix| table.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}
