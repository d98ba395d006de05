//! Operations that somebody else than their worker moves: a call, a command, the doctor.

use diesel::prelude::*;

use super::get;
use crate::db::Conn;
use crate::db::schema::{operation_steps as steps, operations};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, ReplicaId, TenantId};
use crate::work::{CANCELED, Operation, State};

/// Makes an operation that is not done due now, with a fresh budget.
///
/// # Errors
/// [`Error::NotFound`]; [`Error::Conflict`] when it has succeeded or is at work.
pub fn retry_in(conn: &mut Conn, id: OperationId, now: Ts) -> Result<Operation> {
    let found = get(conn, id)?;
    match found.state {
        State::Succeeded => {
            return Err(Error::conflict("operation_succeeded", "the operation has already succeeded"));
        }
        State::Running => {
            return Err(Error::conflict("operation_running", "the operation is at work right now"));
        }
        State::Pending | State::Failed => {}
    }
    diesel::update(operations::table.find(id))
        .set((
            operations::state.eq(State::Pending),
            operations::attempt.eq(0),
            operations::next_at.eq(now),
            operations::updated_at.eq(now),
            operations::finished_at.eq(None::<Ts>),
        ))
        .execute(conn)?;
    get(conn, id)
}

/// Ends an operation that has not begun, or waits, because what it was for is no longer wanted.
///
/// # Errors
/// The store's.
pub fn cancel_in(conn: &mut Conn, kind: &str, tenant: TenantId, now: Ts, reason: &str) -> Result<usize> {
    let waiting = operations::table
        .filter(operations::kind.eq(kind.to_owned()))
        .filter(operations::tenant_id.eq(tenant))
        .filter(operations::state.eq(State::Pending));
    diesel::update(waiting)
        .set((
            operations::state.eq(State::Failed),
            operations::error.eq(Some(format!("{CANCELED}{reason}"))),
            operations::updated_at.eq(now),
            operations::finished_at.eq(Some(now)),
        ))
        .execute(conn)
        .map_err(Into::into)
}

/// Puts an operation that is at work, but whose lease nobody renews, back in line; false when it is held.
///
/// # Errors
/// The store's.
pub fn release_stalled_in(conn: &mut Conn, id: OperationId, now: Ts) -> Result<bool> {
    let stalled = operations::table
        .filter(operations::id.eq(id))
        .filter(operations::state.eq(State::Running))
        .filter(operations::lease_until.is_null().or(operations::lease_until.lt(now)));
    let rows = diesel::update(stalled)
        .set((
            operations::state.eq(State::Pending),
            operations::next_at.eq(now),
            operations::lease_owner.eq(None::<ReplicaId>),
            operations::lease_until.eq(None::<Ts>),
            operations::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(rows == 1)
}

/// Records that an operation that waits was carried out by somebody else than its worker.
///
/// # Errors
/// The store's.
pub fn complete_in(conn: &mut Conn, id: OperationId, now: Ts) -> Result<bool> {
    let waiting = operations::table.find(id).filter(operations::state.eq(State::Pending));
    let rows = diesel::update(waiting)
        .set((
            operations::state.eq(State::Succeeded),
            operations::error.eq(None::<String>),
            operations::updated_at.eq(now),
            operations::finished_at.eq(Some(now)),
        ))
        .execute(conn)?;
    if rows == 0 {
        return Ok(false);
    }
    diesel::update(steps::table.filter(steps::operation_id.eq(id)))
        .set((
            steps::state.eq(State::Succeeded),
            steps::attempt.eq(steps::attempt + 1),
            steps::started_at.eq(Some(now)),
            steps::finished_at.eq(Some(now)),
        ))
        .execute(conn)?;
    Ok(true)
}

/// Makes a waiting operation due now, with a fresh budget: what it waited for has happened.
///
/// # Errors
/// The store's.
pub fn hasten_in(conn: &mut Conn, id: OperationId, now: Ts) -> Result<()> {
    let waiting =
        operations::table.find(id).filter(operations::state.eq_any([State::Pending, State::Failed]));
    diesel::update(waiting)
        .set((
            operations::state.eq(State::Pending),
            operations::attempt.eq(0),
            operations::error.eq(None::<String>),
            operations::next_at.eq(now),
            operations::updated_at.eq(now),
            operations::finished_at.eq(None::<Ts>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Forgets operations of these kinds that ended before `before`: there are many, and each is one message.
///
/// # Errors
/// The store's.
pub fn forget_ended_in(conn: &mut Conn, kinds: &[&str], before: Ts) -> Result<usize> {
    let old: Vec<OperationId> = operations::table
        .select(operations::id)
        .filter(operations::kind.eq_any(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>()))
        .filter(operations::state.eq_any([State::Succeeded, State::Failed]))
        .filter(operations::finished_at.lt(before))
        .limit(1_000)
        .load(conn)?;
    diesel::delete(steps::table.filter(steps::operation_id.eq_any(old.clone()))).execute(conn)?;
    diesel::delete(operations::table.filter(operations::id.eq_any(old))).execute(conn).map_err(Into::into)
}
