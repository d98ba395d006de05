//! Opening a tenant's file so that its connection can be handed any SQL.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};
use uuid::Uuid;

use super::{fault, memory, rules, text};
use crate::kernel::entropy;
use crate::kernel::error::Result;
use crate::placement::door::Caps;

/// Longest text or blob that a statement may build, in bytes (4 MiB): what one careless expression can
/// take of the process's memory, and of time, since a function's single call cannot be interrupted.
/// See also [`text`].
pub(super) const VALUE_BYTES: i32 = 4 << 20;

/// Longest pattern of LIKE and GLOB, in bytes. Their time is the text's length times the pattern's; on
/// the longest text (a release build, SQLite 3.53) the worst patterns found took 0.8 s (LIKE) and 2.2 s
/// (GLOB with many `[^b]`), with 1,000 bytes 5 s and 8 s. They are not replaced by functions of ours
/// since the engine then uses no index for them.
const PATTERN_BYTES: i32 = 100;

/// A tenant's open file.
pub(crate) struct Link {
    pub(super) db: Connection,
    /// What the authorizer lets through at present; see [`rules`].
    pub(super) mode: Arc<AtomicU8>,
    pub(super) unclean: bool,
    /// The caps that the connection was last set to.
    pub(super) caps: Option<Caps>,
}

impl Link {
    /// Opens the file, which must exist. Blocks.
    ///
    /// # Errors
    /// [`crate::kernel::error::Error::Unavailable`] with `database_unavailable`.
    pub(crate) fn open(path: &Path, tenant: Uuid) -> Result<Self> {
        Self::prepare(path, tenant).map_err(fault::unreachable)
    }

    fn prepare(path: &Path, tenant: Uuid) -> rusqlite::Result<Self> {
        // An absolute path: the bundled SQLite would take a name that starts with `file:` for a URI.
        let path = std::path::absolute(path).map_err(|_| rusqlite::Error::InvalidPath(path.to_owned()))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags)?;
        // What a statement sorts or sets aside is in memory, where it counts towards its allowance.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
             PRAGMA recursive_triggers = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; \
             PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = 67108864;",
        )?;
        for (setting, value) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
            (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        ] {
            db.set_db_config(setting, value)?;
        }
        for (limit, value) in [
            (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, 1_000_000),
            (Limit::SQLITE_LIMIT_COLUMN, 1_000),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
            (Limit::SQLITE_LIMIT_VDBE_OP, 1_000_000),
            (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
            (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN_BYTES),
            (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 32_766),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 100),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
        ] {
            db.set_limit(limit, value)?;
        }
        functions(&db, tenant)?;
        text::register(&db)?;
        let mode = Arc::new(AtomicU8::new(rules::OURS));
        let asked = Arc::clone(&mode);
        db.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| rules::judge(&asked, &context)))?;
        db.set_prepared_statement_cache_capacity(8);
        Ok(Self { db, mode, unclean: false, caps: None })
    }

    /// Sets the engine's own limits: the file's size, and for the process what SQLite may take in all, which
    /// can only be lowered.
    pub(super) fn limit(&mut self, caps: Caps) -> Result<()> {
        if self.caps != Some(caps) {
            self.set_limits(caps).map_err(|error| fault::told(error, caps, false))?;
            self.caps = Some(caps);
        }
        Ok(())
    }

    fn set_limits(&self, caps: Caps) -> rusqlite::Result<()> {
        let page: i64 = self.db.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        let pages = i64::try_from(caps.file_bytes).unwrap_or(i64::MAX) / page.max(1);
        // A file that is larger already keeps its size and may not grow.
        self.db.query_row(
            &format!("PRAGMA max_page_count = {}", pages.clamp(1, 4_294_967_294)),
            [],
            |_| Ok(()),
        )?;
        let heap = caps.memory_bytes.saturating_add(memory::ENGINE_ROOM).min(i64::MAX.unsigned_abs());
        self.db.query_row(&format!("PRAGMA hard_heap_limit = {heap}"), [], |_| Ok(()))
    }

    /// Whether the connection may take another statement.
    pub(crate) fn is_clean(&self) -> bool {
        !self.unclean && self.db.is_autocommit()
    }
}

/// The functions that an application's schema counts on, usable in defaults and triggers.
fn functions(db: &Connection, tenant: Uuid) -> rusqlite::Result<()> {
    let base = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_INNOCUOUS;
    let tenant = tenant.to_string();
    // Constant for this file, so that constraints may use it too.
    db.create_scalar_function("current_tenant", 0, base | FunctionFlags::SQLITE_DETERMINISTIC, move |_| {
        Ok(tenant.clone())
    })?;
    db.create_scalar_function("gen_random_uuid", 0, base, |_| {
        Ok(uuid::Builder::from_random_bytes(entropy::bytes()).into_uuid().to_string())
    })
}
