//! What a cluster's refusal means, in plain words: away, busy, not allowed, or wrong.

use tokio_postgres::error::SqlState;

use crate::kernel::error::{Cause, Error};

/// `error`, met while `doing` something on `cluster`, as the product's error. The engine's message is
/// shown: it is for operators and never holds a secret (passwords are sent as verifiers).
pub(super) fn explain(cluster: &str, doing: &str, error: &tokio_postgres::Error) -> Error {
    let cause = Cause::chain(error);
    let Some(told) = error.as_db_error() else {
        return Error::Unavailable {
            code: "cluster_unavailable",
            detail: format!("the connection to cluster `{cluster}` broke while {doing}; it is retried"),
            cause,
        };
    };
    let message = told.message();
    let code = told.code();
    let class = code.code().get(..2).unwrap_or_default();
    let going_down = [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW];
    if class == "08" || class == "53" || going_down.contains(code) {
        let detail = format!("cluster `{cluster}` cannot work now, while {doing}: {message}; it is retried");
        return Error::Unavailable { code: "cluster_unavailable", detail, cause };
    }
    let passing = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::OBJECT_IN_USE,
        SqlState::QUERY_CANCELED,
    ];
    if passing.contains(code) || message.contains("concurrently updated") {
        let detail = format!(
            "cluster `{cluster}` is busy with something else, while {doing}: {message}; it is retried"
        );
        return Error::Unavailable { code: "cluster_busy", detail, cause };
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        let detail = format!("the role of cluster `{cluster}`'s URL lacks a right, while {doing}: {message}");
        return Error::refused("cluster_rights_missing", detail);
    }
    let more = told.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
    Error::refused("cluster_refused", format!("cluster `{cluster}` refused {doing}: {message}{more}"))
}

/// Whether the engine answered with one of `codes`.
pub(super) fn is_any(error: &tokio_postgres::Error, codes: &[SqlState]) -> bool {
    error.code().is_some_and(|code| codes.contains(code))
}
