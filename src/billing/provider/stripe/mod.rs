//! Stripe collects: a customer and a subscription for each tenant that pays, kept in step with what it has bought;
//! lines beside the plan's price as invoice items. People pay on Stripe's pages: no card data comes here.
//!
//! Calls are made by operations, with Stripe's idempotency keys, and look before they make: whatever came of a call
//! that was cut off, there is one customer and one subscription.
//!
//! Source: Stripe's API reference and its OpenAPI document, version [`client::VERSION`].

mod amount;
mod charge;
mod client;
mod event;
mod form;
mod hand_over;
mod signature;

use secrecy::{ExposeSecret as _, SecretString};

use self::client::Client;
use super::Provider;
use crate::app::App;
use crate::auth::Caller;
use crate::billing::events::BillingHandedOver;
use crate::billing::model::{Account, Notice, Wanted};
use crate::billing::{CHARGE_OPERATION, HAND_OVER_OPERATION, store};
use crate::config::settings::{self, Collection};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::{self, NewEvent};
use crate::work::runner::Running;
use crate::work::{self, NewOperation, Operation};

/// The metadata by which we know what is ours.
const OUR_TENANT: &str = "tenantry_tenant";

/// An account at Stripe.
pub struct Stripe {
    client: Client,
    webhook_secret: SecretString,
    collection: Collection,
    days_until_due: u64,
}

impl Stripe {
    /// Prepares calls; makes none.
    ///
    /// # Errors
    /// [`Error::Refused`] without keys, or when no TLS can be had.
    pub fn open(billing: &settings::Billing) -> Result<Self> {
        let settings = &billing.stripe;
        let (Some(key), Some(secret)) = (&settings.secret_key, &settings.webhook_secret) else {
            return Err(Error::refused(
                "stripe_keys",
                "Stripe needs billing.stripe.secret_key and .webhook_secret",
            ));
        };
        Ok(Self {
            client: Client::open(settings, key.clone())?,
            webhook_secret: secret.clone(),
            collection: settings.collection,
            days_until_due: billing.due_after.as_secs() / 86_400,
        })
    }
}

impl Provider for Stripe {
    fn word(&self) -> &'static str {
        "stripe"
    }

    fn hand_over_in(
        &self,
        conn: &mut Conn,
        caller: &Caller,
        now: Ts,
        tenant: TenantId,
        wanted: Wanted,
    ) -> Result<Option<Operation>> {
        let known = store::account(conn, tenant)?;
        if known.is_none() && !wanted.charges() {
            // Who never paid and does not now is none of Stripe's business.
            return Ok(None);
        }
        let mut account = known.unwrap_or_else(|| Account::new(tenant, wanted.clone(), now));
        (account.wanted, account.updated_at) = (wanted, now);
        account.wanted_rev += 1;
        // One operation at a time: the one at work looks again before it ends.
        let running = match account.operation_id {
            Some(id) => Some(work::store::get(conn, id)?).filter(|operation| !operation.state.is_final()),
            None => None,
        };
        let operation = match running {
            Some(operation) => operation,
            None => work::store::open_in(
                conn,
                now,
                NewOperation {
                    kind: HAND_OVER_OPERATION,
                    tenant: Some(tenant),
                    input: serde_json::json!({}),
                    steps: vec!["customer".to_owned(), "subscription".to_owned()],
                    begin: now,
                    done: false,
                },
            )?,
        };
        account.operation_id = Some(operation.id);
        store::save_account(conn, &account)?;
        let handed = BillingHandedOver { provider: self.word().to_owned(), wanted: account.wanted };
        log::append_in(conn, caller, now, NewEvent::of(tenant, handed))?;
        Ok(Some(operation))
    }

    fn run<'a>(&'a self, app: &'a App, operation: &'a Operation, step: &'a str) -> Running<'a> {
        Box::pin(async move {
            let tenant =
                operation.tenant_id.ok_or_else(|| Error::internal("the operation names no tenant"))?;
            match (operation.kind.as_str(), step) {
                (HAND_OVER_OPERATION, "customer") => self.customer(app, tenant, operation).await,
                (HAND_OVER_OPERATION, _) => self.subscription(app, tenant, operation).await,
                (CHARGE_OPERATION, _) => self.charge(app, tenant, operation).await,
                (other, _) => Err(Error::internal(format!("{other} is none of Stripe's"))),
            }
        })
    }

    fn notice(&self, signature: Option<&str>, raw: &[u8], now: Ts) -> Result<Notice> {
        signature::check(self.webhook_secret.expose_secret(), signature, raw, now)?;
        event::read(raw)
    }
}
