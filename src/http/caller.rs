//! Reads the caller from `Authorization: Bearer …`.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpRequest, ResponseError as _, web};
use secrecy::{ExposeSecret as _, SecretString};
use utoipa::openapi::OpenApi;

use super::client;
use super::limits;
use super::problem::Problem;
use super::request::{Context, Peer};
use crate::auth::{Caller, Who};
use crate::kernel::error::{Error, Result};
use crate::kernel::limits::Taken;

/// Who a credential belongs to.
pub struct Found {
    /// Who.
    pub who: Who,
    /// How their rate limits stand after this request asked them; `None` for those without any.
    pub limits: Option<Taken>,
}

/// Finds out who a credential belongs to. The server composes it of what knows keys and tokens.
pub trait Authenticate: Send + Sync + 'static {
    /// Who `credential` belongs to. The request counts against their limits.
    fn find<'a>(&'a self, credential: &'a str) -> Pin<Box<dyn Future<Output = Result<Found>> + Send + 'a>>;
}

/// The composed [`Authenticate`], as handlers find it.
pub type Gate = web::Data<Arc<dyn Authenticate>>;

fn credential(request: &HttpRequest) -> Result<Option<&str>> {
    let mut values = request.headers().get_all(AUTHORIZATION);
    let Some(value) = values.next() else { return Ok(None) };
    let bad = |detail: &str| Err(Error::Unauthenticated(detail.to_owned()));
    if values.next().is_some() {
        return bad("send one Authorization header");
    }
    let Ok(text) = value.to_str() else { return bad("the Authorization header is not plain text") };
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Some(token.trim()))
        }
        _ => bad("send Authorization: Bearer and a key or access token"),
    }
}

/// The operations of the document that need a credential, as `METHOD /pattern`.
pub struct Guarded(HashSet<String>);

impl Guarded {
    /// Reads them off the document: whatever declares a security requirement.
    #[must_use]
    pub fn of(api: &OpenApi) -> Self {
        let mut all = HashSet::new();
        for (path, item) in &api.paths.paths {
            let operations = [
                ("GET", &item.get),
                ("POST", &item.post),
                ("PUT", &item.put),
                ("PATCH", &item.patch),
                ("DELETE", &item.delete),
            ];
            for (method, operation) in operations {
                if operation.as_ref().is_some_and(|operation| operation.security.is_some()) {
                    all.insert(format!("{method} {path}"));
                }
            }
        }
        Self(all)
    }
}

/// The middleware that finds the caller before anything else of the request is read, so that a stranger
/// learns nothing from how a body is wrong.
///
/// # Errors
/// What the handler answers.
pub async fn authenticate<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> std::result::Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    match find(request.request()).await {
        Ok(true) => {}
        Ok(false) => {
            let guarded = request.app_data::<web::Data<Guarded>>();
            let operation = request.match_pattern().map(|pattern| format!("{} {pattern}", request.method()));
            if let (Some(guarded), Some(operation)) = (guarded, operation)
                && guarded.0.contains(&operation)
            {
                let nobody = Error::Unauthenticated(
                    "this call needs a credential: send Authorization: Bearer …".into(),
                );
                return Ok(request.into_response(Problem(nobody).error_response()).map_into_right_body());
            }
        }
        Err(error) => {
            return Ok(request.into_response(Problem(error).error_response()).map_into_right_body());
        }
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// Notes the caller whom the request's credential names; false without one.
async fn find(request: &HttpRequest) -> Result<bool> {
    let Some(text) = credential(request)? else { return Ok(false) };
    let gate = request.app_data::<Gate>().ok_or_else(|| Error::internal("no gate"))?;
    let context = Context::of(request).ok_or_else(|| Error::internal("nobody watches the request"))?;
    let Found { who, limits } = gate.find(text).await?;
    context.caller.get_or_init(|| caller_of(request, &context, who));
    context.limits.set(limits);
    match limits.filter(|taken| taken.refused) {
        Some(taken) => Err(limits::refusal(&taken)),
        None => Ok(true),
    }
}

fn caller_of(request: &HttpRequest, context: &Context, who: Who) -> Caller {
    let address = client::address(request).map(|address| match request.conn_data::<Peer>() {
        Some(peer) if peer.address == address => Arc::clone(&peer.text),
        _ => address.to_string().into(),
    });
    Caller { who, request_id: Some(Arc::clone(&context.id)), address, cause: None }
}

/// What a request was authorised by, for whoever goes on answering it: a key may be revoked meanwhile, a session end.
#[derive(Clone)]
pub struct Credential {
    gate: Arc<dyn Authenticate>,
    text: SecretString,
}

impl Credential {
    /// Whom it makes the caller now.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] or [`Error::Forbidden`] when it is good no longer.
    pub async fn who(&self) -> Result<Who> {
        self.gate.find(self.text.expose_secret()).await.map(|found| found.who)
    }
}

impl FromRequest for Credential {
    type Error = Problem;
    type Future = std::future::Ready<std::result::Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let nobody = || Error::Unauthenticated("this call needs a credential".into());
        let found = credential(request).and_then(|text| text.ok_or_else(nobody)).and_then(|text| {
            let gate = request.app_data::<Gate>().ok_or_else(|| Error::internal("no gate"))?;
            Ok(Self { gate: Arc::clone(gate), text: SecretString::from(text) })
        });
        std::future::ready(found.map_err(Problem))
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = std::future::Ready<std::result::Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = Context::of(request).map(|context| {
            context.caller.get_or_init(|| caller_of(request, &context, Who::Anonymous)).clone()
        });
        std::future::ready(found.ok_or_else(|| Error::internal("nobody watches the request").into()))
    }
}
