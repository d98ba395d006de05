//! What the loader reads: a working directory, the named files, an environment. The process's own are
//! taken once, in [`Inputs::from_process`]; everything else, tests above all, passes its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

/// The file that is read when none is named.
pub const IMPLICIT_FILE: &str = "tenantry.toml";

/// Where config comes from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Relative paths in the config start here. Empty is the process's working directory.
    pub dir: PathBuf,
    /// The files of `--config`, later ones win; `None` is `tenantry.toml` if there is one.
    pub files: Option<Vec<PathBuf>>,
    /// The environment.
    pub env: Environment,
}

/// Environment variables; one whose value is not UTF-8 has none.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, Option<String>>);

impl Environment {
    /// From pairs of names and values; names that are not UTF-8 are none of ours.
    pub fn new<N: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let named = pairs.into_iter().filter_map(|(name, value)| {
            let name = name.into().into_string().ok()?;
            Some((name, value.into().into_string().ok()))
        });
        Self(named.collect())
    }

    /// The variable `name`: `None` when it is not set, `Some(None)` when it is not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Option<String>> {
        self.0.get(name)
    }

    /// All variables, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Option<String>)> {
        self.0.iter()
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Inputs {
    /// The process's working directory and environment, and the files of `--config`.
    pub fn from_process(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            dir: PathBuf::new(),
            files: Some(files.into_iter().collect()).filter(|files: &Vec<_>| !files.is_empty()),
            env: Environment::new(std::env::vars_os()),
        }
    }

    /// The compiled-in defaults alone: no file, no environment.
    #[must_use]
    pub fn default_only() -> Self {
        Self { dir: PathBuf::new(), files: Some(Vec::new()), env: Environment::default() }
    }

    /// These files alone, without the environment but for what `env:NAME` refers to.
    #[must_use]
    pub fn only_files(&self, files: Vec<PathBuf>) -> Self {
        let references = self.env.0.iter().filter(|(name, _)| !name.starts_with(super::reading::PREFIX));
        let env = references.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { dir: self.dir.clone(), files: Some(files), env: Environment(env) }
    }

    /// The files to read, in order; each must be there.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        match &self.files {
            Some(files) => files.clone(),
            None if self.dir.join(IMPLICIT_FILE).exists() => vec![PathBuf::from(IMPLICIT_FILE)],
            None => Vec::new(),
        }
    }
}
