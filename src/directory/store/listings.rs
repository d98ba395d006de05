//! The directory's rows, a tenant each.

use diesel::prelude::*;
use serde_json::json;

use super::BATCH;
use crate::db::schema::directory_tenants as listed;
use crate::db::{Conn, text};
use crate::directory::DIRECTORY;
use crate::directory::model::listing::{Listing, Sort};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::kernel::sql::Json;
use crate::log::{Order, projection};
use crate::tenants::State;

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = listed)]
struct Row {
    generation: i64,
    tenant_id: TenantId,
    slug: String,
    name: String,
    sort_name: String,
    state: State,
    suspended: bool,
    plan: String,
    plan_version: Option<i32>,
    isolation: Option<Isolation>,
    cluster: String,
    region: Option<String>,
    members: i64,
    keys: i64,
    leaving: Json,
    created_at: Ts,
    last_activity_at: Ts,
    deleted_at: Option<Ts>,
}

/// The name as it is sorted by.
fn sorted(name: &str) -> String {
    name.to_lowercase()
}

impl Row {
    fn of(generation: i64, one: Listing) -> Self {
        Self {
            generation,
            tenant_id: one.id,
            slug: one.slug,
            sort_name: sorted(&one.name),
            name: one.name,
            state: one.state,
            suspended: one.suspended,
            plan: one.plan,
            plan_version: one.plan_version,
            isolation: one.isolation,
            cluster: one.cluster,
            region: one.region,
            members: one.members,
            keys: one.keys,
            leaving: Json(json!(one.leaving)),
            created_at: one.created_at,
            last_activity_at: one.last_activity_at,
            deleted_at: one.deleted_at,
        }
    }

    fn read(self) -> Listing {
        let leaving = self.leaving.0.as_array().into_iter().flatten();
        Listing {
            id: self.tenant_id,
            slug: self.slug,
            name: self.name,
            state: self.state,
            plan: self.plan,
            plan_version: self.plan_version,
            isolation: self.isolation,
            cluster: self.cluster,
            region: self.region,
            members: self.members,
            keys: self.keys,
            created_at: self.created_at,
            last_activity_at: self.last_activity_at,
            deleted_at: self.deleted_at,
            suspended: self.suspended,
            leaving: leaving.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        }
    }
}

/// What a generation says of these tenants.
///
/// # Errors
/// The store's.
pub fn of(conn: &mut Conn, generation: i64, tenants: &[TenantId]) -> Result<Vec<Listing>> {
    let mut all = Vec::new();
    for some in tenants.chunks(BATCH) {
        let rows: Vec<Row> = listed::table
            .filter(listed::generation.eq(generation))
            .filter(listed::tenant_id.eq_any(some.to_vec()))
            .select(Row::as_select())
            .load(conn)?;
        all.extend(rows.into_iter().map(Row::read));
    }
    Ok(all)
}

/// Writes what is true of these tenants now, in the place of what a generation said of them.
///
/// # Errors
/// The store's.
pub fn put(conn: &mut Conn, generation: i64, tenants: &[TenantId], new: Vec<Listing>) -> Result<()> {
    for some in tenants.chunks(BATCH) {
        let theirs = listed::table
            .filter(listed::generation.eq(generation))
            .filter(listed::tenant_id.eq_any(some.to_vec()));
        diesel::delete(theirs).execute(conn)?;
    }
    let rows: Vec<Row> = new.into_iter().map(|one| Row::of(generation, one)).collect();
    match conn {
        Conn::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(listed::table).values(row).execute(c)?;
            }
        }
        Conn::Postgres(c) => {
            for some in rows.chunks(BATCH) {
                diesel::insert_into(listed::table).values(some).execute(c)?;
            }
        }
    }
    Ok(())
}

/// Removes a generation, some tenants at a time: whether there may be more.
///
/// # Errors
/// The store's.
pub fn sweep(conn: &mut Conn, generation: i64, limit: i64) -> Result<bool> {
    let tenants: Vec<TenantId> = listed::table
        .filter(listed::generation.eq(generation))
        .select(listed::tenant_id)
        .limit(limit)
        .load(conn)?;
    if tenants.is_empty() {
        return Ok(false);
    }
    let theirs =
        listed::table.filter(listed::generation.eq(generation)).filter(listed::tenant_id.eq_any(tenants));
    diesel::delete(theirs).execute(conn)?;
    Ok(true)
}

/// Which tenants are looked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Part of a slug or name, or a whole id.
    pub search: Option<String>,
    /// Only this state; without it, all but those that are deleted.
    pub state: Option<State>,
    /// Only this plan.
    pub plan: Option<String>,
    /// Only this isolation model.
    pub isolation: Option<Isolation>,
    /// Only this cluster.
    pub cluster: Option<String>,
    /// Only this region.
    pub region: Option<String>,
}

/// The value by which a listing is sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A moment.
    At(Ts),
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

impl Mark {
    /// That of a listing.
    #[must_use]
    pub fn of(one: &Listing, sort: Sort) -> Self {
        match sort {
            Sort::CreatedAt => Self::At(one.created_at),
            Sort::Name => Self::Text(sorted(&one.name)),
            Sort::LastActivityAt => Self::At(one.last_activity_at),
            Sort::Members => Self::Number(one.members),
            Sort::Keys => Self::Number(one.keys),
        }
    }
}

type Query = listed::BoxedQuery<'static, <Conn as diesel::Connection>::Backend>;

fn narrowed(mut query: Query, filter: &Filter) -> Query {
    if let Some(search) = &filter.search {
        query = match search.parse::<TenantId>() {
            Ok(id) => query.filter(listed::tenant_id.eq(id)),
            Err(_) => {
                let pattern = text::part(search);
                let slug = listed::slug.like(pattern.clone()).escape('\\');
                query.filter(slug.or(listed::sort_name.like(pattern).escape('\\')))
            }
        };
    }
    query = match filter.state {
        Some(state) => query.filter(listed::state.eq(state)),
        None => query.filter(listed::state.ne(State::Deleted)),
    };
    if let Some(plan) = &filter.plan {
        query = query.filter(listed::plan.eq(plan.clone()));
    }
    if let Some(isolation) = filter.isolation {
        query = query.filter(listed::isolation.eq(isolation));
    }
    if let Some(cluster) = &filter.cluster {
        query = query.filter(listed::cluster.eq(cluster.clone()));
    }
    if let Some(region) = &filter.region {
        query = query.filter(listed::region.eq(region.clone()));
    }
    query
}

/// Tenants that `filter` wants, sorted, after the mark and id of the last one seen; `limit` at most.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    filter: &Filter,
    (sort, order): (Sort, Order),
    after: Option<(Mark, TenantId)>,
    limit: i64,
) -> Result<Vec<Listing>> {
    let generation = projection::answers_in(conn, DIRECTORY)?;
    // One of which not even the name was read yet is none to show.
    let all = listed::table.filter(listed::generation.eq(generation)).filter(listed::slug.ne(""));
    let mut query = narrowed(all.into_boxed(), filter);
    macro_rules! sorted_by {
        ($column:ident, $kind:ident) => {{
            if let Some((Mark::$kind(mark), id)) = after {
                let same = listed::$column.eq(mark.clone());
                query = match order {
                    Order::Asc => {
                        query.filter(listed::$column.gt(mark).or(same.and(listed::tenant_id.gt(id))))
                    }
                    Order::Desc => {
                        query.filter(listed::$column.lt(mark).or(same.and(listed::tenant_id.lt(id))))
                    }
                };
            }
            match order {
                Order::Asc => query.order((listed::$column.asc(), listed::tenant_id.asc())),
                Order::Desc => query.order((listed::$column.desc(), listed::tenant_id.desc())),
            }
        }};
    }
    let query = match sort {
        Sort::CreatedAt => sorted_by!(created_at, At),
        Sort::Name => sorted_by!(sort_name, Text),
        Sort::LastActivityAt => sorted_by!(last_activity_at, At),
        Sort::Members => sorted_by!(members, Number),
        Sort::Keys => sorted_by!(keys, Number),
    };
    let rows: Vec<Row> = query.select(Row::as_select()).limit(limit).load(conn)?;
    Ok(rows.into_iter().map(Row::read).collect())
}
