//! The catalogue of events: every kind that is ever appended, with the shape of its data, the version of that
//! shape, and whom it concerns.
//!
//! A capability declares its facts in its `events.rs` with [`facts!`](crate::facts): a struct each, which is
//! what `append_in` takes. The floor knows no capability, so whoever puts the process together tells it all of
//! them once, by [`install`]. A kind that nobody declared counts as the operator's own and is read as written.

mod show;
#[cfg(test)]
pub(crate) mod tests;

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

    /// What it happened to, the first word of its name.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        self.kind.split('.').next().unwrap_or(self.kind)
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

/// What is wrong with asking for `filter`, a kind or all of a noun (`tenant.*`): that there is none. Nothing is,
/// when the catalogue has not been told what there is.
#[must_use]
pub fn stranger(filter: &str) -> Option<String> {
    let noun = filter.strip_suffix(".*");
    let known = |fact: &FactType| noun.map_or(fact.kind == filter, |noun| fact.noun() == noun);
    if filter == "*" || !installed() || all().any(known) {
        return None;
    }
    let names = all().map(|fact| match noun {
        Some(_) => format!("{}.*", fact.noun()),
        None => fact.kind.to_owned(),
    });
    let near = names.map(|name| (strsim::damerau_levenshtein(filter, &name), name)).min();
    let what = if noun.is_some() { "no type of event begins so" } else { "is no type of event" };
    Some(match near {
        Some((distance, name)) if distance <= 3 => format!("{filter}: {what}; did you mean {name}?"),
        _ => format!("{filter}: {what}; GET /v1/event-types lists them"),
    })
}

/// Who sees events of this kind. One that this program does not know, written by a newer one, is seen by whom
/// those of its noun are seen by.
#[must_use]
pub fn audience(kind: &str) -> Audience {
    if let Some(fact) = find(kind) {
        return fact.audience();
    }
    let noun = kind.split('.').next().unwrap_or(kind);
    let mut kin = all().filter(|fact| fact.noun() == noun).peekable();
    if kin.peek().is_some() && kin.all(|fact| fact.audience() == Audience::Tenant) {
        Audience::Tenant
    } else {
        Audience::Operator
    }
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
    ($($(#[doc = $doc:literal])+ $name:ident = $kind:literal, $audience:ident $(steps [$($step:path),+ $(,)?])? $({ $($fields:tt)* })? $(($data:ty))?)+) => {
        $(
            $crate::facts!(@body $name [$($doc)+] $({ $($fields)* })? $(($data))?);

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
