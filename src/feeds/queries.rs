//! Reading feeds.

use std::sync::Arc;
use std::time::Duration;

use super::model::{Lens, Told};
use super::tail::{Look, Tail};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::{self, Kinds, Order, Place};
use crate::tenants::{self, Handle};

/// Whose events are asked for.
#[derive(Debug, Clone)]
pub enum Of {
    /// The caller's own tenant's.
    Own,
    /// One tenant's, for an operator.
    Tenant(Handle),
    /// All, for an operator.
    All,
}

/// Where in a feed somebody begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first event, or the last when newest come first.
    Edge,
    /// With what happens from now on.
    Now,
    /// After this place.
    After(Place),
}

/// A part of a feed, and where it goes on.
pub struct Part {
    /// The events.
    pub told: Vec<Arc<Told>>,
    /// Where to go on.
    pub next: Option<Place>,
}

/// What `caller` sees of the events asked for.
///
/// # Errors
/// As [`Caller::may`]; not found, for a tenant that never was.
pub async fn lens(app: &App, caller: &Caller, of: Of, kinds: Kinds) -> Result<Lens> {
    let (tenant, as_tenant) = match of {
        Of::Own => (Some(caller.tenant(Verb::ReadOwnEvents)?), true),
        Of::All => (caller.may(Verb::ReadEvents).map(|()| None)?, false),
        Of::Tenant(handle) => {
            caller.may(Verb::ReadEvents)?;
            (Some(find(app, handle).await?), false)
        }
    };
    Ok(Lens { tenant, as_tenant, kinds })
}

async fn find(app: &App, handle: Handle) -> Result<TenantId> {
    app.db.read(move |conn| tenants::get_in(conn, &handle).map(|tenant| tenant.id)).await
}

/// Waits until the events up to `min_seq`, if that is given, are there for whoever reads.
///
/// # Errors
/// As [`log::settled`].
pub async fn reached(app: &App, min_seq: Option<Place>) -> Result<()> {
    match min_seq {
        Some(place) => log::settled(&app.db, place, log::PATIENCE).await,
        None => Ok(()),
    }
}

/// The end of the log.
///
/// # Errors
/// The store's.
pub async fn end(app: &App) -> Result<Place> {
    let known = *app.tail.head().borrow();
    match known {
        Some(place) => Ok(place),
        None => {
            let _leave = app.tail.may_read().await?;
            app.db.read(log::end_in).await
        }
    }
}

/// Events after `from` out of the store, and how far they reach.
///
/// # Errors
/// The store's.
pub async fn stored(app: &App, lens: &Lens, from: Place, limit: u32) -> Result<(Vec<Arc<Told>>, Place)> {
    let _leave = app.tail.may_read().await?;
    let narrow = lens.narrow();
    let (found, end) = app
        .db
        .read(move |conn| {
            let found = log::select_in(conn, &narrow, from, Order::Asc, i64::from(limit))?;
            let end = if found.more.is_none() { Some(log::end_in(conn)?) } else { None };
            Ok((found, end))
        })
        .await?;
    let reach = found.more.or(end).unwrap_or(from).max(from);
    Ok((told(app, lens, &found.entries)?, reach))
}

fn told(app: &App, lens: &Lens, entries: &[log::Entry]) -> Result<Vec<Arc<Told>>> {
    entries
        .iter()
        .filter(|entry| lens.shows(&entry.kind, entry.tenant))
        .map(|entry| Told::of(app.tokens.issuer(), entry).map(Arc::new))
        .collect()
}

/// A page, newest first.
///
/// # Errors
/// The store's.
pub async fn backwards(app: &App, lens: &Lens, start: Start, limit: u32) -> Result<Part> {
    let from = match start {
        Start::After(place) => place,
        Start::Edge | Start::Now => Place::END,
    };
    let narrow = lens.narrow();
    let read = move |conn: &mut _| log::select_in(conn, &narrow, from, Order::Desc, i64::from(limit));
    let found = app.db.read(read).await?;
    Ok(Part { told: told(app, lens, &found.entries)?, next: found.more })
}

/// A page, oldest first; when there is nothing, what comes within `wait`. It always says where to go on.
/// `still` is asked before something is given out that was waited for.
///
/// # Errors
/// The store's; what `still` answers; as [`Tail::sit`].
pub async fn forwards<F: Future<Output = Result<()>>>(
    app: &App,
    lens: &Lens,
    start: Start,
    limit: u32,
    wait: Duration,
    still: impl Fn() -> F,
) -> Result<Part> {
    let mut place = match start {
        Start::After(place) => place,
        Start::Edge => Place::default(),
        Start::Now => end(app).await?,
    };
    let until = tokio::time::Instant::now() + wait;
    let mut looked = false;
    loop {
        // The first look is into the store: memory may not have read to the end yet.
        let (told, to) = if looked { (Vec::new(), place) } else { stored(app, lens, place, limit).await? };
        let at_end = to == place;
        place = to;
        looked = at_end || !told.is_empty();
        if !told.is_empty() || wait.is_zero() {
            return Ok(Part { told, next: Some(place) });
        }
        if looked {
            break;
        }
    }
    let _seat = Tail::sit(app, lens.as_tenant.then_some(lens.tenant).flatten())?;
    let mut head = app.tail.head();
    loop {
        head.mark_unchanged();
        match app.tail.after(place, lens, usize::try_from(limit).unwrap_or(usize::MAX)) {
            Look::Behind => {
                let (told, to) = stored(app, lens, place, limit).await?;
                place = to;
                if !told.is_empty() {
                    still().await?;
                    return Ok(Part { told, next: Some(place) });
                }
            }
            Look::News(told, to) => {
                place = to;
                if !told.is_empty() {
                    still().await?;
                    return Ok(Part { told, next: Some(place) });
                }
            }
            Look::Nothing => {}
        }
        tokio::select! {
            changed = head.changed() => changed.map_err(Error::internal)?,
            () = tokio::time::sleep_until(until) => break,
            () = app.stopping.cancelled() => break,
        }
    }
    Ok(Part { told: Vec::new(), next: Some(place) })
}
