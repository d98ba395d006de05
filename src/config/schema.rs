//! The JSON Schema (draft 2020-12) of a config file, made from the table of keys and the default file.
//! Editors use it to complete and check `tenantry.toml`.

use serde_json::{Map, Value, json};

use super::inputs::Inputs;
use super::keys::{ANY, KEYS, Kind, doc};
use super::load::{Entry, load};

const CLUSTER_NAME: &str = "^[a-z0-9]([a-z0-9_-]{0,38}[a-z0-9])?$";

/// The JSON Schema of a config file.
#[must_use]
pub fn schema() -> Value {
    let defaults = load(&Inputs::default_only()).map(|loaded| loaded.entries).unwrap_or_default();
    let mut root = section("", &defaults);
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), "Tenantry config".into());
    Value::Object(root)
}

/// The object under `prefix`, which is empty or ends with a dot.
fn section(prefix: &str, defaults: &[Entry]) -> Map<String, Value> {
    let (mut properties, mut patterns) = (Map::new(), Map::new());
    for spec in KEYS {
        let Some(rest) = spec.key.strip_prefix(prefix) else { continue };
        match rest.split_once('.') {
            None => {
                let mut property = property(spec.kind);
                property.insert("description".to_owned(), doc(spec.key).into());
                if let Some(default) = default_of(spec.key, defaults) {
                    property.insert("default".to_owned(), default);
                }
                properties.insert(rest.to_owned(), Value::Object(property));
            }
            Some((name, _)) if properties.contains_key(name) || !patterns.is_empty() => {}
            Some((name, _)) => {
                let inner = Value::Object(section(&format!("{prefix}{name}."), defaults));
                if name == ANY {
                    patterns.insert(CLUSTER_NAME.to_owned(), inner);
                } else {
                    properties.insert(name.to_owned(), inner);
                }
            }
        }
    }
    let mut out = Map::new();
    out.insert("type".to_owned(), "object".into());
    out.insert("additionalProperties".to_owned(), false.into());
    if !properties.is_empty() {
        out.insert("properties".to_owned(), Value::Object(properties));
    }
    if !patterns.is_empty() {
        out.insert("patternProperties".to_owned(), Value::Object(patterns));
    }
    out
}

fn property(kind: Kind) -> Map<String, Value> {
    let strings = json!({"type": "string", "minLength": 1});
    let out = match kind {
        Kind::Integer { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Text => json!({"type": "string"}),
        Kind::Choice(words) => json!({"type": "string", "enum": words}),
        Kind::Word
        | Kind::Path
        | Kind::Bind
        | Kind::Mailbox
        | Kind::MasterKey
        | Kind::TimeZone
        | Kind::Secret => strings,
        Kind::SmtpUrl => json!({"type": "string", "pattern": "^(smtps?://|env:|file:).+"}),
        Kind::NatsUrl => json!({"type": "string", "pattern": "^(nats|tls)://[^@]+$"}),
        Kind::Token => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+$"}),
        Kind::Subject => json!({"type": "string", "pattern": "^[A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*$"}),
        Kind::HttpUrl => json!({"type": "string", "pattern": "^https?://[^?#]+$"}),
        Kind::StoreUrl | Kind::ClusterUrl => {
            json!({"type": "string", "pattern": "^(sqlite://|postgres://|postgresql://|env:|file:)"})
        }
        Kind::MasterKeys => json!({"type": "array", "items": strings}),
        Kind::Networks => {
            json!({"type": "array", "items": {"type": "string", "pattern": "^[0-9a-fA-F.:]+/[0-9]+$"}})
        }
        Kind::Percents => {
            json!({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 1_000}})
        }
        Kind::Delays => json!({
            "type": "array", "minItems": 1, "maxItems": 50,
            "items": {"type": "integer", "minimum": 0, "maximum": 2_592_000}
        }),
        Kind::Slugs => json!({"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9-]+$"}}),
    };
    match out {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn default_of(key: &str, defaults: &[Entry]) -> Option<Value> {
    let name = key.replace(ANY, "main");
    let fixed = !matches!(key, "server.public_url" | "secrets.master_key" | "clusters.*.url");
    defaults.iter().find(|entry| fixed && entry.key == name).map(|entry| entry.value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_schema_with_its_bounds_and_default() {
        let schema = schema();
        for spec in KEYS {
            let path = spec.key.replace("clusters.*", &format!("clusters/patternProperties/{CLUSTER_NAME}"));
            let pointer = format!("/properties/{}", path.replace('.', "/properties/"));
            let found = schema.pointer(&pointer).unwrap_or_else(|| panic!("{pointer}"));
            assert_eq!(found["description"], doc(spec.key));
            if let Kind::Integer { min, max } = spec.kind {
                assert_eq!((found["minimum"].as_i64(), found["maximum"].as_i64()), (Some(min), Some(max)));
                assert!(found["default"].is_i64(), "{}", spec.key);
            }
        }
        assert_eq!(schema["properties"]["server"]["properties"]["bind"]["default"], "127.0.0.1:8080");
        assert_eq!(schema["properties"]["server"]["additionalProperties"], false);
    }
}
