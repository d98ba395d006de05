//! JSON bodies: read, checked against the schema (every fault at once), then typed.

use std::any::TypeId;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Bytes;
use actix_web::{FromRequest, HttpRequest};
use parking_lot::RwLock;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::problem::Problem;
use super::schema_check::Shape;
use crate::kernel::error::{Error, FieldError, Result};

/// A request's JSON body, read into `T`.
pub struct Body<T> {
    /// The typed body.
    pub value: T,
    /// Its bytes as sent, for the fingerprint of an idempotency key.
    pub raw: Bytes,
}

fn shape_of<T: ToSchema + 'static>() -> Arc<Shape> {
    static SHAPES: OnceLock<RwLock<HashMap<TypeId, Arc<Shape>>>> = OnceLock::new();
    let shapes = SHAPES.get_or_init(RwLock::default);
    if let Some(shape) = shapes.read().get(&TypeId::of::<T>()) {
        return Arc::clone(shape);
    }
    Arc::clone(shapes.write().entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(Shape::of::<T>())))
}

fn json(raw: &[u8]) -> Result<Value> {
    serde_json::from_slice(raw).map_err(|error| Error::Malformed {
        code: "malformed_json",
        detail: format!("the body is not JSON: {error}"),
    })
}

fn parse<T: DeserializeOwned + ToSchema + 'static>(raw: &[u8]) -> Result<T> {
    let value = json(raw)?;
    let faults = shape_of::<T>().faults(&value);
    if faults.is_empty() { typed(value) } else { Err(Error::Invalid(faults)) }
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| {
        Error::Invalid(vec![FieldError { pointer: String::new(), detail: error.to_string() }])
    })
}

/// A request's JSON body whose rules are told together with the faults of its shape.
pub struct Form<T> {
    value: Value,
    faults: Vec<FieldError>,
    raw: Bytes,
    kind: PhantomData<T>,
}

impl<T: DeserializeOwned + ToSchema + 'static> Form<T> {
    /// The typed body. When its shape has faults, `rules` are asked what they say of the sound fields, and one
    /// answer names all that is wrong.
    ///
    /// # Errors
    /// [`Error::Invalid`]; that of `rules`.
    pub fn checked(self, rules: impl FnOnce(&Sound<'_>) -> Result<Vec<FieldError>>) -> Result<Body<T>> {
        if self.faults.is_empty() {
            return Ok(Body { value: typed(self.value)?, raw: self.raw });
        }
        let more = rules(&Sound { value: &self.value, faults: &self.faults })?;
        Err(Error::Invalid(self.faults.into_iter().chain(more).collect()))
    }
}

/// The fields of a faulty body that have the right shape themselves.
pub struct Sound<'a> {
    value: &'a Value,
    faults: &'a [FieldError],
}

impl<'a> Sound<'a> {
    /// Whether neither the field, nor what it is in, nor what is in it has a fault. An absent field has none
    /// unless it is required.
    #[must_use]
    pub fn is(&self, pointer: &str) -> bool {
        let within = |inner: &str, outer: &str| {
            inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.faults.iter().any(|fault| within(pointer, &fault.pointer) || within(&fault.pointer, pointer))
    }

    /// The field's text, when it is sound and there.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&'a str> {
        self.is(pointer).then(|| self.value.pointer(pointer)?.as_str()).flatten()
    }
}

fn is_json(request: &HttpRequest) -> bool {
    if request.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json") {
        return true;
    }
    let essence = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = essence.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !is_json(request) {
            return Box::pin(async { Err(Problem(not_json())) });
        }
        let reading = Bytes::from_request(request, payload);
        Box::pin(async move {
            let raw = reading.await.map_err(|error| Problem(unreadable(&error)))?;
            Ok(Self { value: parse(&raw)?, raw })
        })
    }
}

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Form<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !is_json(request) {
            return Box::pin(async { Err(Problem(not_json())) });
        }
        let reading = Bytes::from_request(request, payload);
        Box::pin(async move {
            let raw = reading.await.map_err(|error| Problem(unreadable(&error)))?;
            let value = json(&raw)?;
            Ok(Self { faults: shape_of::<T>().faults(&value), value, raw, kind: PhantomData })
        })
    }
}

/// A request's JSON body, for types that read no body which their schema refuses. They are read at once, and
/// the schema is asked only what is wrong with a body that could not be.
pub struct Strict<T>(pub T);

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Strict<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !is_json(request) {
            return Box::pin(async { Err(Problem(not_json())) });
        }
        let reading = Bytes::from_request(request, payload);
        Box::pin(async move {
            let raw = reading.await.map_err(|error| Problem(unreadable(&error)))?;
            match serde_json::from_slice(&raw) {
                Ok(value) => Ok(Self(value)),
                Err(_) => Ok(Self(parse(&raw)?)),
            }
        })
    }
}

/// Reads a text of at most `MAX` characters without a zero byte, as `max_length` in a schema says.
///
/// # Errors
/// For any other.
pub fn text<'de, const MAX: usize, D: Deserializer<'de>>(from: D) -> std::result::Result<String, D::Error> {
    let text = String::deserialize(from)?;
    // No text has more characters than bytes.
    let fits = text.len() <= MAX || text.chars().count() <= MAX;
    if fits && !text.contains('\0') { Ok(text) } else { Err(D::Error::custom("is too long, or no text")) }
}

/// Reads at most `MAX` items, as `max_items` in a schema says.
///
/// # Errors
/// For more.
pub fn few<'de, const MAX: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<Vec<T>, D::Error> {
    let items = Vec::deserialize(from)?;
    if items.len() <= MAX { Ok(items) } else { Err(D::Error::custom("has too many items")) }
}

/// Reads a number of at most `MAX`, as `maximum` in a schema says.
///
/// # Errors
/// For more.
pub fn at_most<'de, const MAX: u32, D: Deserializer<'de>>(from: D) -> std::result::Result<u32, D::Error> {
    let number = u32::deserialize(from)?;
    if number <= MAX { Ok(number) } else { Err(D::Error::custom("is too much")) }
}

/// A request's body as it was sent, for what is signed.
pub struct Raw(pub Bytes);

impl FromRequest for Raw {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let reading = Bytes::from_request(request, payload);
        Box::pin(async move { Ok(Self(reading.await.map_err(|error| Problem(unreadable(&error)))?)) })
    }
}

/// A request's JSON body where none is needed: an empty one is `None`, a wrong one is refused.
pub struct MaybeBody<T>(pub Option<T>);

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for MaybeBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = std::result::Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let json = is_json(request);
        let reading = Bytes::from_request(request, payload);
        Box::pin(async move {
            let raw = reading.await.map_err(|error| Problem(unreadable(&error)))?;
            if raw.is_empty() {
                return Ok(Self(None));
            }
            if !json {
                return Err(not_json().into());
            }
            Ok(Self(Some(parse(&raw)?)))
        })
    }
}

fn not_json() -> Error {
    Error::UnsupportedMedia("send the body as JSON with Content-Type: application/json".into())
}

fn unreadable(error: &actix_web::Error) -> Error {
    let status = error.as_response_error().status_code();
    if status == actix_web::http::StatusCode::PAYLOAD_TOO_LARGE {
        Error::TooLarge("the body is larger than server.max_body_bytes allows".into())
    } else {
        Error::Malformed { code: "unreadable_body", detail: "the body could not be read to its end".into() }
    }
}
