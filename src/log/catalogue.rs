//! What kinds of events there are, and whom they concern.

/// Who sees an event outside of the audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The tenant whose fact it is, and the operator.
    Tenant,
    /// The operator alone.
    Operator,
}

/// Kinds, by their first word, that are the operator's own business also where they are about a tenant.
const OPERATORS: &[&str] =
    &["operation", "operator_session", "signing_key", "projection", "catalogue", "plan"];

/// Who sees events of this kind.
#[must_use]
pub fn audience(kind: &str) -> Audience {
    let noun = kind.split('.').next().unwrap_or(kind);
    if OPERATORS.contains(&noun) { Audience::Operator } else { Audience::Tenant }
}
