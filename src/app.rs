//! What all handlers and workers share. Cheap to clone.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::audit::Desk;
use crate::auth::Caller;
use crate::auth::throttle::Throttle;
use crate::billing::{PaymentNews, Provider, UsageSource};
use crate::catalog::{Shelf, Source};
use crate::config::{Entry, Settings};
use crate::db::{Conn, Db};
use crate::feeds::Tail;
use crate::http::Attempt;
use crate::http::idempotency::{InProgress, Key};
use crate::identity;
use crate::identity::sessions::memory::SignedIn;
use crate::identity::token::Tokens;
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::limits::Buckets;
use crate::kernel::purse::Purses;
use crate::kernel::vault::Vault;
use crate::keys;
use crate::keys::ring::Ring;
use crate::keys::used::Uses;
use crate::log::aside::Aside;
use crate::log::catalogue::FactType;
use crate::log::memory::{Freshness, Listener};
use crate::log::{self, Notice};
use crate::mail::Mailer;
use crate::metering::ingest::{Intake, commands::Known};
use crate::metering::quota::Till;
use crate::onboarding::removal;
use crate::placement::access;
use crate::placement::clusters::Clusters;
use crate::placement::connections::TenantConnections;
use crate::placement::router::{self, Router};
use crate::tenants::{Handle, State, Tenant};
use crate::webhooks::Outbox;
use crate::work;
use crate::work::failpoint;
use crate::work::runner::Wake;

/// How long a suspension or resumption waits for its cluster before it answers.
const INLINE_ACCESS: Duration = Duration::from_secs(2);

/// How long after the store did not answer it is asked again what is sold.
const AGAIN: Duration = Duration::from_secs(1);

/// The parts.
pub struct Parts {
    /// The effective settings.
    pub settings: Settings,
    /// Every effective key with where its value came from, secrets redacted.
    pub provenance: Vec<Entry>,
    /// The plans that are sold, and every edition that somebody holds.
    pub catalogue: Shelf,
    /// Where they are read from.
    pub plans_source: Source,
    /// Who collects what invoices say.
    pub billing: Box<dyn Provider>,
    /// Who wants to know of payments.
    pub payment_news: Vec<Arc<dyn PaymentNews>>,
    /// Who knows what was used, for invoices.
    pub usage: Option<Arc<dyn UsageSource>>,
    /// The control store.
    pub db: Db,
    /// The present.
    pub clock: Clock,
    /// Encryption at rest.
    pub vault: Vault,
    /// Access tokens.
    pub tokens: Tokens,
    /// Letters to people.
    pub mailer: Mailer,
    /// Who is signed in, in memory.
    pub signed_in: SignedIn,
    /// Bounds on guessing.
    pub throttle: Throttle,
    /// The clusters and the application's schema.
    pub clusters: Clusters,
    /// Connections to tenants' data.
    pub connections: TenantConnections,
    /// Whether memory may be believed.
    pub freshness: Freshness,
    /// Tenants and their placements, in memory.
    pub router: Router,
    /// How much of their rate limits keys and tenants have used.
    pub buckets: Arc<Buckets>,
    /// What tenants' keys may use of quotas without asking the store.
    pub purses: Purses,
    /// Where counters of quotas are changed, and what memory knows of them.
    pub till: Till,
    /// Where usage is written.
    pub intake: Intake,
    /// The catalogue's meters, by the events that they take.
    pub known_meters: Known,
    /// What wakes the sender of webhooks.
    pub webhooks: Outbox,
    /// Keys, in memory.
    pub ring: Ring,
    /// When keys were used, not written yet.
    pub uses: Uses,
    /// The end of the log, for those who follow it.
    pub tail: Tail,
    /// What happens too often for an event each.
    pub aside: Aside,
    /// What is given out of the audit trail at once.
    pub audit: Desk,
    /// Wakes the workers.
    pub wake: Wake,
    /// Tells the clockwork of subscriptions that what is due next has changed.
    pub subscriptions_due: Notify,
    /// Tells the stock keeper that a placement was taken.
    pub stock_taken: Notify,
    /// Requests with an idempotency key that are at work.
    pub in_progress: InProgress,
    /// Cancelled when the process is to end.
    pub stopping: CancellationToken,
}

/// A handle on the parts.
#[derive(Clone)]
pub struct App(Arc<Parts>);

impl Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Every kind of event that the product appends. A capability with an `events.rs` has its line here.
#[must_use]
pub fn facts() -> Vec<&'static FactType> {
    let all = [
        crate::billing::events::facts(),
        crate::catalog::events::facts(),
        crate::identity::events::facts(),
        crate::keys::events::facts(),
        crate::log::events::facts(),
        crate::metering::events::facts(),
        crate::onboarding::events::facts(),
        crate::subscriptions::events::facts(),
        crate::tenants::events::facts(),
        crate::webhooks::events::facts(),
        crate::work::events::facts(),
    ];
    all.concat()
}

impl App {
    /// Shares the parts, and tells the log what can happen in them.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        log::catalogue::install(facts());
        Self(Arc::new(parts))
    }

    /// Begins an attempt at a request that creates something.
    ///
    /// # Errors
    /// As [`Attempt::begin`].
    pub fn attempt(&self, caller: &Caller, key: Key, body: &[u8]) -> Result<Arc<Attempt>> {
        Attempt::begin(&self.in_progress, &self.vault, self.settings.idempotency.ttl, caller, key, body)
    }

    /// Drops what memory holds of a tenant that changed.
    pub async fn forget_tenant(&self, tenant: TenantId) {
        self.router.forget(tenant).await;
    }

    /// Carries a tenant's suspension or resumption out on its cluster before the command answers. What does
    /// not come about in time is left to the operation, which goes on trying.
    pub async fn apply_access(&self, tenant: TenantId, operation: OperationId) {
        let applied = tokio::time::timeout(INLINE_ACCESS, access::apply(self, tenant)).await;
        failpoint::reach(|| "access/applied".to_owned()).await;
        if matches!(applied, Ok(Ok(()))) {
            let now = self.clock.now();
            let recorded = self.db.write(move |conn| work::store::complete_in(conn, operation, now)).await;
            if let Err(error) = recorded {
                tracing::debug!(error = %error, "an operation will find its work done");
            }
        }
    }

    /// A tenant was made: work may be due, and the stock may be short.
    pub fn new_tenant(&self) {
        self.wake.work();
        self.stock_taken.notify_one();
    }

    /// How many admins there are among operator keys and operators who are people, locked where the engine
    /// can: what removes one asks in its own transaction.
    ///
    /// # Errors
    /// The store's.
    pub fn good_admins_in(&self, conn: &mut Conn, now: Ts) -> Result<usize> {
        Ok(keys::count_good_admins_in(conn, now)? + identity::count_good_admins_in(conn)?)
    }

    /// The address of a tenant's owner, for mail about its account.
    ///
    /// # Errors
    /// The store's.
    pub fn owner_email_in(&self, conn: &mut Conn, tenant: TenantId) -> Result<Option<String>> {
        identity::owner_email_in(conn, tenant)
    }

    /// The names of the steps that remove a tenant.
    ///
    /// # Errors
    /// As [`removal::step_names`].
    pub fn removal_steps(&self, tenant: &Tenant) -> Result<Vec<String>> {
        removal::step_names(self, tenant)
    }
}

/// Keeps this process's memory in step with what other replicas do.
pub struct Forgetter(pub App);

impl Forgetter {
    /// Looks at what is sold again, until the store answers.
    fn sell_anew(&self) {
        let app = self.0.clone();
        tokio::spawn(async move {
            while let Err(error) = app.catalogue.reload(&app.db).await {
                tracing::warn!(error = %error, "the catalogue could not be read again; trying again soon");
                if app.stopping.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
                    return;
                }
            }
        });
    }

    async fn is_active(&self, tenant: TenantId) -> bool {
        let resident = router::find(&self.0, &Handle::Id(tenant)).await;
        resident.is_ok_and(|resident| resident.state == State::Active)
    }
}

impl Listener for Forgetter {
    fn hear<'a>(&'a self, notice: &'a Notice) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            if let Some(tenant) = notice.tenant_id {
                self.0.forget_tenant(tenant).await;
                let stops = ["tenant.suspended", "tenant.deletion_scheduled", "tenant.deleted"];
                // The news may be old: what counts is how the tenant stands now.
                if stops.contains(&notice.kind.as_str()) && !self.is_active(tenant).await {
                    self.0.connections.close_tenant(tenant);
                }
            }
            if let Some(key) = notice.key_id.as_ref().and_then(|id| id.parse().ok()) {
                self.0.ring.forget(key).await;
            }
            if let Some(user) = &notice.user_id {
                self.0.signed_in.forget_named(user).await;
            }
            if let Some(session) = notice.session_id.as_ref().and_then(|id| id.parse().ok()) {
                self.0.signed_in.forget_session(session).await;
            }
            if notice.kind == "catalogue.loaded" {
                self.sell_anew();
            }
            if notice.kind.starts_with("signing_key.")
                && let Err(error) = self.0.tokens.reload(&self.0.db, &self.0.vault).await
            {
                tracing::warn!(error = %error, "new signing keys could not be read; trying again soon");
            }
        })
    }

    fn forget_all(&self) {
        // A catalogue may have been loaded while nobody listened.
        self.sell_anew();
        self.0.router.forget_all();
        self.0.ring.forget_all();
        self.0.signed_in.forget_all();
    }
}
