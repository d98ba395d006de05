//! The catalogue of events: every kind that is ever appended, with the shape of its data, the version of that
//! shape, and whom it concerns.
//!
//! A capability declares its facts in its `events.rs` with [`facts!`](crate::facts): a struct each, which is
//! what `append_in` takes. The floor knows no capability, so whoever puts the process together tells it all of
//! them once, by [`install`]. A kind that nobody declared counts as the operator's own and is read as written.

mod show;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::Value;

pub use show::{markdown, sample};

use crate::http::schema_check::Shape;
use crate::kernel::error::FieldError;
use crate::words;

words! {
    /// Who sees an event outside of the audit.
    Audience as "EventAudience", "audience" {
        /// The tenant whose fact it is, and the operator.
        Tenant = "tenant",
        /// The operator alone.
        Operator = "operator",
    }
}

/// Makes data of one version's shape data of the next one's. It changes nothing but its argument and refuses
/// nothing: what it cannot make sense of it leaves as it is.
pub type Step = fn(Value) -> Value;

/// A kind of event.
pub struct FactType {
    kind: &'static str,
    version: i32,
    audience: Audience,
    description: &'static str,
    steps: &'static [Step],
    make: fn() -> Shape,
    shape: OnceLock<Shape>,
}

impl FactType {
    /// A kind whose data has been changed in shape `steps.len()` times since it was first written.
    #[must_use]
    pub const fn new(
        kind: &'static str,
        audience: Audience,
        description: &'static str,
        steps: &'static [Step],
        make: fn() -> Shape,
    ) -> Self {
        let mut version = 1;
        let mut rest = steps;
        while let [_, more @ ..] = rest {
            rest = more;
            version += 1;
        }
        Self { kind, version, audience, description, steps, make, shape: OnceLock::new() }
    }

    /// What happened, noun then verb: `tenant.suspended`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The version of the shape that is written now; 1 is the first.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// Whom it concerns.
    #[must_use]
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// What it says, in a sentence.
    #[must_use]
    pub fn description(&self) -> &'static str {
        self.description.trim_ascii()
    }

    fn shape(&self) -> &Shape {
        self.shape.get_or_init(self.make)
    }

    /// Everything about `data` that is not as the newest shape says.
    #[must_use]
    pub fn faults(&self, data: &Value) -> Vec<FieldError> {
        self.shape().faults(data)
    }

    /// `data` of `version` in the newest shape, and that shape's version. Data of a version that this program
    /// does not know, written by a newer one, stays as it is.
    #[must_use]
    pub fn newest(&self, version: i32, data: Value) -> (i32, Value) {
        let Some(done) = usize::try_from(version).ok().and_then(|version| version.checked_sub(1)) else {
            return (version, data);
        };
        match self.steps.get(done..) {
            Some(steps) => (self.version, steps.iter().fold(data, |data, step| step(data))),
            None => (version, data),
        }
    }
}

impl std::fmt::Debug for FactType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{}", self.kind, self.version)
    }
}

/// What can be appended to the log: the data of one kind of event. Made by [`facts!`](crate::facts).
pub trait Fact: Serialize {
    /// Its kind.
    fn fact() -> &'static FactType;
}

static KNOWN: OnceLock<BTreeMap<&'static str, &'static FactType>> = OnceLock::new();

/// Tells the catalogue all kinds that there are. The first time counts.
pub fn install(all: impl IntoIterator<Item = &'static FactType>) {
    KNOWN.get_or_init(|| all.into_iter().map(|fact| (fact.kind, fact)).collect());
}

/// Whether the catalogue has been told what there is.
pub(super) fn installed() -> bool {
    KNOWN.get().is_some()
}

/// All kinds, by name.
pub fn all() -> impl Iterator<Item = &'static FactType> {
    KNOWN.get().into_iter().flat_map(BTreeMap::values).copied()
}

/// The kind of that name.
#[must_use]
pub fn find(kind: &str) -> Option<&'static FactType> {
    KNOWN.get()?.get(kind).copied()
}

/// Who sees events of this kind.
#[must_use]
pub fn audience(kind: &str) -> Audience {
    find(kind).map_or(Audience::Operator, FactType::audience)
}

/// `data` as it was written, in the newest shape of its kind: version and data.
#[must_use]
pub(super) fn newest(kind: &str, version: i32, data: Value) -> (i32, Value) {
    match find(kind) {
        Some(fact) => fact.newest(version, data),
        None => (version, data),
    }
}

/// Declares kinds of events, each with the struct that holds its data, and `facts()`, the list of them.
///
/// The words after the documentation, which is the kind's description: `Name = "noun.verb", Audience`, then
/// the fields in braces, or in parentheses another type whose fields they are. Between the two, for a kind
/// whose shape has changed, `steps [v1_to_v2, v2_to_v3]`: functions on the data as JSON, each from one version
/// to the next. A kind's version is one more than it has steps.
#[macro_export]
macro_rules! facts {
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:literal, $audience:ident $(steps [$($step:path),+ $(,)?])? $body:tt)+) => {
        $(
            $crate::facts!(@body $name [$($doc)+] $body);

            impl $crate::log::catalogue::Fact for $name {
                fn fact() -> &'static $crate::log::catalogue::FactType {
                    static FACT: $crate::log::catalogue::FactType = $crate::log::catalogue::FactType::new(
                        $kind,
                        $crate::log::catalogue::Audience::$audience,
                        concat!($($doc),+),
                        &[$($($step),+)?],
                        $crate::http::schema_check::Shape::of::<$name>,
                    );
                    &FACT
                }
            }
        )+

        /// The kinds of events that are declared here.
        #[must_use]
        pub fn facts() -> Vec<&'static $crate::log::catalogue::FactType> {
            vec![$(<$name as $crate::log::catalogue::Fact>::fact()),+]
        }
    };
    (@body $name:ident [$($doc:literal)+] { $($fields:tt)* }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, ::serde::Serialize, ::utoipa::ToSchema)]
        pub struct $name { $($fields)* }
    };
    (@body $name:ident [$($doc:literal)+] ($data:ty)) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, ::serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(
            /// What it says.
            pub $data,
        );

        impl ::utoipa::PartialSchema for $name {
            fn schema() -> ::utoipa::openapi::RefOr<::utoipa::openapi::schema::Schema> {
                <$data as ::utoipa::PartialSchema>::schema()
            }
        }

        impl ::utoipa::ToSchema for $name {
            fn schemas(all: &mut Vec<(String, ::utoipa::openapi::RefOr<::utoipa::openapi::schema::Schema>)>) {
                <$data as ::utoipa::ToSchema>::schemas(all);
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn named(mut data: Value) -> Value {
        if let Some(fields) = data.as_object_mut() {
            let name = fields.remove("title").unwrap_or(Value::Null);
            fields.insert("name".to_owned(), name);
        }
        data
    }

    fn counted(mut data: Value) -> Value {
        if let Some(fields) = data.as_object_mut() {
            fields.entry("count").or_insert(json!(1));
        }
        data
    }

    facts! {
        /// Something was
        /// done.
        Done = "thing.done", Tenant steps [named, counted] {
            /// What it is called.
            pub name: Option<String>,
            /// How often.
            pub count: u32,
        }
        /// The same again.
        Again = "thing.again", Operator (Done)
    }

    #[test]
    fn old_versions_are_read_in_the_newest_shape() {
        let fact = Done::fact();
        assert_eq!((fact.version(), fact.audience()), (3, Audience::Tenant));
        assert_eq!(fact.description(), "Something was done.");
        let newest = json!({ "name": "a", "count": 1 });
        for (version, data) in
            [(1, json!({ "title": "a" })), (2, json!({ "name": "a" })), (3, newest.clone())]
        {
            assert_eq!(fact.newest(version, data), (3, newest.clone()), "from version {version}");
        }
        assert!(fact.faults(&newest).is_empty());
        assert_eq!(fact.faults(&json!({ "name": 1 })).len(), 2);
        let data = serde_json::to_value(Again(Done { name: None, count: 2 })).unwrap();
        assert_eq!(data, json!({ "name": null, "count": 2 }));
        assert!(Again::fact().faults(&data).is_empty());
        assert_eq!(Again::fact().faults(&json!({})).len(), 1);
    }

    #[test]
    fn what_is_unknown_stays_as_it_is_and_is_the_operators_own() {
        let odd = json!({ "title": 1 });
        assert_eq!(Done::fact().newest(4, odd.clone()), (4, odd.clone()));
        assert_eq!(Done::fact().newest(0, odd.clone()), (0, odd.clone()));
        assert_eq!(newest("nobody.declared", 1, odd.clone()), (1, odd));
        assert_eq!(audience("nobody.declared"), Audience::Operator);
    }

    proptest! {
        #[test]
        fn each_step_is_taken_once_and_in_order(version in 1i32..=3, name in "\\PC{0,20}") {
            let data = match version {
                1 => json!({ "title": name }),
                2 => json!({ "name": name }),
                _ => json!({ "name": name, "count": 7 }),
            };
            let (now, data) = Done::fact().newest(version, data);
            prop_assert_eq!(now, 3);
            prop_assert_eq!(&data["name"], &json!(name));
            prop_assert!(Done::fact().faults(&data).is_empty());
            // What is in the newest shape already is not touched again.
            prop_assert_eq!(Done::fact().newest(3, data.clone()), (3, data));
        }
    }
}
