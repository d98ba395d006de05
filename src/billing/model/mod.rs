//! Invoices, payments and accounts at a provider: words and sums. No I/O.

pub mod account;
pub mod invoice;
pub mod money;
pub mod notice;
pub mod payment;

pub use account::{Account, AccountView, Status, Wanted};
pub use invoice::{Invoice, Line, LineKind, NewInvoice, Period, State};
pub use notice::{News, Notice};
pub use payment::Payment;
