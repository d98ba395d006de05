//! The table of keys.

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::model::{Environment, Key};
use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scope;
use crate::auth::secret_key::{KeyHash, KeyKind};
use crate::db::Conn;
use crate::db::schema::keys;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::gcra::Rate;
use crate::kernel::id::{KeyId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::sql::Json;

#[derive(Queryable, Selectable)]
#[diesel(table_name = keys)]
struct Row {
    id: KeyId,
    kind: KeyKind,
    tenant_id: Option<TenantId>,
    name: String,
    prefix: String,
    role: Option<OperatorRole>,
    scopes: Json,
    rev: i64,
    created_at: Ts,
    expires_at: Option<Ts>,
    revoked_at: Option<Ts>,
    environment: Environment,
    metadata: Json,
    rate_per_s: Option<i32>,
    rate_burst: Option<i32>,
    disabled_at: Option<Ts>,
    last_used_at: Option<Ts>,
    successor_id: Option<KeyId>,
}

/// The two columns of a limit are there together or not at all.
fn rate(per_s: Option<i32>, burst: Option<i32>) -> Result<Option<Rate>> {
    match (per_s, burst) {
        (None, None) => Ok(None),
        (Some(per_s), Some(burst)) => Ok(Some(Rate {
            requests_per_s: u32::try_from(per_s).map_err(Error::internal)?,
            burst: u32::try_from(burst).map_err(Error::internal)?,
        })),
        _ => Err(Error::internal("half a rate limit")),
    }
}

impl TryFrom<Row> for Key {
    type Error = Error;
    fn try_from(row: Row) -> Result<Self> {
        let scopes: BTreeSet<Scope> = serde_json::from_value(row.scopes.0).map_err(Error::internal)?;
        Ok(Self {
            id: row.id,
            kind: row.kind,
            tenant_id: row.tenant_id,
            name: row.name,
            prefix: row.prefix,
            scopes,
            role: row.role,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            environment: row.environment,
            metadata: serde_json::from_value(row.metadata.0).map_err(Error::internal)?,
            rate_limit: rate(row.rate_per_s, row.rate_burst)?,
            disabled_at: row.disabled_at,
            last_used_at: row.last_used_at,
            successor_id: row.successor_id,
            rev: row.rev,
        })
    }
}

/// Writes a new key.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, key: &Key, hash: &KeyHash, created_by: &str) -> Result<()> {
    let scopes = serde_json::to_value(&key.scopes).map_err(Error::internal)?;
    let metadata = serde_json::to_value(&key.metadata).map_err(Error::internal)?;
    let column = |number: u32| i32::try_from(number).map_err(Error::internal);
    let per_s = key.rate_limit.map(|rate| column(rate.requests_per_s)).transpose()?;
    let burst = key.rate_limit.map(|rate| column(rate.burst)).transpose()?;
    diesel::insert_into(keys::table)
        .values((
            keys::id.eq(key.id),
            keys::kind.eq(key.kind),
            keys::tenant_id.eq(key.tenant_id),
            keys::name.eq(&key.name),
            keys::hash.eq(hash.to_vec()),
            keys::prefix.eq(&key.prefix),
            keys::role.eq(key.role),
            keys::scopes.eq(Json(scopes)),
            keys::rev.eq(key.rev),
            keys::created_by.eq(created_by),
            keys::created_at.eq(key.created_at),
            keys::expires_at.eq(key.expires_at),
            keys::revoked_at.eq(key.revoked_at),
            keys::environment.eq(key.environment),
            keys::metadata.eq(Json(metadata)),
            keys::rate_per_s.eq(per_s),
            keys::rate_burst.eq(burst),
            keys::disabled_at.eq(key.disabled_at),
            keys::last_used_at.eq(key.last_used_at),
            keys::successor_id.eq(key.successor_id),
        ))
        .execute(conn)?;
    Ok(())
}

/// Finds a key by the hash of its text: one indexed read.
///
/// # Errors
/// The store's.
pub fn by_hash(conn: &mut Conn, hash: &KeyHash) -> Result<Option<Key>> {
    let row: Option<Row> =
        keys::table.filter(keys::hash.eq(hash.to_vec())).select(Row::as_select()).first(conn).optional()?;
    row.map(Key::try_from).transpose()
}

/// Reads a key of `kind`, of `tenant` where the kind has one.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's.
pub fn get(conn: &mut Conn, kind: KeyKind, tenant: Option<TenantId>, id: KeyId) -> Result<Key> {
    let row: Option<Row> =
        keys::table.find(id).filter(keys::kind.eq(kind)).select(Row::as_select()).first(conn).optional()?;
    let key = row.map(Key::try_from).transpose()?.filter(|key| key.tenant_id == tenant);
    key.ok_or(Error::NotFound("key"))
}

/// A page of keys of `kind`, newest first.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    kind: KeyKind,
    tenant: Option<TenantId>,
    request: PageRequest,
) -> Result<Page<Key>> {
    let mut query = keys::table.select(Row::as_select()).filter(keys::kind.eq(kind)).into_boxed();
    if let Some(tenant) = tenant {
        query = query.filter(keys::tenant_id.eq(tenant));
    }
    if let Some((at, id)) = request.after {
        let id = KeyId::from_uuid(id);
        query = query.filter(keys::created_at.lt(at).or(keys::created_at.eq(at).and(keys::id.lt(id))));
    }
    let rows: Vec<Row> =
        query.order((keys::created_at.desc(), keys::id.desc())).limit(request.fetch()).load(conn)?;
    let all = rows.into_iter().map(Key::try_from).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(all, request, |key: &Key| (key.created_at, key.id.uuid())))
}

/// How many keys of `kind` there are.
///
/// # Errors
/// The store's.
pub fn count(conn: &mut Conn, kind: KeyKind) -> Result<i64> {
    keys::table.filter(keys::kind.eq(kind)).count().get_result(conn).map_err(Into::into)
}

/// How many of a tenant's keys are neither revoked nor over.
///
/// # Errors
/// The store's.
pub fn count_good(conn: &mut Conn, tenant: TenantId, now: Ts) -> Result<i64> {
    keys::table
        .filter(keys::tenant_id.eq(tenant))
        .filter(keys::revoked_at.is_null())
        .filter(keys::expires_at.is_null().or(keys::expires_at.gt(now)))
        .count()
        .get_result(conn)
        .map_err(Into::into)
}

/// Revokes a key.
///
/// # Errors
/// [`Error::PreconditionFailed`] when it changed meanwhile.
pub fn revoke(conn: &mut Conn, key: &Key, now: Ts) -> Result<()> {
    let rows = diesel::update(keys::table.filter(keys::id.eq(key.id)).filter(keys::rev.eq(key.rev)))
        .set((keys::revoked_at.eq(Some(now)), keys::rev.eq(keys::rev + 1)))
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// Removes a tenant's keys.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant_in(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(keys::table.filter(keys::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}

/// How many operator keys with the role admin are good. Their rows are locked on PostgreSQL, so that two
/// revocations that cross cannot both find another admin left.
///
/// # Errors
/// The store's.
pub fn count_good_admins(conn: &mut Conn, now: Ts) -> Result<usize> {
    let good = keys::table
        .select(keys::id)
        .filter(keys::kind.eq(KeyKind::Operator))
        .filter(keys::role.eq(OperatorRole::Admin))
        .filter(keys::revoked_at.is_null())
        .filter(keys::expires_at.is_null().or(keys::expires_at.gt(now)));
    let ids: Vec<KeyId> = match conn {
        Conn::Sqlite(c) => good.load(c)?,
        Conn::Postgres(c) => good.order(keys::id.asc()).for_update().load(c)?,
    };
    Ok(ids.len())
}
