//! One connection type over both engines, how each is opened, and how its transactions begin.
#![allow(missing_docs, reason = "the derive makes public items without docs")]

use std::path::PathBuf;

use diesel::connection::{AnsiTransactionManager, SimpleConnection as _, TransactionManager as _};
use diesel::r2d2::{ManageConnection, R2D2Connection as _};
use diesel::{Connection as _, PgConnection, SqliteConnection};

use crate::each;
use crate::kernel::error::{Error, Result};

/// A connection to the control store.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// The embedded engine.
    Sqlite(SqliteConnection),
    /// The production engine.
    Postgres(PgConnection),
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// One snapshot, no changes.
    Read,
    /// Serializable, may change.
    Write,
    /// May change, and sees at each statement what is committed by then.
    Held,
}

impl Conn {
    /// Begins a transaction in which both engines behave alike. SQLite says IMMEDIATE because a
    /// transaction that starts reading and then writes can fail at once, whatever the busy timeout.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection is gone.
    pub fn begin(&mut self, mode: Mode) -> Result<()> {
        match (self, mode) {
            (Self::Sqlite(c), Mode::Write | Mode::Held) => {
                AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")
            }
            (Self::Sqlite(c), Mode::Read) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN"),
            (Self::Postgres(c), Mode::Write) => {
                AnsiTransactionManager::begin_transaction_sql(c, "BEGIN ISOLATION LEVEL SERIALIZABLE")
            }
            (Self::Postgres(c), Mode::Held) => {
                AnsiTransactionManager::begin_transaction_sql(c, "BEGIN ISOLATION LEVEL READ COMMITTED")
            }
            (Self::Postgres(c), Mode::Read) => AnsiTransactionManager::begin_transaction_sql(
                c,
                "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            ),
        }
        .map_err(|error| {
            Error::unavailable(
                "store_unavailable",
                "the control store cannot be reached; retry shortly",
                error,
            )
        })
    }

    /// Commits when `answer` is `Ok`, rolls back otherwise, and passes the answer on.
    ///
    /// # Errors
    /// The answer's own, or the commit's.
    pub fn end<T>(&mut self, answer: Result<T>) -> Result<T> {
        match answer {
            Ok(value) => {
                each!(self, |c| AnsiTransactionManager::commit_transaction(c))?;
                Ok(value)
            }
            Err(error) => {
                // A rollback that fails leaves a broken connection, which the pool drops.
                if let Err(rollback) = each!(self, |c| AnsiTransactionManager::rollback_transaction(c)) {
                    tracing::debug!(error = %rollback, "a rollback failed");
                }
                Err(error)
            }
        }
    }

    /// Runs SQL that answers nothing.
    ///
    /// # Errors
    /// The engine's.
    pub fn execute_batch(&mut self, sql: &str) -> Result<()> {
        each!(self, |c| c.batch_execute(sql)).map_err(Into::into)
    }
}

/// Where the store is.
#[derive(Clone)]
pub enum Place {
    /// A file.
    Sqlite(PathBuf),
    /// A connection URL; may hold a password, so it is never printed.
    Postgres(String),
}

impl Place {
    /// Reads the scheme itself: diesel's own `establish` would try each engine in turn, and a mistyped
    /// URL would become a SQLite file.
    ///
    /// # Errors
    /// [`Error::Refused`] for any other scheme.
    pub fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Ok(Self::Sqlite(PathBuf::from(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(Error::refused("bad_store_url", "store.url must begin with sqlite:// or postgres://"))
    }

    /// Makes the folder of a SQLite store.
    pub(super) fn prepare(&self) -> Result<()> {
        if let Self::Sqlite(path) = self
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder).map_err(|error| {
                Error::refused(
                    "store_folder",
                    format!("cannot make the store's folder {}: {error}", folder.display()),
                )
            })?;
        }
        Ok(())
    }

    /// Opens the one connection that writes to an embedded store. What it changes it looks at again, so it has a
    /// larger cache.
    pub(super) fn connect_writer(&self) -> Result<Conn, diesel::ConnectionError> {
        let mut conn = self.connect()?;
        if let Conn::Sqlite(c) = &mut conn {
            c.batch_execute("PRAGMA cache_size = -8000")
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
        }
        Ok(conn)
    }

    /// Opens a connection.
    pub(super) fn connect(&self) -> Result<Conn, diesel::ConnectionError> {
        match self {
            Self::Sqlite(path) => {
                // A small cache each: the system's cache of the file serves all of them.
                let mut c = SqliteConnection::establish(&path.to_string_lossy())?;
                c.batch_execute(
                    "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                     PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512;",
                )
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Sqlite(c))
            }
            Self::Postgres(url) => {
                let mut c = PgConnection::establish(url)?;
                // A process that is frozen in a transaction holds up others, and whoever follows the log, no
                // longer than they would wait for a lock.
                c.batch_execute(
                    "SET application_name = 'tenantry control'; SET timezone = 'UTC'; SET statement_timeout = '30s'; \
                     SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '10s'; \
                     SET client_min_messages = 'warning';",
                )
                .map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
                Ok(Conn::Postgres(c))
            }
        }
    }
}

/// Makes connections for the pool.
pub(super) struct Manager(Place);

impl Manager {
    pub(super) fn new(place: Place) -> Self {
        Self(place)
    }
}

impl ManageConnection for Manager {
    type Connection = Conn;
    type Error = diesel::r2d2::Error;

    fn connect(&self) -> Result<Conn, Self::Error> {
        self.0.connect().map_err(diesel::r2d2::Error::ConnectionError)
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<(), Self::Error> {
        conn.ping().map_err(diesel::r2d2::Error::QueryError)
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        std::thread::panicking() || conn.is_broken()
    }
}

/// Sends the pool's background errors to the log.
#[derive(Debug)]
pub(super) struct LogErrors;

impl<E: std::error::Error> diesel::r2d2::HandleError<E> for LogErrors {
    fn handle_error(&self, error: E) {
        tracing::warn!(error = %error, "the control store's pool could not connect");
    }
}
