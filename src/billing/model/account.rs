//! A tenant's account at a provider: what it should be, and what is known of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payment::Payment;
use crate::catalog::model::Interval;
use crate::kernel::clock::Ts;
use crate::kernel::id::{OperationId, TenantId};
use crate::words;

words! {
    /// How the provider says that a tenant's subscription stands.
    Status as "ProviderStatus", "status at the provider" {
        /// Not charged yet.
        Trialing = "trialing",
        /// Paid so far.
        Active = "active",
        /// A payment is late.
        PastDue = "past_due",
        /// It does not collect for now.
        Paused = "paused",
        /// Over.
        Ended = "ended",
    }
}

/// What a tenant has bought, as its provider should know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BillingWanted)]
pub struct Wanted {
    /// The plan's key.
    pub plan: String,
    /// The plan's name.
    pub name: String,
    /// Per interval, in the currency's minor unit; nothing is charged for a price of zero.
    pub price: i64,
    /// ISO 4217.
    pub currency: String,
    /// How often the price is due.
    pub interval: Interval,
    /// Until when nothing is charged.
    pub trial_ends_at: Option<Ts>,
    /// Whether it ends with its period.
    pub cancel_at_period_end: bool,
    /// Whether nothing is to be collected for now.
    pub paused: bool,
    /// Whether it is over.
    pub ended: bool,
}

impl Wanted {
    /// Whether anything is to be collected.
    #[must_use]
    pub fn charges(&self) -> bool {
        !self.ended && self.price > 0
    }
}

/// A tenant's account at the provider. `wanted_rev` counts changes of what is wanted, `synced_rev` is the one that
/// the provider knows of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Whose.
    pub tenant_id: TenantId,
    /// The provider's name for the customer.
    pub customer_ref: Option<String>,
    /// The provider's name for the running subscription.
    pub subscription_ref: Option<String>,
    /// The provider's name for the subscription's item, which has the price.
    pub item_ref: Option<String>,
    /// How the provider says that it stands.
    pub status: Option<Status>,
    /// When the provider said so.
    pub status_at: Option<Ts>,
    /// What it should be.
    pub wanted: Wanted,
    /// Counts what was wanted.
    pub wanted_rev: i64,
    /// What of it the provider knows.
    pub synced_rev: i64,
    /// Raised when the provider keeps a failure under an idempotency key, so that the next try has another.
    pub round: i32,
    /// The operation that brings the provider up to date, while there is one.
    pub operation_id: Option<OperationId>,
    /// When it was first wanted.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
}

impl Account {
    /// An account that nobody knows of yet.
    #[must_use]
    pub fn new(tenant: TenantId, wanted: Wanted, now: Ts) -> Self {
        Self {
            tenant_id: tenant,
            customer_ref: None,
            subscription_ref: None,
            item_ref: None,
            status: None,
            status_at: None,
            wanted,
            wanted_rev: 0,
            synced_rev: 0,
            round: 0,
            operation_id: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Takes in what the provider said at `at` about the subscription `reference`; false when it is old news, or
    /// about another subscription than the running one. The provider counts seconds, so an end wins within one.
    pub fn hear(&mut self, reference: &str, status: Status, at: Ts) -> bool {
        let other = self.subscription_ref.as_deref().is_some_and(|known| known != reference);
        let older = self.status_at.is_some_and(|known| at < known);
        let after_end = self.status_at == Some(at) && self.status == Some(Status::Ended);
        if other || older || after_end {
            return false;
        }
        (self.status, self.status_at) = (Some(status), Some(at));
        if status == Status::Ended {
            (self.subscription_ref, self.item_ref) = (None, None);
        }
        true
    }
}

/// How a tenant's billing stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = BillingAccount)]
pub struct AccountView {
    /// Whose.
    pub tenant_id: TenantId,
    /// Who collects: `manual` or `stripe`.
    pub provider: &'static str,
    /// The provider's name for the customer.
    pub customer: Option<String>,
    /// The provider's name for the running subscription.
    pub subscription: Option<String>,
    /// How the provider says that it stands.
    pub status: Option<Status>,
    /// What the provider should know.
    pub wanted: Option<Wanted>,
    /// Whether the provider knows it.
    pub in_step: bool,
    /// The operation that brings the provider up to date, while there is one.
    pub operation_id: Option<OperationId>,
    /// Payments and credits of which a part is not used up by invoices, the oldest first; 100 at most.
    pub unapplied: Vec<Payment>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let wanted = Wanted {
            plan: "pro".into(),
            name: "Pro".into(),
            price: 4_900,
            currency: "EUR".into(),
            interval: Interval::Month,
            trial_ends_at: None,
            cancel_at_period_end: false,
            paused: false,
            ended: false,
        };
        let account = Account::new(TenantId::mint(), wanted, Ts::from_micros(0).unwrap());
        Account { subscription_ref: Some("sub_1".into()), ..account }
    }

    #[test]
    fn old_news_and_news_of_others_change_nothing() {
        let at = |second: i64| Ts::from_micros(second * 1_000_000).unwrap();
        let mut account = account();
        assert!(account.hear("sub_1", Status::PastDue, at(20)));
        assert!(!account.hear("sub_1", Status::Active, at(10)));
        assert!(!account.hear("sub_2", Status::Ended, at(30)));
        assert!(account.hear("sub_1", Status::Active, at(20)));
        assert!(account.hear("sub_1", Status::Ended, at(20)));
        assert_eq!(account.subscription_ref, None);
        assert!(!account.hear("sub_1", Status::Active, at(20)));
        assert_eq!(account.status, Some(Status::Ended));
    }
}
