//! One look at everything: the clusters first, the store after.

use std::collections::BTreeMap;

use super::Report;
use super::told::read_store;
use super::words::{by_hand, cluster_words};
use crate::app::App;
use crate::kernel::error::Result;
use crate::tenants::{State, Tenant};

pub(super) async fn look(app: &App) -> Result<Report> {
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
