//! Operations that stand still, and tenants and placements that nobody carries on.

use super::told::Told;
use super::words::{by_hand, operation_words, repairable};
use super::{Finding, Mend};
use crate::placement::place::PlaceState;
use crate::placement::stock::{self, RETIRE_OPERATION, STOCK_OPERATION};
use crate::tenants::{ACCESS_OPERATION, DELETE_OPERATION, ONBOARD_OPERATION, State, Tenant};
use crate::work::{self, Operation};

/// A canceled operation ended because nobody wants its outcome any more.
fn canceled(operation: &Operation) -> bool {
    operation.error.as_deref().is_some_and(|error| error.starts_with(work::CANCELED))
}

impl Told {
    /// Operations that stand still.
    pub(super) fn unsettled(&self, findings: &mut Vec<Finding>) {
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
    pub(super) fn unfinished(&self, findings: &mut Vec<Finding>) {
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
