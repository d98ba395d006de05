//! What happens to every request: an id in and out, one log line, metrics, and headers that keep
//! browsers from guessing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use metrics::Histogram;
use uuid::Uuid;

use crate::auth::Caller;
use crate::kernel::entropy;
use crate::kernel::id::{self, TenantId};

/// The header that carries a request's id in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static CURRENT: RequestId;
}

/// A request's id: the caller's own when it is sane, else a fresh one.
#[derive(Clone, Debug)]
pub struct RequestId(Arc<str>);

/// Who the request turned out to be from, for the log line.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeenCaller {
    kind: &'static str,
    tenant: Option<TenantId>,
}

impl SeenCaller {
    pub(super) fn of(caller: &Caller) -> Self {
        Self { kind: caller.kind(), tenant: caller.own_tenant() }
    }
}

/// The id of the request that this task answers.
#[must_use]
pub fn current_id() -> Option<String> {
    CURRENT.try_with(|id| id.0.to_string()).ok()
}

/// The id that the middleware gave the request.
#[must_use]
pub fn id_of(request: &HttpRequest) -> Option<String> {
    request.extensions().get::<RequestId>().map(|id| id.0.to_string())
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

/// The method as a label: whatever clients make up counts as one.
fn word(method: &Method) -> &'static str {
    const KNOWN: [Method; 7] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    const WORDS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.iter().zip(WORDS).find(|(known, _)| *known == method).map_or("other", |(_, word)| word)
}

/// Histograms by route, then by method and status.
type Times = HashMap<String, Vec<(&'static str, u16, Histogram)>>;

thread_local! {
    /// This worker's histograms.
    static TIMES: RefCell<Times> = RefCell::default();
}

/// Counts a request. Finding a histogram by its labels costs more than some requests take, so each worker
/// keeps those it has used: no more than there are routes, methods and statuses.
fn timed(method: &Method, route: &str, status: u16, seconds: f64) {
    let method = word(method);
    TIMES.with_borrow_mut(|times| {
        let mut of_route = times.get(route).into_iter().flatten();
        if let Some((.., known)) = of_route.find(|(of, code, _)| *of == method && *code == status) {
            return known.record(seconds);
        }
        let new = metrics::histogram!(
            "tenantry_http_request_seconds", "method" => method, "route" => route.to_owned(), "status" => status.to_string()
        );
        new.record(seconds);
        times.entry(route.to_owned()).or_default().push((method, status, new));
    });
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
    let request_id: Arc<str> = match given {
        Some(text) => text.into(),
        None => format!("req_{}", id::encode(Uuid::from_u128(entropy::unique()))).into(),
    };
    request.extensions_mut().insert(RequestId(Arc::clone(&request_id)));
    let (method, trace) = (request.method().clone(), trace_id(&request));
    let outcome = CURRENT.scope(RequestId(Arc::clone(&request_id)), next.call(request)).await;
    let mut response = match outcome {
        Ok(response) => response,
        Err(error) => return Err(error),
    };
    let status = response.status().as_u16();
    let route = response.request().match_pattern().unwrap_or_else(|| "(none)".to_owned());
    let took = began.elapsed();
    timed(&method, &route, status, took.as_secs_f64());
    let seen = response.request().extensions().get::<SeenCaller>().copied();
    tracing::info!(
        request_id = &*request_id, trace_id = trace, http.method = %method, http.route = route, http.status = status,
        duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        caller = seen.as_ref().map_or("unknown", |seen| seen.kind),
        tenant = seen.and_then(|seen| seen.tenant).map(tracing::field::display), "request"
    );
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
