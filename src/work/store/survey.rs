//! What stands where: for those who look over many operations at once.

use diesel::prelude::*;

use super::get;
use crate::db::Conn;
use crate::db::schema::operations;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::sql::Json;
use crate::work::{Operation, State};

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

/// The operation of this kind that waits for its turn with a tenant, if one does.
///
/// # Errors
/// The store's.
pub fn waiting_in(conn: &mut Conn, kind: &str, tenant: TenantId) -> Result<Option<OperationId>> {
    operations::table
        .filter(operations::kind.eq(kind.to_owned()))
        .filter(operations::tenant_id.eq(tenant))
        .filter(operations::state.eq(State::Pending))
        .select(operations::id)
        .order(operations::created_at.desc())
        .first(conn)
        .optional()
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

/// An operation that stands failed.
#[derive(Debug, Clone)]
pub struct GivenUp {
    /// Its id.
    pub id: OperationId,
    /// What it was to do.
    pub kind: String,
    /// What it was opened with.
    pub input: serde_json::Value,
    /// When it was given up.
    pub at: Ts,
}

/// The operations of these kinds that stand failed.
///
/// # Errors
/// The store's.
pub fn given_up(conn: &mut Conn, kinds: &[&str]) -> Result<Vec<GivenUp>> {
    let rows: Vec<(OperationId, String, Json, Ts)> = operations::table
        .select((operations::id, operations::kind, operations::input, operations::updated_at))
        .filter(operations::state.eq(State::Failed))
        .filter(operations::kind.eq_any(kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>()))
        .load(conn)?;
    Ok(rows.into_iter().map(|(id, kind, input, at)| GivenUp { id, kind, input: input.0, at }).collect())
}
