//! The table of keys.

use std::collections::BTreeSet;

use diesel::prelude::*;
use serde_json::json;

use super::model::{Environment, Key, Standing};
use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scope;
use crate::auth::secret_key::{self, KeyHash, KeyKind};
use crate::db::schema::{key_uses, keys};
use crate::db::{Conn, text};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::gcra::Rate;
use crate::kernel::id::{KeyId, TenantId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::sql::{Json, SqlJson};

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
    created_by: String,
    created_at: Ts,
    expires_at: Option<Ts>,
    revoked_at: Option<Ts>,
    environment: Environment,
    metadata: Json,
    rate_per_s: Option<i32>,
    rate_burst: Option<i32>,
    disabled_at: Option<Ts>,
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
            created_by: row.created_by,
            created_at: row.created_at,
            expires_at: row.expires_at,
            revoked_at: row.revoked_at,
            environment: row.environment,
            metadata: serde_json::from_value(row.metadata.0).map_err(Error::internal)?,
            rate_limit: rate(row.rate_per_s, row.rate_burst)?,
            disabled_at: row.disabled_at,
            last_used_at: None,
            successor_id: row.successor_id,
            rev: row.rev,
        })
    }
}

/// What of a key can change, as columns. When it was last used is not among them: see [`note_uses`].
#[derive(AsChangeset)]
#[diesel(table_name = keys)]
#[diesel(treat_none_as_null = true)]
struct Changing {
    name: String,
    role: Option<OperatorRole>,
    scopes: Json,
    rev: i64,
    expires_at: Option<Ts>,
    revoked_at: Option<Ts>,
    metadata: Json,
    rate_per_s: Option<i32>,
    rate_burst: Option<i32>,
    disabled_at: Option<Ts>,
    successor_id: Option<KeyId>,
}

impl TryFrom<&Key> for Changing {
    type Error = Error;
    fn try_from(key: &Key) -> Result<Self> {
        let column = |number: u32| i32::try_from(number).map_err(Error::internal);
        Ok(Self {
            name: key.name.clone(),
            role: key.role,
            scopes: Json(serde_json::to_value(&key.scopes).map_err(Error::internal)?),
            rev: key.rev,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            metadata: Json(serde_json::to_value(&key.metadata).map_err(Error::internal)?),
            rate_per_s: key.rate_limit.map(|rate| column(rate.requests_per_s)).transpose()?,
            rate_burst: key.rate_limit.map(|rate| column(rate.burst)).transpose()?,
            disabled_at: key.disabled_at,
            successor_id: key.successor_id,
        })
    }
}

/// Writes a new key.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, key: &Key, hash: &KeyHash) -> Result<()> {
    let Changing {
        name,
        role,
        scopes,
        rev,
        expires_at,
        revoked_at,
        metadata,
        rate_per_s,
        rate_burst,
        disabled_at,
        successor_id,
    } = Changing::try_from(key)?;
    diesel::insert_into(keys::table)
        .values((
            keys::id.eq(key.id),
            keys::kind.eq(key.kind),
            keys::tenant_id.eq(key.tenant_id),
            keys::name.eq(name),
            keys::hash.eq(hash.to_vec()),
            keys::prefix.eq(&key.prefix),
            keys::role.eq(role),
            keys::scopes.eq(scopes),
            keys::rev.eq(rev),
            keys::created_by.eq(&key.created_by),
            keys::created_at.eq(key.created_at),
            keys::expires_at.eq(expires_at),
            keys::revoked_at.eq(revoked_at),
            keys::environment.eq(key.environment),
            keys::metadata.eq(metadata),
            keys::rate_per_s.eq(rate_per_s),
            keys::rate_burst.eq(rate_burst),
            keys::disabled_at.eq(disabled_at),
            keys::successor_id.eq(successor_id),
        ))
        .execute(conn)?;
    Ok(())
}

/// A key and when it was last used.
fn whole((row, used_at): (Row, Option<Ts>)) -> Result<Key> {
    Ok(Key { last_used_at: used_at, ..Key::try_from(row)? })
}

/// Finds a key by the hash of its text: one indexed read. When it was last used is not told.
///
/// # Errors
/// The store's.
pub fn by_hash(conn: &mut Conn, hash: &KeyHash) -> Result<Option<Key>> {
    let row: Option<Row> =
        keys::table.filter(keys::hash.eq(hash.to_vec())).select(Row::as_select()).first(conn).optional()?;
    row.map(Key::try_from).transpose()
}

/// Reads a key of any kind with the hash of its text, for memory: one read by the primary key. When it was last
/// used is not told.
///
/// # Errors
/// The store's.
pub fn with_hash(conn: &mut Conn, id: KeyId) -> Result<Option<(Key, KeyHash)>> {
    let found: Option<(Row, Vec<u8>)> =
        keys::table.find(id).select((Row::as_select(), keys::hash)).first(conn).optional()?;
    let Some((row, hash)) = found else { return Ok(None) };
    let hash = KeyHash::try_from(hash).map_err(|_| Error::internal("a stored hash is of another length"))?;
    Ok(Some((row.try_into()?, hash)))
}

/// Reads a key of `kind`, of `tenant` where the kind has one.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's.
pub fn get(conn: &mut Conn, kind: KeyKind, tenant: Option<TenantId>, id: KeyId) -> Result<Key> {
    let row: Option<(Row, Option<Ts>)> = keys::table
        .left_join(key_uses::table)
        .filter(keys::id.eq(id))
        .filter(keys::kind.eq(kind))
        .select((Row::as_select(), key_uses::used_at.nullable()))
        .first(conn)
        .optional()?;
    let key = row.map(whole).transpose()?.filter(|key| key.tenant_id == tenant);
    key.ok_or(Error::NotFound("key"))
}

/// What a list of keys is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Part of the name, the beginning of the key's text, or a whole id; letters' case does not matter in names.
    pub search: Option<String>,
    /// Only this state, as of now.
    pub state: Option<Standing>,
    /// Only this environment.
    pub environment: Option<Environment>,
    /// Only those made by this person or key.
    pub created_by: Option<String>,
}

/// A page of keys of `kind`, newest first.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    kind: KeyKind,
    tenant: Option<TenantId>,
    filter: &Filter,
    now: Ts,
    request: PageRequest,
) -> Result<Page<Key>> {
    let mut query = keys::table
        .left_join(key_uses::table)
        .select((Row::as_select(), key_uses::used_at.nullable()))
        .filter(keys::kind.eq(kind))
        .into_boxed();
    if let Some(tenant) = tenant {
        query = query.filter(keys::tenant_id.eq(tenant));
    }
    if let Some(search) = &filter.search {
        query = match search.parse::<KeyId>() {
            Ok(id) => query.filter(keys::id.eq(id)),
            // However much of a key is given, no more of it is looked at than lists show.
            Err(_) if search.starts_with("tnt_") => {
                let shown: String = search.chars().take(secret_key::SHOWN).collect();
                query.filter(keys::prefix.like(text::beginning(&shown)).escape('\\'))
            }
            Err(_) => query.filter(text::lower(keys::name).like(text::part(search)).escape('\\')),
        };
    }
    if let Some(environment) = filter.environment {
        query = query.filter(keys::environment.eq(environment));
    }
    if let Some(maker) = &filter.created_by {
        query = query.filter(keys::created_by.eq(maker.clone()));
    }
    if let Some(state) = filter.state {
        query = match state {
            Standing::Revoked => query.filter(keys::revoked_at.is_not_null()),
            _ => query.filter(keys::revoked_at.is_null()),
        };
        query = match state {
            Standing::Revoked => query,
            Standing::Disabled => query.filter(keys::disabled_at.is_not_null()),
            Standing::Expired => query.filter(keys::disabled_at.is_null()).filter(keys::expires_at.le(now)),
            Standing::Good => query
                .filter(keys::disabled_at.is_null())
                .filter(keys::expires_at.is_null().or(keys::expires_at.gt(now))),
        };
    }
    if let Some((at, id)) = request.after {
        let id = KeyId::from_uuid(id);
        query = query.filter(keys::created_at.lt(at).or(keys::created_at.eq(at).and(keys::id.lt(id))));
    }
    let rows: Vec<(Row, Option<Ts>)> =
        query.order((keys::created_at.desc(), keys::id.desc())).limit(request.fetch()).load(conn)?;
    let all = rows.into_iter().map(whole).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(all, request, |key: &Key| (key.created_at, key.id.uuid())))
}

/// How many keys of `kind` there are.
///
/// # Errors
/// The store's.
pub fn count(conn: &mut Conn, kind: KeyKind) -> Result<i64> {
    keys::table.filter(keys::kind.eq(kind)).count().get_result(conn).map_err(Into::into)
}

/// How many of a tenant's keys take one of the plan's places (as [`Key::counts`] says), and how many more
/// still work beside their successor.
///
/// # Errors
/// The store's.
pub fn count_places(conn: &mut Conn, tenant: TenantId, now: Ts) -> Result<(i64, i64)> {
    let alive = || {
        keys::table
            .filter(keys::tenant_id.eq(tenant))
            .filter(keys::revoked_at.is_null())
            .filter(keys::expires_at.is_null().or(keys::expires_at.gt(now)))
    };
    let taken = alive().filter(keys::successor_id.is_null()).count().get_result(conn)?;
    let leaving = alive().filter(keys::successor_id.is_not_null()).count().get_result(conn)?;
    Ok((taken, leaving))
}

/// Writes a changed key over the revision it was read at, and raises its revision.
///
/// # Errors
/// [`Error::PreconditionFailed`] when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, key: &mut Key) -> Result<()> {
    let read_at = key.rev;
    key.rev += 1;
    let rows = diesel::update(keys::table.filter(keys::id.eq(key.id)).filter(keys::rev.eq(read_at)))
        .set(Changing::try_from(&*key)?)
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// Notes when keys were last used, all in one statement. Never moves a moment backwards, so that replicas may
/// note in any order. A key that is gone meanwhile is left out.
///
/// # Errors
/// The store's.
pub fn note_uses(conn: &mut Conn, uses: &[(KeyId, Ts)]) -> Result<usize> {
    // A list in one parameter: each engine has its own way to take it apart.
    let list = |write: &dyn Fn(&(KeyId, Ts)) -> serde_json::Value| Json(uses.iter().map(write).collect());
    match conn {
        Conn::Sqlite(c) => diesel::sql_query(
            "INSERT INTO key_uses (key_id, used_at)
             SELECT id, at FROM (SELECT unhex(value->>0) AS id, value->>1 AS at FROM json_each(?)) AS used
             WHERE EXISTS (SELECT 1 FROM keys WHERE keys.id = used.id)
             ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at WHERE excluded.used_at > key_uses.used_at",
        )
        .bind::<SqlJson, _>(list(&|(id, at)| json!([id.uuid().simple().to_string(), at.micros()])))
        .execute(c),
        Conn::Postgres(c) => diesel::sql_query(
            "INSERT INTO key_uses (key_id, used_at)
             SELECT used.id, used.at FROM jsonb_to_recordset($1) AS used (id uuid, at timestamptz)
             WHERE EXISTS (SELECT 1 FROM keys WHERE keys.id = used.id)
             ON CONFLICT (key_id) DO UPDATE SET used_at = excluded.used_at WHERE excluded.used_at > key_uses.used_at",
        )
        .bind::<SqlJson, _>(list(&|(id, at)| json!({ "id": id.uuid(), "at": at })))
        .execute(c),
    }
    .map_err(Into::into)
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
/// changes that cross cannot both find another admin left.
///
/// # Errors
/// The store's.
pub fn count_good_admins(conn: &mut Conn, now: Ts) -> Result<usize> {
    let good = keys::table
        .select(keys::id)
        .filter(keys::kind.eq(KeyKind::Operator))
        .filter(keys::role.eq(OperatorRole::Admin))
        .filter(keys::revoked_at.is_null())
        .filter(keys::disabled_at.is_null())
        .filter(keys::expires_at.is_null().or(keys::expires_at.gt(now)));
    let ids: Vec<KeyId> = match conn {
        Conn::Sqlite(c) => good.load(c)?,
        Conn::Postgres(c) => good.order(keys::id.asc()).for_update().load(c)?,
    };
    Ok(ids.len())
}
