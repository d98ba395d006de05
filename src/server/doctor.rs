//! Compares what the control store says with what the clusters hold, and mends what can be mended
//! without a guess.
//!
//! A placement's row is written before anything is made on a cluster and goes after everything there is
//! gone, so a home without a row is an orphan. Work goes on meanwhile: what looks wrong counts only when
//! a second look, clusters first and store after, says the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;

use serde::Serialize;
use serde_json::json;

use super::{compose, ready};
use crate::app::App;
use crate::auth::Caller;
use crate::catalog::Opened;
use crate::config::master_key;
use crate::identity::account::reset::RESET_OPERATION;
use crate::kernel::clock::Ts;
use crate::kernel::engine::Engine;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::isolation::Isolation;
use crate::log::{self, NewEvent};
use crate::mail;
use crate::onboarding::worker::ACTIVATE;
use crate::placement::place::{PlaceState, Placement};
use crate::placement::steps::{BuildStep, Found, Inventory, RemovalStep};
use crate::placement::stock::{RETIRE_OPERATION, STOCK_OPERATION};
use crate::placement::{self, steps_run, stock};
use crate::tenants::{self, ACCESS_OPERATION, DELETE_OPERATION, ONBOARD_OPERATION, State, Tenant};
use crate::work::{self, NewOperation, Operation};

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Tenants in the store, deleted ones not counted.
    pub tenants: usize,
    /// Placements in the store, those in stock included.
    pub placements: usize,
    /// Clusters that answered.
    pub clusters: Vec<String>,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong, in words for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// Where: a cluster, a tenant, an operation.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether [`repair`] does it.
    pub repairable: bool,
    #[serde(skip)]
    mend: Mend,
}

/// How a finding is mended.
#[derive(Debug, Clone, PartialEq)]
enum Mend {
    ByHand,
    RemoveHome { cluster: String, tenant: TenantId, isolation: Isolation, known: bool },
    RemoveDebris { cluster: String, name: String },
    Rebuild { tenant: TenantId },
    Reopen { operation: OperationId },
    Release { operation: OperationId },
    Open { kind: &'static str, tenant: TenantId },
    Retire { tenant: TenantId },
}

/// What became of one finding.
#[derive(Debug, Clone, Serialize)]
pub struct Mended {
    /// The finding's `what`.
    pub what: String,
    /// The finding's `where`.
    #[serde(rename = "where")]
    pub place: String,
    /// Why it could not be mended; absent when it was.
    pub error: Option<String>,
}

/// Opens the store for a doctor of its own process. The file holds an embedded store for as long as it is
/// kept, so that no server starts meanwhile.
///
/// # Errors
/// As at the start of a server: an embedded store that is in use, a store that cannot be reached.
pub async fn open(opened: Opened) -> Result<(App, Option<File>)> {
    let settings = opened.loaded.settings.clone();
    let alone = ready::only_process(&settings)?;
    let keys = master_key::load_or_create(&settings)
        .map_err(|problem| Error::refused("master_key", problem.to_string()))?;
    let app = compose(opened, keys, settings.server.public_url(settings.server.bind)).await?;
    Ok((app, alone))
}

/// Looks at everything and changes nothing. A server may be at work meanwhile.
///
/// # Errors
/// The store's. A cluster that does not answer is a finding.
pub async fn examine(app: &App) -> Result<Report> {
    let mut report = look(app).await?;
    if !report.is_clean() {
        let again = look(app).await?;
        report.findings.retain(|finding| again.findings.contains(finding));
    }
    Ok(report)
}

/// Mends what [`examine`] found and called repairable. Each is looked at once more before it is touched;
/// operations that it reopens are run by the server.
pub async fn repair(app: &App, report: &Report) -> Vec<Mended> {
    mend_each(app, report.findings.iter().filter(|finding| finding.repairable)).await
}

/// Removes the homes of tenants that the store has never heard of. After a restore of the store from a
/// backup these are the tenants that came later: be sure that nobody misses them.
pub async fn remove_unknown(app: &App, report: &Report) -> Vec<Mended> {
    let unknown = |finding: &&Finding| matches!(finding.mend, Mend::RemoveHome { known: false, .. });
    mend_each(app, report.findings.iter().filter(unknown)).await
}

async fn mend_each<'a>(app: &App, findings: impl Iterator<Item = &'a Finding>) -> Vec<Mended> {
    let mut all = Vec::new();
    for finding in findings {
        let outcome = mend(app, &finding.mend).await;
        if let Err(error) = &outcome {
            tracing::warn!(error = %error, cause = error.cause().map(tracing::field::display), what = finding.what, "a finding could not be mended");
        }
        all.push(Mended {
            what: finding.what.clone(),
            place: finding.place.clone(),
            error: outcome.err().map(|error| error.to_string()),
        });
    }
    all
}

// ---- looking ----

/// The store's side, in one snapshot.
struct Told {
    tenants: HashMap<TenantId, Tenant>,
    placements: HashMap<TenantId, Placement>,
    /// Operations that have not succeeded.
    unsettled: Vec<Operation>,
    stalled: Vec<(OperationId, Option<Ts>)>,
    /// Tenants whose placements were made for the stock, whatever became of them.
    stocked_once: HashSet<TenantId>,
}

async fn read_store(app: &App) -> Result<Told> {
    let now = app.clock.now();
    app.db
        .read(move |conn| {
            let inputs = work::store::inputs(conn, &[STOCK_OPERATION])?;
            Ok(Told {
                tenants: tenants::all_in(conn)?.into_iter().map(|tenant| (tenant.id, tenant)).collect(),
                placements: placement::all_in(conn)?.into_iter().map(|one| (one.home.tenant, one)).collect(),
                unsettled: work::store::unsettled(conn)?,
                stalled: work::store::stalled(conn, now)?,
                stocked_once: inputs.iter().filter_map(stock::placement_in).collect(),
            })
        })
        .await
}

async fn look(app: &App) -> Result<Report> {
    let mut findings = Vec::new();
    let mut held = BTreeMap::new();
    for (name, configured) in app.clusters.iter() {
        match configured.cluster.inventory().await {
            Ok(inventory) => drop(held.insert(name.clone(), inventory)),
            Err(error) => findings.push(by_hand(
                format!("the cluster cannot be examined: {error}"),
                cluster_words(name),
                "make it reachable and look again",
            )),
        }
    }
    let told = read_store(app).await?;
    for (name, inventory) in &held {
        told.strangers(name, inventory, &mut findings);
        told.missing(app, name, inventory, &mut findings)?;
    }
    told.unsettled(&mut findings);
    told.unfinished(&mut findings);
    for placement in told.placements.values().filter(|one| app.clusters.get(&one.cluster).is_err()) {
        findings.push(by_hand(
            format!("its home is on the cluster `{}`, which is not configured", placement.cluster),
            told.who(placement.home.tenant),
            "put the cluster back into the configuration; to retire one, move its tenants first",
        ));
    }
    findings.sort_by(|a, b| (&a.place, &a.what).cmp(&(&b.place, &b.what)));
    let alive = |tenant: &&Tenant| tenant.state != State::Deleted;
    Ok(Report {
        tenants: told.tenants.values().filter(alive).count(),
        placements: told.placements.len(),
        clusters: held.into_keys().collect(),
        findings,
    })
}

fn by_hand(what: impl Into<String>, place: String, remedy: &str) -> Finding {
    Finding { what: what.into(), place, remedy: remedy.to_owned(), repairable: false, mend: Mend::ByHand }
}

fn repairable(what: impl Into<String>, place: String, remedy: &str, mend: Mend) -> Finding {
    Finding { what: what.into(), place, remedy: remedy.to_owned(), repairable: true, mend }
}

fn cluster_words(name: &str) -> String {
    format!("cluster `{name}`")
}

fn operation_words(operation: &Operation) -> String {
    format!("operation {} ({})", operation.id, operation.kind)
}

/// A canceled operation ended because nobody wants its outcome any more.
fn canceled(operation: &Operation) -> bool {
    operation.error.as_deref().is_some_and(|error| error.starts_with(work::CANCELED))
}

impl Told {
    fn who(&self, tenant: TenantId) -> String {
        match self.tenants.get(&tenant) {
            Some(known) => format!("tenant {tenant} ({})", known.slug),
            None => format!("placement {tenant} (no tenant's yet)"),
        }
    }

    fn state(&self, tenant: TenantId) -> Option<State> {
        self.tenants.get(&tenant).map(|known| known.state)
    }

    /// Whether something is being built or removed right now, or will be.
    fn at_work(&self) -> bool {
        self.unsettled.iter().any(|operation| !operation.state.is_final() && self.touches_homes(operation))
    }

    /// Whether an operation works on clusters: letters do not, nor does a signup that waits for its code.
    fn touches_homes(&self, operation: &Operation) -> bool {
        match operation.kind.as_str() {
            mail::SEND_OPERATION | RESET_OPERATION => false,
            ONBOARD_OPERATION => operation.tenant_id.is_some_and(|id| self.placements.contains_key(&id)),
            _ => true,
        }
    }

    fn going_on(&self, kind: &str, tenant: TenantId) -> bool {
        self.of(kind, tenant).any(|operation| !operation.state.is_final())
    }

    fn of<'a>(&'a self, kind: &'a str, tenant: TenantId) -> impl Iterator<Item = &'a Operation> {
        self.unsettled.iter().filter(move |operation| {
            operation.kind == kind
                && (operation.tenant_id == Some(tenant)
                    || stock::placement_in(&operation.input) == Some(tenant))
        })
    }

    /// What is on a cluster and should not be.
    fn strangers(&self, cluster: &str, inventory: &Inventory, findings: &mut Vec<Finding>) {
        let mut homes: BTreeMap<(TenantId, Isolation), BTreeSet<String>> = BTreeMap::new();
        let kinds: [(&str, &[Found]); 4] = [
            ("role", &inventory.roles),
            ("schema", &inventory.schemas),
            ("database", &inventory.databases),
            ("map entry of role", &inventory.registered),
        ];
        for (kind, all) in kinds {
            for found in all {
                let names = homes.entry((found.tenant, found.isolation)).or_default();
                names.insert(format!("{kind} {}", found.name));
            }
        }
        for ((tenant, isolation), names) in homes {
            let names: Vec<_> = names.into_iter().collect();
            let names = names.join(", ");
            match self.placements.get(&tenant) {
                Some(placement) if placement.cluster == cluster && placement.home.isolation == isolation => {}
                Some(placement) => findings.push(by_hand(
                    format!(
                        "{names} of {}, whose home is in the `{}` model on cluster `{}`",
                        self.who(tenant),
                        placement.home.isolation,
                        placement.cluster
                    ),
                    cluster_words(cluster),
                    "when no move of this tenant is at work and nothing in it is missed, drop it",
                )),
                None => {
                    let known = self.tenants.contains_key(&tenant) || self.stocked_once.contains(&tenant);
                    let mend = Mend::RemoveHome { cluster: cluster.to_owned(), tenant, isolation, known };
                    findings.push(if known {
                        let what = format!("{names}: left of {tenant}, which has no home here any more");
                        repairable(what, cluster_words(cluster), "doctor --repair removes it", mend)
                    } else {
                        Finding {
                            mend,
                            ..by_hand(
                                format!("{names}: of {tenant}, of which this control store knows nothing"),
                                cluster_words(cluster),
                                "another control plane's, or made after the backup that this store was restored \
                                 from: find out before you drop it",
                            )
                        }
                    });
                }
            }
        }
        if self.at_work() {
            return;
        }
        for name in &inventory.debris {
            let mend = Mend::RemoveDebris { cluster: cluster.to_owned(), name: name.clone() };
            let what = format!("{name}: half-made, and nobody is making it");
            findings.push(repairable(what, cluster_words(cluster), "doctor --repair removes it", mend));
        }
    }

    /// What should be on a cluster and is not.
    fn missing(
        &self,
        app: &App,
        cluster: &str,
        inventory: &Inventory,
        findings: &mut Vec<Finding>,
    ) -> Result<()> {
        let engine = app.clusters.get(cluster)?.cluster.engine();
        let key = |found: &Found| (found.tenant, found.isolation);
        let set = |all: &[Found]| all.iter().map(key).collect::<HashSet<_>>();
        let (roles, registered) = (set(&inventory.roles), set(&inventory.registered));
        let (schemas, databases) = (set(&inventory.schemas), set(&inventory.databases));
        for placement in self.placements.values().filter(|one| one.cluster == cluster) {
            let (tenant, isolation) = (placement.home.tenant, placement.home.isolation);
            let ready = matches!(placement.state, PlaceState::Assigned | PlaceState::Stocked);
            if !ready || matches!(self.state(tenant), Some(State::Deleting | State::Deleted)) {
                continue;
            }
            let home = (tenant, isolation);
            let data = match isolation {
                Isolation::Shared => true,
                Isolation::Schema => schemas.contains(&home),
                Isolation::Database => databases.contains(&home),
            };
            let access = engine == Engine::Sqlite || (roles.contains(&home) && registered.contains(&home));
            if data && access {
                continue;
            }
            let stocked = placement.state == PlaceState::Stocked && !self.tenants.contains_key(&tenant);
            findings.push(if stocked {
                repairable(
                    format!("it is in stock, but its home on cluster `{cluster}` is not whole"),
                    self.who(tenant),
                    "doctor --repair retires it; another one is built",
                    Mend::Retire { tenant },
                )
            } else if data {
                repairable(
                    format!("its login on cluster `{cluster}` is gone; its data is there"),
                    self.who(tenant),
                    "doctor --repair makes the login anew",
                    Mend::Rebuild { tenant },
                )
            } else {
                by_hand(
                    format!("its data on cluster `{cluster}` is gone ({})", placement.home.database),
                    self.who(tenant),
                    "restore it from a backup; an empty one is never put in its place",
                )
            });
        }
        Ok(())
    }

    /// Operations that stand still.
    fn unsettled(&self, findings: &mut Vec<Finding>) {
        for operation in self.unsettled.iter().filter(|one| one.state == work::State::Failed) {
            if canceled(operation) || !self.matters(operation) {
                continue;
            }
            let reason = operation.error.as_deref().unwrap_or("no reason was recorded");
            findings.push(repairable(
                format!("it has given up: {reason}"),
                operation_words(operation),
                "mend the reason; doctor --repair, or a retry by call, makes it go on",
                Mend::Reopen { operation: operation.id },
            ));
        }
        for (id, until) in &self.stalled {
            let Some(operation) = self.unsettled.iter().find(|one| one.id == *id) else { continue };
            let since = until.map_or_else(String::new, |at| format!(" since {at}"));
            findings.push(repairable(
                format!("its process is gone{since}"),
                operation_words(operation),
                "a running server takes it over by itself; doctor --repair puts it back in line",
                Mend::Release { operation: *id },
            ));
        }
    }

    /// Whether anybody still wants what a failed operation was to do.
    fn matters(&self, operation: &Operation) -> bool {
        let placement = stock::placement_in(&operation.input).or(operation.tenant_id);
        let placed = placement.and_then(|tenant| self.placements.get(&tenant)).map(|one| one.state);
        let state = operation.tenant_id.and_then(|tenant| self.state(tenant));
        match operation.kind.as_str() {
            ONBOARD_OPERATION => state == Some(State::Provisioning),
            DELETE_OPERATION => state == Some(State::Deleting),
            ACCESS_OPERATION => !matches!(state, Some(State::Deleting | State::Deleted) | None),
            STOCK_OPERATION => placed == Some(PlaceState::Building),
            RETIRE_OPERATION => placed == Some(PlaceState::Removing),
            _ => true,
        }
    }

    /// Tenants and placements on their way that nobody carries on.
    fn unfinished(&self, findings: &mut Vec<Finding>) {
        for tenant in self.tenants.values() {
            let placed = self.placements.get(&tenant.id).map(|one| one.state);
            let place = self.who(tenant.id);
            match tenant.state {
                State::Active | State::Suspended if placed != Some(PlaceState::Assigned) => {
                    let how = placed.map_or("none", PlaceState::word);
                    let what = format!("it is {}, but its placement is: {how}", tenant.state.word());
                    let remedy = "suspend it, find its home on the cluster or restore it from a backup";
                    findings.push(by_hand(what, place, remedy));
                }
                State::Provisioning => {
                    self.stuck(tenant, ONBOARD_OPERATION, "it waits for its home", findings);
                }
                State::Deleting => self.stuck(tenant, DELETE_OPERATION, "it waits to be removed", findings),
                State::Active | State::Suspended | State::Deleted => {}
            }
        }
        for placement in self.placements.values() {
            let tenant = placement.home.tenant;
            let nobodys = !self.tenants.contains_key(&tenant);
            let (kind, what) = match placement.state {
                PlaceState::Building if nobodys => (STOCK_OPERATION, "it is being built for the stock"),
                PlaceState::Removing if nobodys => (RETIRE_OPERATION, "it is being removed"),
                PlaceState::Assigned if nobodys => {
                    let remedy = "find out whose it is; the store has no such tenant";
                    findings.push(by_hand(
                        "it is assigned, but there is no tenant",
                        self.who(tenant),
                        remedy,
                    ));
                    continue;
                }
                PlaceState::Removing if self.state(tenant) != Some(State::Deleting) => {
                    let remedy = "find out why its home is being removed";
                    findings.push(by_hand("its home is being removed", self.who(tenant), remedy));
                    continue;
                }
                _ => continue,
            };
            // One that has given up is a finding already.
            if self.of(kind, tenant).next().is_none() {
                findings.push(repairable(
                    format!("{what}, and no operation does it"),
                    self.who(tenant),
                    "doctor --repair opens an operation that removes it",
                    Mend::Retire { tenant },
                ));
            }
        }
    }

    fn stuck(&self, tenant: &Tenant, kind: &'static str, what: &str, findings: &mut Vec<Finding>) {
        let given_up = self.of(kind, tenant.id).any(|one| one.state == work::State::Failed && !canceled(one));
        if self.going_on(kind, tenant.id) || given_up {
            return;
        }
        findings.push(repairable(
            format!("{what}, and no operation does it"),
            self.who(tenant.id),
            "doctor --repair opens the operation",
            Mend::Open { kind, tenant: tenant.id },
        ));
    }
}

// ---- mending ----

async fn mend(app: &App, mend: &Mend) -> Result<()> {
    match mend {
        Mend::ByHand => Err(Error::refused("by_hand", "this is not for a program to decide")),
        Mend::RemoveHome { cluster, tenant, isolation, .. } => {
            remove_home(app, cluster, *tenant, *isolation).await
        }
        Mend::RemoveDebris { cluster, name } => {
            if read_store(app).await?.at_work() {
                return Err(Error::conflict("work_running", "operations are at work; try again after them"));
            }
            app.clusters.get(cluster)?.cluster.drop_debris(name).await
        }
        Mend::Rebuild { tenant } => rebuild(app, *tenant).await,
        Mend::Reopen { operation } => reopen(app, *operation).await,
        Mend::Release { operation } => {
            let (id, now) = (*operation, app.clock.now());
            app.db.write(move |conn| work::store::release_stalled_in(conn, id, now)).await?;
            app.wake.work();
            Ok(())
        }
        Mend::Open { kind, tenant } => open_operation(app, kind, *tenant).await,
        Mend::Retire { tenant } => retire(app, *tenant).await,
    }
}

async fn remove_home(app: &App, cluster: &str, tenant: TenantId, isolation: Isolation) -> Result<()> {
    let cluster = &app.clusters.get(cluster)?.cluster;
    let home = cluster.home(tenant, isolation)?;
    for step in RemovalStep::of(cluster.engine(), &home) {
        if app.db.read(move |conn| placement::find_in(conn, tenant)).await?.is_some() {
            return Err(Error::conflict("home_in_use", "it has an owner by now"));
        }
        cluster.run_removal_step(step, &home).await?;
    }
    Ok(())
}

/// Makes a lost login again. The data is there, and building steps leave what is there as it is.
async fn rebuild(app: &App, tenant: TenantId) -> Result<()> {
    let placement = app.db.read(move |conn| placement::get_in(conn, tenant)).await?;
    let cluster = &app.clusters.get(&placement.cluster)?.cluster;
    for step in BuildStep::of(cluster.engine(), &placement.home) {
        if !matches!(step, BuildStep::CreateSchema | BuildStep::CreateDatabase) {
            steps_run::build(app, tenant, step.name()).await?;
        }
    }
    // A new role may sign in; whether its tenant may is the tenant's state.
    open_operation(app, ACCESS_OPERATION, tenant).await
}

async fn reopen(app: &App, id: OperationId) -> Result<()> {
    let now = app.clock.now();
    app.db
        .write(move |conn| {
            let operation = work::store::retry_in(conn, id, now)?;
            let data = json!({ "operation_id": id, "kind": operation.kind });
            let event =
                NewEvent { tenant: operation.tenant_id, ..NewEvent::global("operation.retried", data) };
            log::append_in(conn, &Caller::system("doctor"), now, event).map(drop)
        })
        .await?;
    app.wake.work();
    Ok(())
}

async fn open_operation(app: &App, kind: &'static str, id: TenantId) -> Result<()> {
    let (again, now) = (app.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            let tenant = tenants::get_in(conn, &tenants::Handle::Id(id))?;
            let steps = match kind {
                ONBOARD_OPERATION => {
                    let placement = placement::get_in(conn, id)?;
                    let mut steps = steps_run::build_names(&again, &placement.cluster, &placement.home)?;
                    steps.push(ACTIVATE.to_owned());
                    steps
                }
                DELETE_OPERATION => again.removal_steps(&tenant)?,
                _ => vec!["apply_access".to_owned()],
            };
            let begin = tenant.delete_at.filter(|_| kind == DELETE_OPERATION).unwrap_or(now);
            let new = NewOperation { kind, tenant: Some(id), input: json!({}), steps, begin, done: false };
            work::store::open_in(conn, now, new).map(drop)
        })
        .await?;
    app.wake.work();
    Ok(())
}

async fn retire(app: &App, tenant: TenantId) -> Result<()> {
    let (again, now) = (app.clone(), app.clock.now());
    app.db.write(move |conn| stock::retire_in(conn, &again, tenant, now).map(drop)).await?;
    app.wake.work();
    Ok(())
}
