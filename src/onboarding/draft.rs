//! What a new tenant will be, settled as far as that goes before its transaction, and made in it.

use serde_json::json;

use super::worker::{ACTIVATE, CLAIM, CONFIRM};
use crate::app::App;
use crate::auth::Caller;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{FieldError, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::kernel::slug::Slug;
use crate::log::{self, NewEvent};
use crate::placement::clusters::Wanted;
use crate::placement::{self, steps_run};
use crate::tenants::commands::slug_taken;
use crate::tenants::{self, ONBOARD_OPERATION, State, Tenant};
use crate::work::{self, NewOperation, Operation};

/// How often a derived slug gets another random tail before we give up.
const TAILS: usize = 5;

/// Everything about the new tenant that is settled before the transaction.
#[derive(Clone)]
pub(super) struct Draft {
    name: String,
    slug: SlugWish,
    plan: String,
    isolation: Isolation,
    cluster: String,
    region: Option<String>,
}

#[derive(Clone)]
pub(super) enum SlugWish {
    Exactly(Slug),
    Derived(Slug),
}

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) name: (&'a str, &'static str),
    pub(super) slug: Option<&'a str>,
    pub(super) plan: Option<&'a str>,
    pub(super) public_only: bool,
    pub(super) isolation: Option<Isolation>,
    pub(super) cluster: Option<String>,
    pub(super) region: Option<String>,
}

/// Keeps a good value, or notes what is wrong with it.
pub(super) fn keep<T>(wrong: &mut Vec<FieldError>, pointer: &str, outcome: Result<T, String>) -> Option<T> {
    outcome.map_err(|detail| wrong.push(FieldError { pointer: pointer.into(), detail })).ok()
}

/// The draft of what is asked for, unless something is wrong with it.
pub(super) fn draft(app: &App, asked: Asked<'_>, wrong: &mut Vec<FieldError>) -> Option<Draft> {
    let (name, pointer) = asked.name;
    let name = name.trim();
    if name.is_empty() {
        wrong.push(FieldError { pointer: pointer.into(), detail: "must not be blank".into() });
    }
    let reserved = &app.settings.tenancy.reserved_slugs;
    let slug = match asked.slug {
        Some(text) => keep(wrong, "/slug", Slug::parse(text, reserved)).map(SlugWish::Exactly),
        None => Some(SlugWish::Derived(Slug::derive(name, reserved))),
    };
    let key = asked.plan.unwrap_or(&app.settings.signup.default_plan);
    let plan = app.catalogue.get(key).filter(|plan| plan.public || !asked.public_only);
    if plan.is_none() {
        wrong.push(FieldError {
            pointer: "/plan".into(),
            detail: format!("there is no plan `{key}`; see GET /v1/plans"),
        });
    }
    let isolation =
        asked.isolation.or(plan.and_then(|plan| plan.isolation)).unwrap_or(app.settings.tenancy.isolation);
    let wanted = Wanted { isolation, cluster: asked.cluster, region: asked.region };
    let cluster = app.clusters.choose(&wanted).map(ToOwned::to_owned);
    let pointer = match (&wanted.cluster, &wanted.region) {
        (Some(_), _) => "/cluster",
        (None, Some(_)) => "/region",
        (None, None) => "/isolation",
    };
    let cluster = keep(wrong, pointer, cluster.map_err(|error| error.to_string()))?;
    let of_cluster =
        app.clusters.get(&cluster).ok().and_then(|configured| configured.settings.region.clone());
    Some(Draft {
        name: name.to_owned(),
        slug: slug?,
        plan: plan?.key.clone(),
        isolation,
        cluster,
        region: wanted.region.or(of_cluster).or_else(|| app.settings.tenancy.region.clone()),
    })
}

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

/// What the log tells of a new tenant.
fn facts(tenant: &Tenant) -> serde_json::Value {
    json!({ "slug": tenant.slug, "name": tenant.name, "plan": tenant.plan, "isolation": tenant.isolation, "cluster": tenant.cluster })
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
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, "tenant.created", facts(&tenant)))?;
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
    let facts = facts(&tenant);
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
    log::append_in(conn, caller, now, NewEvent::of(id, "tenant.created", facts.clone()))?;
    if claimed.is_some() {
        log::append_in(conn, caller, now, NewEvent::of(id, "tenant.provisioned", facts))?;
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
