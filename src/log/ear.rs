//! The notification channel between replicas: one connection each, over which a replica says that it has
//! appended to the log and hears that others have. It only makes followers early. Without it they read the log
//! by the clock, so losing it loses time and nothing else.
//!
//! The word goes out after the commit, from here, and not in the transaction that appends: a transaction that
//! says NOTIFY holds one lock of the whole server while it commits, so that commits would queue behind each
//! other's wait for the disk. Words that come close together are one.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;

use crate::db::Db;
use crate::db::tls::{self, Tls};
use crate::kernel::entropy;

const CHANNEL: &str = "tenantry_log";
/// What the connection calls itself, so that an administrator can tell it from the others.
pub const NAME: &str = "tenantry listen";
/// How long connecting, or saying a word, may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Wait between two tries to connect.
const AGAIN: Duration = Duration::from_millis(500);
/// Words of this process are at least so far apart.
const APART: Duration = Duration::from_millis(2);

/// Keeps a connection to the channel until `stop`, and tells `heard` when another replica spoke.
pub(super) async fn listen(db: Db, heard: Arc<Notify>, stop: CancellationToken) {
    let (mut config, tls) = match db.wire() {
        None => return,
        Some(Ok(place)) => place,
        Some(Err(error)) => {
            tracing::warn!(error = %error, "there is no notification channel; replicas hear of changes by the clock alone");
            return;
        }
    };
    config.application_name(NAME).connect_timeout(PATIENCE).keepalives_idle(Duration::from_secs(10));
    config.tcp_user_timeout(Duration::from_secs(5));
    while !stop.is_cancelled() {
        if let Some(Err(error)) = stop.run_until_cancelled(session(&db, &config, &tls, &heard)).await {
            tracing::info!(error = %error, "the notification channel is cut; the log is read by the clock");
        }
        let wait = AGAIN.mul_f64(entropy::jitter(0.5));
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
}

#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error("it took too long")]
    Slow(#[from] tokio::time::error::Elapsed),
    #[error("{0}")]
    Refused(#[from] tokio_postgres::Error),
    #[error("{0}")]
    Ours(#[from] crate::kernel::error::Error),
    #[error("the connection ended")]
    Ended,
}

/// Ends the task that drives a connection with the session.
struct Driven(tokio::task::JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One connection, from its begin to its end.
async fn session(
    db: &Db,
    config: &tokio_postgres::Config,
    tls: &Tls,
    heard: &Arc<Notify>,
) -> Result<(), Cut> {
    let connecting = config.connect(tls::maker(tls)?);
    let (client, mut connection) = tokio::time::timeout(PATIENCE, connecting).await??;
    let me = Arc::new(AtomicI32::new(0));
    let (own, told, store) = (Arc::clone(&me), Arc::clone(heard), db.clone());
    let mut driven = Driven(tokio::spawn(async move {
        let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(Ok(message)) = messages.next().await {
            // A command of this process has forgotten what it changed before it answered.
            if let AsyncMessage::Notification(word) = message
                && word.process_id() != own.load(Ordering::Relaxed)
            {
                told.notify_one();
                store.heard();
            }
        }
    }));
    // Without waiting for the disk: a word that is lost in a crash is none that anybody waits for.
    let begin = format!("SET synchronous_commit = off; SET timezone = 'UTC'; LISTEN {CHANNEL}");
    tokio::time::timeout(PATIENCE, client.batch_execute(&begin)).await??;
    let row = tokio::time::timeout(PATIENCE, client.query_one("SELECT pg_backend_pid()", &[])).await??;
    me.store(row.try_get(0)?, Ordering::Relaxed);
    tracing::debug!("listening to other replicas");
    // Something may have been said before.
    heard.notify_one();
    let word = format!("NOTIFY {CHANNEL}");
    loop {
        tokio::select! {
            _ = &mut driven.0 => return Err(Cut::Ended),
            () = db.appended() => {}
        }
        tokio::time::timeout(PATIENCE, client.batch_execute(&word)).await??;
        tokio::time::sleep(APART).await;
    }
}
