//! Addresses, and joining a tenant.

use super::store::{self, Membership, User};
use crate::db::Conn;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;

/// Normalises an address for comparison and storage.
///
/// # Errors
/// A sentence when it cannot be one: no `@`, blanks, or over 254 characters (RFC 5321).
pub fn normalise_email(text: &str) -> Result<String, String> {
    let email = text.trim().to_lowercase();
    let fine = email.len() <= 254
        && !email.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.len() <= 64
                && !domain.contains('@')
                && !domain.is_empty()
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !domain.contains("..")
        });
    if fine { Ok(email) } else { Err("must be an e-mail address, like ada@example.com".into()) }
}

/// A person found or made for a tenant, inside the caller's transaction.
///
/// # Errors
/// The store's.
pub fn join_in(
    conn: &mut Conn,
    user: &User,
    tenant: TenantId,
    role: crate::auth::caller::TenantRole,
) -> Result<()> {
    let membership =
        Membership { tenant_id: tenant, user_id: user.id, role, created_at: user.updated_at, rev: 1 };
    store::insert_membership(conn, membership)
}
