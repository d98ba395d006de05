//! Checks a JSON value against the very schema that the OpenAPI document shows, and names every fault at
//! once with its JSON pointer. Covers what our request types use: objects, arrays, enumerations, types,
//! lengths, ranges and patterns of ids.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::schema::{
    AdditionalProperties, ArrayItems, KnownFormat, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{Object, RefOr};

use crate::kernel::clock::Ts;
use crate::kernel::error::FieldError;

/// Where in a value. Written out as a JSON pointer only where something is wrong.
#[derive(Clone, Copy)]
enum At<'a> {
    Root,
    Field(&'a At<'a>, &'a str),
    Item(&'a At<'a>, usize),
}

impl At<'_> {
    fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(outer, name) => {
                format!("{}/{}", outer.pointer(), name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Item(outer, at) => format!("{}/{at}", outer.pointer()),
        }
    }
}

/// A request type's schema with everything it refers to.
pub struct Shape {
    root: RefOr<Schema>,
    named: BTreeMap<String, RefOr<Schema>>,
}

impl Shape {
    /// The shape of `T`.
    #[must_use]
    pub fn of<T: ToSchema>() -> Self {
        let mut named = Vec::new();
        T::schemas(&mut named);
        Self { root: T::schema(), named: named.into_iter().collect() }
    }

    /// Everything about `value` that does not fit.
    #[must_use]
    pub fn faults(&self, value: &Value) -> Vec<FieldError> {
        let mut faults = Vec::new();
        self.check(&self.root, value, &At::Root, &mut faults);
        faults
    }

    /// It as JSON Schema, complete in itself: what it refers to is under `$defs`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut root = standing_alone(json!(self.root));
        let defined: Map<String, Value> =
            self.named.iter().map(|(name, schema)| (name.clone(), standing_alone(json!(schema)))).collect();
        if let (Some(root), false) = (root.as_object_mut(), defined.is_empty()) {
            root.insert("$defs".to_owned(), Value::Object(defined));
        }
        root
    }

    fn resolve<'a>(&'a self, schema: &'a RefOr<Schema>) -> Option<&'a Schema> {
        let mut seen = schema;
        for _ in 0..16 {
            match seen {
                RefOr::T(schema) => return Some(schema),
                RefOr::Ref(reference) => {
                    let name = reference.ref_location.rsplit('/').next()?;
                    seen = self.named.get(name)?;
                }
            }
        }
        None
    }

    fn check(&self, schema: &RefOr<Schema>, value: &Value, at: &At<'_>, faults: &mut Vec<FieldError>) {
        match self.resolve(schema) {
            Some(Schema::Object(object)) => self.check_object(object, value, at, faults),
            Some(Schema::Array(array)) => {
                if is_type(&array.schema_type, Type::Null) && value.is_null() {
                    return;
                }
                let Value::Array(items) = value else { return fault(faults, at, "must be an array") };
                if array.min_items.is_some_and(|min| items.len() < min) {
                    fault(faults, at, format!("must have at least {} items", array.min_items.unwrap_or(0)));
                }
                if array.max_items.is_some_and(|max| items.len() > max) {
                    fault(faults, at, format!("must have at most {} items", array.max_items.unwrap_or(0)));
                }
                if let ArrayItems::RefOrSchema(of) = &array.items {
                    for (index, item) in items.iter().enumerate() {
                        self.check(of, item, &At::Item(at, index), faults);
                    }
                }
            }
            Some(Schema::OneOf(one)) => self.check_any(&one.items, value, at, faults),
            Some(Schema::AnyOf(any)) => self.check_any(&any.items, value, at, faults),
            Some(Schema::AllOf(all)) => all.items.iter().for_each(|part| self.check(part, value, at, faults)),
            _ => {}
        }
    }

    /// The alternatives of an optional field are `null` and the thing: the thing's faults are the ones to tell.
    fn check_any(&self, items: &[RefOr<Schema>], value: &Value, at: &At<'_>, faults: &mut Vec<FieldError>) {
        let mut best: Option<Vec<FieldError>> = None;
        for item in items {
            let mut own = Vec::new();
            self.check(item, value, at, &mut own);
            if own.is_empty() {
                return;
            }
            let only_null = matches!(self.resolve(item), Some(Schema::Object(object)) if matches!(object.schema_type, SchemaType::Type(Type::Null)));
            if !only_null && best.as_ref().is_none_or(|held| own.len() < held.len()) {
                best = Some(own);
            }
        }
        faults.extend(best.unwrap_or_default());
    }

    fn check_object(&self, object: &Object, value: &Value, at: &At<'_>, faults: &mut Vec<FieldError>) {
        if !type_fits(&object.schema_type, value) {
            return fault(faults, at, format!("must be {}", words(&object.schema_type)));
        }
        if let Some(allowed) = &object.enum_values
            && !allowed.contains(value)
            && !value.is_null()
        {
            let list: Vec<_> = allowed
                .iter()
                .filter(|word| !word.is_null())
                .map(|word| word.as_str().map_or_else(|| word.to_string(), ToOwned::to_owned))
                .collect();
            return fault(faults, at, format!("must be one of {}", list.join(", ")));
        }
        match value {
            Value::String(text) => check_text(object, text, at, faults),
            Value::Number(number) => check_number(object, number.as_f64().unwrap_or(0.0), at, faults),
            Value::Object(fields) => {
                for name in &object.required {
                    if !fields.contains_key(name) {
                        fault(faults, &At::Field(at, name), "is required");
                    }
                }
                for (name, field) in fields {
                    let at = &At::Field(at, name);
                    if let Some(schema) = object.properties.get(name) {
                        self.check(schema, field, at, faults);
                    } else if let Some(extra) = &object.additional_properties {
                        match &**extra {
                            AdditionalProperties::FreeForm(false) => fault(faults, at, unknown(name, object)),
                            AdditionalProperties::FreeForm(true) => {}
                            AdditionalProperties::RefOr(schema) => self.check(schema, field, at, faults),
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

/// A schema of an OpenAPI document as JSON Schema has it outside of one.
fn standing_alone(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(fields) => {
            if let Some(Value::String(to)) = fields.get_mut("$ref") {
                *to = to.replace("#/components/schemas/", "#/$defs/");
            }
            if let Some(example) = fields.remove("example") {
                fields.insert("examples".to_owned(), json!([example]));
            }
            fields.values_mut().for_each(|field| *field = standing_alone(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = standing_alone(item.take())),
        _ => {}
    }
    schema
}

fn unknown(name: &str, object: &Object) -> String {
    let near = object
        .properties
        .keys()
        .map(|known| (strsim::damerau_levenshtein(name, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    match near {
        Some((_, known)) => format!("is not a field of this request; did you mean {known}?"),
        None => "is not a field of this request".to_owned(),
    }
}

fn check_text(object: &Object, text: &str, at: &At<'_>, faults: &mut Vec<FieldError>) {
    let length = text.chars().count();
    if let Some(min) = object.min_length.filter(|min| length < *min) {
        fault(
            faults,
            at,
            if min == 1 {
                "must not be empty".to_owned()
            } else {
                format!("must have at least {min} characters")
            },
        );
    }
    if let Some(max) = object.max_length.filter(|max| length > *max) {
        fault(faults, at, format!("must have at most {max} characters"));
    }
    if text.contains('\0') {
        fault(faults, at, "must not hold a zero byte");
    }
    let is_time = matches!(object.format, Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
    if is_time && text.parse::<Ts>().is_err() {
        fault(faults, at, "must be a time in UTC, like 2030-01-31T12:00:00Z");
    }
}

/// A bound beyond 32 bits.
fn large(bound: &impl ToString) -> Option<f64> {
    bound.to_string().parse().ok()
}

fn check_number(object: &Object, number: f64, at: &At<'_>, faults: &mut Vec<FieldError>) {
    let bound = |value: &Option<utoipa::Number>| match value {
        Some(utoipa::Number::Int(int)) => {
            i32::try_from(*int).map_or_else(|_| large(int), |int| Some(int.into()))
        }
        Some(utoipa::Number::UInt(int)) => {
            u32::try_from(*int).map_or_else(|_| large(int), |int| Some(int.into()))
        }
        Some(utoipa::Number::Float(float)) => Some(*float),
        None => None,
    };
    if let Some(min) = bound(&object.minimum).filter(|min| number < *min) {
        fault(faults, at, format!("must be at least {min}"));
    }
    if let Some(max) = bound(&object.maximum).filter(|max| number > *max) {
        fault(faults, at, format!("must be at most {max}"));
    }
}

fn is_type(schema_type: &SchemaType, wanted: Type) -> bool {
    match schema_type {
        SchemaType::Type(one) => *one == wanted,
        SchemaType::Array(many) => many.contains(&wanted),
        SchemaType::AnyValue => true,
    }
}

fn type_fits(schema_type: &SchemaType, value: &Value) -> bool {
    match value {
        Value::Null => is_type(schema_type, Type::Null),
        Value::Bool(_) => is_type(schema_type, Type::Boolean),
        Value::Number(number) => {
            is_type(schema_type, Type::Number)
                || (is_type(schema_type, Type::Integer) && (number.is_i64() || number.is_u64()))
        }
        Value::String(_) => is_type(schema_type, Type::String),
        Value::Array(_) => is_type(schema_type, Type::Array),
        Value::Object(_) => is_type(schema_type, Type::Object),
    }
}

fn words(schema_type: &SchemaType) -> String {
    let word = |one: &Type| match one {
        Type::Object => "an object",
        Type::String => "a string",
        Type::Integer => "an integer",
        Type::Number => "a number",
        Type::Boolean => "true or false",
        Type::Array => "an array",
        Type::Null => "null",
    };
    match schema_type {
        SchemaType::Type(one) => word(one).to_owned(),
        SchemaType::Array(many) => {
            many.iter().filter(|one| **one != Type::Null).map(word).collect::<Vec<_>>().join(" or ")
        }
        SchemaType::AnyValue => "any value".to_owned(),
    }
}

fn fault(faults: &mut Vec<FieldError>, at: &At<'_>, detail: impl Into<String>) {
    faults.push(FieldError { pointer: at.pointer(), detail: detail.into() });
}
