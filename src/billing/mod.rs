//! What tenants owe: invoices as data, the payments that settle them, and the hand-off to whoever collects.
//!
//! When to charge, and what a late payment leads to, is decided by `subscriptions`, above: it opens invoices in its
//! own transaction, and hears of payments through [`PaymentNews`]. Card data never comes here: a provider keeps it.

pub mod by_hand;
pub mod commands;
pub mod events;
pub mod http;
pub mod intake;
pub mod model;
mod news;
mod page;
pub mod provider;
pub mod queries;
mod settle;
mod store;
mod usage;
pub mod worker;

pub use commands::{end_in, hand_over_in, mark_paid_in, open_invoice_in, void_in};
pub use model::{Invoice, Line, LineKind, NewInvoice, Period, State, Wanted};
pub use news::PaymentNews;
pub use provider::Provider;
pub use store::{forget_notices as forget_notices_in, open_since as open_since_in};
pub use usage::{UsageSource, usage_lines_in};

/// Kind of the operation that tells the provider what a tenant has bought.
pub const HAND_OVER_OPERATION: &str = "billing.hand_over";
/// Kind of the operation that gives the provider what an invoice charges beside the plan's price.
pub const CHARGE_OPERATION: &str = "billing.charge";
