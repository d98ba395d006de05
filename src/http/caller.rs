//! Reads the caller from `Authorization: Bearer …`.

use std::pin::Pin;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};

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

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let who = match credential(&request)? {
                None => Who::Anonymous,
                Some(text) => {
                    let gate = request.app_data::<Gate>().ok_or_else(|| Error::internal("no gate"))?;
                    gate.who(text).await?
                }
            };
            let caller = Self {
                who,
                request_id: request::id_of(&request),
                address: request.peer_addr().map(|address| address.ip().to_string()),
            };
            request.extensions_mut().insert(SeenCaller::of(&caller));
            Ok(caller)
        })
    }
}
