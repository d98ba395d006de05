//! Query strings: typed, unknown parameters refused.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;

use super::problem::Problem;
use crate::kernel::error::Error;

/// A request's query string, read into `T`.
pub struct Params<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Params<T> {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // No store holds it, and PostgreSQL fails on it instead of finding nothing.
        if request.query_string().contains("%00") {
            return std::future::ready(Err(Problem(Error::field("?", "must not hold a zero byte"))));
        }
        std::future::ready(
            web::Query::<T>::from_query(request.query_string())
                .map(|query| Self(query.into_inner()))
                .map_err(|error| Problem(Error::field("?", error.to_string()))),
        )
    }
}
