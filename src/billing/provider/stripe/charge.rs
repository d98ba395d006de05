//! Gives Stripe what an invoice charges beside the plan's price, as invoice items: they go on the subscription's next
//! invoice, or on one of their own when there is no subscription any more.

use std::collections::BTreeSet;

use super::client::{id_of, mark};
use super::form::Form;
use super::hand_over::{SKEW, kept};
use super::{Stripe, amount};
use crate::app::App;
use crate::billing::model::{Account, Invoice, State};
use crate::billing::store;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{InvoiceId, TenantId};
use crate::work::Operation;

const OUR_INVOICE: &str = "tenantry_invoice";
const OUR_LINE: &str = "tenantry_line";
/// The most letters of a description.
const DESCRIPTION: usize = 500;

impl Stripe {
    /// Charges an invoice's lines, each once.
    pub(super) async fn charge(&self, app: &App, tenant: TenantId, operation: &Operation) -> Result<()> {
        let id = operation.input.get("invoice_id").and_then(|id| id.as_str()).unwrap_or_default();
        let id: InvoiceId = id.parse().map_err(Error::internal)?;
        let (account, invoice) =
            app.db.read(move |conn| Ok((store::account(conn, tenant)?, store::get(conn, id)?))).await?;
        let Some(account) = account.filter(|_| invoice.state != State::Void) else { return Ok(()) };
        let waits = account.wanted.charges() && account.subscription_ref.is_none();
        let Some(customer) = account.customer_ref.clone().filter(|_| !waits) else {
            return Err(Error::unavailable(
                "not_handed_over",
                "the tenant's subscription is not known to Stripe yet; its hand-over must succeed first",
                "no subscription",
            ));
        };
        let there = self.charged(&customer, &invoice).await?;
        for (position, line) in
            invoice.extras().filter(|(position, _)| !there.contains(&position.to_string()))
        {
            let description: String = line.description.chars().take(DESCRIPTION).collect();
            let form = Form::new()
                .with("customer", &customer)
                .with("amount", amount::to_stripe(line.amount, &invoice.currency)?)
                .with("currency", invoice.currency.to_ascii_lowercase())
                .with("description", description)
                .maybe("period[start]", line.period.map(|period| period.start.seconds()))
                .maybe("period[end]", line.period.map(|period| period.end.seconds()))
                .maybe("subscription", account.subscription_ref.as_ref())
                .with(format!("metadata[{OUR_INVOICE}]"), invoice.id)
                .with(format!("metadata[{OUR_LINE}]"), position);
            let once = format!("{}-line-{position}-{}", operation.id, account.round);
            let answer = self.client.post("/v1/invoiceitems", &form, &once).await?;
            id_of(&kept(app, tenant, answer).await?)?;
        }
        if account.subscription_ref.is_none() {
            self.bill(app, operation, &account, &customer, &invoice).await?;
        }
        Ok(())
    }

    /// The lines of the invoice that are there already.
    async fn charged(&self, customer: &str, invoice: &Invoice) -> Result<BTreeSet<String>> {
        let since = invoice.created_at.minus(SKEW).seconds();
        let filter = Form::new().with("customer", customer).with("created[gte]", since);
        let items = self.client.list("/v1/invoiceitems", &filter).await?;
        let ours = items.iter().filter(|item| is_of(item, invoice));
        Ok(ours.filter_map(|item| mark(item, OUR_LINE)).map(str::to_owned).collect())
    }

    async fn bill(
        &self,
        app: &App,
        operation: &Operation,
        account: &Account,
        customer: &str,
        invoice: &Invoice,
    ) -> Result<()> {
        let since = invoice.created_at.minus(SKEW).seconds();
        let filter = Form::new().with("customer", customer).with("created[gte]", since);
        let there = self.client.list("/v1/invoices", &filter).await?;
        if there.iter().any(|one| is_of(one, invoice)) {
            return Ok(());
        }
        let form = Form::new()
            .with("customer", customer)
            .with("currency", invoice.currency.to_ascii_lowercase())
            .with("auto_advance", true)
            .with("pending_invoice_items_behavior", "include")
            .with(format!("metadata[{OUR_INVOICE}]"), invoice.id);
        let once = format!("{}-invoice-{}", operation.id, account.round);
        let answer = self.client.post("/v1/invoices", &self.collected(form), &once).await?;
        id_of(&kept(app, account.tenant_id, answer).await?)?;
        Ok(())
    }
}

fn is_of(object: &serde_json::Value, invoice: &Invoice) -> bool {
    mark(object, OUR_INVOICE) == Some(invoice.id.to_string().as_str())
}
