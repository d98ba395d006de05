//! A directory of SQLite files as a home for tenants: a file each, copied from a migrated template.
//!
//! Files appear whole or not at all: both the template and each tenant's file are written under a
//! temporary name, synced, and then given their name without replacing anything.

mod catalog;
mod migrate;
pub mod open;
mod own_rows;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::NamedTempFile;

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;

use super::app_schema::AppSchema;
use super::home::{Engine, Home, tenant_of_file, unsupported_on_sqlite};
use super::steps::{BuildStep, Found, Inventory, RemovalStep};

const TEMPLATES: &str = ".templates";
/// The folder of files that do not have their name yet. Each begins with what it is to become, so that
/// whoever tries again after a crash finds and removes what the crash left.
const UNFINISHED: &str = ".unfinished";

/// A directory that tenants' files are placed in. All methods block: call them off the async threads.
#[derive(Clone, Debug)]
pub struct SqliteCluster {
    name: String,
    dir: PathBuf,
    /// One file is made at a time: an embedded cluster has one process, and whoever comes second finds the
    /// work done instead of clearing away what the first still writes.
    making: Arc<Mutex<()>>,
}

impl SqliteCluster {
    /// A cluster by its name in the config and its directory, which is made when first prepared.
    #[must_use]
    pub fn new(name: &str, dir: impl Into<PathBuf>) -> Self {
        Self { name: name.to_owned(), dir: dir.into(), making: Arc::default() }
    }

    /// The cluster's name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that `home` is in.
    #[must_use]
    pub fn path(&self, home: &Home) -> PathBuf {
        self.dir.join(&home.database)
    }

    /// Makes the directory (0700) and the template for `app`.
    ///
    /// # Errors
    /// `isolation_unsupported` for other models than `database`; `migration_unsafe`,
    /// `migration_failed`, `cluster_unavailable`.
    pub fn prepare(&self, app: &AppSchema, models: &[Isolation]) -> Result<()> {
        if let Some(model) = models.iter().find(|model| **model != Isolation::Database) {
            return Err(unsupported_on_sqlite(*model));
        }
        app.refuse_unsafe(Engine::Sqlite)?;
        self.make_dirs()?;
        let _one = self.making.lock();
        self.ensure_template(app)?;
        self.drop_old_templates(app)
    }

    /// Whether the directory can be read.
    ///
    /// # Errors
    /// `cluster_unavailable`.
    pub fn ping(&self) -> Result<()> {
        std::fs::read_dir(&self.dir).map(drop).map_err(|error| self.away(&self.dir, &error))
    }

    /// Takes one step towards `home`. Done before is done.
    ///
    /// # Errors
    /// `cluster_unavailable`, `migration_failed`, `home_unverified`.
    pub fn build(&self, step: BuildStep, home: &Home, app: &AppSchema) -> Result<()> {
        match step {
            BuildStep::CreateDatabase => self.create(home, app),
            BuildStep::ApplyMigrations => self.migrate(home, app).map(drop),
            BuildStep::VerifyAccess => self.verify(home),
            BuildStep::CreateRole
            | BuildStep::Register
            | BuildStep::CreateSchema
            | BuildStep::GrantAccess => Ok(()),
        }
    }

    /// Takes one step towards no trace of `home`. What is already gone is done.
    ///
    /// # Errors
    /// `cluster_unavailable`.
    pub fn remove(&self, step: RemovalStep, home: &Home) -> Result<()> {
        if step != RemovalStep::DropDatabase {
            return Ok(());
        }
        let path = self.path(home);
        // The log goes first: left behind, it could be taken for that of a later file of this name.
        self.drop_logs(&path)?;
        self.drop_file(&path)?;
        self.sync_dir(&self.dir)
    }

    /// Lists the tenants' files, and what crashes left half-made.
    ///
    /// # Errors
    /// `cluster_unavailable`.
    pub fn inventory(&self) -> Result<Inventory> {
        let mut found = Inventory::default();
        for name in self.list(&self.dir)? {
            if let Some(tenant) = tenant_of_file(&name) {
                found.databases.push(Found { tenant, isolation: Isolation::Database, name });
            } else if let Some(file) =
                ["-wal", "-shm", "-journal"].iter().find_map(|end| name.strip_suffix(end))
                && tenant_of_file(file).is_some()
                && !self.dir.join(file).exists()
            {
                found.debris.push(name);
            }
        }
        for name in self.list(&self.dir.join(UNFINISHED))? {
            found.debris.push(format!("{UNFINISHED}/{name}"));
        }
        found.databases.sort();
        found.debris.sort();
        Ok(found)
    }

    /// Removes something that [`SqliteCluster::inventory`] lists as debris.
    ///
    /// # Errors
    /// `cluster_unavailable`; `not_debris` for any other name.
    pub fn drop_debris(&self, name: &str) -> Result<()> {
        if !self.inventory()?.debris.iter().any(|debris| debris == name) {
            return Err(Error::refused("not_debris", format!("{name} is nothing that a crash left here")));
        }
        self.drop_file(&self.dir.join(name))
    }

    /// The home of `tenant` here.
    ///
    /// # Errors
    /// `isolation_unsupported` for other models than `database`.
    pub fn home(&self, tenant: TenantId, isolation: Isolation) -> Result<Home> {
        Home::on_sqlite(tenant, isolation)
    }

    fn create(&self, home: &Home, app: &AppSchema) -> Result<()> {
        let _one = self.making.lock();
        let path = self.path(home);
        if path.exists() {
            return Ok(());
        }
        self.make_dirs()?;
        let template = self.ensure_template(app)?;
        let copy = self.unfinished(&home.database)?;
        std::fs::copy(&template, copy.path()).map_err(|error| self.away(&template, &error))?;
        open::claim(copy.path(), home.tenant)?;
        self.drop_logs(&path)?;
        self.publish(copy, &path)
    }

    /// The template's path; builds it when it is not there.
    fn ensure_template(&self, app: &AppSchema) -> Result<PathBuf> {
        let dir = self.dir.join(TEMPLATES);
        let path = dir.join(format!("{}.db", app.version()));
        if !path.exists() {
            let new = self.unfinished(app.version())?;
            let connection = open::bare(new.path())?;
            migrate::apply(&connection, app)?;
            connection.close().map_err(|(_, error)| open::failed("closing the template", &error))?;
            self.publish(new, &path)?;
        }
        Ok(path)
    }

    fn drop_old_templates(&self, app: &AppSchema) -> Result<()> {
        let dir = self.dir.join(TEMPLATES);
        let current = format!("{}.db", app.version());
        for name in self.list(&dir)? {
            if name != current && name.ends_with(".db") {
                self.drop_file(&dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Syncs a finished file and gives it its name, unless somebody was faster.
    fn publish(&self, file: NamedTempFile, path: &Path) -> Result<()> {
        file.as_file().sync_all().map_err(|error| self.away(path, &error))?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(self.away(path, &error.error)),
        }
        path.parent().map_or(Ok(()), |dir| self.sync_dir(dir))
    }

    /// A new file that will become `what`. What an earlier try left of it goes; should a process that
    /// has lost its lease still write it, that one fails and finds the work done.
    fn unfinished(&self, what: &str) -> Result<NamedTempFile> {
        let (dir, prefix) = (self.dir.join(UNFINISHED), format!("{what}-"));
        for name in self.list(&dir)? {
            if name.starts_with(&prefix) {
                self.drop_file(&dir.join(name))?;
            }
        }
        let file = tempfile::Builder::new().prefix(&prefix).suffix(".db").tempfile_in(&dir);
        file.map_err(|error| self.away(&dir, &error))
    }

    fn make_dirs(&self) -> Result<()> {
        for dir in [self.dir.join(TEMPLATES), self.dir.join(UNFINISHED)] {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&dir).map_err(|error| self.away(&dir, &error))?;
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|error| self.away(dir, &error))?,
        };
        let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map_err(|error| self.away(dir, &error))
    }

    fn drop_logs(&self, path: &Path) -> Result<()> {
        for end in ["-wal", "-shm", "-journal"] {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            self.drop_file(Path::new(&name))?;
        }
        Ok(())
    }

    fn drop_file(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.away(path, &error)),
            _ => Ok(()),
        }
    }

    fn sync_dir(&self, dir: &Path) -> Result<()> {
        match File::open(dir).and_then(|dir| dir.sync_all()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.away(dir, &error)),
            _ => Ok(()),
        }
    }

    fn away(&self, path: &Path, error: &io::Error) -> Error {
        Error::unavailable(
            "cluster_unavailable",
            format!(
                "the directory of cluster `{}` cannot be used ({}); it is retried",
                self.name,
                error.kind()
            ),
            format!("{}: {error}", path.display()),
        )
    }
}
