//! What a provider tells of, in our words.

use super::account::Status;
use crate::kernel::clock::Ts;

/// A notification that was proved to come from the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The provider's name for it: the same one may come again.
    pub id: String,
    /// What the provider calls this kind.
    pub kind: String,
    /// When it happened there.
    pub at: Ts,
    /// What it says.
    pub news: News,
}

/// What a notification says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Money came in.
    Paid {
        /// The provider's name for the customer.
        customer: String,
        /// The provider's name for what was paid.
        reference: String,
        /// ISO 4217.
        currency: String,
        /// In the currency's minor unit.
        amount: i64,
    },
    /// Money could not be collected.
    Failed {
        /// The provider's name for the customer.
        customer: String,
        /// The provider's name for what was to be paid.
        reference: String,
    },
    /// A subscription changed there.
    Subscription {
        /// The provider's name for the customer.
        customer: String,
        /// The provider's name for the subscription.
        reference: String,
        /// How it stands.
        status: Status,
    },
    /// Nothing that concerns us.
    Other,
}
