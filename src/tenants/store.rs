//! The table of tenants.

use diesel::prelude::*;

use super::model::{State, Tenant};
use crate::db::schema::tenants;
use crate::db::{Conn, text};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::kernel::page::{Page, PageRequest};

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = tenants)]
#[diesel(treat_none_as_null = true)]
struct Row {
    id: TenantId,
    slug: String,
    name: String,
    state: State,
    plan: String,
    isolation: Isolation,
    cluster: String,
    region: Option<String>,
    rev: i64,
    created_at: Ts,
    updated_at: Ts,
    suspended_at: Option<Ts>,
    suspend_reason: Option<String>,
    delete_at: Option<Ts>,
    deleted_at: Option<Ts>,
}

impl From<Row> for Tenant {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            slug: row.slug,
            name: row.name,
            state: row.state,
            plan: row.plan,
            isolation: row.isolation,
            cluster: row.cluster,
            region: row.region,
            created_at: row.created_at,
            updated_at: row.updated_at,
            suspended_at: row.suspended_at,
            suspend_reason: row.suspend_reason,
            delete_at: row.delete_at,
            deleted_at: row.deleted_at,
            rev: row.rev,
        }
    }
}

impl From<&Tenant> for Row {
    fn from(tenant: &Tenant) -> Self {
        let tenant = tenant.clone();
        Self {
            id: tenant.id,
            slug: tenant.slug,
            name: tenant.name,
            state: tenant.state,
            plan: tenant.plan,
            isolation: tenant.isolation,
            cluster: tenant.cluster,
            region: tenant.region,
            rev: tenant.rev,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
            suspended_at: tenant.suspended_at,
            suspend_reason: tenant.suspend_reason,
            delete_at: tenant.delete_at,
            deleted_at: tenant.deleted_at,
        }
    }
}

/// How a caller names a tenant: by id or by slug.
#[derive(Clone, Debug)]
pub enum Handle {
    /// `tenant_…`
    Id(TenantId),
    /// The short name of one that is not deleted.
    Slug(String),
}

impl Handle {
    /// Reads a path segment.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Slug(text.to_lowercase()), Self::Id)
    }
}

/// Reads a tenant.
///
/// # Errors
/// [`Error::NotFound`].
pub fn get(conn: &mut Conn, handle: &Handle) -> Result<Tenant> {
    let mut query = tenants::table.select(Row::as_select()).into_boxed();
    query = match handle {
        Handle::Id(id) => query.filter(tenants::id.eq(*id)),
        // PostgreSQL fails on a zero byte instead of finding nothing.
        Handle::Slug(slug) if slug.contains('\0') => return Err(Error::NotFound("tenant")),
        Handle::Slug(slug) => {
            query.filter(tenants::slug.eq(slug.clone())).filter(tenants::state.ne(State::Deleted))
        }
    };
    let row: Option<Row> = query.first(conn).optional()?;
    row.map(Tenant::from).ok_or(Error::NotFound("tenant"))
}

/// Whether a slug is free.
///
/// # Errors
/// The store's.
pub fn slug_is_free(conn: &mut Conn, slug: &str) -> Result<bool> {
    match get(conn, &Handle::Slug(slug.to_owned())) {
        Ok(_) => Ok(false),
        Err(Error::NotFound(_)) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Writes a new tenant.
///
/// # Errors
/// [`Error::Unavailable`] (run again) when another transaction took the slug meanwhile.
pub fn insert(conn: &mut Conn, tenant: &Tenant) -> Result<()> {
    diesel::insert_into(tenants::table).values(Row::from(tenant)).execute(conn).map_err(slug_race)?;
    Ok(())
}

/// Writes a changed tenant over the revision it was read at, and raises its revision.
///
/// # Errors
/// [`Error::PreconditionFailed`] when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, tenant: &mut Tenant) -> Result<()> {
    let read_at = tenant.rev;
    tenant.rev += 1;
    let rows =
        diesel::update(tenants::table.filter(tenants::id.eq(tenant.id)).filter(tenants::rev.eq(read_at)))
            .set(Row::from(&*tenant))
            .execute(conn)
            .map_err(slug_race)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

fn slug_race(error: diesel::result::Error) -> Error {
    match Error::from(error) {
        // Checked before; a crossing transaction won. Running again sees its tenant and says so clearly.
        Error::Conflict { detail, .. } => Error::contended(detail),
        other => other,
    }
}

/// What a list of tenants is narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Part of the slug or name, or a whole id; letters' case does not matter.
    pub search: Option<String>,
    /// Only this state. Deleted tenants are shown only when asked for.
    pub state: Option<State>,
    /// Only this plan.
    pub plan: Option<String>,
    /// Only this isolation model.
    pub isolation: Option<Isolation>,
    /// Only this cluster.
    pub cluster: Option<String>,
}

/// A page of tenants, newest first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, filter: &Filter, request: PageRequest) -> Result<Page<Tenant>> {
    let mut query = tenants::table.select(Row::as_select()).into_boxed();
    if let Some(search) = &filter.search {
        if let Ok(id) = search.parse::<TenantId>() {
            query = query.filter(tenants::id.eq(id));
        } else {
            let pattern = text::part(search);
            query = query.filter(
                tenants::slug
                    .like(pattern.clone())
                    .escape('\\')
                    .or(text::lower(tenants::name).like(pattern).escape('\\')),
            );
        }
    }
    query = match filter.state {
        Some(state) => query.filter(tenants::state.eq(state)),
        None => query.filter(tenants::state.ne(State::Deleted)),
    };
    if let Some(plan) = &filter.plan {
        query = query.filter(tenants::plan.eq(plan.clone()));
    }
    if let Some(isolation) = filter.isolation {
        query = query.filter(tenants::isolation.eq(isolation));
    }
    if let Some(cluster) = &filter.cluster {
        query = query.filter(tenants::cluster.eq(cluster.clone()));
    }
    if let Some((at, id)) = request.after {
        let id = TenantId::from_uuid(id);
        query =
            query.filter(tenants::created_at.lt(at).or(tenants::created_at.eq(at).and(tenants::id.lt(id))));
    }
    let rows: Vec<Row> =
        query.order((tenants::created_at.desc(), tenants::id.desc())).limit(request.fetch()).load(conn)?;
    let all = rows.into_iter().map(Tenant::from).collect();
    Ok(Page::cut(all, request, |tenant: &Tenant| (tenant.created_at, tenant.id.uuid())))
}

/// All tenants, deleted ones too, for comparing with what the clusters hold.
///
/// # Errors
/// The store's.
pub fn all(conn: &mut Conn) -> Result<Vec<Tenant>> {
    let rows: Vec<Row> = tenants::table.select(Row::as_select()).order(tenants::id.asc()).load(conn)?;
    Ok(rows.into_iter().map(Tenant::from).collect())
}
