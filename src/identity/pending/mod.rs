//! People who signed up and have not shown yet that their address is theirs. They are no users before that.

mod store;

pub use store::{PendingOwner, by_email, find, insert, of_tenant, remove, remove_of_tenant, save};
