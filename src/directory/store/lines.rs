//! What happened, a row an event.

use diesel::prelude::*;

use super::BATCH;
use crate::db::Conn;
use crate::db::schema::activity_lines as lines;
use crate::directory::ACTIVITY;
use crate::directory::model::line::{Actor, Line};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{EventId, TenantId};
use crate::log::{Place, projection};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = lines)]
struct Row {
    generation: i64,
    tenant_id: TenantId,
    txid: i64,
    seq: i64,
    event_id: EventId,
    kind: String,
    at: Ts,
    actor_kind: String,
    actor_id: String,
    in_stead_of: Option<String>,
    operators_only: bool,
    line: String,
}

impl Row {
    fn of(generation: i64, line: Line) -> Self {
        Self {
            generation,
            tenant_id: line.tenant,
            txid: line.place.txid,
            seq: line.place.seq,
            event_id: line.event_id,
            kind: line.kind,
            at: line.at,
            actor_kind: line.actor.kind,
            actor_id: line.actor.id,
            in_stead_of: line.actor.in_stead_of,
            operators_only: line.operators_only,
            line: line.text,
        }
    }

    fn read(self) -> Line {
        Line {
            event_id: self.event_id,
            kind: self.kind,
            at: self.at,
            actor: Actor { kind: self.actor_kind, id: self.actor_id, in_stead_of: self.in_stead_of },
            text: self.line,
            place: Place { txid: self.txid, seq: self.seq },
            tenant: self.tenant_id,
            operators_only: self.operators_only,
        }
    }
}

/// Writes new lines.
///
/// # Errors
/// The store's.
pub fn add(conn: &mut Conn, generation: i64, new: Vec<Line>) -> Result<()> {
    let rows: Vec<Row> = new.into_iter().map(|line| Row::of(generation, line)).collect();
    match conn {
        Conn::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(lines::table).values(row).execute(c)?;
            }
        }
        Conn::Postgres(c) => {
            for some in rows.chunks(BATCH) {
                diesel::insert_into(lines::table).values(some).execute(c)?;
            }
        }
    }
    Ok(())
}

/// Removes a tenant's lines of a generation.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, generation: i64, tenant: TenantId) -> Result<()> {
    let theirs = lines::table.filter(lines::generation.eq(generation)).filter(lines::tenant_id.eq(tenant));
    diesel::delete(theirs).execute(conn)?;
    Ok(())
}

/// Removes what is told of a tenant, in all generations. What of it the follower has not read yet goes when it reads
/// that the tenant is gone.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    for one in projection::all_in(conn, ACTIVITY)? {
        remove(conn, one.number, tenant)?;
    }
    Ok(())
}

/// Removes a generation, the lines of some tenants at a time: whether there may be more.
///
/// # Errors
/// The store's.
pub fn sweep(conn: &mut Conn, generation: i64, limit: i64) -> Result<bool> {
    let tenants: Vec<TenantId> = lines::table
        .filter(lines::generation.eq(generation))
        .select(lines::tenant_id)
        .distinct()
        .limit(limit.min(20))
        .load(conn)?;
    if tenants.is_empty() {
        return Ok(false);
    }
    let theirs =
        lines::table.filter(lines::generation.eq(generation)).filter(lines::tenant_id.eq_any(tenants));
    diesel::delete(theirs).execute(conn)?;
    Ok(true)
}

/// A tenant's lines before `before`, newest first; `limit` at most.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    tenant: TenantId,
    as_tenant: bool,
    before: Option<Place>,
    limit: i64,
) -> Result<Vec<Line>> {
    let generation = projection::answers_in(conn, ACTIVITY)?;
    let mut query = lines::table
        .filter(lines::generation.eq(generation))
        .filter(lines::tenant_id.eq(tenant))
        .select(Row::as_select())
        .into_boxed();
    if as_tenant {
        query = query.filter(lines::operators_only.eq(false));
    }
    if let Some(before) = before {
        query = query
            .filter(lines::txid.le(before.txid))
            .filter(lines::txid.lt(before.txid).or(lines::seq.lt(before.seq)));
    }
    let rows: Vec<Row> = query.order((lines::txid.desc(), lines::seq.desc())).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(Row::read).collect())
}
