//! What happened, as a sentence: who did what. Names of people are not in events, so they are told by their id.

use serde::Serialize;
use serde_json::Value;

use crate::kernel::clock::Ts;
use crate::kernel::id::{EventId, TenantId};
use crate::log::catalogue::{Audience, audience};
use crate::log::{Entry, Place};

/// Longest text of a field that goes into a sentence.
const LONGEST: usize = 120;

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ActivityActor)]
pub struct Actor {
    /// What kind of caller: `user`, `tenant_key`, `operator`, `system` and so on.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// The member in whose stead an operator did it.
    pub in_stead_of: Option<String>,
}

/// Something that happened in a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ActivityLine)]
pub struct Line {
    /// The event that tells of it.
    pub event_id: EventId,
    /// Its type: `tenant.suspended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Ts,
    /// Who did it.
    pub actor: Actor,
    /// The sentence.
    pub text: String,
    /// Where the event stands.
    #[serde(skip)]
    #[schema(ignore)]
    pub(in crate::directory) place: Place,
    /// Whose it is.
    #[serde(skip)]
    #[schema(ignore)]
    pub(in crate::directory) tenant: TenantId,
    /// The tenant itself does not see it.
    #[serde(skip)]
    #[schema(ignore)]
    pub(in crate::directory) operators_only: bool,
}

impl Line {
    /// That of an event of `tenant`.
    #[must_use]
    pub fn of(tenant: TenantId, entry: &Entry) -> Self {
        let in_stead_of = entry.data.get("in_stead_of").and_then(|stead| stead.get("user_id"));
        let actor = Actor {
            kind: entry.actor_kind.clone(),
            id: entry.actor_id.clone(),
            in_stead_of: in_stead_of.and_then(Value::as_str).map(str::to_owned),
        };
        Self {
            event_id: entry.id,
            kind: entry.kind.clone(),
            at: entry.at,
            text: format!("{} {}.", who(&actor), what(&entry.kind, &entry.data)),
            actor,
            place: entry.place,
            tenant,
            operators_only: audience(&entry.kind) == Audience::Operator,
        }
    }
}

fn who(actor: &Actor) -> String {
    let name = match actor.kind.as_str() {
        "user" => "A member",
        "tenant_key" => "An API key",
        "operator" | "operator_user" => "An operator",
        "service" => "A service",
        "anonymous" => "Somebody",
        _ => "The system",
    };
    match &actor.in_stead_of {
        Some(_) => format!("{name} in a member's stead"),
        None => name.to_owned(),
    }
}

/// A field of `data`, short and on one line; nothing when it is not there.
fn field(data: &Value, name: &str) -> Option<String> {
    let text = match data.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        _ => return None,
    };
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    let plain = plain.trim();
    (!plain.is_empty()).then(|| plain.to_owned())
}

/// `before` and the field, if it is there.
fn with(data: &Value, before: &str, name: &str) -> String {
    field(data, name).map(|text| format!("{before}{text}")).unwrap_or_default()
}

fn what(kind: &str, data: &Value) -> String {
    let with = |before: &str, name: &str| with(data, before, name);
    match kind {
        "tenant.created" => format!("created the tenant{}", with(" ", "name")),
        "tenant.provisioned" => "made the tenant's database ready".to_owned(),
        "tenant.updated" => format!("named the tenant{}{}", with(" ", "name"), with(", slug ", "slug")),
        "tenant.suspended" => format!("suspended the tenant{}", with(": ", "reason")),
        "tenant.resumed" => "let the tenant go on".to_owned(),
        "tenant.deletion_scheduled" => {
            format!("scheduled the tenant's removal{}", with(" for ", "delete_at"))
        }
        "tenant.restored" => "took the tenant's removal back".to_owned(),
        "tenant.deleted" => "removed the tenant".to_owned(),
        "tenant.ownership_transferred" => format!("handed the tenant over{}", with(" to ", "user_id")),
        "signup.completed" => format!("completed the signup{}", with(" on the plan ", "plan")),
        "signup.requested" => "asked to sign up".to_owned(),
        "signup.expired" => "gave the signup up: the address was not confirmed in time".to_owned(),
        "member.joined" => format!("joined{}", with(" as ", "role")),
        "member.left" => "left the tenant".to_owned(),
        "member.removed" => format!("removed the member{}", with(" ", "user_id")),
        "member.role_changed" => format!(
            "changed the role of{}{}{}",
            with(" ", "user_id"),
            with(" from ", "from"),
            with(" to ", "to")
        ),
        "invitation.created" => format!("invited somebody{}", with(" as ", "role")),
        "invitation.revoked" => "took an invitation back".to_owned(),
        "api_key.created" => format!("made the API key{}{}", with(" ", "name"), with(" (", "key_id").close()),
        "api_key.rotated" => format!("replaced the API key{}", with(" ", "key_id")),
        "api_key.revoked" => format!("revoked the API key{}", with(" ", "key_id")),
        "api_key.disabled" => format!("switched the API key{} off", with(" ", "key_id")),
        "api_key.enabled" => format!("switched the API key{} on", with(" ", "key_id")),
        "api_key.updated" => {
            format!("changed the API key{}{}", with(" ", "name"), with(" (", "key_id").close())
        }
        "access.denied" => format!("was refused{}{}", with(" ", "method"), with(" ", "route")),
        "session.refused" => format!("failed to prove who they are{}", with(": ", "wrong")),
        "session.created" => "signed in".to_owned(),
        "session.ended" => format!("ended a session{}", with(": ", "reason")),
        "impersonation.started" => format!("began to act in a member's stead{}", with(": ", "reason")),
        "impersonation.ended" => "no longer acts in a member's stead".to_owned(),
        "payment.received" => {
            format!("received a payment{}{}", with(" of ", "amount"), with(" ", "currency"))
        }
        "payment.failed" => "told of a payment that failed".to_owned(),
        "quota.threshold_reached" => {
            format!("counted{} % of the quota{}", with(" ", "percent"), with(" of ", "feature"))
        }
        _ => match kind.split_once('.') {
            Some(("invoice", verb)) => {
                format!("noted that the invoice{} was {}", with(" ", "number"), spaced(verb))
            }
            Some(("subscription", verb)) => {
                let after = data.get("after").unwrap_or(&Value::Null);
                let plan = field(after, "plan").map(|plan| format!(" (plan {plan})")).unwrap_or_default();
                format!("noted of the subscription: {}{plan}", spaced(verb))
            }
            Some((noun, verb)) => format!("noted of the {}: {}", spaced(noun), spaced(verb)),
            None => format!("noted: {}", spaced(kind)),
        },
    }
}

fn spaced(word: &str) -> String {
    word.replace(['_', '.'], " ")
}

trait Close {
    /// With its bracket closed, when there is one.
    fn close(self) -> String;
}

impl Close for String {
    fn close(self) -> String {
        if self.is_empty() { self } else { self + ")" }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sentences_say_who_did_what_and_survive_what_is_missing() {
        let actor = |kind: &str, stead: Option<&str>| Actor {
            kind: kind.to_owned(),
            id: String::new(),
            in_stead_of: stead.map(str::to_owned),
        };
        let said = |actor: Actor, kind: &str, data: Value| format!("{} {}.", who(&actor), what(kind, &data));
        let reason = json!({ "reason": "not\npaid " });
        assert_eq!(
            said(actor("operator", None), "tenant.suspended", reason),
            "An operator suspended the tenant: not paid."
        );
        assert_eq!(
            said(actor("system", None), "tenant.suspended", json!({})),
            "The system suspended the tenant."
        );
        let key = json!({ "key_id": "key_1", "name": "deploys" });
        assert_eq!(
            said(actor("user", None), "api_key.created", key),
            "A member made the API key deploys (key_1)."
        );
        assert_eq!(said(actor("user", None), "api_key.created", json!([])), "A member made the API key.");
        assert_eq!(
            said(actor("operator_user", Some("user_1")), "webhook_endpoint.secret_rotated", json!(null)),
            "An operator in a member's stead noted of the webhook endpoint: secret rotated."
        );
        let after = json!({ "after": { "plan": "pro" } });
        assert_eq!(
            said(actor("system", None), "subscription.change_scheduled", after),
            "The system noted of the subscription: change scheduled (plan pro)."
        );
        assert_eq!(said(actor("new", None), "whatever", json!(3)), "The system noted: whatever.");
        let long = json!({ "name": "x".repeat(10_000) });
        assert!(what("tenant.created", &long).len() < 200);
    }
}
