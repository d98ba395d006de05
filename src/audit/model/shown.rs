//! An entry of the trail as its readers see it.

use serde::Serialize;
use serde_json::Value;

use crate::kernel::clock::Ts;
use crate::kernel::id::{EventId, TenantId};
use crate::log::catalogue::{Audience, audience};
use crate::log::{Entry, Outcome};

/// Who did something.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = AuditActor)]
pub struct Actor {
    /// Which kind of caller: `user`, `tenant_key`, `operator`, `operator_user`, `service`, `system`, `anonymous`.
    pub kind: String,
    /// Their id.
    pub id: String,
}

/// What happened, who did it, when and from where.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = AuditEntry)]
pub struct Shown {
    /// The event's id.
    pub id: EventId,
    /// Its place in the log.
    pub sequence: String,
    /// What happened: `tenant.suspended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Ts,
    /// The tenant whose fact it is; null for the installation's own.
    pub tenant_id: Option<TenantId>,
    /// Who did it.
    pub actor: Actor,
    /// The address they called from; to tenants only that of their own people and programs.
    pub address: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
    /// Whether it was done or refused.
    pub outcome: Outcome,
    /// The fact's own data.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// Whose eyes look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Eyes {
    /// A tenant's.
    Tenant,
    /// An operator's.
    Operator,
}

impl Eyes {
    /// `entry` as these eyes see it; `None` when it is not for them.
    #[must_use]
    pub fn see(self, entry: Entry) -> Option<Shown> {
        if self == Self::Tenant && audience(&entry.kind) == Audience::Operator {
            return None;
        }
        let outcome = Outcome::of(&entry.kind);
        let address = entry.address.filter(|_| self.may_see_address(&entry.actor_kind));
        Some(Shown {
            id: entry.id,
            sequence: entry.place.to_string(),
            at: entry.at,
            tenant_id: entry.tenant,
            actor: Actor { kind: entry.actor_kind, id: entry.actor_id },
            address,
            request_id: entry.request_id,
            outcome,
            kind: entry.kind,
            data: entry.data,
        })
    }

    /// Whether these eyes see from where callers of this kind came. In a tenant's own log a stranger is somebody
    /// who signs in, or tries to, as one of its people.
    fn may_see_address(self, actor: &str) -> bool {
        self == Self::Operator || matches!(actor, "user" | "tenant_key" | "anonymous")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Place;
    use serde_json::json;

    fn of(actor: &str, kind: &str) -> Entry {
        Entry {
            place: Place { txid: 7, seq: 9 },
            id: EventId::mint(),
            kind: kind.to_owned(),
            version: 1,
            tenant: Some(TenantId::mint()),
            actor_kind: actor.to_owned(),
            actor_id: "x".to_owned(),
            address: Some("192.0.2.7".to_owned()),
            request_id: None,
            at: Ts::EPOCH,
            data: json!({}),
        }
    }

    #[test]
    fn tenants_see_where_their_own_people_came_from_and_nobody_else() {
        crate::log::catalogue::tests::install_all();
        for (actor, seen) in [
            ("user", true),
            ("tenant_key", true),
            ("anonymous", true),
            ("operator", false),
            ("operator_user", false),
            ("service", false),
            ("system", false),
        ] {
            let entry = of(actor, "tenant.updated");
            let shown = Eyes::Tenant.see(entry.clone()).unwrap();
            assert_eq!(shown.address.is_some(), seen, "{actor}");
            assert!(Eyes::Operator.see(entry).unwrap().address.is_some(), "{actor}");
        }
        assert_eq!(Eyes::Tenant.see(of("operator", "operation.retried")), None);
        let refused = Eyes::Operator.see(of("user", "access.denied")).unwrap();
        assert_eq!((refused.outcome, refused.sequence.as_str()), (Outcome::Refused, "7.9"));
    }
}
