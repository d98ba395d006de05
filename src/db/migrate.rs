//! The control store's own migrations, compiled in: the same folder names for both engines.

use diesel::migration::MigrationSource as _;
use diesel::sql_types::Bool;
use diesel::{QueryableByName, RunQueryDsl as _};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::{Conn, Db};
use crate::kernel::error::{Cause, Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

type Source = fn() -> EmbeddedMigrations;

/// Several servers may start at once over one PostgreSQL: this advisory lock lets one of them migrate.
const LOCK: i64 = 0x7465_6e61_6e74_7279;

/// One migration of the control store and whether it is applied.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    /// Number and title, as the folder is named.
    pub name: String,
    /// Whether the store has it.
    pub applied: bool,
}

impl Db {
    /// Applies what is pending and answers the names of what it applied.
    ///
    /// # Errors
    /// [`Error::Internal`] with the engine's message for the log when a migration fails.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        self.with_connection(|conn| {
            lock(conn)?;
            let applied = match conn {
                Conn::Sqlite(c) => run_pending(c, || SQLITE),
                Conn::Postgres(c) => run_pending(c, || POSTGRES),
            };
            unlock(conn)?;
            applied
        })
        .await
    }

    /// Takes back every migration, newest first, and applies all again.
    ///
    /// # Errors
    /// As [`Db::migrate`]. It empties the store: for tests of the migrations.
    pub async fn migrate_down_and_up(&self) -> Result<()> {
        self.with_connection(|conn| match conn {
            Conn::Sqlite(c) => redo(c, || SQLITE),
            Conn::Postgres(c) => redo(c, || POSTGRES),
        })
        .await
    }

    /// All migrations with whether each is applied.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store cannot be reached.
    pub async fn migration_status(&self) -> Result<Vec<Status>> {
        self.with_connection(|conn| match conn {
            Conn::Sqlite(c) => status(c, || SQLITE),
            Conn::Postgres(c) => status(c, || POSTGRES),
        })
        .await
    }

    /// Refuses a store that a newer program has migrated further than this one knows.
    ///
    /// # Errors
    /// [`Error::Refused`] in words for the operator.
    pub async fn refuse_newer(&self) -> Result<()> {
        self.with_connection(|conn| {
            let unknown = match conn {
                Conn::Sqlite(c) => unknown(c, || SQLITE),
                Conn::Postgres(c) => unknown(c, || POSTGRES),
            }?;
            if unknown.is_empty() {
                return Ok(());
            }
            Err(Error::refused(
                "store_is_newer",
                format!(
                    "the control store was migrated by a newer version of tenantry (it has {}): start that version or a later one",
                    unknown.join(", ")
                ),
            ))
        })
        .await
    }
}

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    #[expect(dead_code, reason = "the call matters, not its answer")]
    done: bool,
}

fn lock(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(c) = conn {
        let sql = format!("SELECT pg_advisory_lock({LOCK}) IS NOT NULL AS done");
        diesel::sql_query(sql).load::<Locked>(c)?;
    }
    Ok(())
}

fn unlock(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(c) = conn {
        diesel::sql_query(format!("SELECT pg_advisory_unlock({LOCK}) AS done")).load::<Locked>(c)?;
    }
    Ok(())
}

fn failed(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Error {
    Error::Internal(Cause::new(format!("a migration of the control store failed: {error}")))
}

fn run_pending<C, DB>(conn: &mut C, source: Source) -> Result<Vec<String>>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let mut names: Vec<String> = conn
        .pending_migrations(source())
        .map_err(|error| failed(&*error))?
        .iter()
        .map(|migration| migration.name().to_string())
        .collect();
    conn.run_pending_migrations(source()).map_err(|error| failed(&*error))?;
    names.sort();
    Ok(names)
}

fn redo<C, DB>(conn: &mut C, source: Source) -> Result<()>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    conn.revert_all_migrations(source()).map_err(|error| failed(&*error))?;
    conn.run_pending_migrations(source()).map_err(|error| failed(&*error))?;
    Ok(())
}

fn status<C, DB>(conn: &mut C, source: Source) -> Result<Vec<Status>>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let pending: Vec<String> = conn
        .pending_migrations(source())
        .map_err(|error| failed(&*error))?
        .iter()
        .map(|migration| migration.name().to_string())
        .collect();
    let mut all: Vec<String> = source()
        .migrations()
        .map_err(|error| failed(&*error))?
        .iter()
        .map(|migration| migration.name().to_string())
        .collect();
    all.sort();
    Ok(all.into_iter().map(|name| Status { applied: !pending.contains(&name), name }).collect())
}

fn unknown<C, DB>(conn: &mut C, source: Source) -> Result<Vec<String>>
where
    C: MigrationHarness<DB>,
    DB: diesel::backend::Backend,
    EmbeddedMigrations: diesel::migration::MigrationSource<DB>,
{
    let known: Vec<String> = source()
        .migrations()
        .map_err(|error| failed(&*error))?
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect();
    let applied = conn.applied_migrations().map_err(|error| failed(&*error))?;
    Ok(applied.iter().map(ToString::to_string).filter(|version| !known.contains(version)).collect())
}
