//! Who wants to know of payments. Billing lies below subscriptions, so it tells whoever listens.

use super::model::Invoice;
use crate::app::App;
use crate::auth::Caller;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;

/// Hears of payments in the transaction that records them: what follows from one is true with it, or not at all.
pub trait PaymentNews: Send + Sync {
    /// An invoice is paid.
    ///
    /// # Errors
    /// The store's; the payment is then not recorded either.
    fn paid_in(&self, conn: &mut Conn, app: &App, caller: &Caller, now: Ts, invoice: &Invoice) -> Result<()>;

    /// An invoice was taken back.
    ///
    /// # Errors
    /// The store's.
    fn voided_in(
        &self,
        conn: &mut Conn,
        app: &App,
        caller: &Caller,
        now: Ts,
        invoice: &Invoice,
    ) -> Result<()>;

    /// The provider tried to collect from a tenant and failed. It will try again, or give up and say so.
    ///
    /// # Errors
    /// The store's.
    fn failed_in(&self, conn: &mut Conn, app: &App, caller: &Caller, now: Ts, tenant: TenantId)
    -> Result<()>;

    /// The provider ended a tenant's subscription without being asked to: it gave up collecting, or somebody ended it there.
    ///
    /// # Errors
    /// The store's.
    fn ended_in(&self, conn: &mut Conn, app: &App, caller: &Caller, now: Ts, tenant: TenantId) -> Result<()>;
}
