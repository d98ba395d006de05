//! Path segments: ids that are none of ours are answered as absent, not as malformed.

use std::str::FromStr;

use crate::kernel::error::{Error, Result};

/// Reads an id from a path; anything else names nothing, so it is not found.
///
/// # Errors
/// [`Error::NotFound`].
pub fn id<T: FromStr>(text: &str, what: &'static str) -> Result<T> {
    text.parse().map_err(|_| Error::NotFound(what))
}
