//! Connecting to PostgreSQL, once for everybody: bounded in time, with TLS when it is compiled in.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use crate::db::tls::{self, Tls, Wish};
use crate::kernel::error::{Cause, Error, Result};

/// Reads a `postgres://` URL and what it says of TLS. The message of a bad one never repeats it: it may hold a password.
///
/// # Errors
/// `cluster_url_invalid` when it is no such URL or names no host, no user or no database; `cluster_tls_missing`; `cluster_certificates_unreadable`.
pub fn config(cluster: &str, url: &SecretString) -> Result<(Config, Tls)> {
    let bad = |what: &str| {
        Error::refused(
            "cluster_url_invalid",
            format!(
                "clusters.{cluster}.url {what}: it looks like postgres://owner:password@host:5432/database"
            ),
        )
    };
    let wish = Wish::of(url.expose_secret());
    let mut config = wish.config().map_err(|_| bad("cannot be read"))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(bad("names no host"));
    }
    if config.get_user().is_none() {
        return Err(bad("names no user"));
    }
    if config.get_dbname().is_none_or(str::is_empty) {
        return Err(bad("names no database"));
    }
    config.application_name("tenantry");
    config.keepalives_idle(Duration::from_secs(30));
    let tls = wish.tls(&format!("clusters.{cluster}.url"))?;
    Ok((config, tls))
}

/// Why no connection came about.
#[derive(Debug)]
pub enum ConnectFailure {
    /// The time ran out.
    TimedOut,
    /// The driver or the server said no.
    Failed(tokio_postgres::Error),
    /// It was not even tried.
    Ours(Error),
}

impl ConnectFailure {
    /// This failure as the product's error; `cluster` is the cluster's name in the config.
    #[must_use]
    pub fn explain(self, cluster: &str) -> Error {
        let away = |cause: Cause| Error::Unavailable {
            code: "cluster_unavailable",
            detail: format!("cluster `{cluster}` cannot be reached; it is retried"),
            cause,
        };
        let error = match self {
            Self::TimedOut => return away(Cause::new("connecting timed out")),
            Self::Failed(error) => error,
            Self::Ours(error) => return error,
        };
        let Some(told) = error.as_db_error() else {
            return match tls::distrust(&error) {
                Some(why) => Error::Refused {
                    code: "cluster_certificate_refused",
                    detail: format!("cluster `{cluster}` is not trusted: {why}"),
                },
                None => away(Cause::chain(&error)),
            };
        };
        let refused = |why: String| Error::refused("cluster_login_refused", why);
        match *told.code() {
            SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => refused(format!(
                "cluster `{cluster}` refused to sign us in: {}. Check the user, its password and pg_hba.conf",
                told.message()
            )),
            SqlState::INVALID_CATALOG_NAME | SqlState::INSUFFICIENT_PRIVILEGE => {
                refused(format!("cluster `{cluster}` refused the connection: {}", told.message()))
            }
            _ => away(Cause::chain(&error)),
        }
    }
}

/// Opens a connection within `timeout` and drives it in a task of its own, which ends with the client.
///
/// # Errors
/// [`ConnectFailure`], to be told apart by whoever asked.
pub async fn connect(config: &Config, tls: &Tls, timeout: Duration) -> Result<Client, ConnectFailure> {
    match tokio::time::timeout(timeout, open(config, tls)).await {
        Err(_) => Err(ConnectFailure::TimedOut),
        Ok(outcome) => outcome,
    }
}

async fn open(config: &Config, tls: &Tls) -> Result<Client, ConnectFailure> {
    let maker = tls::maker(tls).map_err(ConnectFailure::Ours)?;
    let (client, connection) = config.connect(maker).await.map_err(ConnectFailure::Failed)?;
    tokio::spawn(drive(connection));
    Ok(client)
}

async fn drive(connection: impl Future<Output = Result<(), tokio_postgres::Error>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection to a cluster ended");
    }
}
