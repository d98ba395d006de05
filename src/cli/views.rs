//! The server's answers as far as people read them. What a newer server adds is passed over here and kept
//! in the JSON, which is the server's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Outcome;
use super::failure::Failure;
use super::words;
use crate::kernel::error::FieldError;

/// Reads an answer.
///
/// # Errors
/// [`Failure::Failed`] when it is of another shape: server and program are too far apart.
pub fn read<T: DeserializeOwned>(value: &Value) -> Outcome<T> {
    T::deserialize(value).map_err(|error| {
        Failure::failed(format!(
            "the server's answer cannot be read: {error}\nthis program is tenantry {}; the server may be of another version",
            env!("CARGO_PKG_VERSION")
        ))
    })
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The items.
    pub data: Vec<Value>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
}

/// A tenant.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API's own documentation has these words")]
pub struct Tenant {
    pub id: String,
    pub slug: String,
    pub name: String,
    pub state: String,
    pub plan: String,
    pub isolation: String,
    pub cluster: String,
    pub region: Option<String>,
    pub created_at: String,
    pub suspended_at: Option<String>,
    pub suspend_reason: Option<String>,
    pub delete_at: Option<String>,
    pub deleted_at: Option<String>,
}

/// A durable piece of work.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the API's own documentation has these words")]
pub struct Operation {
    pub id: String,
    pub kind: String,
    pub tenant_id: Option<String>,
    pub state: String,
    #[serde(default)]
    pub attempt: u32,
    pub error: Option<String>,
    pub next_attempt_at: Option<String>,
    #[serde(default)]
    pub steps: Vec<Step>,
    pub created_at: String,
    pub finished_at: Option<String>,
}

impl Operation {
    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed")
    }
}

/// A step of an operation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the API's own documentation has these words")]
pub struct Step {
    pub name: String,
    pub state: String,
    #[serde(default)]
    pub attempt: u32,
    pub error: Option<String>,
}

/// A key of an operator, a service or a tenant; `key` is there once, on creation.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API's own documentation has these words")]
pub struct Key {
    pub id: String,
    pub name: String,
    pub state: String,
    pub prefix: String,
    pub key: Option<String>,
    #[serde(default)]
    pub scopes: Vec<String>,
    pub role: Option<String>,
    pub environment: String,
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    pub rate_limit: Option<RateLimit>,
    pub created_by: String,
    pub created_at: String,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
    pub last_used_at: Option<String>,
    pub successor_id: Option<String>,
    pub replaces: Option<String>,
    pub replaced_ends_at: Option<String>,
}

/// A limit on how often a key may be used.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API's own documentation has these words")]
pub struct RateLimit {
    pub requests_per_s: u32,
    pub burst: u32,
}

/// Something that was begun: the tenant and the operation that does the rest.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "the API's own documentation has these words")]
pub struct Begun {
    pub tenant: Tenant,
    pub operation: Operation,
}

/// A refusal by the server, as problem+json (RFC 9457).
#[derive(Debug)]
pub struct Refusal {
    /// The status line's number.
    pub status: u16,
    /// The body.
    pub raw: Value,
    /// What this program knows to do about it; may be empty.
    pub hint: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
    request_id: Option<String>,
    errors: Vec<FieldError>,
}

impl Refusal {
    /// The problem's code, when it has one.
    #[must_use]
    pub fn code(&self) -> &str {
        self.raw.get("code").and_then(Value::as_str).unwrap_or_default()
    }

    /// For people: what went wrong, every bad field, what to do, and the request's id for the log.
    #[must_use]
    pub fn text(&self) -> String {
        let it = Problem::deserialize(&self.raw).unwrap_or_default();
        let detail = if it.detail.is_empty() { &it.title } else { &it.detail };
        let mut text = format!("{detail}\n{} {}", self.status, it.title);
        if !it.code.is_empty() {
            let _ = write!(text, " ({})", it.code);
        }
        for field in &it.errors {
            let _ = write!(text, "\n{}: {}", words::safe(&field.pointer), words::safe(&field.detail));
        }
        if !self.hint.is_empty() {
            let _ = write!(text, "\n{}", self.hint);
        }
        if let Some(id) = &it.request_id {
            let _ = write!(text, "\nrequest id: {}", words::safe(id));
        }
        text
    }
}
