//! ETags: a resource's revision, so that two writers cannot overwrite each other unseen.

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;
use crate::kernel::error::{Error, Result};

/// What `If-Match` demands.
#[derive(Debug, Clone, Default)]
pub struct IfMatch(Option<Vec<String>>);

impl IfMatch {
    /// Refuses when the header names other revisions than `rev`.
    ///
    /// # Errors
    /// [`Error::PreconditionFailed`].
    pub fn check(&self, rev: i64) -> Result<()> {
        match &self.0 {
            None => Ok(()),
            Some(tags) if tags.iter().any(|tag| tag == "*" || *tag == etag(rev)) => Ok(()),
            Some(_) => Err(Error::PreconditionFailed),
        }
    }
}

fn tags(request: &HttpRequest, name: HeaderName) -> Option<Vec<String>> {
    let value = request.headers().get(name)?.to_str().unwrap_or("");
    Some(value.split(',').map(|tag| tag.trim().trim_start_matches("W/").to_owned()).collect())
}

impl FromRequest for IfMatch {
    type Error = Problem;
    type Future = std::future::Ready<std::result::Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self(tags(request, IF_MATCH))))
    }
}

/// The ETag of revision `rev`.
#[must_use]
pub fn etag(rev: i64) -> String {
    format!("\"{rev}\"")
}

/// Whether `If-None-Match` already names `rev`.
#[must_use]
pub fn has(request: &HttpRequest, rev: i64) -> bool {
    tags(request, IF_NONE_MATCH).is_some_and(|tags| tags.iter().any(|tag| tag == "*" || *tag == etag(rev)))
}

/// A resource with its revision as ETag.
pub fn tagged(status: StatusCode, rev: i64, body: &impl Serialize) -> HttpResponse {
    HttpResponse::build(status).insert_header((ETAG, etag(rev))).json(body)
}

/// A document without a revision, with the hash of its content as ETag; who has it already is told so.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written as JSON.
pub fn by_content(request: &HttpRequest, body: &impl Serialize) -> Result<HttpResponse> {
    let body = serde_json::to_vec(body).map_err(Error::internal)?;
    let tag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(&body)));
    let known = tags(request, IF_NONE_MATCH);
    if known.is_some_and(|known| known.iter().any(|one| *one == "*" || *one == tag)) {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    Ok(HttpResponse::Ok().insert_header((ETAG, tag)).content_type("application/json").body(body))
}
