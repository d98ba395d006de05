//! What follows from payments: billing lies below and tells of them, in the transaction that records them.

use super::apply::{apply_in, rules};
use super::model::life::Moved;
use super::model::{Rules, Subscription};
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::billing::{self, Invoice, PaymentNews};
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;

/// Hears of payments for subscriptions.
pub struct Payments;

impl PaymentNews for Payments {
    fn paid_in(&self, conn: &mut Conn, app: &App, caller: &Caller, now: Ts, invoice: &Invoice) -> Result<()> {
        self.settled_in(conn, app, caller, now, invoice)
    }

    fn voided_in(
        &self,
        conn: &mut Conn,
        app: &App,
        caller: &Caller,
        now: Ts,
        invoice: &Invoice,
    ) -> Result<()> {
        self.settled_in(conn, app, caller, now, invoice)
    }

    fn failed_in(
        &self,
        conn: &mut Conn,
        app: &App,
        caller: &Caller,
        now: Ts,
        tenant: TenantId,
    ) -> Result<()> {
        follow_in(conn, app, caller, now, tenant, |_, one, _, rules| one.collection_failed(rules, now))
    }

    fn ended_in(&self, conn: &mut Conn, app: &App, caller: &Caller, now: Ts, tenant: TenantId) -> Result<()> {
        follow_in(conn, app, caller, now, tenant, |_, one, _, rules| {
            if one.canceled_at.is_some() { Ok(None) } else { one.cancel(false, rules, now).map(Some) }
        })
    }
}

impl Payments {
    /// An invoice is no longer open: what followed from it is cleared, unless another is.
    fn settled_in(
        &self,
        conn: &mut Conn,
        app: &App,
        caller: &Caller,
        now: Ts,
        invoice: &Invoice,
    ) -> Result<()> {
        follow_in(conn, app, caller, now, invoice.tenant_id, |conn, one, version, rules| {
            let unpaid_since = billing::open_since_in(conn, one.tenant, one.id)?;
            one.paid(unpaid_since, version, rules, now)
        })
    }
}

fn follow_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    now: Ts,
    tenant: TenantId,
    decide: impl Fn(&mut Conn, Subscription, &PlanVersion, &Rules) -> Result<Option<Moved>>,
) -> Result<()> {
    let Some(before) = store::find(conn, tenant)? else { return Ok(()) };
    let version = app.catalogue.version_in(conn, before.version)?;
    let rules = rules(app, &before.time_zone)?;
    match decide(conn, before.clone(), &version, &rules)? {
        Some(moved) => apply_in(conn, app, caller, now, &before, moved).map(drop),
        None => Ok(()),
    }
}
