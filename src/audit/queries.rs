//! Reading the trail by pages, newest first.

use super::model::shown::{Eyes, Shown};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::Result;
use crate::kernel::page::Page;
use crate::log::{self, Entry, Narrow, Order, Place};
use crate::tenants::{self, Handle};

/// Whose trail is asked for.
#[derive(Debug, Clone)]
pub enum Of {
    /// The caller's own tenant's.
    Own,
    /// One tenant's, for an operator.
    Tenant(Handle),
    /// All, for an operator.
    All,
}

/// What somebody sees of the log, and in which manner.
#[derive(Debug, Clone)]
pub struct View {
    narrow: Narrow,
    eyes: Eyes,
}

impl View {
    /// What `caller` sees of `of`, narrowed to what they ask for.
    ///
    /// # Errors
    /// As [`Caller::may`]; not found, for a tenant that never was.
    pub async fn of(app: &App, caller: &Caller, of: Of, narrow: Narrow) -> Result<Self> {
        let (tenant, eyes) = match of {
            Of::Own => (Some(caller.tenant(Verb::ReadOwnAudit)?), Eyes::Tenant),
            Of::All => (caller.may(Verb::ReadAudit).map(|()| None)?, Eyes::Operator),
            Of::Tenant(handle) => {
                caller.may(Verb::ReadAudit)?;
                let find = move |conn: &mut _| tenants::get_in(conn, &handle).map(|tenant| tenant.id);
                (Some(app.db.read(find).await?), Eyes::Operator)
            }
        };
        Ok(Self { narrow: Narrow { tenant, ..narrow }, eyes })
    }

    /// Whether `caller`, as they stand now, still may see it.
    ///
    /// # Errors
    /// As [`Caller::may`].
    pub fn still(&self, caller: &Caller) -> Result<()> {
        match self.eyes {
            Eyes::Operator => caller.may(Verb::ReadAudit),
            Eyes::Tenant if self.narrow.tenant == Some(caller.tenant(Verb::ReadOwnAudit)?) => Ok(()),
            Eyes::Tenant => Err(crate::kernel::error::Error::NotFound("audit trail")),
        }
    }

    /// Settled entries from `from` on, and where to go on.
    ///
    /// # Errors
    /// The store's.
    pub async fn read(
        &self,
        app: &App,
        from: Place,
        order: Order,
        limit: u32,
    ) -> Result<(Vec<Entry>, Option<Place>)> {
        let narrow = self.narrow.clone();
        let found =
            app.db.read(move |conn| log::select_in(conn, &narrow, from, order, i64::from(limit))).await?;
        Ok((found.entries, found.more))
    }

    /// `entry` as it is shown.
    #[must_use]
    pub fn show(&self, entry: Entry) -> Option<Shown> {
        let shown = self.eyes.see(entry)?;
        // Who may not see an address does not find out by asking for it.
        (self.narrow.address.is_none() || shown.address.is_some()).then_some(shown)
    }
}

/// A page, newest first. It may hold less than was asked for, also nothing, and still have a next one.
///
/// # Errors
/// As [`View::of`]; the store's.
pub async fn page(
    app: &App,
    caller: &Caller,
    of: Of,
    narrow: Narrow,
    (after, limit): (Option<Place>, u32),
) -> Result<Page<Shown>> {
    let view = View::of(app, caller, of, narrow).await?;
    let (entries, more) = view.read(app, after.unwrap_or(Place::END), Order::Desc, limit).await?;
    let data = entries.into_iter().filter_map(|entry| view.show(entry)).collect();
    Ok(Page { data, next_cursor: more.map(|place| place.to_string()) })
}
