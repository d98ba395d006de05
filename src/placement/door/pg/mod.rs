//! The PostgreSQL side: a frontend of our own, no more than the door needs.
//!
//! Results come in text form, which every type has, so no type is unanswerable. A statement without
//! parameters is one round trip (the whole transaction is sent at once), one with parameters two: the
//! first learns their types. Cleaning the session is sent along and read when the connection is next
//! needed, so nobody waits for it.
//!
//! `address` servers · `wire` messages · `startup` signing in · `exchange` one transaction ·
//! `catalog` types · `fault` errors

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend::{self, BindError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use self::address::Server;
use self::catalog::Catalog;
use self::exchange::Exchange;
use self::startup::BackendKey;
pub(crate) use self::startup::Login;
use self::wire::{Frame, Wire};
use super::{Access, Answer, Caps, Statement};
use crate::kernel::error::{Error, Result};

pub(crate) mod address;
mod catalog;
mod exchange;
mod fault;
pub(crate) use self::fault::unreachable;
mod startup;
mod wire;

/// How long cancelling, cleaning and hanging up may take before the connection is simply dropped.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The server answered, with an error that the caller may read.
    Told(Error),
    /// The connection is gone.
    Lost {
        /// For the log.
        cause: String,
        /// The server had hung up before anything was carried out: the same may be tried elsewhere.
        untouched: bool,
    },
}

impl Trouble {
    /// The error of a connection that went away and stays so.
    pub(crate) fn into_error(self, access: Access) -> Error {
        match (self, access) {
            (Self::Told(error), _) => error,
            (Self::Lost { cause, .. }, Access::Read) => fault::unreachable(cause),
            (Self::Lost { cause, .. }, Access::Write) => Error::unavailable(
                "database_unavailable",
                "the connection to the tenant's database broke; the statement may or may not have been carried out",
                cause,
            ),
        }
    }
}

/// A session of a tenant's role.
pub(crate) struct Link {
    server: Arc<Server>,
    wire: Wire,
    key: BackendKey,
    catalog: Catalog,
    /// Answers to our cleaning that are still to be read.
    unanswered: usize,
    /// Something is under way, or ended in a way that makes the session unfit for another statement.
    unclean: bool,
}

impl Link {
    /// Connects and signs in.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with `database_unavailable`, `database_credentials_refused` or
    /// `database_busy` (the server has no free connection).
    pub(crate) async fn open(server: &Arc<Server>, login: &Login, timeout: Duration) -> Result<Self> {
        let stream = server.connect().await.map_err(fault::unreachable)?;
        let mut wire = Wire::new(stream);
        let key = startup::start(&mut wire, login, timeout).await?;
        let catalog = Catalog::default();
        Ok(Self { server: Arc::clone(server), wire, key, catalog, unanswered: 0, unclean: false })
    }

    /// Whether the session, idle until now, can take a statement: the server has confirmed that it is
    /// clean, and has not hung up since.
    pub(crate) async fn ready(&mut self) -> bool {
        if self.unclean {
            return false;
        }
        matches!(tokio::time::timeout(FAREWELL, self.settle()).await, Ok(Ok(()))) && !self.wire.is_closed()
    }

    async fn settle(&mut self) -> io::Result<()> {
        while self.unanswered > 0 {
            match self.wire.next(0).await? {
                Frame::Message(Message::ReadyForQuery(body)) if body.status() == b'I' => {
                    self.unanswered = self.unanswered.saturating_sub(1);
                }
                Frame::Message(Message::CommandComplete(_)) => {}
                _ => return Err(wire::invalid("cleaning the session went wrong")),
            }
        }
        Ok(())
    }

    /// Runs one statement in one transaction. If this is given up half-way, [`Link::close`] stops the
    /// statement; ask [`Link::is_clean`] whether the session may be used again.
    pub(crate) async fn run(
        &mut self,
        statement: &Statement,
        access: Access,
        caps: Caps,
    ) -> Result<Answer, Trouble> {
        self.unclean = true;
        let mut exchange = Exchange::new(access, caps);
        let collected = exchange.run(&mut self.wire, &mut self.catalog, statement).await;
        // All that is left in the stream now is the answer to the cleaning.
        self.unanswered = 1;
        self.unclean = !exchange.ended_well();
        collected?;
        let oids = exchange.oids();
        if !self.unclean && !self.catalog.missing(oids.iter().copied()).is_empty() {
            self.unclean = true;
            let ready = std::mem::take(&mut self.unanswered);
            if self.catalog.learn(&mut self.wire, &oids, true, ready).await.is_ok() {
                self.unclean = false;
            }
        }
        exchange.answer(&self.catalog).map_err(Trouble::Told)
    }

    /// Whether the session may take another statement.
    pub(crate) fn is_clean(&self) -> bool {
        !self.unclean
    }

    /// Stops what is running and hangs up; waits, for a bounded time, until the server has let go.
    pub(crate) async fn close(mut self) {
        if self.unclean {
            let cancel = cancel(&self.server, self.key);
            if !matches!(tokio::time::timeout(FAREWELL, cancel).await, Ok(Ok(()))) {
                tracing::warn!(
                    cluster = %self.server.cluster,
                    "a statement could not be cancelled; the server's own statement timeout ends it"
                );
            }
        }
        self.wire.outbox.clear();
        frontend::terminate(&mut self.wire.outbox);
        let farewell = async {
            self.wire.send().await?;
            self.wire.drain().await
        };
        let _ended: Result<io::Result<()>, _> = tokio::time::timeout(FAREWELL, farewell).await;
    }
}

/// Asks the server, over a connection of its own, to stop what `key` is running.
async fn cancel(server: &Server, key: BackendKey) -> io::Result<()> {
    let mut stream = server.connect().await?;
    let mut out = BytesMut::new();
    frontend::cancel_request(key.process, key.secret, &mut out);
    stream.write_all_buf(&mut out).await?;
    stream.flush().await?;
    // The server hangs up once it has passed the request on; some end a TLS session uncleanly.
    let _closed: io::Result<usize> = stream.read(&mut [0u8; 1]).await;
    Ok(())
}

/// Appends a Bind with every value in text form, results in text form too.
fn bind<'v>(
    portal: &str,
    statement: &str,
    values: impl IntoIterator<Item = Option<&'v str>>,
    out: &mut BytesMut,
) -> io::Result<()> {
    let write = |value: Option<&str>, out: &mut BytesMut| {
        Ok(value.map_or(IsNull::Yes, |text| {
            out.put_slice(text.as_bytes());
            IsNull::No
        }))
    };
    frontend::bind(portal, statement, [], values, write, [], out).map_err(|error| match error {
        BindError::Conversion(error) => io::Error::other(error),
        BindError::Serialization(error) => error,
    })
}
