//! How an event is called on the broker, and whether a stream is fit for it.

use crate::kernel::id::TenantId;

/// The place of the tenant in the subject of an event that is of no tenant.
const NOBODY: &str = "_";

/// The subject of an event: `PREFIX.TENANT.TYPE`, with the tenant's id, or `_` for a fact of the installation.
/// The dot in a type divides it: `tenantry.tenant_….tenant.suspended`, so `tenantry.*.tenant.>` is all that
/// happens to tenants.
pub(super) fn subject(prefix: &str, tenant: Option<TenantId>, kind: &str) -> String {
    match tenant {
        Some(tenant) => format!("{prefix}.{tenant}.{kind}"),
        None => format!("{prefix}.{NOBODY}.{kind}"),
    }
}

/// All subjects of ours.
pub(super) fn subjects(prefix: &str) -> String {
    format!("{prefix}.>")
}

/// Whether what a stream takes includes all that `wanted`, which ends with `>`, stands for.
pub(super) fn covers(taken: &[String], wanted: &str) -> bool {
    taken.iter().any(|taken| covers_one(taken, wanted))
}

fn covers_one(taken: &str, wanted: &str) -> bool {
    let mut wanted = wanted.split('.');
    for token in taken.split('.') {
        match (token, wanted.next()) {
            (">", Some(_)) => return true,
            ("*", Some(word)) if word != ">" => {}
            (token, Some(word)) if token == word => {}
            _ => return false,
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_the_tenant_and_the_type() {
        let tenant = TenantId::mint();
        assert_eq!(
            subject("tenantry", Some(tenant), "tenant.suspended"),
            format!("tenantry.{tenant}.tenant.suspended")
        );
        assert_eq!(subject("a.b", None, "catalogue.loaded"), "a.b._.catalogue.loaded");
    }

    #[test]
    fn a_stream_must_take_all_of_ours() {
        let covered = |taken: &str| covers(&[taken.to_owned()], &subjects("acme.tenantry"));
        for fit in [">", "acme.>", "*.>", "acme.tenantry.>", "*.tenantry.>", "acme.*.>"] {
            assert!(covered(fit), "{fit}");
        }
        for unfit in ["acme.tenantry", "acme.tenantry.*", "acme.tenantry.x.>", "other.>", "*", "acme.*.*", ""]
        {
            assert!(!covered(unfit), "{unfit}");
        }
        assert!(!covers(&[], "tenantry.>"));
    }
}
