//! Reads the caller from `Authorization: Bearer …`.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, ResponseError as _, web};
use utoipa::openapi::OpenApi;

use super::client;
use super::problem::Problem;
use super::request::{self, SeenCaller};
use crate::auth::{Caller, Who};
use crate::kernel::error::{Error, Result};

/// Finds out who a credential belongs to. The server composes it of what knows keys and tokens.
pub trait Authenticate: Send + Sync + 'static {
    /// Who `credential` belongs to.
    fn who<'a>(&'a self, credential: &'a str) -> Pin<Box<dyn Future<Output = Result<Who>> + Send + 'a>>;
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
        Ok(Some(caller)) => {
            request.extensions_mut().insert(SeenCaller::of(&caller));
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {
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

/// The caller whom the request's credential names; `None` without one.
async fn find(request: &HttpRequest) -> Result<Option<Caller>> {
    let Some(text) = credential(request)? else { return Ok(None) };
    let gate = request.app_data::<Gate>().ok_or_else(|| Error::internal("no gate"))?;
    Ok(Some(caller_of(request, gate.who(text).await?)))
}

fn caller_of(request: &HttpRequest, who: Who) -> Caller {
    Caller {
        who,
        request_id: request::id_of(request),
        address: client::address(request).map(|address| address.to_string()),
    }
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = std::future::Ready<std::result::Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = request.extensions().get::<Self>().cloned();
        std::future::ready(Ok(found.unwrap_or_else(|| {
            let nobody = caller_of(request, Who::Anonymous);
            request.extensions_mut().insert(SeenCaller::of(&nobody));
            nobody
        })))
    }
}
