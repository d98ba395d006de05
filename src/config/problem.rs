//! Mistakes in what an operator wrote, and where values come from.
//!
//! A reader of config never stops at the first mistake: it collects [`Problem`]s, each with its place and
//! a way out, and hands over all of them together. Details never quote a value that may be a secret.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

/// Where a value, or a mistake, comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[schema(as = ConfigOrigin)]
pub enum Origin {
    /// The compiled-in `config/default.toml`.
    Default,
    /// Computed from another key because nobody set this one.
    Derived {
        /// The key it follows, for instance `data_dir`.
        from: String,
    },
    /// A file the operator wrote.
    File {
        /// The path as it was named.
        file: String,
        /// Counted from 1; absent when the file as a whole is meant.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<u32>,
        /// In characters, counted from 1; absent when the file as a whole is meant.
        #[serde(skip_serializing_if = "Option::is_none")]
        column: Option<u32>,
    },
    /// An environment variable.
    Env {
        /// The variable's name.
        name: String,
    },
}

impl Origin {
    /// A file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Self::File { file: file.into(), line: None, column: None }
    }

    /// Whether the operator wrote it, in a file or in the environment.
    #[must_use]
    pub fn is_operators(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Env { .. })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Derived { from } => write!(f, "default, follows {from}"),
            Self::File { file, line: Some(line), column: Some(column) } => {
                write!(f, "{file}:{line}:{column}")
            }
            Self::File { file, line: Some(line), column: None } => write!(f, "{file}:{line}"),
            Self::File { file, .. } => f.write_str(file),
            Self::Env { name } => write!(f, "environment {name}"),
        }
    }
}

/// What is wrong with a value and what would be right; still without a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub detail: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl Fault {
    /// What is wrong, and what to do about it.
    pub fn new(detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { detail: detail.into(), remedy: remedy.into() }
    }

    /// The same fault with its key and place.
    pub fn at(self, key: impl Into<String>, origin: Origin) -> Problem {
        Problem { key: key.into(), origin, detail: self.detail, remedy: self.remedy }
    }
}

/// One mistake of the operator's, fit to be shown: no detail holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ConfigProblem)]
pub struct Problem {
    /// The key it is about, dotted from the root; empty when the text cannot be read at all.
    pub key: String,
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong.
    pub detail: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.detail)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Everything that was found wrong, in the order of files and lines. Never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(as = ConfigProblems)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// `value` when nothing is wrong, else everything that is, sorted by place and without repeats.
    ///
    /// # Errors
    /// The problems, when there are any.
    pub fn or<T>(mut found: Vec<Problem>, value: T) -> Result<T, Self> {
        if found.is_empty() {
            return Ok(value);
        }
        sort(&mut found);
        Err(Self(found))
    }
}

/// Orders problems by place; files come before the environment.
pub fn sort(found: &mut Vec<Problem>) {
    found.sort_by(|a, b| (&a.origin, &a.key).cmp(&(&b.origin, &b.key)));
    found.dedup();
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that `word` was most likely meant to be; `None` when nothing is near.
///
/// Near is an edit distance of at most a third of the word (at least one), swaps counted once.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

/// `a, b or c`, for messages that list what is allowed.
#[must_use]
pub fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

/// A number as people and TOML write it: `1_048_576`.
#[must_use]
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut out = String::with_capacity(digits.len() * 2);
    if number < 0 {
        out.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_a_compilers() {
        let origin = Origin::File { file: "tenantry.toml".to_owned(), line: Some(12), column: Some(9) };
        let fault = Fault::new("unknown key", "did you mean tenancy.isolation?");
        assert_eq!(
            fault.at("tenancy.isolaton", origin).to_string(),
            "tenantry.toml:12:9: tenancy.isolaton: unknown key; did you mean tenancy.isolation?"
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1000), "1_000");
        assert_eq!(grouped(1_048_576), "1_048_576");
        assert_eq!(grouped(-1234), "-1_234");
        assert_eq!(grouped(i64::MIN), "-9_223_372_036_854_775_808");
    }

    #[test]
    fn only_a_near_word_is_suggested() {
        assert_eq!(nearest("isolaton", ["isolation", "region"]), Some("isolation"));
        assert_eq!(nearest("bnid", ["bind", "port"]), Some("bind"));
        assert_eq!(nearest("banana", ["isolation", "region"]), None);
    }
}
