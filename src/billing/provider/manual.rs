//! People collect: invoices are data and pages, and an operator marks them paid.

use super::Provider;
use crate::app::App;
use crate::auth::Caller;
use crate::billing::model::{Notice, Wanted};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::work::runner::Running;
use crate::work::{GIVEN_UP, Operation};

/// Nobody outside is told anything.
pub struct Manual;

impl Provider for Manual {
    fn word(&self) -> &'static str {
        "manual"
    }

    fn hand_over_in(
        &self,
        _: &mut Conn,
        _: &Caller,
        _: Ts,
        _: TenantId,
        _: Wanted,
    ) -> Result<Option<Operation>> {
        Ok(None)
    }

    fn run<'a>(&'a self, _: &'a App, _: &'a Operation, _: &'a str) -> Running<'a> {
        // From before the configuration changed.
        let gone = "billing.provider is manual now: what was charged elsewhere before must be ended there";
        Box::pin(std::future::ready(Err(Error::refused(GIVEN_UP, gone))))
    }

    fn notice(&self, _: Option<&str>, _: &[u8], _: Ts) -> Result<Notice> {
        Err(Error::refused("billing_is_manual", "no notifications are expected: billing.provider is manual"))
    }
}
