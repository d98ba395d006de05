//! Reading the log narrowed, in either direction, with a bound on how much of it one reading looks at.

use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::kinds::Choice;
use super::read::Row;
use super::{Entry, Kinds, Place, horizon_in};
use crate::db::Conn;
use crate::db::schema::events;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{EventId, TenantId};
use crate::words;

/// Events that one look goes past at most, when it looks for some among them.
const WINDOW: i64 = 10_000;
/// Looks of one reading at most, when they find nothing.
const LOOKS: usize = 10;

words! {
    /// In which order events are read.
    Order as "EventOrder", "order of events" {
        /// Oldest first.
        Asc = "asc",
        /// Newest first.
        Desc = "desc",
    }
}

words! {
    /// How what somebody tried came out.
    Outcome as "AuditOutcome", "outcome" {
        /// It was done.
        Done = "done",
        /// It was refused.
        Refused = "refused",
    }
}

impl Outcome {
    /// That of an event of this kind.
    #[must_use]
    pub fn of(kind: &str) -> Self {
        if kind.ends_with(".refused") || kind.ends_with(".denied") { Self::Refused } else { Self::Done }
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Narrow {
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
    /// Only these kinds.
    pub kinds: Kinds,
    /// Only what came out so.
    pub outcome: Option<Outcome>,
    /// Only what this actor did, by id.
    pub actor: Option<String>,
    /// Only what came from this address.
    pub address: Option<String>,
    /// Not before this moment.
    pub since: Option<Ts>,
    /// Before this moment.
    pub until: Option<Ts>,
}

impl Narrow {
    /// Whether events must be looked through for those that are wanted.
    fn looks_through(&self) -> bool {
        !self.kinds.is_all()
            || self.outcome.is_some()
            || self.actor.is_some()
            || self.address.is_some()
            || self.since.is_some()
            || self.until.is_some()
    }
}

/// What a reading found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Events, in the order asked for.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` when there is nothing further.
    pub more: Option<Place>,
}

type Backend = <Conn as diesel::Connection>::Backend;
type Query = events::BoxedQuery<'static, Backend>;
type Test = Box<dyn BoxableExpression<events::table, Backend, SqlType = Bool>>;

/// How one reading goes: over what, in which direction.
#[derive(Clone, Copy)]
struct Way {
    /// Transactions from here on are not settled; `None` on SQLite, where all are.
    horizon: Option<i64>,
    tenant: Option<TenantId>,
    order: Order,
}

impl Way {
    fn after(self, query: Query, at: Place) -> Query {
        match (self.horizon.is_some(), self.order) {
            (false, Order::Asc) => query.filter(events::seq.gt(at.seq)),
            (false, Order::Desc) => query.filter(events::seq.lt(at.seq)),
            (true, Order::Asc) => query
                .filter(events::txid.ge(at.txid))
                .filter(events::txid.gt(at.txid).or(events::seq.gt(at.seq))),
            (true, Order::Desc) => query
                .filter(events::txid.le(at.txid))
                .filter(events::txid.lt(at.txid).or(events::seq.lt(at.seq))),
        }
    }

    /// All events after `from`, as far as `end` where that is given.
    fn over(self, from: Place, end: Option<Place>) -> Query {
        let mut query = events::table.into_boxed();
        if let Some(tenant) = self.tenant {
            query = query.filter(events::tenant_id.eq(tenant));
        }
        if let Some(horizon) = self.horizon {
            query = query.filter(events::txid.lt(horizon));
        }
        query = self.after(query, from);
        match (end, self.order) {
            (None, _) => query,
            (Some(end), Order::Asc) => query
                .filter(events::txid.le(end.txid))
                .filter(events::txid.lt(end.txid).or(events::seq.le(end.seq))),
            (Some(end), Order::Desc) => query
                .filter(events::txid.ge(end.txid))
                .filter(events::txid.gt(end.txid).or(events::seq.ge(end.seq))),
        }
    }

    fn ordered(self, query: Query) -> Query {
        match (self.horizon.is_some(), self.order) {
            (false, Order::Asc) => query.order(events::seq.asc()),
            (false, Order::Desc) => query.order(events::seq.desc()),
            (true, Order::Asc) => query.order((events::txid.asc(), events::seq.asc())),
            (true, Order::Desc) => query.order((events::txid.desc(), events::seq.desc())),
        }
    }

    /// The last event that a look from `from` goes past; `None` when it goes past all.
    fn window(self, conn: &mut Conn, from: Place) -> Result<Option<Place>> {
        let last: Option<(i64, i64)> = self
            .ordered(self.over(from, None))
            .select((events::txid, events::seq))
            .offset(WINDOW - 1)
            .limit(1)
            .first(conn)
            .optional()?;
        Ok(last.map(|(txid, seq)| Place { txid, seq }))
    }
}

fn of_kinds(kinds: &Kinds) -> Option<Test> {
    if kinds.is_all() {
        return None;
    }
    let mut exact = Vec::new();
    let mut nouns = Vec::new();
    for choice in &kinds.0 {
        match choice {
            Choice::All => {}
            Choice::Exactly(name) => exact.push(name.clone()),
            Choice::Noun(noun) => nouns.push(format!("{}.%", noun.replace('_', "\\_"))),
        }
    }
    let mut test: Test = Box::new(events::kind.eq_any(exact));
    for pattern in nouns {
        test = Box::new(test.or(events::kind.like(pattern).escape('\\')));
    }
    Some(test)
}

fn narrowed(mut query: Query, narrow: &Narrow) -> Query {
    if let Some(test) = of_kinds(&narrow.kinds) {
        query = query.filter(test);
    }
    match narrow.outcome {
        None => {}
        Some(Outcome::Refused) => {
            query = query.filter(events::kind.like("%.refused").or(events::kind.like("%.denied")));
        }
        Some(Outcome::Done) => {
            query =
                query.filter(events::kind.not_like("%.refused")).filter(events::kind.not_like("%.denied"));
        }
    }
    if let Some(actor) = &narrow.actor {
        query = query.filter(events::actor_id.eq(actor.clone()));
    }
    if let Some(address) = &narrow.address {
        query = query.filter(events::address.eq(address.clone()));
    }
    if let Some(since) = narrow.since {
        query = query.filter(events::at.ge(since));
    }
    if let Some(until) = narrow.until {
        query = query.filter(events::at.lt(until));
    }
    query
}

fn horizon_of(conn: &mut Conn) -> Result<Option<i64>> {
    match conn {
        Conn::Sqlite(_) => Ok(None),
        Conn::Postgres(conn) => horizon_in(conn).map(Some),
    }
}

/// Settled events that `narrow` wants, at most `limit`, from the place `from` on, which is not among them. When
/// few are wanted among many, it answers what it has found after a bounded look, also nothing, and says where to
/// go on.
///
/// # Errors
/// The store's.
pub fn select_in(conn: &mut Conn, narrow: &Narrow, from: Place, order: Order, limit: i64) -> Result<Found> {
    let way = Way { horizon: horizon_of(conn)?, tenant: narrow.tenant, order };
    let mut from = from;
    for _ in 0..LOOKS {
        let end = if narrow.looks_through() { way.window(conn, from)? } else { None };
        let mut rows: Vec<Row> = narrowed(way.ordered(way.over(from, end)), narrow)
            .select(Row::as_select())
            .limit(limit.saturating_add(1))
            .load(conn)?;
        let full = i64::try_from(rows.len()).is_ok_and(|rows| rows > limit);
        rows.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let entries: Vec<Entry> = rows.into_iter().map(Into::into).collect();
        let more = if full { entries.last().map(|entry| entry.place) } else { end };
        match more {
            Some(place) if entries.is_empty() => from = place,
            _ => return Ok(Found { entries, more }),
        }
    }
    Ok(Found { entries: Vec::new(), more: Some(from) })
}

/// The settled events after `from`, up to `until`, exactly as they are kept: never in a newer shape.
///
/// # Errors
/// The store's.
pub fn kept_in(conn: &mut Conn, from: Place, until: Place, limit: i64) -> Result<Vec<Entry>> {
    let way = Way { horizon: horizon_of(conn)?, tenant: None, order: Order::Asc };
    let end = (until != Place::END).then_some(until);
    let rows: Vec<Row> = way.ordered(way.over(from, end)).select(Row::as_select()).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(Row::into_entry).collect())
}

/// The event `id` exactly as it is kept, wherever it stands.
///
/// # Errors
/// The store's.
pub fn find_in(conn: &mut Conn, id: EventId) -> Result<Option<Entry>> {
    let row: Option<Row> =
        events::table.filter(events::id.eq(id)).select(Row::as_select()).first(conn).optional()?;
    Ok(row.map(Row::into_entry))
}

/// How many settled events come after `from`, counted up to `most`.
///
/// # Errors
/// The store's.
pub fn count_in(conn: &mut Conn, from: Place, most: i64) -> Result<i64> {
    let way = Way { horizon: horizon_of(conn)?, tenant: None, order: Order::Asc };
    let found: Vec<i64> = way.over(from, None).select(events::seq).limit(most).load(conn)?;
    Ok(i64::try_from(found.len()).unwrap_or(most))
}
