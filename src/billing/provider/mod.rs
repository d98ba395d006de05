//! Who collects: the one interface, and those who keep it. Which one it is stands in `billing.provider`.

mod manual;
pub mod stripe;

use super::model::{Notice, Wanted};
use crate::app::App;
use crate::auth::Caller;
use crate::config::Settings;
use crate::config::settings::BillingProvider;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::work::Operation;
use crate::work::runner::Running;

/// Collects what invoices say. What it does outside is an operation, which [`Provider::run`] carries out.
pub trait Provider: Send + Sync {
    /// Its name in the configuration and the API.
    fn word(&self) -> &'static str;

    /// Takes over what a tenant has bought, in the caller's transaction; answers the operation that tells those
    /// outside, if there is anybody to tell.
    ///
    /// # Errors
    /// The store's.
    fn hand_over_in(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        now: Ts,
        tenant: TenantId,
        wanted: Wanted,
    ) -> Result<Option<Operation>>;

    /// Does a step of one of its operations. Twice is the same as once.
    fn run<'a>(&'a self, app: &'a App, operation: &'a Operation, step: &'a str) -> Running<'a>;

    /// Reads a notification, when its signature proves that it is the provider's and fresh.
    ///
    /// # Errors
    /// What is wrong with it; a refusal when this provider sends none.
    fn notice(&self, signature: Option<&str>, raw: &[u8], now: Ts) -> Result<Notice>;
}

/// The configured provider.
///
/// # Errors
/// As [`stripe::Stripe::open`].
pub fn open(settings: &Settings) -> Result<Box<dyn Provider>> {
    Ok(match settings.billing.provider {
        BillingProvider::Manual => Box::new(manual::Manual),
        BillingProvider::Stripe => Box::new(stripe::Stripe::open(&settings.billing)?),
    })
}
