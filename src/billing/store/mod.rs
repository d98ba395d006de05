//! The tables of billing, by theme in the files beside.

mod accounts;
mod invoices;
mod notices;
mod payments;

pub use accounts::{account, by_customer, save_account};
pub use invoices::{Filter, get, insert, next_number, of_tenant, open_of, open_since, page, save};
pub use notices::{first_time, forget as forget_notices};
pub use payments::{insert as insert_payment, is_known, save as save_payment, unapplied, unapplied_of};
