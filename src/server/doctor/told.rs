//! What the store says, in one snapshot.

use std::collections::{HashMap, HashSet};

use crate::app::App;
use crate::identity::account::reset::RESET_OPERATION;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, TenantId};
use crate::mail;
use crate::placement;
use crate::placement::place::Placement;
use crate::placement::stock::{self, STOCK_OPERATION};
use crate::tenants::{self, ONBOARD_OPERATION, State, Tenant};
use crate::work::{self, Operation};

/// The store's side, in one snapshot.
pub(super) struct Told {
    pub(super) tenants: HashMap<TenantId, Tenant>,
    pub(super) placements: HashMap<TenantId, Placement>,
    /// Operations that have not succeeded.
    pub(super) unsettled: Vec<Operation>,
    pub(super) stalled: Vec<(OperationId, Option<Ts>)>,
    /// Tenants whose placements were made for the stock, whatever became of them.
    pub(super) stocked_once: HashSet<TenantId>,
}

pub(super) async fn read_store(app: &App) -> Result<Told> {
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

impl Told {
    pub(super) fn who(&self, tenant: TenantId) -> String {
        match self.tenants.get(&tenant) {
            Some(known) => format!("tenant {tenant} ({})", known.slug),
            None => format!("placement {tenant} (no tenant's yet)"),
        }
    }

    pub(super) fn state(&self, tenant: TenantId) -> Option<State> {
        self.tenants.get(&tenant).map(|known| known.state)
    }

    /// Whether something is being built or removed right now, or will be.
    pub(super) fn at_work(&self) -> bool {
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

    pub(super) fn going_on(&self, kind: &str, tenant: TenantId) -> bool {
        self.of(kind, tenant).any(|operation| !operation.state.is_final())
    }

    pub(super) fn of<'a>(&'a self, kind: &'a str, tenant: TenantId) -> impl Iterator<Item = &'a Operation> {
        self.unsettled.iter().filter(move |operation| {
            operation.kind == kind
                && (operation.tenant_id == Some(tenant)
                    || stock::placement_in(&operation.input) == Some(tenant))
        })
    }
}
