//! A tenant in the directory, and what each event makes of it.

use serde::Serialize;
use serde_json::Value;

use crate::kernel::clock::Ts;
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::log::{Entry, Outcome};
use crate::tenants::State;
use crate::words;

/// Keys that were replaced and may be revoked yet, of a tenant at most.
const LEAVING: usize = 200;

words! {
    /// What the directory is sorted by.
    Sort as "DirectorySort", "order of the directory" {
        /// When it was made.
        CreatedAt = "created_at",
        /// Its name, whatever the case of its letters.
        Name = "name",
        /// When somebody last did something in it.
        LastActivityAt = "last_activity_at",
        /// How many members it has.
        Members = "members",
        /// How many API keys it has.
        Keys = "keys",
    }
}

/// A tenant in the directory.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = DirectoryEntry)]
pub struct Listing {
    /// Its id.
    pub id: TenantId,
    /// Its short name.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// The key of its plan.
    pub plan: String,
    /// The edition of that plan; null for one without a subscription.
    pub plan_version: Option<i32>,
    /// How its data is kept apart.
    pub isolation: Option<Isolation>,
    /// The cluster its data is on.
    pub cluster: String,
    /// The region, where it has one.
    pub region: Option<String>,
    /// How many members it has.
    pub members: i64,
    /// How many API keys were made and neither revoked nor replaced. Keys that ran out by time count.
    pub keys: i64,
    /// When it was made.
    pub created_at: Ts,
    /// When somebody last did something in it or to it: a member, a key, an operator, whoever signed it up. What
    /// happens by itself, or was refused, does not count.
    pub last_activity_at: Ts,
    /// When it was removed.
    pub deleted_at: Option<Ts>,
    /// It is suspended, also while it waits to be removed.
    #[serde(skip)]
    #[schema(ignore)]
    pub(in crate::directory) suspended: bool,
    /// Keys that were replaced: they count no longer, also when they are revoked in the end.
    #[serde(skip)]
    #[schema(ignore)]
    pub(in crate::directory) leaving: Vec<String>,
}

fn word<T: std::str::FromStr>(data: &Value, name: &str) -> Option<T> {
    data.get(name)?.as_str()?.parse().ok()
}

impl Listing {
    /// A tenant of which the first event is being read.
    #[must_use]
    pub fn begun(id: TenantId, at: Ts) -> Self {
        Self {
            id,
            slug: String::new(),
            name: String::new(),
            state: State::Provisioning,
            plan: String::new(),
            plan_version: None,
            isolation: None,
            cluster: String::new(),
            region: None,
            members: 0,
            keys: 0,
            created_at: at,
            last_activity_at: at,
            deleted_at: None,
            suspended: false,
            leaving: Vec::new(),
        }
    }

    /// Takes an event of it in.
    pub fn take(&mut self, entry: &Entry) {
        let was_done = Outcome::of(&entry.kind) == Outcome::Done;
        if was_done && entry.actor_kind != "system" {
            self.last_activity_at = self.last_activity_at.max(entry.at);
        }
        match entry.kind.as_str() {
            "tenant.created" => {
                self.created_at = entry.at;
                self.describe(&entry.data);
            }
            "tenant.provisioned" => {
                self.state = State::Active;
                self.describe(&entry.data);
            }
            "tenant.updated" => self.describe(&entry.data),
            "tenant.suspended" => {
                self.state = State::Suspended;
                self.suspended = true;
            }
            "tenant.resumed" => {
                self.state = State::Active;
                self.suspended = false;
            }
            "tenant.deletion_scheduled" => self.state = State::Deleting,
            "tenant.restored" => {
                self.state = if self.suspended { State::Suspended } else { State::Active };
            }
            "tenant.deleted" => {
                self.state = State::Deleted;
                self.deleted_at = Some(entry.at);
                (self.members, self.keys) = (0, 0);
                self.leaving.clear();
            }
            "signup.completed" | "member.joined" => self.members = self.members.saturating_add(1),
            "member.left" | "member.removed" => self.members = self.members.saturating_sub(1).max(0),
            kind => match kind.split_once('.') {
                Some(("api_key", verb)) => self.key(verb, &entry.data),
                Some(("subscription", _)) => self.subscribe(&entry.data),
                _ => {}
            },
        }
    }

    fn describe(&mut self, data: &Value) {
        for (field, name) in [
            (&mut self.slug, "slug"),
            (&mut self.name, "name"),
            (&mut self.plan, "plan"),
            (&mut self.cluster, "cluster"),
        ] {
            if let Some(text) = word(data, name) {
                *field = text;
            }
        }
        self.isolation = word(data, "isolation").or(self.isolation);
        self.region = word(data, "region").or(self.region.take());
    }

    fn key(&mut self, verb: &str, data: &Value) {
        let id: Option<String> = word(data, "key_id");
        match verb {
            "created" => self.keys = self.keys.saturating_add(1),
            "rotated" => {
                self.keys = self.keys.saturating_sub(1).max(0);
                self.leaving.extend(id);
                let much = self.leaving.len().saturating_sub(LEAVING);
                self.leaving.drain(..much);
            }
            "revoked" => match self.leaving.iter().position(|one| Some(one) == id.as_ref()) {
                Some(at) => drop(self.leaving.remove(at)),
                None => self.keys = self.keys.saturating_sub(1).max(0),
            },
            _ => {}
        }
    }

    fn subscribe(&mut self, data: &Value) {
        let Some(after) = data.get("after") else { return };
        if let Some(plan) = word(after, "plan") {
            self.plan = plan;
        }
        let version = after.get("plan_version").and_then(Value::as_i64);
        self.plan_version = version.and_then(|version| i32::try_from(version).ok()).or(self.plan_version);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::kernel::id::EventId;
    use crate::log::Place;

    fn entry(kind: &str, actor: &str, second: i64, data: Value) -> Entry {
        Entry {
            place: Place { txid: 0, seq: second },
            id: EventId::mint(),
            kind: kind.to_owned(),
            version: 1,
            tenant: None,
            actor_kind: actor.to_owned(),
            actor_id: String::new(),
            address: None,
            request_id: None,
            at: Ts::from_micros(second * 1_000_000).unwrap(),
            data,
        }
    }

    fn after(story: &[(&str, Value)]) -> Listing {
        let mut one = Listing::begun(TenantId::mint(), Ts::from_micros(0).unwrap());
        for (at, (kind, data)) in story.iter().enumerate() {
            one.take(&entry(kind, "user", i64::try_from(at).unwrap(), data.clone()));
        }
        one
    }

    #[test]
    fn a_tenants_life_is_told_by_its_events() {
        let facts = json!({ "slug": "acme", "name": "Acme", "plan": "free", "isolation": "database", "cluster": "main", "region": "eu" });
        let subscription = json!({ "before": null, "after": { "plan": "pro", "plan_version": 3 } });
        let one = after(&[
            ("subscription.created", subscription),
            ("tenant.created", facts.clone()),
            ("tenant.provisioned", facts),
            ("tenant.updated", json!({ "slug": "acme", "name": "Acme One" })),
            ("tenant.suspended", json!({ "reason": "unpaid" })),
            ("tenant.deletion_scheduled", json!({})),
            ("tenant.restored", json!({})),
        ]);
        assert_eq!((one.name.as_str(), one.state, one.plan_version), ("Acme One", State::Suspended, Some(3)));
        assert_eq!((one.region.as_deref(), one.isolation), (Some("eu"), Some(Isolation::Database)));
        assert_eq!(one.created_at.micros(), 1_000_000);
    }

    #[test]
    fn a_key_counts_until_it_is_revoked_or_replaced_and_never_twice() {
        let key = |id: &str| json!({ "key_id": id });
        let one = after(&[
            ("api_key.created", key("a")),
            ("api_key.created", key("b")),
            ("api_key.rotated", key("a")),
            ("api_key.created", key("c")),
            ("api_key.disabled", key("c")),
        ]);
        assert_eq!((one.keys, one.leaving.len()), (2, 1));
        let mut gone = one.clone();
        gone.take(&entry("api_key.revoked", "user", 9, key("a")));
        assert_eq!((gone.keys, gone.leaving.len()), (2, 0), "it was replaced before");
        gone.take(&entry("api_key.revoked", "user", 9, key("b")));
        assert_eq!(gone.keys, 1);
    }

    #[test]
    fn what_happens_by_itself_is_no_activity() {
        let mut one = after(&[("tenant.updated", json!({ "name": "Acme" }))]);
        one.take(&entry("subscription.renewed", "system", 50, json!({})));
        one.take(&entry("access.denied", "tenant_key", 55, json!({})));
        assert_eq!(one.last_activity_at.micros(), 0);
        one.take(&entry("something.else", "tenant_key", 60, json!({})));
        assert_eq!(one.last_activity_at.micros(), 60_000_000);
    }

    proptest! {
        /// Whatever stands in an old event, it breaks nothing.
        #[test]
        fn events_of_any_shape_are_taken(
            kinds in proptest::collection::vec(
                prop::sample::select(vec![
                    "tenant.created", "tenant.updated", "tenant.deleted", "member.left", "member.joined",
                    "api_key.rotated", "api_key.revoked", "subscription.changed", "else.where", "noun",
                ]),
                0..40,
            ),
            data in prop::sample::select(vec![
                json!(null), json!([]), json!("text"), json!({}), json!({ "after": 7, "slug": 4, "key_id": [] }),
                json!({ "after": { "plan_version": 1e30 }, "isolation": "of old", "key_id": "a" }),
            ]),
        ) {
            let story: Vec<_> = kinds.into_iter().map(|kind| (kind, data.clone())).collect();
            let one = after(&story);
            prop_assert!(one.members >= 0 && one.keys >= 0 && one.leaving.len() <= LEAVING);
        }
    }
}
