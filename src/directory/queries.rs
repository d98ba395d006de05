//! Reading the directory and what happened.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::model::line::Line;
use super::model::listing::{Listing, Sort};
use super::store::lines;
use super::store::listings::{self, Mark};
use super::{ACTIVITY, DIRECTORY};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::page::Page;
use crate::log::{self, Order, Place};
use crate::tenants::{self, Handle};

pub use super::store::listings::Filter;

/// What is asked of the directory.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Which tenants.
    pub filter: Filter,
    /// By what they are sorted.
    pub sort: Sort,
    /// In which direction.
    pub order: Order,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// How many a page holds.
    pub limit: u32,
    /// The answer must have got as far as this.
    pub min_seq: Option<Place>,
}

/// Whose activity is asked for.
#[derive(Debug, Clone)]
pub enum Of {
    /// The caller's own tenant's.
    Own,
    /// A tenant's, for an operator.
    Tenant(Handle),
}

fn written(sort: Sort, order: Order, last: &Listing) -> String {
    let mark = match Mark::of(last, sort) {
        Mark::At(at) => json!(at.micros()),
        Mark::Number(number) => json!(number),
        Mark::Text(text) => json!(text),
    };
    URL_SAFE_NO_PAD.encode(json!([sort, order, mark, last.id]).to_string())
}

fn read(sort: Sort, order: Order, cursor: &str) -> Option<(Mark, TenantId)> {
    let all: (Sort, Order, Value, String) =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let (by, towards, mark, id) = all;
    let mark = match sort {
        Sort::CreatedAt | Sort::LastActivityAt => Mark::At(Ts::from_micros(mark.as_i64()?)?),
        Sort::Members | Sort::Keys => Mark::Number(mark.as_i64()?),
        // No store holds it, and PostgreSQL fails on it instead of finding nothing.
        Sort::Name => Mark::Text(mark.as_str().filter(|text| !text.contains('\0'))?.to_owned()),
    };
    (by == sort && towards == order).then_some((mark, id.parse().ok()?))
}

fn strange() -> Error {
    Error::field("?cursor", "not a cursor of this list: pass next_cursor of the page before, unchanged")
}

/// Cuts what was asked for one more than fits down to a page.
fn cut<T>(mut rows: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Page<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = if more { rows.last().map(cursor) } else { None };
    Page { data: rows, next_cursor }
}

/// A page of the directory of tenants.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`] for a cursor of another list; as [`log::reached`].
pub async fn directory(app: &App, caller: &Caller, asked: Asked) -> Result<Page<Listing>> {
    caller.may(Verb::ReadTenants)?;
    let Asked { filter, sort, order, cursor, limit, min_seq } = asked;
    let after = match cursor {
        Some(cursor) => Some(read(sort, order, &cursor).ok_or_else(strange)?),
        None => None,
    };
    log::caught_up(&app.db, DIRECTORY, min_seq).await?;
    let fetch = i64::from(limit) + 1;
    let rows = app.db.read(move |conn| listings::page(conn, &filter, (sort, order), after, fetch)).await?;
    Ok(cut(rows, limit, |last| written(sort, order, last)))
}

/// A page of what happened in a tenant, newest first.
///
/// # Errors
/// As [`Caller::may`]; not found; as [`directory`].
pub async fn activity(
    app: &App,
    caller: &Caller,
    of: Of,
    cursor: Option<String>,
    limit: u32,
    min_seq: Option<Place>,
) -> Result<Page<Line>> {
    let (tenant, as_tenant) = match of {
        Of::Own => (caller.tenant(Verb::ReadOwnEvents)?, true),
        Of::Tenant(handle) => {
            caller.may(Verb::ReadEvents)?;
            (app.db.read(move |conn| tenants::get_in(conn, &handle).map(|one| one.id)).await?, false)
        }
    };
    let before: Option<Place> = match cursor {
        Some(cursor) => Some(cursor.parse().map_err(|_| strange())?),
        None => None,
    };
    log::caught_up(&app.db, ACTIVITY, min_seq).await?;
    let fetch = i64::from(limit) + 1;
    let rows = app.db.read(move |conn| lines::page(conn, tenant, as_tenant, before, fetch)).await?;
    Ok(cut(rows, limit, |last| last.place.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_good_for_the_order_it_was_given_for_alone() {
        let one = Listing {
            name: "Ärger & Söhne".into(),
            ..Listing::begun(TenantId::mint(), Ts::from_micros(7).unwrap())
        };
        for sort in Sort::ALL {
            let cursor = written(sort, Order::Asc, &one);
            assert_eq!(read(sort, Order::Asc, &cursor), Some((Mark::of(&one, sort), one.id)), "{sort}");
            assert_eq!(read(sort, Order::Desc, &cursor), None);
            let others = Sort::ALL.iter().filter(|other| **other != sort);
            others.for_each(|other| assert_eq!(read(*other, Order::Asc, &cursor), None));
        }
        let evil = URL_SAFE_NO_PAD.encode(json!(["name", "asc", "a\0", one.id]).to_string());
        assert_eq!(read(Sort::Name, Order::Asc, &evil), None);
    }

    proptest::proptest! {
        #[test]
        fn no_cursor_breaks_the_reader(text: String) {
            for sort in Sort::ALL {
                let _ = read(sort, Order::Asc, &text);
            }
        }
    }
}
