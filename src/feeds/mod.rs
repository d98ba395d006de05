//! The log as its readers follow it: events of a tenant, or of all, by cursor, waiting for the next, or as a
//! stream. Only settled events, in the order of the log, so that a cursor that was given stays good.
//!
//! One task of a replica reads the end of the log (`tail`) for all who follow; who is further behind reads the
//! store until they have caught up. What events say is the business of whoever appended them; [`types`] tells which
//! there are.

pub mod http;
pub mod model;
pub mod queries;
pub mod stream;
pub mod tail;
pub mod types;

pub use tail::{Tail, keep};

#[cfg(test)]
mod tests {
    use super::model::Lens;
    use crate::kernel::id::TenantId;
    use crate::log::{Kinds, catalogue};

    #[test]
    fn a_tenant_sees_its_own_facts_that_are_meant_for_it() {
        catalogue::tests::install_all();
        let (mine, other) = (TenantId::mint(), TenantId::mint());
        let lens = Lens { tenant: Some(mine), as_tenant: true, kinds: Kinds::all() };
        assert!(lens.shows("tenant.suspended", Some(mine)));
        assert!(!lens.shows("tenant.suspended", Some(other)) && !lens.shows("tenant.suspended", None));
        // Of kinds that this program does not know, those whose kin is meant for tenants.
        assert!(lens.shows("tenant.praised", Some(mine)) && !lens.shows("nobody.declared", Some(mine)));
        assert!(!lens.shows("operation.retried", Some(mine)));
        let operators = Lens { as_tenant: false, ..lens };
        assert!(operators.shows("operation.retried", Some(mine)));
    }
}
