//! What a PostgreSQL type looks like in JSON.

use std::sync::Arc;

use tokio_postgres::types::{Kind, Type};

/// How values of a type are written in JSON and read from it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shape {
    Bool,
    /// Always within 2^53.
    Int,
    /// A number within ±(2^53 − 1), beyond that a string.
    BigInt,
    Float,
    Json,
    Bytes,
    TimestampTz,
    Timestamp,
    /// The engine's text as a string.
    Text,
    Array {
        of: Arc<Shape>,
        delimiter: char,
    },
}

/// A type's name and shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TypeInfo {
    pub(crate) name: String,
    pub(crate) shape: Shape,
}

impl TypeInfo {
    /// An array of this type.
    pub(crate) fn array(&self, delimiter: char) -> Self {
        Self {
            name: format!("{}[]", self.name),
            shape: Shape::Array { of: Arc::new(self.shape.clone()), delimiter },
        }
    }

    /// A type that is only ever shown as text.
    pub(crate) fn text(name: impl Into<String>) -> Self {
        Self { name: name.into(), shape: Shape::Text }
    }
}

/// The types that every PostgreSQL has; `None` for those of an application or an extension.
pub(crate) fn builtin(oid: u32) -> Option<TypeInfo> {
    let kind = Type::from_oid(oid)?;
    // These two are arrays by their catalog row, but not by their text (`1 2 3`).
    let vector = kind == Type::INT2_VECTOR || kind == Type::OID_VECTOR;
    Some(match kind.kind() {
        Kind::Array(of) if !vector => {
            let of = TypeInfo { name: of.name().to_owned(), shape: scalar(of) };
            of.array(if kind == Type::BOX_ARRAY { ';' } else { ',' })
        }
        _ => TypeInfo { name: kind.name().to_owned(), shape: scalar(&kind) },
    })
}

fn scalar(kind: &Type) -> Shape {
    match *kind {
        Type::BOOL => Shape::Bool,
        Type::INT2 | Type::INT4 | Type::OID => Shape::Int,
        Type::INT8 => Shape::BigInt,
        Type::FLOAT4 | Type::FLOAT8 => Shape::Float,
        Type::JSON | Type::JSONB => Shape::Json,
        Type::BYTEA => Shape::Bytes,
        Type::TIMESTAMPTZ => Shape::TimestampTz,
        Type::TIMESTAMP => Shape::Timestamp,
        _ => Shape::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_types() {
        let of = |oid| builtin(oid).unwrap();
        assert_eq!(of(20), TypeInfo { name: "int8".into(), shape: Shape::BigInt });
        assert_eq!(of(1009).name, "text[]");
        assert_eq!(of(1020).shape, Shape::Array { of: Arc::new(Shape::Text), delimiter: ';' });
        assert_eq!(of(1034).name, "aclitem[]");
        assert_eq!(of(22).shape, Shape::Text);
        assert_eq!(builtin(99_999), None);
    }
}
