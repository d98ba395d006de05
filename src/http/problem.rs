//! The one table that turns an [`Error`] into `application/problem+json` (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::request;
use crate::kernel::error::{Error, FieldError, SqlProblem};

/// An [`Error`] on its way out.
#[derive(Debug)]
pub struct Problem(pub Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The body of every failure.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A stable address for this kind of problem: `/problems/` and the code.
    #[serde(rename = "type")]
    #[schema(example = "/problems/slug_taken")]
    pub kind: String,
    /// The HTTP status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What went wrong this time, and what to do about it.
    pub detail: String,
    /// Stable and machine-readable.
    #[schema(example = "slug_taken")]
    pub code: String,
    /// The request's id, as in the `x-request-id` header and the log.
    pub request_id: Option<String>,
    /// Every invalid field at once, for `validation_failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<FieldError>>,
    /// What the database said, for a failed statement of the data door.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<SqlBody>,
}

/// The database's own words about a statement of the data door.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = SqlProblem)]
pub struct SqlBody {
    /// The five-character SQLSTATE; on SQLite the nearest one.
    #[schema(example = "23505")]
    pub sqlstate: String,
    /// The engine's message.
    pub message: String,
    /// The engine's detail line.
    pub detail: Option<String>,
    /// The engine's hint.
    pub hint: Option<String>,
    /// Where in the statement, counted in characters from 1.
    pub position: Option<u32>,
    /// The violated constraint.
    pub constraint: Option<String>,
}

impl From<&SqlProblem> for SqlBody {
    fn from(sql: &SqlProblem) -> Self {
        Self {
            sqlstate: sql.sqlstate.clone(),
            message: sql.message.clone(),
            detail: sql.detail.clone(),
            hint: sql.hint.clone(),
            position: sql.position,
            constraint: sql.constraint.clone(),
        }
    }
}

/// What a status means to the one who reads it.
fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

fn face(error: &Error) -> (&'static str, StatusCode) {
    match error {
        Error::Malformed { code, .. } => (code, StatusCode::BAD_REQUEST),
        Error::Invalid(_) => ("validation_failed", StatusCode::UNPROCESSABLE_ENTITY),
        Error::Refused { code, .. } => (code, StatusCode::UNPROCESSABLE_ENTITY),
        Error::Unauthenticated(_) => ("unauthenticated", StatusCode::UNAUTHORIZED),
        Error::Challenge { code, .. } => (code, StatusCode::UNAUTHORIZED),
        Error::Forbidden { code, .. } => (code, StatusCode::FORBIDDEN),
        Error::NotFound(_) => ("not_found", StatusCode::NOT_FOUND),
        Error::Conflict { code, .. } => (code, StatusCode::CONFLICT),
        Error::PreconditionFailed => ("precondition_failed", StatusCode::PRECONDITION_FAILED),
        Error::TooLarge(_) => ("too_large", StatusCode::PAYLOAD_TOO_LARGE),
        Error::UnsupportedMedia(_) => ("unsupported_media_type", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        Error::Limited { .. } => ("rate_limited", StatusCode::TOO_MANY_REQUESTS),
        Error::Sql(sql) => sql_face(&sql.sqlstate),
        Error::Unavailable { code, .. } => (code, StatusCode::SERVICE_UNAVAILABLE),
        Error::Timeout { code, .. } => (code, StatusCode::GATEWAY_TIMEOUT),
        Error::Internal(_) => ("internal", StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// The tenant's own SQL failed: by the class of the SQLSTATE (PostgreSQL, appendix A).
fn sql_face(sqlstate: &str) -> (&'static str, StatusCode) {
    match sqlstate.get(..2).unwrap_or("") {
        "23" => ("sql_constraint_violation", StatusCode::CONFLICT),
        "40" => ("sql_serialization_failure", StatusCode::CONFLICT),
        "25" if sqlstate == "25006" => ("sql_read_only", StatusCode::FORBIDDEN),
        "42" if sqlstate == "42501" => ("sql_insufficient_privilege", StatusCode::FORBIDDEN),
        "57" if sqlstate == "57014" => ("statement_timeout", StatusCode::GATEWAY_TIMEOUT),
        "53" if sqlstate == "53100" => ("database_full", StatusCode::INSUFFICIENT_STORAGE),
        "53" if sqlstate == "53200" => ("statement_out_of_memory", StatusCode::SERVICE_UNAVAILABLE),
        "53" | "57" | "58" => ("database_unavailable", StatusCode::SERVICE_UNAVAILABLE),
        _ => ("sql_error", StatusCode::BAD_REQUEST),
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        face(&self.0).1
    }

    fn error_response(&self) -> HttpResponse {
        let (code, status) = face(&self.0);
        let request_id = request::current_id();
        if status.is_server_error() {
            tracing::error!(
                error = %self.0, cause = self.0.cause().map(tracing::field::display), code,
                request_id = request_id.as_deref(), "a request failed"
            );
        }
        let body = ProblemBody {
            kind: format!("/problems/{code}"),
            title: title(status).to_owned(),
            status: status.as_u16(),
            detail: self.0.to_string(),
            code: code.to_owned(),
            request_id,
            errors: match &self.0 {
                Error::Invalid(fields) => Some(fields.clone()),
                _ => None,
            },
            sql: match &self.0 {
                Error::Sql(sql) => Some(SqlBody::from(&**sql)),
                _ => None,
            },
        };
        let mut response = HttpResponse::build(status);
        response.content_type("application/problem+json");
        match &self.0 {
            Error::Unauthenticated(_) | Error::Challenge { .. } => {
                response
                    .insert_header((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tenantry\"")));
            }
            Error::Limited { retry_after, .. } => {
                response.insert_header((
                    RETRY_AFTER,
                    retry_after.as_nanos().div_ceil(1_000_000_000).max(1).to_string(),
                ));
            }
            Error::Unavailable { .. } => {
                response.insert_header((RETRY_AFTER, HeaderValue::from_static("1")));
            }
            _ => {}
        }
        response.body(serde_json::to_string(&body).unwrap_or_default())
    }
}
