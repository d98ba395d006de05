//! Opening a tenant's file, with the functions that the application's schema leans on.
//!
//! Ids are lower-case text with hyphens: the columns' declared type `uuid` gives SQLite no reason to
//! turn such text into anything else, and it reads the same over JSON as on PostgreSQL.

use std::path::Path;
use std::time::Duration;

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(5);

/// The table that says whose file this is; one row.
const HOME: &str = "CREATE TABLE IF NOT EXISTS tenantry_home (tenant_id TEXT PRIMARY KEY) STRICT";

/// Opens the file at `path` for `tenant`: write-ahead log, synced at every commit (an accepted write
/// survives a power cut), foreign keys on, no trust in functions named by the schema but ours.
///
/// # Errors
/// `home_missing` when there is no such file, `home_unverified` when it is another tenant's,
/// `cluster_unavailable`.
pub fn open_for_tenant(path: &Path, tenant: TenantId) -> Result<Connection> {
    if !path.exists() {
        return Err(Error::refused(
            "home_missing",
            format!("{tenant} has no file here: its home must be built first"),
        ));
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let owner = owner(&connection)?;
    if owner.as_deref() != Some(tenant.uuid().to_string().as_str()) {
        return Err(Error::refused("home_unverified", format!("the file that should be {tenant}'s is not")));
    }
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
         PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY";
    connection.execute_batch(settings).map_err(|error| failed("opening a tenant's file", &error))?;
    register(&connection, Some(tenant)).map_err(|error| failed("opening a tenant's file", &error))?;
    Ok(connection)
}

/// Registers `current_tenant()` and `gen_random_uuid()`. Both may be used by a schema that is not
/// trusted (INNOCUOUS); a file has one tenant, so the first is the same throughout (DETERMINISTIC).
///
/// # Errors
/// The engine's.
pub fn register(connection: &Connection, tenant: Option<TenantId>) -> rusqlite::Result<()> {
    let base = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let id = tenant.map(|tenant| tenant.uuid().to_string());
    let constant = base | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("current_tenant", 0, constant, move |_| Ok(id.clone()))?;
    connection.create_scalar_function("gen_random_uuid", 0, base, |_| {
        let bytes = crate::kernel::entropy::bytes::<16>();
        Ok(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string())
    })
}

/// Opens a file that nobody else sees yet: no log to keep, nothing to sync before the end.
pub(super) fn bare(path: &Path) -> Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let settings = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON";
    connection.execute_batch(settings).map_err(|error| failed("opening a new file", &error))?;
    register(&connection, None).map_err(|error| failed("opening a new file", &error))?;
    Ok(connection)
}

/// Writes whose file this is into a copy of the template, and leaves it in write-ahead mode.
pub(super) fn claim(path: &Path, tenant: TenantId) -> Result<()> {
    let connection = bare(path)?;
    let doing = "claiming a new file";
    connection.execute_batch(HOME).map_err(|error| failed(doing, &error))?;
    connection
        .execute("INSERT INTO tenantry_home (tenant_id) VALUES (?1)", [tenant.uuid().to_string()])
        .map_err(|error| failed(doing, &error))?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(|error| failed(doing, &error))?;
    connection.close().map_err(|(_, error)| failed(doing, &error))
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let doing = "opening a tenant's file";
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(doing, &error))?;
    connection.busy_timeout(BUSY).map_err(|error| failed(doing, &error))?;
    Ok(connection)
}

fn owner(connection: &Connection) -> Result<Option<String>> {
    let query = connection.query_row("SELECT tenant_id FROM tenantry_home", [], |row| row.get(0)).optional();
    match query {
        Err(rusqlite::Error::SqliteFailure(_, Some(told))) if told.contains("no such table") => Ok(None),
        outcome => outcome.map_err(|error| failed("reading whose file this is", &error)),
    }
}

/// An engine's error that is no migration's fault.
pub(super) fn failed(doing: &str, error: &rusqlite::Error) -> Error {
    Error::unavailable("cluster_unavailable", format!("{doing} failed; it is retried"), error)
}
