//! The application's own schema: a folder of `NNNN_name/up.sql` (and `down.sql`) that the operator
//! owns, read once, split into statements with their lines, and checksummed.
//!
//! [`lint`] says before anything runs what would bypass isolation or break in one of the models; the
//! catalog checks of the engines enforce the same after it ran.

pub mod lint;
mod lint_table;
mod script;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config::{Fault, Origin, Problem, Settings};
use crate::kernel::error::{Error, Result};

use super::home::Engine;
pub use lint::Finding;
pub use script::{Script, Statement};

/// Where the schema is unless the operator says otherwise; when it is not there, the compiled-in copy serves.
const DEFAULT_DIR: &str = "examples/notes/migrations";

/// The migrations of the example application: folder, `up.sql`, `down.sql`.
const EXAMPLE: &[(&str, &str, &str)] = &[
    (
        "0001_notes",
        include_str!("../../../examples/notes/migrations/0001_notes/up.sql"),
        include_str!("../../../examples/notes/migrations/0001_notes/down.sql"),
    ),
    (
        "0002_pins",
        include_str!("../../../examples/notes/migrations/0002_pins/up.sql"),
        include_str!("../../../examples/notes/migrations/0002_pins/down.sql"),
    ),
];

/// One migration of the application's schema.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Its number: migrations are applied in this order.
    pub number: i32,
    /// Its folder's name, for instance `0001_notes`.
    pub name: String,
    /// What it does.
    pub up: Script,
    /// How to undo it, when the operator wrote that.
    pub down: Option<Script>,
    /// SHA-256 of `up.sql`, in hexadecimal.
    pub checksum: String,
}

/// The application's schema: all its migrations, in order. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AppSchema {
    migrations: Arc<[Migration]>,
    version: Arc<str>,
}

impl AppSchema {
    /// Reads `dir`. Entries that are no folders, and hidden ones, are left alone.
    ///
    /// # Errors
    /// `migrations_unreadable` naming every folder or file that is wrong, all in one go.
    pub fn load(dir: &Path) -> Result<Self> {
        if dir == Path::new(DEFAULT_DIR) && !dir.exists() {
            return Ok(Self::example());
        }
        let mut problems = Vec::new();
        let mut migrations = Vec::new();
        for folder in folders(dir)? {
            match load_one(&folder) {
                Ok(migration) => migrations.push(migration),
                Err(problem) => problems.push(problem),
            }
        }
        migrations.sort_by(|a: &Migration, b| (a.number, &a.name).cmp(&(b.number, &b.name)));
        for (one, next) in migrations.iter().zip(migrations.iter().skip(1)) {
            if one.number == next.number {
                problems.push(format!(
                    "{} and {} have the same number: give the later one the next free number",
                    one.name, next.name
                ));
            }
        }
        if migrations.is_empty() && problems.is_empty() {
            problems.push(format!(
                "{} holds no migrations: it needs at least one folder like 0001_first with an up.sql",
                dir.display()
            ));
        }
        if problems.is_empty() { Ok(Self::of(migrations)) } else { Err(unreadable(&problems)) }
    }

    /// The compiled-in copy of the example application, for a program that is run away from its sources.
    fn example() -> Self {
        let migration = |(number, (name, up, down)): (i32, &(&str, &str, &str))| {
            assemble(number, (*name).to_owned(), (*up).to_owned(), Some((*down).to_owned()))
        };
        Self::of((1..).zip(EXAMPLE).map(migration).collect())
    }

    fn of(migrations: Vec<Migration>) -> Self {
        let mut hash = Sha256::new();
        for migration in &migrations {
            hash.update(format!("{} {} {}\n", migration.number, migration.name, migration.checksum));
        }
        let version = hex(&hash.finalize());
        Self { migrations: migrations.into(), version: version.into() }
    }

    /// The migrations in the order of application.
    #[must_use]
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// A checksum over all migrations, in hexadecimal: equal when and only when the schemas are.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The highest migration's number.
    #[must_use]
    pub fn latest(&self) -> i32 {
        self.migrations.last().map_or(0, |migration| migration.number)
    }

    /// This schema as it was at migration `number`: later ones left out.
    #[must_use]
    pub fn up_to(&self, number: i32) -> Self {
        Self::of(self.migrations.iter().filter(|migration| migration.number <= number).cloned().collect())
    }

    /// Everything in the migrations that would be unsafe or not work on `engine`.
    #[must_use]
    pub fn lint(&self, engine: Engine) -> Vec<Finding> {
        self.migrations
            .iter()
            .flat_map(|migration| std::iter::once(&migration.up).chain(&migration.down))
            .flat_map(|script| lint::script(script, engine))
            .collect()
    }

    /// Refuses a schema with findings.
    ///
    /// # Errors
    /// `migration_unsafe`, naming every finding with file, line and remedy.
    pub fn refuse_unsafe(&self, engine: Engine) -> Result<()> {
        let findings: Vec<String> = self.lint(engine).iter().map(ToString::to_string).collect();
        if findings.is_empty() {
            return Ok(());
        }
        Err(Error::refused("migration_unsafe", findings.join("\n")))
    }
}

/// Everything that would keep `settings` from serving for the sake of the application's schema: unreadable
/// or unsafe migrations, once per finding, for the engines of the configured clusters.
#[must_use]
pub fn problems(settings: &Settings, origin: &Origin) -> Vec<Problem> {
    const KEY: &str = "application.migrations_dir";
    let schema = match AppSchema::load(&settings.application.migrations_dir) {
        Ok(schema) => schema,
        Err(error) => return vec![Fault::new(error.to_string(), "").at(KEY, origin.clone())],
    };
    let mut findings: Vec<Finding> = Vec::new();
    for cluster in settings.clusters.values() {
        for finding in schema.lint(cluster.url.engine()) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    let told = |finding: Finding| {
        let about = finding.table.map_or_else(String::new, |table| format!("{table}: "));
        let detail = format!("{} line {}: {about}{}", finding.file, finding.line, finding.problem);
        Fault::new(detail, finding.remedy).at(KEY, origin.clone())
    };
    findings.into_iter().map(told).collect()
}

/// The migrations that a home lacks whose ledger holds `applied` (number → checksum).
///
/// # Errors
/// `migration_changed` when an applied migration's file is no longer what was applied, and
/// `migration_missing` when an unapplied one has a lower number than an applied one.
pub(crate) fn pending<'a>(app: &'a AppSchema, applied: &BTreeMap<i32, String>) -> Result<Vec<&'a Migration>> {
    let newest = applied.keys().next_back().copied().unwrap_or(0);
    let mut pending = Vec::new();
    for migration in app.migrations.iter() {
        match applied.get(&migration.number) {
            Some(checksum) if *checksum == migration.checksum => {}
            Some(_) => {
                return Err(Error::refused(
                    "migration_changed",
                    format!(
                        "{} was edited after it had been applied: restore the file and put the change into a new migration",
                        migration.up.file
                    ),
                ));
            }
            None if migration.number < newest => {
                return Err(Error::refused(
                    "migration_missing",
                    format!(
                        "{} comes before migration {newest}, which is already applied: give it a higher number",
                        migration.up.file
                    ),
                ));
            }
            None => pending.push(migration),
        }
    }
    Ok(pending)
}

/// `bytes` in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let at = |error: std::io::Error| {
        unreadable(&[format!("{}: {error} (application.migrations_dir names this folder)", dir.display())])
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(at)? {
        let path = entry.map_err(at)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn load_one(folder: &Path) -> Result<Migration, String> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let number = name
        .split_once('_')
        .filter(|(digits, rest)| !rest.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(digits, _)| digits.parse::<i32>().ok())
        .filter(|number| *number > 0)
        .ok_or_else(|| {
            format!(
                "{}: a migration's folder is named by a number from 1, `_` and words, like 0001_first",
                folder.display()
            )
        })?;
    let up =
        read(&folder.join("up.sql"))?.ok_or_else(|| format!("{}: up.sql is missing", folder.display()))?;
    let down = read(&folder.join("down.sql"))?;
    Ok(assemble(number, name, up, down))
}

fn assemble(number: i32, name: String, up: String, down: Option<String>) -> Migration {
    let label = |file: &str| format!("{name}/{file}");
    let checksum = hex(&Sha256::digest(up.as_bytes()));
    let up = Script::parse(label("up.sql"), up);
    let down = down.map(|text| Script::parse(label("down.sql"), text));
    Migration { number, up, down, checksum, name }
}

fn read(file: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn unreadable(problems: &[String]) -> Error {
    Error::refused("migrations_unreadable", problems.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_copy_is_the_example() {
        let example = AppSchema::example();
        let files = AppSchema::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(DEFAULT_DIR)).unwrap();
        assert_eq!(example.version(), files.version());
        assert!(example.lint(Engine::Sqlite).is_empty() && example.lint(Engine::Postgres).is_empty());
    }
}
