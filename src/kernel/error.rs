//! The one error type. Each variant has a public half (what a caller may read) and, where there is
//! one, a private cause that only the log sees. `http::problem` turns it into problem+json.

use std::fmt;
use std::time::Duration;

/// What every fallible function of the product answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The code of [`Error::contended`].
pub const CONTENDED: &str = "store_contended";

/// One thing wrong with a request body or query: where (a JSON pointer, RFC 6901) and what.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer into the body, for instance `/owner/email`; for a query parameter `?limit`.
    pub pointer: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// The private half of an error: for the log, never for a response body.
#[derive(Debug)]
pub struct Cause(String);

impl Cause {
    /// Keeps the text of `source` and of everything it was caused by.
    pub fn new(source: impl fmt::Display) -> Self {
        Self(source.to_string())
    }

    /// Like [`Cause::new`], with the whole chain of sources joined by `: `.
    pub fn chain(source: &(dyn std::error::Error + 'static)) -> Self {
        let mut text = source.to_string();
        let mut next = source.source();
        while let Some(inner) = next {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text.push_str(": ");
                text.push_str(&inner_text);
            }
            next = inner.source();
        }
        Self(text)
    }

    /// The text, for the log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An error of the tenant's own SQL, as the engine reported it. Safe to show: it came from the
/// caller's statement, run with the caller's own rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlProblem {
    /// The five-character SQLSTATE on PostgreSQL; on SQLite the nearest one, so that a client can
    /// branch on one vocabulary.
    pub sqlstate: String,
    /// The engine's message.
    pub message: String,
    /// The engine's detail line, when it gave one.
    pub detail: Option<String>,
    /// The engine's hint, when it gave one.
    pub hint: Option<String>,
    /// Where in the statement, counted in characters from 1, when the engine knows.
    pub position: Option<u32>,
    /// The violated constraint's name, when there is one.
    pub constraint: Option<String>,
}

/// Everything that can go wrong, by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// 400: the request cannot be read at all (malformed JSON, bad header). `code` is stable.
    #[error("{detail}")]
    Malformed {
        /// Stable, machine-readable.
        code: &'static str,
        /// What went wrong and what to do, for people.
        detail: String,
    },
    /// 422 `validation_failed`: readable, but these fields are wrong. Names all of them at once.
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<FieldError>),
    /// 422: readable and well-formed, but refused by a rule. `code` is stable.
    #[error("{detail}")]
    Refused {
        /// Stable, machine-readable.
        code: &'static str,
        /// What went wrong and what to do, for people.
        detail: String,
    },
    /// 401 with `WWW-Authenticate`.
    #[error("{0}")]
    Unauthenticated(String),
    /// 401 with `WWW-Authenticate`: what was sent is right as far as it goes, and more is needed. `code` is
    /// stable.
    #[error("{detail}")]
    Challenge {
        /// Stable, machine-readable.
        code: &'static str,
        /// What is missing, for people.
        detail: String,
    },
    /// 403: authenticated, but of the wrong kind or without the right. `code` is stable.
    #[error("{detail}")]
    Forbidden {
        /// Stable, machine-readable.
        code: &'static str,
        /// What went wrong and what to do, for people.
        detail: String,
    },
    /// 404: absent, or hidden from this caller; the two look the same.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// 409. `code` is stable.
    #[error("{detail}")]
    Conflict {
        /// Stable, machine-readable.
        code: &'static str,
        /// What went wrong and what to do, for people.
        detail: String,
    },
    /// 412: `If-Match` names another revision than the present one.
    #[error("the resource has changed since it was read: read it again and retry with its new ETag")]
    PreconditionFailed,
    /// 413: body, rows or bytes over the cap.
    #[error("{0}")]
    TooLarge(String),
    /// 415: the body is not of a type the endpoint takes.
    #[error("{0}")]
    UnsupportedMedia(String),
    /// 429 with `Retry-After`.
    #[error("{detail}")]
    Limited {
        /// What went wrong and what to do, for people.
        detail: String,
        /// How long to wait before the next try.
        retry_after: Duration,
    },
    /// 400 (or 403/409/503/504/507 by its SQLSTATE class): the tenant's own SQL failed.
    #[error("{}", .0.message)]
    Sql(Box<SqlProblem>),
    /// 503 with `Retry-After`: something we lean on is away or busy. `code` is stable.
    #[error("{detail}")]
    Unavailable {
        /// Stable, machine-readable.
        code: &'static str,
        /// What went wrong and what to do, for people.
        detail: String,
        /// For the log alone.
        cause: Cause,
    },
    /// 504: a bounded wait ran out.
    #[error("{detail}")]
    Timeout {
        /// Stable, machine-readable.
        code: &'static str,
        /// What went wrong and what to do, for people.
        detail: String,
    },
    /// 500: a fault of ours. The cause is for the log alone.
    #[error("internal error")]
    Internal(Cause),
}

impl Error {
    /// A fault of ours, with its cause for the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(Cause::new(cause))
    }

    /// One wrong field.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { pointer: pointer.into(), detail: detail.into() }])
    }

    /// A conflict with a stable code.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { code, detail: detail.into() }
    }

    /// A refusal by a rule, with a stable code.
    pub fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused { code, detail: detail.into() }
    }

    /// Not allowed, with a stable code.
    pub fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Forbidden { code, detail: detail.into() }
    }

    /// Something we lean on is away; the cause is for the log.
    pub fn unavailable(code: &'static str, detail: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self::Unavailable { code, detail: detail.into(), cause: Cause::new(cause) }
    }

    /// Two writers crossed; the store layer runs the transaction again. Its code is [`CONTENDED`].
    pub fn contended(cause: impl fmt::Display) -> Self {
        Self::unavailable(
            CONTENDED,
            "the control store is busy with conflicting changes; retry shortly",
            cause,
        )
    }

    /// Whether running the same transaction again may help.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        matches!(self, Self::Unavailable { code, .. } if *code == CONTENDED)
    }

    /// The private cause, when there is one.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Unavailable { cause, .. } | Self::Internal(cause) => Some(cause),
            _ => None,
        }
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        use diesel::result::DatabaseErrorKind as Kind;
        use diesel::result::Error as Diesel;
        match error {
            Diesel::DatabaseError(Kind::SerializationFailure, info) => Self::contended(info.message()),
            Diesel::DatabaseError(_, info) if info.message().contains("deadlock detected") => {
                Self::contended(info.message())
            }
            // SQLite's, when the engine's memory in this process is used up for a moment; see `placement::door`.
            Diesel::DatabaseError(_, info) if info.message() == "out of memory" => {
                Self::contended(info.message())
            }
            Diesel::NotFound => Self::NotFound("resource"),
            Diesel::DatabaseError(Kind::UniqueViolation, _) => {
                Self::conflict("already_exists", "a resource with these values already exists")
            }
            Diesel::DatabaseError(Kind::ClosedConnection, info) => Self::unavailable(
                "store_unavailable",
                "the control store is not reachable; retry shortly",
                info.message(),
            ),
            other => Self::internal(other),
        }
    }
}
