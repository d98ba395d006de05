//! Makes a new tenant of its draft, in the caller's transaction.

use serde_json::json;

use super::rules::{Draft, SlugWish};
use super::worker::{ACTIVATE, CLAIM, CONFIRM};
use crate::app::App;
use crate::auth::Caller;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::slug::Slug;
use crate::log::{self, NewEvent};
use crate::placement::{self, steps_run};
use crate::subscriptions;
use crate::tenants::commands::slug_taken;
use crate::tenants::events::{Facts, TenantCreated, TenantProvisioned};
use crate::tenants::{self, ONBOARD_OPERATION, State, Tenant};
use crate::work::{self, NewOperation, Operation};

/// How often a derived slug gets another random tail before we give up.
const TAILS: usize = 5;

fn free_slug(conn: &mut Conn, wish: &SlugWish) -> Result<Slug> {
    match wish {
        SlugWish::Exactly(slug) if tenants::slug_is_free_in(conn, slug.as_str())? => Ok(slug.clone()),
        SlugWish::Exactly(slug) => Err(slug_taken(slug.as_str())),
        SlugWish::Derived(slug) => {
            if tenants::slug_is_free_in(conn, slug.as_str())? {
                return Ok(slug.clone());
            }
            for _ in 0..TAILS {
                let tailed = slug.with_tail();
                if tenants::slug_is_free_in(conn, tailed.as_str())? {
                    return Ok(tailed);
                }
            }
            Err(slug_taken(slug.as_str()))
        }
    }
}

impl Draft {
    fn tenant(&self, id: TenantId, slug: &Slug, now: Ts) -> Tenant {
        Tenant {
            id,
            slug: slug.as_str().to_owned(),
            name: self.name.clone(),
            state: State::Provisioning,
            plan: self.plan.clone(),
            isolation: self.isolation,
            cluster: self.cluster.clone(),
            region: self.region.clone(),
            created_at: now,
            updated_at: now,
            suspended_at: None,
            suspend_reason: None,
            delete_at: None,
            deleted_at: None,
            rev: 1,
        }
    }
}

/// Makes a tenant that waits until its owner's address is confirmed: a slug and an operation, no home yet. When
/// `until` comes first, the operation gives it up.
pub(super) fn reserve_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    draft: &Draft,
    now: Ts,
    until: Ts,
) -> Result<(Tenant, Operation)> {
    let slug = free_slug(conn, &draft.slug)?;
    let tenant = draft.tenant(TenantId::mint(), &slug, now);
    // Only the names of its steps are needed; the placement itself is made when it is wanted.
    let placement = app.clusters.begin(&app.vault, tenant.id, &draft.cluster, draft.isolation, now)?;
    let mut steps = vec![CONFIRM.to_owned()];
    steps.extend(steps_run::build_names(app, &draft.cluster, &placement.home)?);
    steps.push(ACTIVATE.to_owned());
    tenants::insert_in(conn, &tenant)?;
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, TenantCreated(Facts::of(&tenant))))?;
    let operation = work::store::open_in(
        conn,
        now,
        NewOperation {
            kind: ONBOARD_OPERATION,
            tenant: Some(tenant.id),
            input: json!({}),
            steps,
            begin: until,
            done: false,
        },
    )?;
    Ok((tenant, operation))
}

/// Makes the tenant: at once with a placement from stock, else with an operation that builds one.
pub(super) fn create_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    draft: &Draft,
    now: Ts,
) -> Result<(Tenant, Operation)> {
    let slug = free_slug(conn, &draft.slug)?;
    let version = app.clusters.schema().version();
    let claimed = placement::claim_in(conn, &draft.cluster, draft.isolation, version, now)?;
    let id = claimed.unwrap_or_else(TenantId::mint);
    let mut tenant = draft.tenant(id, &slug, now);
    let facts = Facts::of(&tenant);
    let steps = if claimed.is_some() {
        vec![CLAIM.to_owned(), ACTIVATE.to_owned()]
    } else {
        let placement = app.clusters.begin(&app.vault, id, &draft.cluster, draft.isolation, now)?;
        let mut steps = steps_run::build_names(app, &draft.cluster, &placement.home)?;
        steps.push(ACTIVATE.to_owned());
        placement::insert_in(conn, &placement)?;
        steps
    };
    if claimed.is_some() {
        tenant = tenant.activate(now)?;
    }
    tenants::insert_in(conn, &tenant)?;
    subscriptions::begin_in(conn, app, caller, &tenant, now)?;
    log::append_in(conn, caller, now, NewEvent::of(id, TenantCreated(facts.clone())))?;
    if claimed.is_some() {
        log::append_in(conn, caller, now, NewEvent::of(id, TenantProvisioned(facts)))?;
    }
    let operation = work::store::open_in(
        conn,
        now,
        NewOperation {
            kind: ONBOARD_OPERATION,
            tenant: Some(id),
            input: json!({}),
            steps,
            begin: now,
            done: claimed.is_some(),
        },
    )?;
    Ok((tenant, operation))
}
