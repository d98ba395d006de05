//! Applying the application's migrations to a file: one transaction with the catalog check and the
//! mark in the file's own ledger.

use std::collections::BTreeMap;

use rusqlite::{Connection, TransactionBehavior};

use crate::kernel::error::{Error, Result};

use super::open::{self, failed};
use super::{SqliteCluster, catalog, own_rows};
use crate::placement::app_schema::{AppSchema, Script, Statement, pending};
use crate::placement::home::{Engine, Home};

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS tenantry_migrations (\
     number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, \
     applied_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT";

/// Applies what the file lacks; answers the numbers.
pub(super) fn apply(connection: &Connection, app: &AppSchema) -> Result<Vec<i32>> {
    if pending(app, &ledger(connection)?)?.is_empty() {
        return Ok(Vec::new());
    }
    let doing = "migrating a file";
    // A table is changed by building a new one and dropping the old one; with foreign keys on, the drop
    // would delete every row that refers to it. They are checked as a whole before the commit instead.
    connection.pragma_update(None, "foreign_keys", false).map_err(|error| failed(doing, &error))?;
    let outcome = apply_pending(connection, app);
    connection.pragma_update(None, "foreign_keys", true).map_err(|error| failed(doing, &error))?;
    outcome
}

fn apply_pending(connection: &Connection, app: &AppSchema) -> Result<Vec<i32>> {
    let doing = "migrating a file";
    let transaction = rusqlite::Transaction::new_unchecked(connection, TransactionBehavior::Immediate)
        .map_err(|error| failed(doing, &error))?;
    transaction.execute_batch(LEDGER).map_err(|error| failed(doing, &error))?;
    let pending = pending(app, &ledger(&transaction)?)?;
    for migration in &pending {
        for statement in &migration.up.statements {
            run(&transaction, &migration.up, statement)?;
        }
        transaction
            .execute(
                "INSERT INTO tenantry_migrations (number, name, checksum) VALUES (?1, ?2, ?3)",
                rusqlite::params![migration.number, migration.name, migration.checksum],
            )
            .map_err(|error| failed(doing, &error))?;
    }
    catalog::check(&transaction)?;
    own_rows::keep(&transaction)?;
    transaction.commit().map_err(|error| failed(doing, &error))?;
    Ok(pending.iter().map(|migration| migration.number).collect())
}

/// What the file's ledger holds: number → checksum.
pub(super) fn ledger(connection: &Connection) -> Result<BTreeMap<i32, String>> {
    let doing = "reading the ledger of migrations";
    let there = connection
        .prepare("SELECT 1 FROM sqlite_schema WHERE name = 'tenantry_migrations'")
        .and_then(|mut query| query.exists([]))
        .map_err(|error| failed(doing, &error))?;
    if !there {
        return Ok(BTreeMap::new());
    }
    let mut query = connection
        .prepare("SELECT number, checksum FROM tenantry_migrations")
        .map_err(|error| failed(doing, &error))?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.and_then(Iterator::collect).map_err(|error| failed(doing, &error))
}

fn run(connection: &Connection, script: &Script, statement: &Statement) -> Result<()> {
    connection.execute_batch(&statement.sqlite_text()).map_err(|error| {
        let busy = error.sqlite_error_code();
        if matches!(busy, Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)) {
            return Error::unavailable("cluster_busy", "the tenant's file is busy; it is retried", error);
        }
        Error::refused("migration_failed", format!("{} line {}: {error}", script.file, statement.line))
    })
}

impl SqliteCluster {
    /// Brings one home to the application's latest version; answers the numbers it applied.
    ///
    /// # Errors
    /// `home_missing`, `migration_unsafe`, `migration_failed`, `migration_changed`, `cluster_busy`,
    /// `cluster_unavailable`.
    pub fn migrate(&self, home: &Home, app: &AppSchema) -> Result<Vec<i32>> {
        app.refuse_unsafe(Engine::Sqlite)?;
        apply(&open::open_for_tenant(&self.path(home), home.tenant)?, app)
    }

    /// The highest migration applied to `home`; 0 when none is.
    ///
    /// # Errors
    /// `home_missing`, `home_unverified`, `cluster_unavailable`.
    pub fn applied(&self, home: &Home) -> Result<i32> {
        let connection = open::open_for_tenant(&self.path(home), home.tenant)?;
        Ok(ledger(&connection)?.keys().next_back().copied().unwrap_or(0))
    }

    /// Opens the file as the tenant and looks: is it the tenant's, and are the tables there?
    pub(super) fn verify(&self, home: &Home) -> Result<()> {
        let connection = open::open_for_tenant(&self.path(home), home.tenant)?;
        let doing = "verifying the home";
        let sql = "SELECT current_tenant(), (SELECT count(*) FROM sqlite_schema WHERE type = 'table' \
             AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'tenantry!_%' ESCAPE '!')";
        let (tenant, tables): (String, i64) = connection
            .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|error| failed(doing, &error))?;
        if tenant != home.tenant.uuid().to_string() || tables == 0 {
            return Err(Error::refused("home_unverified", "the tenant's file has no tables".to_owned()));
        }
        Ok(())
    }
}
