//! The control store: one code base on two engines. [`Db::read`] sees one snapshot, [`Db::write`] is
//! one serializable transaction; both run off the async threads on a bounded pool.
//!
//! On SQLite a single writer thread commits waiting writes together (`writer`); on PostgreSQL every
//! write is SERIALIZABLE and repeated, with jitter, when the engine reports a conflict.

pub mod conn;
pub mod migrate;
mod multi;
pub(crate) mod news;
pub mod schema;
pub mod text;
pub mod tls;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use diesel::r2d2::Pool;
use tokio::sync::{Notify, Semaphore, watch};

pub use conn::Conn;
use conn::{Manager, Mode, Place};
pub(crate) use news::{collect, note};

pub use crate::kernel::engine::Engine;
use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};
use crate::log::Place as LogPlace;

/// How often a write is tried before the store counts as contended. Twelve jittered tries carried
/// every concurrent signup of the trial; the last waits are about a quarter of a second.
const WRITE_TRIES: u32 = 14;
const CHECKOUT: Duration = Duration::from_secs(5);

/// Runs `$body` with the engine's own connection, compiled once per engine: for upserts, inserts of
/// many rows and whatever else diesel cannot say on [`Conn`] itself.
#[macro_export]
macro_rules! each {
    ($conn:expr, |$c:ident| $body:expr) => {
        match $conn {
            $crate::db::Conn::Sqlite($c) => $body,
            $crate::db::Conn::Postgres($c) => $body,
        }
    };
}

/// How to open the control store.
#[derive(Clone, Debug)]
pub struct Options {
    /// Most connections to PostgreSQL, or readers on SQLite.
    pub max_connections: u32,
    /// Most writes that SQLite commits together.
    pub write_batch_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_connections: 16, write_batch_max: 64 }
    }
}

/// A handle on the control store; cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    place: Place,
    pool: Pool<Manager>,
    permits: Arc<Semaphore>,
    writer: Option<writer::Writer>,
    /// A transaction of this process that appended to the log was committed.
    appended: Notify,
    /// The log has grown, here or on another replica.
    news: watch::Sender<u64>,
    /// Where followers of the log were last seen by this process.
    stands: watch::Sender<BTreeMap<String, LogPlace>>,
}

impl Db {
    /// Opens the store at `url` (`sqlite://PATH` or `postgres://…`) without migrating it.
    ///
    /// # Errors
    /// [`Error::Refused`] for a URL of neither kind; [`Error::Unavailable`] when it cannot be reached.
    pub async fn open(url: &str, options: &Options) -> Result<Self> {
        let place = Place::parse(url)?;
        let options = options.clone();
        run_blocking(move || {
            place.prepare()?;
            let size = options.max_connections.max(1);
            let pool = Pool::builder()
                .max_size(size)
                .min_idle(Some(1))
                .test_on_check_out(false)
                .connection_timeout(CHECKOUT)
                .error_handler(Box::new(conn::LogErrors))
                .build(Manager::new(place.clone()))
                .map_err(|error| away(&error))?;
            let news = watch::Sender::new(0);
            let writer = match place {
                Place::Sqlite(_) => {
                    Some(writer::Writer::start(place.clone(), options.write_batch_max, news.clone())?)
                }
                Place::Postgres(_) => None,
            };
            let permits = Arc::new(Semaphore::new(usize::try_from(size).unwrap_or(1)));
            let (appended, stands) = (Notify::new(), watch::Sender::default());
            Ok(Self(Arc::new(Inner { place, pool, permits, writer, appended, news, stands })))
        })
        .await
    }

    /// The engine that holds the store.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self.0.place {
            Place::Sqlite(_) => Engine::Sqlite,
            Place::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `work` on one snapshot of the store. It must not write.
    ///
    /// # Errors
    /// What `work` answers; [`Error::Unavailable`] when the store cannot be reached in time.
    pub async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    {
        let answer = self.with_connection(move |conn| {
            conn.begin(Mode::Read)?;
            news::taken();
            let answer = work(conn);
            let word = news::taken();
            conn.end(answer).map(|answer| (answer, word.place))
        });
        let (answer, place) = answer.await?;
        news::note(place);
        Ok(answer)
    }

    /// Runs `work` in one serializable transaction, which commits when it answers `Ok`. On PostgreSQL
    /// it may run several times, so it must change nothing but the store.
    ///
    /// # Errors
    /// What `work` answers; [`Error::Unavailable`] when the store cannot be reached or stays contended.
    pub async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Conn) -> Result<T> + Send + Sync + 'static,
    {
        self.write_in(Mode::Write, work).await
    }

    /// As [`Db::write`], for work that holds every row it decides on (`FOR UPDATE`, or an upsert) before it looks at
    /// it. On PostgreSQL it then waits for whoever holds them, and sees what they left, where a serializable
    /// transaction would have to begin again: what many do to one row at once is done in a queue.
    ///
    /// # Errors
    /// As [`Db::write`].
    pub async fn write_held<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Conn) -> Result<T> + Send + Sync + 'static,
    {
        self.write_in(Mode::Held, work).await
    }

    async fn write_in<T, F>(&self, mode: Mode, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Conn) -> Result<T> + Send + Sync + 'static,
    {
        if let Some(writer) = &self.0.writer {
            return writer.submit(work).await;
        }
        let work = Arc::new(work);
        let mut attempt = 0u32;
        loop {
            let again = Arc::clone(&work);
            let answer = self
                .with_connection(move |conn| {
                    conn.begin(mode)?;
                    news::taken();
                    let answer = again(conn);
                    let word = news::taken();
                    conn.end(answer).map(|answer| (answer, word))
                })
                .await;
            attempt += 1;
            match answer {
                Ok((answer, word)) => {
                    news::note(word.place);
                    if word.appended {
                        self.0.appended.notify_one();
                        self.heard();
                    }
                    return Ok(answer);
                }
                Err(error) if error.is_contended() && attempt < WRITE_TRIES => {
                    let base = 2f64.powi(i32::try_from(attempt.min(7)).unwrap_or(7));
                    tokio::time::sleep(Duration::from_secs_f64(base / 500.0 * entropy::jitter(0.6))).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Until this process has committed something to the log, if it has not since this was last awaited. Only
    /// on PostgreSQL: nobody else reads an embedded store.
    pub(crate) async fn appended(&self) {
        self.0.appended.notified().await;
    }

    /// Changes whenever the log has grown, as far as this process knows: after its own commits at once, after
    /// those of other replicas when the notification channel tells of them. Whoever waits for it also looks by
    /// the clock.
    #[must_use]
    pub fn news(&self) -> watch::Receiver<u64> {
        self.0.news.subscribe()
    }

    /// The log has grown.
    pub(crate) fn heard(&self) {
        grown(&self.0.news);
    }

    /// The follower `name` stands at `place`, as somebody of this process has just seen.
    pub(crate) fn stands(&self, name: &str, place: LogPlace) {
        self.0.stands.send_if_modified(|all| match all.get_mut(name) {
            Some(known) => std::mem::replace(known, place) != place,
            None => all.insert(name.to_owned(), place).is_none(),
        });
    }

    /// Changes when a follower of the log was seen to have moved. It says when to look, not what is so.
    pub(crate) fn moves(&self) -> watch::Receiver<BTreeMap<String, LogPlace>> {
        self.0.stands.subscribe()
    }

    /// How to reach PostgreSQL without diesel; `None` on SQLite.
    ///
    /// # Errors
    /// [`Error::Refused`], without the URL, for one that the driver cannot take; as [`tls::Wish::tls`].
    pub(crate) fn wire(&self) -> Option<Result<(tokio_postgres::Config, tls::Tls)>> {
        let Place::Postgres(url) = &self.0.place else { return None };
        let wish = tls::Wish::of(url);
        let config = wish.config().map_err(|_| {
            Error::refused("store_url_invalid", "store.url has parameters that this connection cannot take")
        });
        Some(config.and_then(|config| Ok((config, wish.tls("store.url")?))))
    }

    /// Runs `work` on a connection in no transaction; for migrations and checks.
    pub(crate) async fn with_connection<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Conn) -> Result<T> + Send + 'static,
    {
        let permit = tokio::time::timeout(CHECKOUT, Arc::clone(&self.0.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(away(&"no connection became free in time")) };
        let pool = self.0.pool.clone();
        run_blocking(move || {
            let _permit = permit;
            let mut conn = pool.get().map_err(|error| away(&error))?;
            work(&mut conn)
        })
        .await
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Db({:?})", self.engine())
    }
}

fn grown(news: &watch::Sender<u64>) {
    news.send_modify(|count| *count = count.wrapping_add(1));
}

fn away(cause: &dyn std::fmt::Display) -> Error {
    Error::unavailable("store_unavailable", "the control store cannot be reached; retry shortly", cause)
}

/// Runs blocking work on the blocking pool; a panic in it is an internal error, not a dead thread.
pub(crate) async fn run_blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer,
        Err(error) => Err(Error::internal(format!("a blocking task ended early: {error}"))),
    }
}
