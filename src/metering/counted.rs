//! How an event was counted, as it is written beside the event: decided once, when it comes in. A meter that is
//! declared otherwise later changes what comes then, never what was counted.

use serde::{Deserialize, Serialize};

use crate::kernel::error::{Error, Result};

/// What one event is to one meter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The meter's key.
    #[serde(rename = "m")]
    pub meter: String,
    /// The value, a whole number that is not negative; 1 where events or different values are counted.
    #[serde(rename = "v")]
    pub value: i64,
    /// What it is told apart by: a JSON object of texts with its keys in order, or nothing.
    #[serde(rename = "g", default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// What stands for the value, where different ones are counted.
    #[serde(rename = "u", default, skip_serializing_if = "Option::is_none")]
    pub unique: Option<Mark>,
}

/// 128 bits of a value's SHA-256: two values with the same one are taken for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mark(pub u128);

impl From<Mark> for String {
    fn from(mark: Mark) -> Self {
        format!("{:032x}", mark.0)
    }
}

impl TryFrom<String> for Mark {
    type Error = std::num::ParseIntError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Self)
    }
}

/// Writes what an event was counted as.
///
/// # Errors
/// [`Error::Internal`], never met.
pub fn write(counted: &[Counted]) -> Result<String> {
    serde_json::to_string(counted).map_err(Error::internal)
}

/// Reads what [`write`] wrote.
///
/// # Errors
/// [`Error::Internal`] for a text that it did not write.
pub fn read(text: &str) -> Result<Vec<Counted>> {
    serde_json::from_str(text).map_err(Error::internal)
}
