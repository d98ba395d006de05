//! What the clusters hold against what the store says of homes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::told::Told;
use super::words::{by_hand, cluster_words, repairable};
use super::{Finding, Mend};
use crate::app::App;
use crate::kernel::engine::Engine;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::placement::place::PlaceState;
use crate::placement::steps::{Found, Inventory};
use crate::tenants::State;

impl Told {
    /// What is on a cluster and should not be.
    pub(super) fn strangers(&self, cluster: &str, inventory: &Inventory, findings: &mut Vec<Finding>) {
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
    pub(super) fn missing(
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
}
