//! What happens to every request: an id in and out, one log line, metrics, and headers that keep
//! browsers from guessing.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use uuid::Uuid;

use crate::auth::Caller;
use crate::kernel::id;

/// The header that carries a request's id in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: RequestId;
}

/// A request's id: the caller's own when it is sane, else a fresh one.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Who the request turned out to be from, for the log line.
#[derive(Clone, Debug)]
pub(super) struct SeenCaller {
    kind: &'static str,
    tenant: Option<String>,
}

impl SeenCaller {
    pub(super) fn of(caller: &Caller) -> Self {
        Self { kind: caller.kind(), tenant: caller.own_tenant().map(|tenant| tenant.to_string()) }
    }
}

/// The id of the request that this task answers.
#[must_use]
pub fn current_id() -> Option<String> {
    CURRENT.try_with(|id| id.0.clone()).ok()
}

/// The id that the middleware gave the request.
#[must_use]
pub fn id_of(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(|id| id.0.clone())
}

fn sane(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The trace id of a W3C `traceparent`, when it is well-formed.
fn trace_id(request: &ServiceRequest) -> Option<String> {
    let text = request.headers().get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let fine = hex(version, 2)
        && hex(trace, 32)
        && hex(span, 16)
        && hex(flags, 2)
        && version != "ff"
        && trace.bytes().any(|b| b != b'0');
    fine.then(|| trace.to_owned())
}

/// The middleware.
///
/// # Errors
/// What the handler answers.
pub async fn watch<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    let began = Instant::now();
    let given =
        request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|text| sane(text));
    let request_id = given.map_or_else(
        || {
            format!(
                "req_{}",
                id::encode(Uuid::from_u128(u128::from_be_bytes(crate::kernel::entropy::bytes())))
            )
        },
        ToOwned::to_owned,
    );
    request.extensions_mut().insert(RequestId(request_id.clone()));
    let (method, trace) = (request.method().clone(), trace_id(&request));
    let outcome = CURRENT.scope(RequestId(request_id.clone()), next.call(request)).await;
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => return Err(error),
    };
    let status = response.status().as_u16();
    let route = response.request().match_pattern().unwrap_or_else(|| "(none)".to_owned());
    let took = began.elapsed();
    metrics::histogram!("tenantry_http_request_seconds", "method" => method.to_string(), "route" => route.clone(), "status" => status.to_string())
        .record(took.as_secs_f64());
    let seen = response.request().extensions().get::<SeenCaller>().cloned();
    tracing::info!(
        request_id, trace_id = trace, http.method = %method, http.route = route, http.status = status,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        caller = seen.as_ref().map_or("unknown", |seen| seen.kind),
        tenant = seen.and_then(|seen| seen.tenant), "request"
    );
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if !headers.contains_key("cache-control") {
        headers.insert(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
