//! Sessions: a person signed in to one tenant, from sign-in to the end. Access tokens name their session.

pub(super) mod store;
