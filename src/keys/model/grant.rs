//! Who may put which scope on a key: a key never holds more than whoever gives it its power may.

use std::collections::BTreeSet;

use super::Key;
use crate::auth::caller::TenantRole;
use crate::auth::scope::{Scope, ScopeKind};
use crate::auth::{Who, policy};
use crate::kernel::error::{Error, Result};

/// Scopes that a caller may hand on: those they hold, or those whose every right their role has. An operator
/// who may manage keys of a kind may put all scopes of that kind on one.
#[must_use]
pub fn may_grant(who: &Who, kind: ScopeKind) -> BTreeSet<Scope> {
    let all = Scope::all_of(kind).into_iter();
    match who {
        Who::TenantKey { scopes, .. } | Who::Service { scopes, .. } => {
            all.filter(|scope| scopes.contains(scope)).collect()
        }
        Who::User { role, .. } if kind == ScopeKind::Tenant => {
            all.filter(|scope| role_has(*role, *scope)).collect()
        }
        Who::Operator { .. } | Who::OperatorUser { .. } | Who::System(_) => all.collect(),
        // What is done in a member's stead does not outlast the visit.
        Who::User { .. } | Who::Impersonator { .. } | Who::Anonymous => BTreeSet::new(),
    }
}

fn role_has(role: TenantRole, scope: Scope) -> bool {
    let mut rules = policy::TABLE.iter().filter(|rule| rule.tenant_scope == Some(scope)).peekable();
    match rules.peek() {
        Some(_) => rules.all(|rule| rule.members.contains(&role)),
        None => matches!(role, TenantRole::Owner | TenantRole::Admin),
    }
}

/// Refuses scopes beyond the caller's own.
///
/// # Errors
/// [`Error::Forbidden`] `scope_beyond_own`.
pub fn check<'a>(who: &Who, kind: ScopeKind, wanted: impl IntoIterator<Item = &'a Scope>) -> Result<()> {
    let own = may_grant(who, kind);
    match wanted.into_iter().find(|scope| !own.contains(scope)) {
        None => Ok(()),
        Some(beyond) => Err(Error::forbidden(
            "scope_beyond_own",
            format!("you may not grant {beyond}: a key never holds more than whoever gives it its power may"),
        )),
    }
}

/// Whether `after` can do anything that `before` could not: hold another scope or role, live longer, be used
/// more often, or be used again.
#[must_use]
pub fn strengthens(before: &Key, after: &Key) -> bool {
    let longer = match (before.expires_at, after.expires_at) {
        (Some(before), Some(after)) => after > before,
        (before, after) => before.is_some() && after.is_none(),
    };
    let faster = match (before.rate_limit, after.rate_limit) {
        (Some(before), Some(after)) => {
            after.requests_per_s > before.requests_per_s || after.burst > before.burst
        }
        (before, after) => before.is_some() && after.is_none(),
    };
    longer
        || faster
        || before.role != after.role
        || !after.scopes.is_subset(&before.scopes)
        || (before.disabled_at.is_some() && after.disabled_at.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::caller::OperatorRole;
    use crate::kernel::id::{KeyId, SessionId, TenantId, UserId};

    fn of_role(role: TenantRole) -> Who {
        Who::User { user: UserId::mint(), tenant: TenantId::mint(), role, session: SessionId::mint() }
    }

    fn words(scopes: &BTreeSet<Scope>) -> Vec<&'static str> {
        scopes.iter().map(|scope| scope.word()).collect()
    }

    #[test]
    fn each_role_may_grant_what_it_may_do_itself() {
        let all: Vec<_> = Scope::all_of(ScopeKind::Tenant);
        for (role, not) in [
            (TenantRole::Owner, vec![]),
            // tenant:manage also deletes the tenant, which is the owner's alone.
            (TenantRole::Admin, vec!["tenant:manage"]),
            (TenantRole::Developer, vec!["members:manage", "audit:read", "tenant:manage"]),
        ] {
            let expected: Vec<_> =
                all.iter().map(|scope| scope.word()).filter(|word| !not.contains(word)).collect();
            assert_eq!(words(&may_grant(&of_role(role), ScopeKind::Tenant)), expected, "{role}");
        }
        assert_eq!(
            words(&may_grant(&of_role(TenantRole::Viewer), ScopeKind::Tenant)),
            ["data:read", "tenant:read"]
        );
        assert_eq!(words(&may_grant(&of_role(TenantRole::Billing), ScopeKind::Tenant)), ["tenant:read"]);
    }

    #[test]
    fn a_key_hands_on_what_it_holds_and_nobody_a_scope_of_another_kind() {
        let held = BTreeSet::from([Scope::KeysManage, Scope::DataRead]);
        let key = Who::TenantKey { key: KeyId::mint(), tenant: TenantId::mint(), scopes: (&held).into() };
        assert_eq!(may_grant(&key, ScopeKind::Tenant), held);
        let operator = Who::Operator { key: KeyId::mint(), role: OperatorRole::Admin };
        for who in [key, operator, of_role(TenantRole::Owner), Who::System("x"), Who::Anonymous] {
            for kind in [ScopeKind::Tenant, ScopeKind::Service] {
                assert!(may_grant(&who, kind).iter().all(|scope| scope.fits(kind)), "{who:?}");
            }
        }
        assert!(may_grant(&of_role(TenantRole::Owner), ScopeKind::Service).is_empty());
    }
}
