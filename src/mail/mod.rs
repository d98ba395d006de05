//! Mail to people: letters are written into the transaction that makes them due, sealed, and delivered by
//! an operation afterwards. So a dead mail server never fails or slows a request, and no letter is lost.
//!
//! A letter leaves the store with its delivery. Delivery is at least once: after a crash between the
//! two it goes out again, under the same `Message-ID`.
mod compose;
pub mod model;
mod store;
pub mod templates;
mod transport;
pub mod worker;

pub use compose::Mailer;
pub use model::{Letter, LetterKind, NewMail};
pub use store::{forget_expired as forget_expired_in, post_in, remove_of_tenant as remove_of_tenant_in};

/// Kind of the operation that delivers a letter.
pub const SEND_OPERATION: &str = "mail.send";
