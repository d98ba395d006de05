//! The table of overrides.

use diesel::prelude::*;

use super::model::{Override, Rule};
use crate::catalog::Feature;
use crate::db::Conn;
use crate::db::schema::entitlement_overrides as overrides;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OverrideId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::sql::Json;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = overrides)]
struct Row {
    id: OverrideId,
    tenant_id: TenantId,
    feature: String,
    value: Option<Json>,
    starts_at: Ts,
    ends_at: Option<Ts>,
    reason: String,
    created_by: String,
    created_at: Ts,
    ended_by: Option<String>,
    rev: i64,
}

fn granted(value: Option<Json>) -> Result<Option<Feature>> {
    value.map(|json| serde_json::from_value(json.0).map_err(Error::internal)).transpose()
}

impl TryFrom<Row> for Override {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let value = granted(row.value)?;
        Ok(Self {
            id: row.id,
            tenant_id: row.tenant_id,
            feature: row.feature,
            revoke: value.is_none(),
            value,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            ended_by: row.ended_by,
            rev: row.rev,
        })
    }
}

/// Writes a new override.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, new: &Override) -> Result<()> {
    let value = new.value.as_ref().map(serde_json::to_value).transpose().map_err(Error::internal)?;
    let new = new.clone();
    let row = Row {
        id: new.id,
        tenant_id: new.tenant_id,
        feature: new.feature,
        value: value.map(Json),
        starts_at: new.starts_at,
        ends_at: new.ends_at,
        reason: new.reason,
        created_by: new.created_by,
        created_at: new.created_at,
        ended_by: new.ended_by,
        rev: new.rev,
    };
    diesel::insert_into(overrides::table).values(row).execute(conn)?;
    Ok(())
}

/// Reads one of a tenant's overrides.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's.
pub fn get(conn: &mut Conn, tenant: TenantId, id: OverrideId) -> Result<Override> {
    let row: Option<Row> = overrides::table
        .find(id)
        .filter(overrides::tenant_id.eq(tenant))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Override::try_from).transpose()?.ok_or(Error::NotFound("override"))
}

/// A page of a tenant's overrides, newest first.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    tenant: TenantId,
    feature: Option<&str>,
    request: PageRequest,
) -> Result<Page<Override>> {
    let mut query =
        overrides::table.select(Row::as_select()).filter(overrides::tenant_id.eq(tenant)).into_boxed();
    if let Some(feature) = feature {
        query = query.filter(overrides::feature.eq(feature.to_owned()));
    }
    if let Some((at, id)) = request.after {
        let id = OverrideId::from_uuid(id);
        query = query
            .filter(overrides::created_at.lt(at).or(overrides::created_at.eq(at).and(overrides::id.lt(id))));
    }
    let rows: Vec<Row> = query
        .order((overrides::created_at.desc(), overrides::id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    let all = rows.into_iter().map(Override::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(all, request, |one: &Override| (one.created_at, one.id.uuid())))
}

/// Writes when an override ends, over the revision it was read at, and raises its revision.
///
/// # Errors
/// [`Error::PreconditionFailed`] when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, changed: &mut Override) -> Result<()> {
    let read_at = changed.rev;
    changed.rev += 1;
    let rows = diesel::update(
        overrides::table.filter(overrides::id.eq(changed.id)).filter(overrides::rev.eq(read_at)),
    )
    .set((
        overrides::ends_at.eq(changed.ends_at),
        overrides::ended_by.eq(changed.ended_by.clone()),
        overrides::rev.eq(changed.rev),
    ))
    .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// What memory holds of a tenant's overrides: those that count at `now` or may yet, the latest first.
///
/// # Errors
/// The store's.
pub fn rules_of(conn: &mut Conn, tenant: TenantId, now: Ts) -> Result<Vec<Rule>> {
    let rows: Vec<(String, Option<Json>, Ts, Option<Ts>)> = overrides::table
        .filter(overrides::tenant_id.eq(tenant))
        .filter(overrides::ends_at.is_null().or(overrides::ends_at.gt(now)))
        .order((overrides::created_at.desc(), overrides::id.desc()))
        .select((overrides::feature, overrides::value, overrides::starts_at, overrides::ends_at))
        .load(conn)?;
    let rule = |(feature, value, starts, ends): (String, Option<Json>, Ts, Option<Ts>)| {
        Ok(Rule { feature: feature.into(), value: granted(value)?, starts, ends })
    };
    rows.into_iter().map(rule).collect()
}

/// Removes a tenant's overrides.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(overrides::table.filter(overrides::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
