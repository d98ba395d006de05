//! Keeps a tenant's customer and subscription at Stripe as they should be. Each step looks at what is known and at
//! what is there before it makes anything.

use std::time::Duration;

use serde_json::Value;

use super::client::{Answer, id_of, mark};
use super::event::status;
use super::form::Form;
use super::{OUR_TENANT, Stripe, amount};
use crate::app::App;
use crate::billing::model::{Account, Status, Wanted};
use crate::billing::store;
use crate::catalog::model::Interval;
use crate::config::settings::Collection;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::tenants::{self, Handle};
use crate::work::Operation;

/// How much earlier than ours Stripe's clock may be.
pub(super) const SKEW: Duration = Duration::from_secs(300);
/// How often what is wanted may change under a step before it ends, to be tried again.
const CHANGES: usize = 20;

impl Stripe {
    /// Sees to it that there is a customer.
    pub(super) async fn customer(&self, app: &App, tenant: TenantId, operation: &Operation) -> Result<()> {
        let Some(account) = current(app, tenant, operation).await? else { return Ok(()) };
        if account.customer_ref.is_some() || !account.wanted.charges() {
            return Ok(());
        }
        let since = account.created_at.minus(SKEW).seconds();
        let made = self.client.list("/v1/customers", &Form::new().with("created[gte]", since)).await?;
        let ours = made.iter().find(|one| mark(one, OUR_TENANT) == Some(tenant.to_string().as_str()));
        let customer = match ours {
            Some(customer) => customer.clone(),
            None => {
                let again = app.clone();
                let (name, email) = app
                    .db
                    .read(move |conn| {
                        let name = tenants::get_in(conn, &Handle::Id(tenant))?.name;
                        Ok((name, again.owner_email_in(conn, tenant)?))
                    })
                    .await?;
                let form = Form::new()
                    .with("name", name)
                    .maybe("email", email)
                    .with(format!("metadata[{OUR_TENANT}]"), tenant);
                let once = format!("{}-customer-{}", operation.id, account.round);
                let answer = self.client.post("/v1/customers", &form, &once).await?;
                kept(app, tenant, answer).await?
            }
        };
        let id = id_of(&customer)?.to_owned();
        change(app, tenant, move |account| account.customer_ref = Some(id.clone())).await
    }

    /// Brings the subscription up to date with what is wanted, however often that changes meanwhile.
    pub(super) async fn subscription(
        &self,
        app: &App,
        tenant: TenantId,
        operation: &Operation,
    ) -> Result<()> {
        for _ in 0..CHANGES {
            let Some(account) = current(app, tenant, operation).await? else { return Ok(()) };
            if account.synced_rev != account.wanted_rev {
                self.sync(app, operation, &account).await?;
            }
            if finish(app, tenant, account.wanted_rev).await? {
                return Ok(());
            }
            // Something else was wanted meanwhile, and it may need a customer.
            self.customer(app, tenant, operation).await?;
        }
        Err(Error::conflict("changing", "what is wanted changes faster than it can be told"))
    }

    async fn sync(&self, app: &App, operation: &Operation, account: &Account) -> Result<()> {
        let (tenant, wanted) = (account.tenant_id, &account.wanted);
        match &account.subscription_ref {
            None if !wanted.charges() => Ok(()),
            Some(id) if !wanted.charges() => {
                match self.client.delete(&format!("/v1/subscriptions/{id}")).await? {
                    Answer::No { code, error } if code != "resource_missing" => return Err(error),
                    Answer::Spent => return Err(spent(app, tenant).await?),
                    Answer::No { .. } | Answer::Done(_) => {}
                }
                let now = app.clock.now();
                change(app, tenant, move |account| {
                    (account.subscription_ref, account.item_ref) = (None, None);
                    account.status = Some(Status::Ended);
                    // Stripe counts seconds: its own word on this is not older.
                    account.status_at = Ts::from_micros(now.seconds().saturating_mul(1_000_000));
                })
                .await
            }
            Some(id) => {
                self.product(app, operation, account).await?;
                let form = self.updated(account, app.clock.now())?;
                let once = key(operation, account, "update");
                let answer = self.client.post(&format!("/v1/subscriptions/{id}"), &form, &once).await?;
                let gone = matches!(&answer, Answer::No { code, .. } if code == "resource_missing");
                if gone {
                    // It ended there: the next look makes another.
                    change(app, tenant, |account| {
                        (account.subscription_ref, account.item_ref) = (None, None)
                    })
                    .await?;
                    return Err(Error::conflict(
                        "subscription_gone",
                        "the subscription ended at Stripe; making another",
                    ));
                }
                let subscription = kept(app, tenant, answer).await?;
                learn(app, tenant, &subscription).await
            }
            None => {
                self.product(app, operation, account).await?;
                let subscription = self.created(app, operation, account).await?;
                learn(app, tenant, &subscription).await
            }
        }
    }

    /// A product for each plan, under an id of ours: making it twice is making it once.
    async fn product(&self, app: &App, operation: &Operation, account: &Account) -> Result<()> {
        let form = Form::new()
            .with("id", product_id(&account.wanted))
            .with("name", &account.wanted.name)
            .with("metadata[tenantry_plan]", &account.wanted.plan);
        match self.client.post("/v1/products", &form, &key(operation, account, "product")).await? {
            Answer::No { code, error } if code != "resource_already_exists" => Err(error),
            Answer::Spent => Err(spent(app, account.tenant_id).await?),
            Answer::No { .. } | Answer::Done(_) => Ok(()),
        }
    }

    /// The tenant's running subscription, made when there is none.
    async fn created(&self, app: &App, operation: &Operation, account: &Account) -> Result<Value> {
        let (tenant, wanted) = (account.tenant_id, &account.wanted);
        let customer = account
            .customer_ref
            .as_ref()
            .ok_or_else(|| Error::conflict("no_customer", "there is no customer at Stripe yet"))?;
        let filter = Form::new().with("customer", customer).with("status", "all");
        let all = self.client.list("/v1/subscriptions", &filter).await?;
        let runs = |one: &&Value| {
            let word = one.get("status").and_then(Value::as_str).unwrap_or("");
            status(word, false) != Some(Status::Ended)
                && mark(one, OUR_TENANT) == Some(tenant.to_string().as_str())
        };
        let found = all.iter().find(runs).cloned();
        let known = found.is_some();
        let mut subscription = match found {
            Some(subscription) => subscription,
            None => {
                let form = self
                    .priced(Form::new().with("customer", customer), wanted)?
                    .maybe("trial_end", trial_end(wanted, app.clock.now()))
                    .with("cancel_at_period_end", wanted.cancel_at_period_end)
                    .with(format!("metadata[{OUR_TENANT}]"), tenant)
                    .with("metadata[tenantry_plan]", &wanted.plan);
                let form = self.collected(form);
                let answer = self
                    .client
                    .post("/v1/subscriptions", &form, &key(operation, account, "subscription"))
                    .await?;
                kept(app, tenant, answer).await?
            }
        };
        // One that was there may be of another price; and a pause cannot be asked for when one is made.
        if known || wanted.paused {
            let item_ref = item_of(&subscription);
            let form = self.updated(&Account { item_ref, ..account.clone() }, app.clock.now())?;
            let path = format!("/v1/subscriptions/{}", id_of(&subscription)?);
            let answer = self.client.post(&path, &form, &key(operation, account, "match")).await?;
            subscription = kept(app, tenant, answer).await?;
        }
        Ok(subscription)
    }

    fn updated(&self, account: &Account, now: Ts) -> Result<Form> {
        let wanted = &account.wanted;
        let item =
            account.item_ref.as_ref().ok_or_else(|| Error::internal("a subscription without an item"))?;
        let form = self
            .priced(Form::new().with("items[0][id]", item), wanted)?
            .maybe("trial_end", trial_end(wanted, now))
            .with("cancel_at_period_end", wanted.cancel_at_period_end)
            .with("metadata[tenantry_plan]", &wanted.plan);
        Ok(match wanted.paused {
            true => form.with("pause_collection[behavior]", "void"),
            false => form.with("pause_collection", ""),
        })
    }

    /// The price comes along with the subscription. What a change costs is reckoned by us, so Stripe must not.
    fn priced(&self, form: Form, wanted: &Wanted) -> Result<Form> {
        let interval = match wanted.interval {
            Interval::Month => "month",
            Interval::Year => "year",
        };
        Ok(form
            .with("items[0][price_data][currency]", wanted.currency.to_ascii_lowercase())
            .with("items[0][price_data][product]", product_id(wanted))
            .with("items[0][price_data][unit_amount]", amount::to_stripe(wanted.price, &wanted.currency)?)
            .with("items[0][price_data][recurring][interval]", interval)
            .with("proration_behavior", "none"))
    }

    pub(super) fn collected(&self, form: Form) -> Form {
        match self.collection {
            Collection::SendInvoice => {
                form.with("collection_method", "send_invoice").with("days_until_due", self.days_until_due)
            }
            Collection::ChargeAutomatically => form.with("collection_method", "charge_automatically"),
        }
    }
}

fn product_id(wanted: &Wanted) -> String {
    format!("tenantry_{}", wanted.plan)
}

fn trial_end(wanted: &Wanted, now: Ts) -> Option<i64> {
    wanted.trial_ends_at.filter(|end| *end > now).map(Ts::seconds)
}

fn item_of(subscription: &Value) -> Option<String> {
    subscription.pointer("/items/data/0/id").and_then(Value::as_str).map(str::to_owned)
}

fn key(operation: &Operation, account: &Account, what: &str) -> String {
    format!("{}-{what}-{}-{}", operation.id, account.wanted_rev, account.round)
}

/// The account, when this operation is the one that works on it.
async fn current(app: &App, tenant: TenantId, operation: &Operation) -> Result<Option<Account>> {
    let account = app.db.read(move |conn| store::account(conn, tenant)).await?;
    Ok(account.filter(|account| account.operation_id == Some(operation.id)))
}

/// Changes what is known of the account.
pub(super) async fn change(
    app: &App,
    tenant: TenantId,
    work: impl Fn(&mut Account) + Send + Sync + 'static,
) -> Result<()> {
    let now = app.clock.now();
    app.db
        .write(move |conn| {
            let Some(mut account) = store::account(conn, tenant)? else { return Ok(()) };
            work(&mut account);
            account.updated_at = now;
            store::save_account(conn, &account)
        })
        .await
}

/// Takes in what Stripe answered about the subscription.
async fn learn(app: &App, tenant: TenantId, subscription: &Value) -> Result<()> {
    let id = id_of(subscription)?.to_owned();
    let item = item_of(subscription);
    let paused = subscription.get("pause_collection").is_some_and(|pause| !pause.is_null());
    let stands = subscription.get("status").and_then(Value::as_str).and_then(|word| status(word, paused));
    change(app, tenant, move |account| {
        (account.subscription_ref, account.item_ref) = (Some(id.clone()), item.clone());
        account.status = stands.or(account.status);
    })
    .await
}

/// What an answer holds; a spent idempotency key makes it an error after which the next try has another.
pub(super) async fn kept(app: &App, tenant: TenantId, answer: Answer) -> Result<Value> {
    match answer.done()? {
        Some(value) => Ok(value),
        None => Err(spent(app, tenant).await?),
    }
}

/// The next try uses another idempotency key.
async fn spent(app: &App, tenant: TenantId) -> Result<Error> {
    change(app, tenant, |account| account.round = account.round.saturating_add(1)).await?;
    Ok(Error::unavailable(
        "stripe_failed",
        "Stripe failed, and keeps that answer; the next try looks what came of it, and asks anew",
        "a spent idempotency key",
    ))
}

/// Ends the operation's hold on the account, when what it told is still what is wanted.
async fn finish(app: &App, tenant: TenantId, told: i64) -> Result<bool> {
    let now = app.clock.now();
    app.db
        .write(move |conn| {
            let Some(mut account) = store::account(conn, tenant)? else { return Ok(true) };
            account.synced_rev = account.synced_rev.max(told);
            let done = account.wanted_rev == told;
            if done {
                account.operation_id = None;
            }
            account.updated_at = now;
            store::save_account(conn, &account)?;
            Ok(done)
        })
        .await
}
