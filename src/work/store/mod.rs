//! The tables of operations and steps: opening and reading them here, the rest by theme in the files beside.

mod lease;
mod settle;
mod survey;

use diesel::prelude::*;

pub use lease::Lane;
pub(super) use lease::{Outcome, claim, next_due, record, release_all, renew};
pub use settle::{cancel_in, complete_in, forget_ended_in, hasten_in, release_stalled_in, retry_in};
pub use survey::{GivenUp, given_up, inputs, running_in, stalled, unsettled, waiting_in};

use super::{NewOperation, Operation, State, Step};
use crate::db::Conn;
use crate::db::schema::{operation_steps as steps, operations};
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::sql::Json;

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
