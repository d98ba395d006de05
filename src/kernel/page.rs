//! Pages of lists: newest first, by the pair (created at, id), so that a page stays where it was while
//! new rows arrive in front. The cursor is opaque to clients.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use uuid::Uuid;

use super::clock::Ts;
use super::error::{Error, FieldError, Result};

/// How many items a page holds when the caller does not say.
pub const DEFAULT_LIMIT: u32 = 50;
/// The most items a page may hold.
pub const MAX_LIMIT: u32 = 200;

/// Where a page starts (after this row) and how many rows it holds.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest {
    /// The last row of the page before; `None` for the first page.
    pub after: Option<(Ts, Uuid)>,
    /// 1 to [`MAX_LIMIT`].
    pub limit: u32,
}

impl PageRequest {
    /// Reads `?limit=` and `?cursor=`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming each bad parameter.
    pub fn parse(limit: Option<u32>, cursor: Option<&str>) -> Result<Self> {
        let mut wrong = Vec::new();
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            wrong.push(FieldError { pointer: "?limit".into(), detail: format!("must be 1 to {MAX_LIMIT}") });
        }
        let after = cursor.map(decode);
        if after == Some(None) {
            wrong.push(FieldError {
                pointer: "?cursor".into(),
                detail: "not a cursor of this list: pass next_cursor of the page before, unchanged".into(),
            });
        }
        if wrong.is_empty() { Ok(Self { after: after.flatten(), limit }) } else { Err(Error::Invalid(wrong)) }
    }

    /// How many rows to ask the store for: one more than fits, to know whether a next page exists.
    #[must_use]
    pub fn fetch(self) -> i64 {
        i64::from(self.limit) + 1
    }
}

fn encode((at, id): (Ts, Uuid)) -> String {
    let mut raw = [0u8; 24];
    let micros = at.micros().to_be_bytes();
    raw.iter_mut().zip(micros.iter().chain(id.as_bytes())).for_each(|(to, from)| *to = *from);
    URL_SAFE_NO_PAD.encode(raw)
}

fn decode(text: &str) -> Option<(Ts, Uuid)> {
    let raw = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (micros, id) = raw.split_first_chunk::<8>()?;
    Some((Ts::from_micros(i64::from_be_bytes(*micros))?, Uuid::from_slice(id).ok()?))
}

/// One page of a list.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items, newest first.
    pub data: Vec<T>,
    /// Pass as `?cursor=` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// Cuts what [`PageRequest::fetch`] asked for down to a page.
    pub fn cut(mut rows: Vec<T>, request: PageRequest, place: impl Fn(&T) -> (Ts, Uuid)) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = if more { rows.last().map(|last| encode(place(last))) } else { None };
        Self { data: rows, next_cursor }
    }

    /// The same page of other items.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(f).collect(), next_cursor: self.next_cursor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_cursor_reads_back(micros in -1_000_000_000_000_000i64..10_000_000_000_000_000, raw: u128) {
            let place = (Ts::from_micros(micros).unwrap(), Uuid::from_u128(raw));
            proptest::prop_assert_eq!(decode(&encode(place)), Some(place));
        }
        #[test]
        fn no_cursor_breaks_the_reader(text: String) {
            let _ = PageRequest::parse(None, Some(&text));
        }
    }
}
