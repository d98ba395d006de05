//! The data door: one statement of a tenant, of any shape, run inside that tenant alone.
//!
//! What keeps a tenant in is the engine: on PostgreSQL its own login role, which owns nothing; on
//! SQLite its own file behind an authorizer. The `gate` in front refuses early and in plain words
//! what could never work here; nothing relies on it for safety.
//!
//! A statement is one transaction. Nothing of a session outlives it: a connection goes back to its
//! pool only when the engine has confirmed that it is as clean as a new one.
//!
//! `gate` first keyword · `cell` JSON of results · `param` JSON of parameters · `shape` types ·
//! `pg` and `sqlite` the engines.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;

mod cell;
mod gate;
mod literal;
mod param;
pub(crate) mod pg;
mod shape;
pub(crate) mod sqlite;

pub use crate::db::tls::Tls;
pub(crate) use gate::{Dialect, check};
pub use pg::address::Server;

/// One SQL statement and the values of its parameters (`$1`, `$2`, … on both engines).
///
/// A parameter is typed by where the statement uses it:
///
/// | JSON | becomes |
/// |---|---|
/// | `null` | NULL |
/// | `true`, `12`, `1.5` | the value |
/// | string | the type's text form (`"2026-01-02"`, `"{1,2}"`); base64 where PostgreSQL expects `bytea` |
/// | array | an array where PostgreSQL expects one, otherwise its JSON text |
/// | object | its JSON text; `{"$base64": "…"}` is bytes on both engines |
#[derive(Debug, Clone, PartialEq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The statement; just one.
    pub sql: String,
    /// The values of `$1`, `$2`, …, in order.
    #[serde(default)]
    pub params: Vec<Value>,
}

/// What the caller may do with the tenant's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// A read-only transaction; the engine refuses every write.
    Read,
    /// A read-write transaction.
    Write,
}

impl Access {
    /// The word used in metrics.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

/// How much one statement may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Most rows in an answer.
    pub rows: usize,
    /// Most bytes in an answer's rows, counted as JSON.
    pub bytes: usize,
    /// Longest run of the statement, connecting and queueing not counted.
    pub timeout: Duration,
    /// By how much the process may grow meanwhile, on SQLite, whose engine is in it.
    pub memory_bytes: u64,
    /// The largest file of a tenant on SQLite.
    pub file_bytes: u64,
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Column {
    /// Its name; need not be unique.
    pub name: String,
    /// The SQL type: `int8`, `text`, `timestamptz`, `text[]`, …; on SQLite the declared type in lower
    /// case or, for an expression, the storage class of the first value that is not NULL.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// A row: a JSON array with a value per column, kept as text so that no digit is lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Row(Box<RawValue>);

impl Row {
    /// From the text of a JSON array.
    pub(crate) fn from_json(json: Vec<u8>) -> Result<Self> {
        let text = String::from_utf8(json).map_err(Error::internal)?;
        RawValue::from_string(text).map(Self).map_err(Error::internal)
    }

    /// The array as JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }

    /// The values, parsed. Numbers beyond 64 bits inside `json` values may lose digits here.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        serde_json::from_str(self.0.get()).unwrap_or_default()
    }
}

/// What a statement answered.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Answer {
    /// The columns; empty for a statement that returns none.
    pub columns: Vec<Column>,
    /// The rows, each with a value per column. `int8` beyond ±(2^53 − 1), `numeric` and `money` are
    /// strings; bytes are base64; `json` is itself; arrays are arrays; whatever JSON has no form for
    /// is the engine's own text.
    #[schema(value_type = Vec<Vec<Value>>)]
    pub rows: Vec<Row>,
    /// Rows in this answer, or rows changed by a statement that returns none.
    pub row_count: u64,
    /// Whether rows were left out because of a cap. A write has been carried out in full all the same.
    pub truncated: bool,
}

/// Whose data, and where it is at present.
#[derive(Debug, Clone)]
pub struct Target {
    /// The tenant.
    pub tenant: TenantId,
    /// The placement's version. Once a higher one was seen a lower one is refused.
    pub generation: i64,
    /// Where.
    pub place: Place,
}

/// A place that holds a tenant's data.
#[derive(Debug, Clone)]
pub enum Place {
    /// A schema of a PostgreSQL database, reached as the tenant's own role.
    Postgres {
        /// The server and how to reach it.
        server: Arc<Server>,
        /// Its database.
        database: String,
        /// The schema, first in the pinned `search_path`.
        schema: String,
        /// The tenant's login role.
        role: String,
        /// The role's password.
        password: SecretString,
    },
    /// A SQLite file of the tenant's own.
    Sqlite {
        /// The budget that the open file counts against.
        cluster: String,
        /// The file; it must exist.
        path: PathBuf,
    },
}

impl Place {
    /// The cluster whose budget of connections counts.
    #[must_use]
    pub fn cluster(&self) -> &str {
        match self {
            Self::Postgres { server, .. } => &server.cluster,
            Self::Sqlite { cluster, .. } => cluster,
        }
    }

    /// The engine's word, for metrics.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Sqlite { .. } => "sqlite",
        }
    }
}

/// That a statement ran longer than it may.
pub(crate) fn timed_out(limit: Duration) -> Error {
    Error::Timeout {
        code: "statement_timeout",
        detail: format!("the statement ran longer than {} ms and was stopped", limit.as_millis()),
    }
}
