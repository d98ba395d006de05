//! The tables of operations and steps.

use diesel::prelude::*;

use super::{CANCELED, NewOperation, Operation, State, Step};
use crate::db::Conn;
use crate::db::schema::{operation_steps as steps, operations};
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, ReplicaId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::sql::Json;

macro_rules! held {
    ($id:expr, $owner:expr) => {
        operations::table
            .filter(operations::id.eq($id))
            .filter(operations::lease_owner.eq($owner))
            .filter(operations::state.eq(State::Running))
    };
}
#[derive(Queryable, Selectable)]
#[diesel(table_name = operations)]
struct Row {
    id: OperationId,
    kind: String,
    tenant_id: Option<TenantId>,
    state: State,
    input: Json,
    error: Option<String>,
    attempt: i32,
    next_at: Ts,
    created_at: Ts,
    updated_at: Ts,
    finished_at: Option<Ts>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = steps)]
struct StepRow {
    operation_id: OperationId,
    name: String,
    state: State,
    attempt: i32,
    error: Option<String>,
    started_at: Option<Ts>,
    finished_at: Option<Ts>,
}

fn assemble(row: Row, rows: Vec<StepRow>) -> Operation {
    let waiting = row.state == State::Pending;
    Operation {
        id: row.id,
        kind: row.kind,
        tenant_id: row.tenant_id,
        state: row.state,
        attempt: row.attempt,
        error: row.error,
        next_attempt_at: waiting.then_some(row.next_at),
        steps: rows
            .into_iter()
            .map(|step| Step {
                name: step.name,
                state: step.state,
                attempt: step.attempt,
                error: step.error,
                started_at: step.started_at,
                finished_at: step.finished_at,
            })
            .collect(),
        created_at: row.created_at,
        updated_at: row.updated_at,
        finished_at: row.finished_at,
        input: row.input.0,
    }
}

/// Opens an operation in the caller's transaction.
///
/// # Errors
/// The store's.
pub fn open_in(conn: &mut Conn, now: Ts, new: NewOperation) -> Result<Operation> {
    let id = OperationId::mint();
    let state = if new.done { State::Succeeded } else { State::Pending };
    let finished = new.done.then_some(now);
    diesel::insert_into(operations::table)
        .values((
            operations::id.eq(id),
            operations::kind.eq(new.kind),
            operations::tenant_id.eq(new.tenant),
            operations::state.eq(state),
            operations::input.eq(Json(new.input)),
            operations::attempt.eq(0),
            operations::next_at.eq(new.begin),
            operations::created_at.eq(now),
            operations::updated_at.eq(now),
            operations::finished_at.eq(finished),
        ))
        .execute(conn)?;
    let rows: Vec<_> = (0i32..)
        .zip(&new.steps)
        .map(|(position, name)| {
            (
                steps::operation_id.eq(id),
                steps::position.eq(position),
                steps::name.eq(name.clone()),
                steps::state.eq(state),
                steps::attempt.eq(i32::from(new.done)),
                steps::started_at.eq(finished),
                steps::finished_at.eq(finished),
            )
        })
        .collect();
    each!(conn, |c| diesel::insert_into(steps::table).values(rows).execute(c))?;
    get(conn, id)
}

/// Reads one operation with its steps.
///
/// # Errors
/// [`Error::NotFound`].
pub fn get(conn: &mut Conn, id: OperationId) -> Result<Operation> {
    let row: Row = operations::table
        .find(id)
        .select(Row::as_select())
        .first(conn)
        .optional()?
        .ok_or(Error::NotFound("operation"))?;
    let rows = steps::table
        .filter(steps::operation_id.eq(id))
        .order(steps::position.asc())
        .select(StepRow::as_select())
        .load(conn)?;
    Ok(assemble(row, rows))
}

/// What a list of operations is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this state.
    pub state: Option<State>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only this tenant's.
    pub tenant: Option<TenantId>,
}

/// A page of operations, newest first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, filter: &Filter, request: PageRequest) -> Result<Page<Operation>> {
    let mut query = operations::table.select(Row::as_select()).into_boxed();
    if let Some(state) = filter.state {
        query = query.filter(operations::state.eq(state));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(operations::kind.eq(kind.clone()));
    }
    if let Some(tenant) = filter.tenant {
        query = query.filter(operations::tenant_id.eq(tenant));
    }
    if let Some((at, id)) = request.after {
        let id = OperationId::from_uuid(id);
        query = query.filter(
            operations::created_at.lt(at).or(operations::created_at.eq(at).and(operations::id.lt(id))),
        );
    }
    let rows: Vec<Row> = query
        .order((operations::created_at.desc(), operations::id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    let ids: Vec<OperationId> = rows.iter().map(|row| row.id).collect();
    let mut all: Vec<StepRow> = steps::table
        .filter(steps::operation_id.eq_any(ids))
        .order(steps::position.asc())
        .select(StepRow::as_select())
        .load(conn)?;
    let assembled = rows
        .into_iter()
        .map(|row| {
            let (own, rest) = all.drain(..).partition(|step| step.operation_id == row.id);
            all = rest;
            assemble(row, own)
        })
        .collect();
    Ok(Page::cut(assembled, request, |op: &Operation| (op.created_at, op.id.uuid())))
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
pub(super) fn claim(
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
pub(super) fn next_due(conn: &mut Conn, now: Ts, lane: Lane) -> Result<Option<Ts>> {
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
pub(super) fn renew(conn: &mut Conn, id: OperationId, owner: ReplicaId, until: Ts) -> Result<bool> {
    let rows = diesel::update(held!(id, owner)).set(operations::lease_until.eq(Some(until))).execute(conn)?;
    Ok(rows == 1)
}

/// Drops the leases of a process that is known to be gone.
pub(super) fn release_all(conn: &mut Conn) -> Result<usize> {
    diesel::update(operations::table.filter(operations::lease_owner.is_not_null()))
        .set((operations::lease_owner.eq(None::<ReplicaId>), operations::lease_until.eq(None::<Ts>)))
        .execute(conn)
        .map_err(Into::into)
}

/// What became of a step, to be recorded by the lease's holder alone.
pub(super) enum Outcome<'a> {
    Started,
    Succeeded,
    Failed { error: &'a str, retry_at: Option<Ts> },
    AllDone,
}

/// Records progress; false when the lease is lost, in which case nothing is recorded.
pub(super) fn record(
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

/// How many operations of these kinds are at work on a tenant.
///
/// # Errors
/// The store's.
pub fn running_in(conn: &mut Conn, kinds: &[&str], tenant: TenantId) -> Result<i64> {
    operations::table
        .filter(operations::kind.eq_any(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>()))
        .filter(operations::tenant_id.eq(tenant))
        .filter(operations::state.eq(State::Running))
        .count()
        .get_result(conn)
        .map_err(Into::into)
}

/// All operations that have not succeeded, oldest first.
///
/// # Errors
/// The store's.
pub fn unsettled(conn: &mut Conn) -> Result<Vec<Operation>> {
    let ids: Vec<OperationId> = operations::table
        .select(operations::id)
        .filter(operations::state.ne(State::Succeeded))
        .order((operations::created_at.asc(), operations::id.asc()))
        .load(conn)?;
    ids.into_iter().map(|id| get(conn, id)).collect()
}

/// The operations at work whose lease nobody renews, with the moment it ended.
///
/// # Errors
/// The store's.
pub fn stalled(conn: &mut Conn, now: Ts) -> Result<Vec<(OperationId, Option<Ts>)>> {
    operations::table
        .select((operations::id, operations::lease_until))
        .filter(operations::state.eq(State::Running))
        .filter(operations::lease_until.is_null().or(operations::lease_until.lt(now)))
        .load(conn)
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

/// What the operations of these kinds were opened with, whatever became of them.
///
/// # Errors
/// The store's.
pub fn inputs(conn: &mut Conn, kinds: &[&str]) -> Result<Vec<serde_json::Value>> {
    let rows: Vec<Json> = operations::table
        .select(operations::input)
        .filter(operations::kind.eq_any(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>()))
        .load(conn)?;
    Ok(rows.into_iter().map(|json| json.0).collect())
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
