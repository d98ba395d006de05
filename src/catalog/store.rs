//! The tables of plans, their versions, and what a catalogue says beside them.

use diesel::prelude::*;

use super::diff::Held;
use super::model::{Plan, Terms};
use super::version::PlanVersion;
use crate::db::Conn;
use crate::db::schema::{catalogues, plan_versions, plans};
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::PlanVersionId;
use crate::kernel::sql::Json;

#[derive(Queryable, Selectable)]
#[diesel(table_name = plan_versions)]
struct Row {
    id: PlanVersionId,
    number: i32,
    spec: Json,
    created_at: Ts,
}

impl TryFrom<Row> for PlanVersion {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            id: row.id,
            number: u32::try_from(row.number).map_err(Error::internal)?,
            created_at: row.created_at,
            plan: serde_json::from_value(row.spec.0).map_err(Error::internal)?,
        })
    }
}

/// Every plan that was ever sold, with its current version, in the order of the catalogue.
///
/// # Errors
/// The store's.
pub fn held(conn: &mut Conn) -> Result<Vec<Held>> {
    let rows: Vec<(i32, Option<Ts>, Row)> = plans::table
        .inner_join(plan_versions::table.on(plan_versions::id.eq(plans::current_id)))
        .select((plans::position, plans::archived_at, Row::as_select()))
        .order((plans::position.asc(), plans::key.asc()))
        .load(conn)?;
    rows.into_iter()
        .map(|(position, archived_at, row)| {
            Ok(Held { position, archived: archived_at.is_some(), current: row.try_into()? })
        })
        .collect()
}

/// When each plan that is no longer sold was archived.
///
/// # Errors
/// The store's.
pub fn archived(conn: &mut Conn) -> Result<Vec<(String, Ts)>> {
    let rows: Vec<(String, Option<Ts>)> = plans::table
        .filter(plans::archived_at.is_not_null())
        .select((plans::key, plans::archived_at))
        .load(conn)?;
    Ok(rows.into_iter().filter_map(|(key, at)| Some((key, at?))).collect())
}

/// The number of the last load that changed something, 0 before the first, and what it says beside the plans.
///
/// # Errors
/// The store's.
pub fn last(conn: &mut Conn) -> Result<(i64, Terms)> {
    let row: Option<(i64, Json)> = catalogues::table
        .select((catalogues::number, catalogues::terms))
        .order(catalogues::number.desc())
        .first(conn)
        .optional()?;
    match row {
        None => Ok((0, Terms::default())),
        Some((number, terms)) => Ok((number, serde_json::from_value(terms.0).map_err(Error::internal)?)),
    }
}

/// Records a load that changed something.
///
/// # Errors
/// [`Error::Unavailable`] (run again) when another load came first.
pub fn record(conn: &mut Conn, number: i64, terms: &Terms, by: &str, now: Ts) -> Result<()> {
    let terms = Json(serde_json::to_value(terms).map_err(Error::internal)?);
    diesel::insert_into(catalogues::table)
        .values((
            catalogues::number.eq(number),
            catalogues::terms.eq(terms),
            catalogues::created_at.eq(now),
            catalogues::created_by.eq(by.to_owned()),
        ))
        .execute(conn)
        .map_err(|error| match Error::from(error) {
            Error::Conflict { detail, .. } => Error::contended(detail),
            other => other,
        })?;
    Ok(())
}

/// A version.
///
/// # Errors
/// The store's.
pub fn version(conn: &mut Conn, id: PlanVersionId) -> Result<Option<PlanVersion>> {
    let row: Option<Row> = plan_versions::table.find(id).select(Row::as_select()).first(conn).optional()?;
    row.map(PlanVersion::try_from).transpose()
}

/// All versions of a plan, newest first.
///
/// # Errors
/// The store's.
pub fn versions_of(conn: &mut Conn, key: &str) -> Result<Vec<PlanVersion>> {
    let rows: Vec<Row> = plan_versions::table
        .filter(plan_versions::key.eq(key.to_owned()))
        .select(Row::as_select())
        .order(plan_versions::number.desc())
        .load(conn)?;
    rows.into_iter().map(PlanVersion::try_from).collect()
}

/// The version that a plan is sold in, or was last.
///
/// # Errors
/// The store's.
pub fn current_id(conn: &mut Conn, key: &str) -> Result<Option<PlanVersionId>> {
    plans::table.find(key.to_owned()).select(plans::current_id).first(conn).optional().map_err(Into::into)
}

/// The version that a plan is sold in; none once it is archived.
///
/// # Errors
/// The store's.
pub fn sold_id(conn: &mut Conn, key: &str) -> Result<Option<PlanVersionId>> {
    plans::table
        .find(key.to_owned())
        .filter(plans::archived_at.is_null())
        .select(plans::current_id)
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Writes a new version.
///
/// # Errors
/// The store's.
pub fn insert_version(conn: &mut Conn, version: &PlanVersion, by: &str) -> Result<()> {
    diesel::insert_into(plan_versions::table)
        .values((
            plan_versions::id.eq(version.id),
            plan_versions::key.eq(version.plan.key.clone()),
            plan_versions::number.eq(i32::try_from(version.number).map_err(Error::internal)?),
            plan_versions::spec.eq(spec(&version.plan)?),
            plan_versions::created_at.eq(version.created_at),
            plan_versions::created_by.eq(by.to_owned()),
        ))
        .execute(conn)?;
    Ok(())
}

fn spec(plan: &Plan) -> Result<Json> {
    serde_json::to_value(plan).map(Json).map_err(Error::internal)
}

/// Puts a plan on sale in this version, at this place.
///
/// # Errors
/// The store's.
pub fn put(conn: &mut Conn, key: &str, position: i32, current: PlanVersionId) -> Result<()> {
    let changed =
        (plans::position.eq(position), plans::current_id.eq(current), plans::archived_at.eq(None::<Ts>));
    each!(conn, |c| {
        diesel::insert_into(plans::table)
            .values((plans::key.eq(key.to_owned()), changed))
            .on_conflict(plans::key)
            .do_update()
            .set(changed)
            .execute(c)
    })?;
    Ok(())
}

/// Takes a plan off sale.
///
/// # Errors
/// The store's.
pub fn archive(conn: &mut Conn, key: &str, now: Ts) -> Result<()> {
    diesel::update(plans::table.find(key.to_owned())).set(plans::archived_at.eq(now)).execute(conn)?;
    Ok(())
}
