//! What happens to every request: an id in and out, one log line, metrics, and headers that keep
//! browsers from guessing.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest};
use metrics::Histogram;
use uuid::Uuid;

use super::{denials, limits};
use crate::auth::{Caller, refused};
use crate::db;
use crate::kernel::entropy;
use crate::kernel::id;
use crate::kernel::limits::Taken;
use crate::telemetry::requests::{self, Line};

/// The header that carries a request's id in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The header that says where in the log the last event stands that a request appended.
pub const SEQ: HeaderName = HeaderName::from_static("tenantry-seq");
/// The header in which a trace goes on (W3C Trace Context).
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

tokio::task_local! {
    static CURRENT: Arc<str>;
}

/// What the edge knows of a request, from its first middleware to its log line.
#[derive(Debug)]
pub(super) struct Context {
    /// The request's id: the caller's own when it is sane, else a fresh one.
    pub(super) id: Arc<str>,
    /// Who the request is from, once somebody looked.
    pub(super) caller: OnceCell<Caller>,
    /// How the caller's rate limits stand, when there are any.
    pub(super) limits: Cell<Option<Taken>>,
}

impl Context {
    /// What [`watch`] knows of this request.
    pub(super) fn of(request: &HttpRequest) -> Option<Rc<Self>> {
        request.extensions().get::<Rc<Self>>().cloned()
    }
}

/// The peer of a connection, written in words once for all its requests.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(super) address: IpAddr,
    pub(super) text: Arc<str>,
}

impl Peer {
    /// That of a connection from this address.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, text: address.to_string().into() }
    }
}

/// The id of the request that this task answers.
#[must_use]
pub fn current_id() -> Option<String> {
    CURRENT.try_with(|id| id.to_string()).ok()
}

fn sane(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The trace id of a W3C `traceparent`, when it is well-formed.
fn trace_id(request: &ServiceRequest) -> Option<String> {
    let text = request.headers().get(TRACEPARENT)?.to_str().ok()?;
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

/// A route's histograms, by method and status.
type TimesOfRoute = Vec<(&'static str, u16, Histogram)>;

thread_local! {
    /// This worker's histograms: by route, then by method and status.
    static TIMES: RefCell<HashMap<String, TimesOfRoute>> = RefCell::default();
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

fn fresh_id() -> String {
    let mut text = String::with_capacity(30);
    text.push_str("req_");
    id::write(Uuid::from_u128(entropy::unique()), &mut text);
    text
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
    let request_id: Arc<str> = given.map_or_else(|| fresh_id().into(), Into::into);
    let context =
        Rc::new(Context { id: Arc::clone(&request_id), caller: OnceCell::new(), limits: Cell::new(None) });
    request.extensions_mut().insert(Rc::clone(&context));
    let (method, trace) = (request.method().clone(), trace_id(&request));
    let answering = CURRENT.scope(Arc::clone(&request_id), refused::watched(next.call(request)));
    let ((answered, verb), place) = db::collect(answering).await;
    let mut response = answered?;
    let status = response.status().as_u16();
    let route = response.request().match_pattern().unwrap_or_else(|| "(none)".to_owned());
    let took = began.elapsed();
    timed(&method, &route, status, took.as_secs_f64());
    let caller = context.caller.get();
    if let Some(caller) = caller.filter(|_| response.status() == StatusCode::FORBIDDEN) {
        denials::note(&response, caller, verb, (word(&method), &route));
    }
    requests::log(&Line {
        request_id: &request_id,
        trace_id: trace.as_deref(),
        method: method.as_str(),
        route: &route,
        status,
        took,
        caller: caller.map_or("unknown", Caller::kind),
        tenant: caller.and_then(Caller::own_tenant),
    });
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, value);
    }
    if let Some(place) = place
        && let Ok(value) = HeaderValue::from_str(&place.to_string())
    {
        headers.insert(SEQ, value);
    }
    if let Some(taken) = context.limits.take() {
        limits::tell(headers, &taken);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}
