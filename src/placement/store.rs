//! The table of placements.

use diesel::prelude::*;

use super::home::Home;
use super::place::{PlaceState, Placement};
use crate::db::Conn;
use crate::db::schema::placements;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = placements)]
struct Row {
    tenant_id: TenantId,
    state: PlaceState,
    cluster: String,
    isolation: Isolation,
    database_name: String,
    schema_name: String,
    role_name: Option<String>,
    password: Option<Vec<u8>>,
    generation: i64,
    app_version: String,
    created_at: Ts,
    updated_at: Ts,
}

impl From<Row> for Placement {
    fn from(row: Row) -> Self {
        Self {
            home: Home {
                tenant: row.tenant_id,
                isolation: row.isolation,
                database: row.database_name,
                schema: row.schema_name,
                role: row.role_name,
            },
            cluster: row.cluster,
            state: row.state,
            generation: row.generation,
            app_version: row.app_version,
            password: row.password,
            created_at: row.created_at,
        }
    }
}

/// Writes a new placement.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, placement: &Placement) -> Result<()> {
    let placement = placement.clone();
    let row = Row {
        tenant_id: placement.home.tenant,
        state: placement.state,
        cluster: placement.cluster,
        isolation: placement.home.isolation,
        database_name: placement.home.database,
        schema_name: placement.home.schema,
        role_name: placement.home.role,
        password: placement.password,
        generation: placement.generation,
        app_version: placement.app_version,
        created_at: placement.created_at,
        updated_at: placement.created_at,
    };
    diesel::insert_into(placements::table).values(row).execute(conn)?;
    Ok(())
}

/// Reads a tenant's placement, when there is one.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, tenant: TenantId) -> Result<Option<Placement>> {
    let row: Option<Row> = placements::table.find(tenant).select(Row::as_select()).first(conn).optional()?;
    Ok(row.map(Placement::from))
}

/// Reads a tenant's placement.
///
/// # Errors
/// [`Error::NotFound`].
pub fn get(conn: &mut Conn, tenant: TenantId) -> Result<Placement> {
    find(conn, tenant)?.ok_or(Error::NotFound("placement"))
}

/// Moves a placement from one state to another; false when it was not in the first.
///
/// # Errors
/// The store's.
pub fn shift(conn: &mut Conn, tenant: TenantId, from: PlaceState, to: PlaceState, now: Ts) -> Result<bool> {
    let rows = diesel::update(placements::table.find(tenant).filter(placements::state.eq(from)))
        .set((placements::state.eq(to), placements::updated_at.eq(now)))
        .execute(conn)?;
    Ok(rows == 1)
}

/// Records that a home is built with this version of the application's schema.
///
/// # Errors
/// The store's.
pub fn built(conn: &mut Conn, tenant: TenantId, to: PlaceState, app_version: &str, now: Ts) -> Result<bool> {
    let building = placements::table.find(tenant).filter(placements::state.eq(PlaceState::Building));
    let rows = diesel::update(building)
        .set((
            placements::state.eq(to),
            placements::app_version.eq(app_version.to_owned()),
            placements::updated_at.eq(now),
        ))
        .execute(conn)?;
    Ok(rows == 1)
}

/// Takes a ready placement out of stock: one conditional update. `None` when the stock is empty.
///
/// # Errors
/// The store's.
pub fn claim(
    conn: &mut Conn,
    cluster: &str,
    isolation: Isolation,
    app_version: &str,
    now: Ts,
) -> Result<Option<TenantId>> {
    let ready = placements::table
        .select(placements::tenant_id)
        .filter(placements::state.eq(PlaceState::Stocked))
        .filter(placements::cluster.eq(cluster.to_owned()))
        .filter(placements::isolation.eq(isolation))
        .filter(placements::app_version.eq(app_version.to_owned()))
        .order(placements::tenant_id.asc())
        .limit(1);
    let found: Option<TenantId> = match conn {
        Conn::Sqlite(c) => ready.first(c).optional()?,
        Conn::Postgres(c) => ready.for_update().skip_locked().first(c).optional()?,
    };
    let Some(tenant) = found else { return Ok(None) };
    Ok(shift(conn, tenant, PlaceState::Stocked, PlaceState::Assigned, now)?.then_some(tenant))
}

/// How many placements of this kind are in stock or on their way there.
///
/// # Errors
/// The store's.
pub fn stock_level(conn: &mut Conn, cluster: &str, isolation: Isolation, app_version: &str) -> Result<i64> {
    use crate::db::schema::tenants;
    let shelved =
        placements::state.eq(PlaceState::Stocked).and(placements::app_version.eq(app_version.to_owned()));
    let coming = placements::state.eq(PlaceState::Building).and(diesel::dsl::not(diesel::dsl::exists(
        tenants::table.filter(tenants::id.eq(placements::tenant_id)),
    )));
    placements::table
        .filter(placements::cluster.eq(cluster.to_owned()))
        .filter(placements::isolation.eq(isolation))
        .filter(shelved.or(coming))
        .count()
        .get_result(conn)
        .map_err(Into::into)
}

/// Stocked placements built with another version of the application's schema.
///
/// # Errors
/// The store's.
pub fn stale_stock(conn: &mut Conn, app_version: &str) -> Result<Vec<Placement>> {
    let rows: Vec<Row> = placements::table
        .select(Row::as_select())
        .filter(placements::state.eq(PlaceState::Stocked))
        .filter(placements::app_version.ne(app_version.to_owned()))
        .limit(100)
        .load(conn)?;
    Ok(rows.into_iter().map(Placement::from).collect())
}

/// Placements on their way in or out that are no tenant's.
///
/// # Errors
/// The store's.
pub fn loose(conn: &mut Conn) -> Result<Vec<Placement>> {
    use crate::db::schema::tenants;
    let rows: Vec<Row> = placements::table
        .select(Row::as_select())
        .filter(placements::state.eq_any([PlaceState::Building, PlaceState::Removing]))
        .filter(diesel::dsl::not(diesel::dsl::exists(
            tenants::table.filter(tenants::id.eq(placements::tenant_id)),
        )))
        .load(conn)?;
    Ok(rows.into_iter().map(Placement::from).collect())
}

/// All placements, for comparing with what the clusters hold.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<Placement>> {
    let rows: Vec<Row> =
        placements::table.select(Row::as_select()).order(placements::tenant_id.asc()).load(conn)?;
    Ok(rows.into_iter().map(Placement::from).collect())
}

/// How many tenants each cluster holds.
///
/// # Errors
/// The store's.
pub fn count_on(conn: &mut Conn, cluster: &str) -> Result<i64> {
    placements::table
        .filter(placements::cluster.eq(cluster.to_owned()))
        .filter(placements::state.eq(PlaceState::Assigned))
        .count()
        .get_result(conn)
        .map_err(Into::into)
}

/// Forgets a placement whose home is gone.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(placements::table.find(tenant)).execute(conn)?;
    Ok(())
}
