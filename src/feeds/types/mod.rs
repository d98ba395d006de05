//! The catalogue of events for the world outside: which types there are, what their data is.

pub mod http;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::log::catalogue::{self, Audience, FactType};

/// A type of event.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventType {
    /// Its name.
    #[serde(rename = "type")]
    #[schema(example = "tenant.suspended")]
    pub kind: &'static str,
    /// The version of its data's shape; 1 is the first. Data of older versions is shown in this one.
    pub version: i32,
    /// Who sees it.
    pub audience: Audience,
    /// What it says.
    pub description: &'static str,
}

impl From<&'static FactType> for EventType {
    fn from(fact: &'static FactType) -> Self {
        Self {
            kind: fact.kind(),
            version: fact.version(),
            audience: fact.audience(),
            description: fact.description(),
        }
    }
}

/// A type of event with the shape of its data.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventTypeInFull {
    #[serde(flatten)]
    about: EventType,
    /// The JSON Schema of its data, draft 2020-12.
    #[schema(value_type = Object)]
    schema: Value,
    /// An event as it could be.
    #[schema(value_type = Object)]
    example: Value,
}

/// All types, by name.
#[must_use]
pub fn all() -> Vec<EventType> {
    catalogue::all().map(EventType::from).collect()
}

/// One type.
///
/// # Errors
/// [`Error::NotFound`].
pub fn one(app: &App, kind: &str) -> Result<EventTypeInFull> {
    let fact = catalogue::find(kind).ok_or(Error::NotFound("event type"))?;
    let example = catalogue::sample(app.tokens.issuer(), fact);
    Ok(EventTypeInFull { about: fact.into(), schema: fact.schema(), example })
}
