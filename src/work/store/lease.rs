//! Taking operations under a lease, and what the holder records of its steps.

use diesel::prelude::*;

use super::get;
use crate::db::Conn;
use crate::db::schema::{operation_steps as steps, operations};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, ReplicaId};
use crate::work::{Operation, State};

macro_rules! held {
    ($id:expr, $owner:expr) => {
        operations::table
            .filter(operations::id.eq($id))
            .filter(operations::lease_owner.eq($owner))
            .filter(operations::state.eq(State::Running))
    };
}

/// The kinds of operations that one runner takes: these alone, or all but these.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The kinds.
    pub kinds: &'static [&'static str],
    /// Whether it takes these, or all others.
    pub inside: bool,
}

/// Takes up to `limit` due operations under a lease until `until`, oldest due first.
pub(in crate::work) fn claim(
    conn: &mut Conn,
    owner: ReplicaId,
    now: Ts,
    until: Ts,
    limit: i64,
    lane: Lane,
) -> Result<Vec<Operation>> {
    let due = operations::table
        .select(operations::id)
        .filter(operations::kind.eq_any(lane.kinds).eq(lane.inside))
        .filter(operations::state.eq_any([State::Pending, State::Running]))
        .filter(operations::next_at.le(now))
        .filter(operations::lease_until.is_null().or(operations::lease_until.lt(now)))
        .order(operations::next_at.asc())
        .limit(limit);
    let ids: Vec<OperationId> = match conn {
        Conn::Sqlite(c) => due.load(c)?,
        Conn::Postgres(c) => due.for_update().skip_locked().load(c)?,
    };
    for id in &ids {
        diesel::update(operations::table.find(*id))
            .set((
                operations::state.eq(State::Running),
                operations::lease_owner.eq(Some(owner)),
                operations::lease_until.eq(Some(until)),
                operations::updated_at.eq(now),
            ))
            .execute(conn)?;
    }
    ids.into_iter().map(|id| get(conn, id)).collect()
}

/// When the next operation is due that nobody holds.
pub(in crate::work) fn next_due(conn: &mut Conn, now: Ts, lane: Lane) -> Result<Option<Ts>> {
    operations::table
        .select(operations::next_at)
        .filter(operations::kind.eq_any(lane.kinds).eq(lane.inside))
        .filter(operations::state.eq_any([State::Pending, State::Running]))
        .filter(operations::lease_until.is_null().or(operations::lease_until.lt(now)))
        .order(operations::next_at.asc())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Lengthens a lease; false when somebody else holds the operation by now.
pub(in crate::work) fn renew(conn: &mut Conn, id: OperationId, owner: ReplicaId, until: Ts) -> Result<bool> {
    let rows = diesel::update(held!(id, owner)).set(operations::lease_until.eq(Some(until))).execute(conn)?;
    Ok(rows == 1)
}

/// Drops the leases of a process that is known to be gone.
pub(in crate::work) fn release_all(conn: &mut Conn) -> Result<usize> {
    diesel::update(operations::table.filter(operations::lease_owner.is_not_null()))
        .set((operations::lease_owner.eq(None::<ReplicaId>), operations::lease_until.eq(None::<Ts>)))
        .execute(conn)
        .map_err(Into::into)
}

/// What became of a step, to be recorded by the lease's holder alone.
pub(in crate::work) enum Outcome<'a> {
    Started,
    Succeeded,
    Failed { error: &'a str, retry_at: Option<Ts> },
    AllDone,
}

/// Records progress; false when the lease is lost, in which case nothing is recorded.
pub(in crate::work) fn record(
    conn: &mut Conn,
    id: OperationId,
    owner: ReplicaId,
    now: Ts,
    step: Option<&str>,
    outcome: &Outcome<'_>,
) -> Result<bool> {
    let held_rows = diesel::update(held!(id, owner)).set(operations::updated_at.eq(now)).execute(conn)?;
    if held_rows == 0 {
        return Ok(false);
    }
    let of_step =
        |name: &str| steps::table.filter(steps::operation_id.eq(id)).filter(steps::name.eq(name.to_owned()));
    match (outcome, step) {
        (Outcome::Started, Some(name)) => {
            diesel::update(of_step(name))
                .set((
                    steps::state.eq(State::Running),
                    steps::attempt.eq(steps::attempt + 1),
                    steps::started_at.eq(Some(now)),
                    steps::finished_at.eq(None::<Ts>),
                ))
                .execute(conn)?;
        }
        (Outcome::Succeeded, Some(name)) => {
            diesel::update(of_step(name))
                .set((
                    steps::state.eq(State::Succeeded),
                    steps::error.eq(None::<String>),
                    steps::finished_at.eq(Some(now)),
                ))
                .execute(conn)?;
        }
        (Outcome::Failed { error, retry_at }, name) => {
            if let Some(name) = name {
                diesel::update(of_step(name))
                    .set((
                        steps::state.eq(State::Failed),
                        steps::error.eq(Some((*error).to_owned())),
                        steps::finished_at.eq(Some(now)),
                    ))
                    .execute(conn)?;
            }
            let state = if retry_at.is_some() { State::Pending } else { State::Failed };
            diesel::update(operations::table.find(id))
                .set((
                    operations::state.eq(state),
                    operations::error.eq(Some((*error).to_owned())),
                    operations::attempt.eq(operations::attempt + 1),
                    operations::next_at.eq(retry_at.unwrap_or(now)),
                    operations::lease_owner.eq(None::<ReplicaId>),
                    operations::lease_until.eq(None::<Ts>),
                    operations::finished_at.eq(retry_at.is_none().then_some(now)),
                ))
                .execute(conn)?;
        }
        (Outcome::AllDone, _) => {
            diesel::update(operations::table.find(id))
                .set((
                    operations::state.eq(State::Succeeded),
                    operations::error.eq(None::<String>),
                    operations::lease_owner.eq(None::<ReplicaId>),
                    operations::lease_until.eq(None::<Ts>),
                    operations::finished_at.eq(Some(now)),
                ))
                .execute(conn)?;
        }
        (Outcome::Started | Outcome::Succeeded, None) => {}
    }
    Ok(true)
}
