//! Choosing events by what happened.

use std::str::FromStr;

use super::catalogue;

/// Choices that one filter holds at most.
const MOST: usize = 50;
/// Longest name of a kind.
const LONGEST: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    All,
    /// All kinds of one noun.
    Noun(String),
    Exactly(String),
}

/// Some kinds of events: by name, by noun (`tenant.*`), or all. Written with commas between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kinds(pub(super) Vec<Choice>);

impl Default for Kinds {
    fn default() -> Self {
        Self::all()
    }
}

impl Kinds {
    /// Whatever happens.
    #[must_use]
    pub fn all() -> Self {
        Self(vec![Choice::All])
    }

    /// Whether it is every kind.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.contains(&Choice::All)
    }

    /// What of it names nothing that there is: what to tell who asked.
    #[must_use]
    pub fn strangers(&self) -> Vec<String> {
        let told = |choice: &Choice| match choice {
            Choice::All => None,
            Choice::Noun(noun) => catalogue::stranger(&format!("{noun}.*")),
            Choice::Exactly(name) => catalogue::stranger(name),
        };
        self.0.iter().filter_map(told).collect()
    }

    /// Whether `kind` is one of them.
    #[must_use]
    pub fn take(&self, kind: &str) -> bool {
        self.0.iter().any(|choice| match choice {
            Choice::All => true,
            Choice::Noun(noun) => kind.strip_prefix(noun.as_str()).is_some_and(|verb| verb.starts_with('.')),
            Choice::Exactly(name) => name == kind,
        })
    }
}

/// Not a choice of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("name up to 50 types with commas between, each whole (tenant.suspended) or by its noun (tenant.*)")]
pub struct NoKinds;

impl FromStr for Kinds {
    type Err = NoKinds;

    fn from_str(text: &str) -> Result<Self, NoKinds> {
        let name = |text: &str| {
            let small = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            (1..=LONGEST).contains(&text.len())
                && text.split('.').all(|part| !part.is_empty() && part.bytes().all(small))
        };
        let choice = |text: &str| match text.strip_suffix(".*") {
            _ if text == "*" => Ok(Choice::All),
            Some(noun) if name(noun) => Ok(Choice::Noun(noun.to_owned())),
            None if name(text) => Ok(Choice::Exactly(text.to_owned())),
            _ => Err(NoKinds),
        };
        let all: Vec<Choice> =
            text.split(',').map(|part| choice(part.trim())).take(MOST + 1).collect::<Result<_, _>>()?;
        if all.len() > MOST { Err(NoKinds) } else { Ok(Self(all)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_and_nouns_are_taken_and_nothing_that_only_begins_alike() {
        let some: Kinds = "tenant.*, api_key.revoked".parse().unwrap();
        for (kind, taken) in [
            ("tenant.suspended", true),
            ("tenant.ownership_transferred", true),
            ("tenants.suspended", false),
            ("tenant", false),
            ("api_key.revoked", true),
            ("api_key.revoked_not", false),
            ("apixkey.revoked", false),
        ] {
            assert_eq!(some.take(kind), taken, "{kind}");
        }
        assert!(Kinds::all().take("whatever") && "*".parse::<Kinds>().unwrap().is_all());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", ",", "a,", "*.created", "Tenant.created", "tenant.%", "tenant..x", "a.*.b", "a b"] {
            assert_eq!(text.parse::<Kinds>(), Err(NoKinds), "{text:?}");
        }
        assert!(vec!["a.b"; 50].join(",").parse::<Kinds>().is_ok());
        assert!(vec!["a.b"; 51].join(",").parse::<Kinds>().is_err());
    }
}
