//! One statement on one slot: connect if need be, run, and see that nothing keeps running.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::pool;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::placement::door::{self, Access, Answer, Caps, Server, Statement, pg, sqlite};

/// How much longer than a statement's time we wait for the server's own timeout before cancelling.
const SLACK: Duration = Duration::from_millis(500);

pub(super) type Slot = pool::Slot<Link>;

/// Runs the statement on the slot's connection or, when that is gone or there is none, on a new one.
pub(super) async fn on_postgres(
    mut slot: Slot,
    server: &Arc<Server>,
    login: &pg::Login,
    connect: Duration,
    statement: &Statement,
    access: Access,
    caps: Caps,
) -> Result<(Slot, Result<Answer>)> {
    let mut reused = match slot.link.as_mut() {
        Some(Link::Postgres(link)) => link.ready().await,
        _ => false,
    };
    loop {
        if !reused {
            slot.clear().await;
            let link = tokio::time::timeout(connect, pg::Link::open(server, login, caps.timeout)).await;
            let link = link.map_err(|_| pg::unreachable("connecting took too long"))??;
            slot.link = Some(Link::Postgres(Box::new(link)));
        }
        let Some(Link::Postgres(link)) = slot.link.as_mut() else {
            return Err(Error::internal("a slot of another engine"));
        };
        let limit = caps.timeout.saturating_add(SLACK);
        match tokio::time::timeout(limit, link.run(statement, access, caps)).await {
            Ok(Err(pg::Trouble::Lost { untouched: true, .. })) if reused => reused = false,
            Ok(ran) => return Ok((slot, ran.map_err(|trouble| trouble.into_error(access)))),
            // Dropping the slot stops the statement.
            Err(_) => return Err(overdue(access, caps)),
        }
    }
}

/// Runs the statement on a thread for blocking work; opens the file there if need be.
pub(super) async fn on_sqlite(
    mut slot: Slot,
    path: &Path,
    tenant: TenantId,
    statement: &Statement,
    access: Access,
    caps: Caps,
) -> Result<(Slot, Result<Answer>)> {
    if !matches!(&slot.link, Some(Link::Sqlite(link)) if link.is_clean()) {
        slot.clear().await;
    }
    let (stop, flag) = sqlite::Stop::new();
    let (path, statement) = (path.to_owned(), statement.clone());
    let job = tokio::task::spawn_blocking(move || {
        let out = match slot.link.as_mut() {
            Some(Link::Sqlite(link)) => link.run(&statement, access, caps, flag),
            _ => sqlite::Link::open(&path, tenant.uuid()).and_then(|mut link| {
                let out = link.run(&statement, access, caps, flag);
                slot.link = Some(Link::Sqlite(Box::new(link)));
                out
            }),
        };
        (slot, out)
    });
    match tokio::time::timeout(caps.timeout.saturating_add(SLACK), job).await {
        Ok(Ok(done)) => {
            stop.disarm();
            Ok(done)
        }
        Ok(Err(error)) => Err(Error::internal(error)),
        Err(_) => Err(overdue(access, caps)),
    }
}

fn overdue(access: Access, caps: Caps) -> Error {
    match access {
        Access::Read => door::timed_out(caps.timeout),
        Access::Write => Error::Timeout {
            code: "statement_timeout",
            detail: "the statement took too long and was stopped; it may or may not have been carried out"
                .to_owned(),
        },
    }
}

/// A connection to either engine.
pub(super) enum Link {
    Postgres(Box<pg::Link>),
    Sqlite(Box<sqlite::Link>),
}

impl Link {
    /// Whether it may take another statement.
    pub(super) fn is_clean(&self) -> bool {
        match self {
            Self::Postgres(link) => link.is_clean(),
            Self::Sqlite(link) => link.is_clean(),
        }
    }
}

impl pool::Link for Link {
    async fn close(self) {
        match self {
            Self::Postgres(link) => link.close().await,
            Self::Sqlite(link) => {
                // The last connection to a file folds its log back in, which may take a while.
                if tokio::task::spawn_blocking(move || drop(link)).await.is_err() {
                    tracing::error!("closing a tenant's file failed");
                }
            }
        }
    }
}
