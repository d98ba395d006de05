//! An event as the world outside sees it: CloudEvents 1.0.

use serde_json::{Map, Value, json};

use super::Entry;

/// `entry` in the structured form of CloudEvents 1.0. `source` is the issuer's URL, which also tells where
/// the schemas of data are. The address that a caller came from is for the audit alone.
///
/// Besides the standard's attributes: `tenantid`; `sequence`, the place in the log; `dataversion`, the version
/// of the data's shape; `actorkind` and `actorid`, who did it; `requestid`.
#[must_use]
pub fn event(source: &str, entry: &Entry) -> Value {
    let mut event = Map::new();
    let mut set = |name: &str, value: Value| event.insert(name.to_owned(), value);
    set("specversion", json!("1.0"));
    set("id", json!(entry.id));
    set("source", json!(source));
    set("type", json!(entry.kind));
    set("time", json!(entry.at));
    if let Some(tenant) = entry.tenant {
        set("subject", json!(tenant));
        set("tenantid", json!(tenant));
    }
    set("datacontenttype", json!("application/json"));
    let schemas = source.trim_end_matches('/');
    set("dataschema", json!(format!("{schemas}/v1/event-types/{}", entry.kind)));
    set("sequence", json!(entry.place));
    set("dataversion", json!(entry.version.to_string()));
    set("actorkind", json!(entry.actor_kind));
    set("actorid", json!(entry.actor_id));
    if let Some(request) = &entry.request_id {
        set("requestid", json!(request));
    }
    set("data", entry.data.clone());
    Value::Object(event)
}
