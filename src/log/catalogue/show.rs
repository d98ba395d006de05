//! The catalogue as people and programs read it: JSON Schemas, examples, a page of documentation.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::{Audience, FactType};
use crate::kernel::clock::Ts;
use crate::kernel::id::{EventId, TenantId};
use crate::log::{Entry, Place, cloud};

/// What the examples say for an id's UUID.
const ID: &str = "01h455vb4pex5vsknk084sn02q";
/// And for a moment.
const MOMENT: &str = "2030-01-31T12:00:00Z";
/// What may stand in the data of any event.
const STEAD: &str = "When an operator did it in a member's stead: in whose.";
/// And this.
const CAUSE: &str = "When the product did it on its own: the operation, or the provider's notification, that made it, by id; `clock` for what was due.";

impl FactType {
    /// The JSON Schema (draft 2020-12) of its data, complete in itself.
    #[must_use]
    pub fn schema(&self) -> Value {
        let mut schema = self.shape().json();
        if let Some(fields) = schema.as_object_mut() {
            fields.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
            fields.insert("title".to_owned(), json!(self.kind));
            fields.insert("description".to_owned(), json!(self.description()));
            let properties = fields.entry("properties").or_insert_with(|| json!({}));
            if let Some(properties) = properties.as_object_mut() {
                let text = json!({ "type": ["string", "null"] });
                properties.insert("cause".to_owned(), json!({ "type": "string", "description": CAUSE }));
                properties.insert(
                    "in_stead_of".to_owned(),
                    json!({
                        "type": "object", "description": STEAD,
                        "properties": { "user_id": text, "role": text, "session_id": text },
                    }),
                );
            }
        }
        schema
    }

    /// Data as it could be.
    #[must_use]
    pub fn example(&self) -> Value {
        let schema = self.shape().json();
        let data = sample_of(&schema, &schema, 0);
        if data.is_object() { data } else { json!({}) }
    }
}

/// An event of that kind as the world outside sees it, from the installation `source`.
#[must_use]
pub fn sample(source: &str, fact: &FactType) -> Value {
    let id = |text: &str| format!("{text}_{ID}");
    let tenant = id(TenantId::PREFIX).parse().ok().filter(|_| fact.audience() == Audience::Tenant);
    let entry = Entry {
        place: Place { txid: 0, seq: 42 },
        id: id(EventId::PREFIX).parse().unwrap_or_else(|_| EventId::mint()),
        kind: fact.kind().to_owned(),
        version: fact.version(),
        tenant,
        actor_kind: "system".to_owned(),
        actor_id: "example".to_owned(),
        address: None,
        request_id: None,
        at: MOMENT.parse().unwrap_or(Ts::EPOCH),
        data: fact.example(),
    };
    cloud::event(source, &entry)
}

/// A value that answers `schema`, whose definitions are in `root`.
fn sample_of(root: &Value, schema: &Value, depth: usize) -> Value {
    let is_null = |schema: &&Value| schema.get("type").is_some_and(|of| of == "null");
    if let Some(example) = schema.get("example") {
        return example.clone();
    }
    if let Some(example) = schema.get("examples").and_then(|all| all.get(0)) {
        return example.clone();
    }
    // No shape of ours is deeper.
    if depth > 16 {
        return Value::Null;
    }
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix('#')) {
        return root.pointer(name).map_or(Value::Null, |schema| sample_of(root, schema, depth + 1));
    }
    if let Some(first) = schema.get("enum").and_then(|all| all.get(0)) {
        return first.clone();
    }
    for word in ["oneOf", "anyOf"] {
        let items = schema.get(word).and_then(Value::as_array);
        if let Some(item) = items.and_then(|items| items.iter().find(|item| !is_null(item))) {
            return sample_of(root, item, depth + 1);
        }
    }
    let of = match schema.get("type") {
        Some(Value::Array(many)) => many.iter().find(|one| *one != "null").and_then(Value::as_str),
        Some(one) => one.as_str(),
        None => None,
    };
    match of {
        Some("object") => {
            let fields = schema.get("properties").and_then(Value::as_object);
            let fields = fields.into_iter().flatten();
            Value::Object(
                fields
                    .map(|(name, field)| (name.clone(), sample_of(root, field, depth + 1)))
                    .collect::<Map<_, _>>(),
            )
        }
        Some("array") => match schema.get("items") {
            Some(item) => json!([sample_of(root, item, depth + 1)]),
            None => json!([]),
        },
        Some("string") => json!(text(schema)),
        Some("integer" | "number") => {
            schema.get("minimum").filter(|least| **least != 0).cloned().unwrap_or_else(|| json!(1))
        }
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}

fn text(schema: &Value) -> String {
    let word = |name: &str| schema.get(name).and_then(Value::as_str);
    if word("format") == Some("date-time") {
        return MOMENT.to_owned();
    }
    match word("pattern").and_then(|pattern| pattern.strip_prefix('^')?.split_once('_')) {
        Some((prefix, _)) => format!("{prefix}_{ID}"),
        None => "text".to_owned(),
    }
}

/// What kind of value a field holds, in words.
fn words(root: &Value, schema: &Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str).and_then(|at| at.strip_prefix('#')) {
        return root.pointer(name).map_or_else(String::new, |schema| words(root, schema));
    }
    if let Some(all) = schema.get("enum").and_then(Value::as_array) {
        let all: Vec<_> = all.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        return all.join(", ");
    }
    for word in ["oneOf", "anyOf"] {
        if let Some(items) = schema.get(word).and_then(Value::as_array) {
            let all: Vec<_> =
                items.iter().map(|item| words(root, item)).filter(|item| !item.is_empty()).collect();
            return all.join(" or ");
        }
    }
    let kind = |of: &str| match of {
        "string" if schema.get("format").is_some_and(|format| format == "date-time") => "time".to_owned(),
        "string" if schema.get("pattern").is_some() => {
            let text = text(schema);
            format!("id, `{}_…`", text.strip_suffix(ID).unwrap_or(&text).trim_end_matches('_'))
        }
        "string" => "text".to_owned(),
        "array" => {
            let items = schema.get("items").map_or_else(String::new, |items| words(root, items));
            format!("list of {items}")
        }
        "object" => match schema.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty()) {
            Some(fields) => {
                let fields: Vec<_> = fields.keys().map(|name| format!("`{name}`")).collect();
                format!("object with {}", fields.join(", "))
            }
            None => "object".to_owned(),
        },
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::Array(many)) => {
            let all: Vec<_> = many.iter().filter_map(Value::as_str).map(kind).collect();
            all.join(" or ")
        }
        Some(Value::String(one)) => kind(one),
        _ => "any".to_owned(),
    }
}

/// What a field is, in a sentence. With what may be null it stands beside the other alternative.
fn description(field: &Value) -> &str {
    let items = field.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let mut told =
        std::iter::once(field).chain(items).filter_map(|schema| schema.get("description")?.as_str());
    told.next().unwrap_or_default()
}

/// The page of documentation for these kinds.
#[must_use]
pub fn markdown(all: &[&FactType]) -> String {
    let mut page = String::from(
        "# Events\n\nEvery kind of event that the log holds. This page is generated from the catalogue \
         (`tenantry events page > docs/EVENTS.md`); the same is told, with JSON Schemas, by `GET /v1/event-types`.\n\n\
         Outside, an event is a CloudEvent 1.0; the fields below are those of its `data`. New fields may come \
         at any time; a field that changes or goes makes a new version, and older rows are read in the newest \
         shape. What an operator did in a member's stead carries `in_stead_of`; what the product did on its \
         own carries `cause`: the id of the operation or of the provider's notification that made it, or `clock`.\n",
    );
    let mut noun = "";
    for fact in all {
        let own = fact.kind().split('.').next().unwrap_or_default();
        if own != noun {
            noun = own;
            write_all(&mut page, format_args!("\n## {noun}\n"));
        }
        let seen = match fact.audience() {
            Audience::Tenant => "seen by the tenant and the operator",
            Audience::Operator => "seen by the operator",
        };
        write_all(&mut page, format_args!("\n### `{}`\n\n{}\n", fact.kind(), fact.description()));
        write_all(&mut page, format_args!("Version {}, {seen}.\n", fact.version()));
        let root = fact.shape().json();
        let Some(fields) = root.get("properties").and_then(Value::as_object).filter(|all| !all.is_empty())
        else {
            continue;
        };
        page.push_str("\n| field | is | |\n|---|---|---|\n");
        for (name, field) in fields {
            let told = description(field).split_whitespace().collect::<Vec<_>>().join(" ");
            let is = words(&root, field).replace('|', "\\|");
            write_all(&mut page, format_args!("| `{name}` | {is} | {told} |\n"));
        }
    }
    page
}

fn write_all(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = page.write_fmt(text);
}
