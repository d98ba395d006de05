//! Closing and opening a home: a suspended tenant's role cannot sign in and nobody is signed in as it.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::kernel::error::{Error, Result};

use super::super::home::Home;
use super::sql::ident;
use super::{PgCluster, errors};

impl PgCluster {
    /// Forbids signing in as the tenant and ends its connections. A role that is gone counts as locked.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_busy` when a connection does not end in time.
    pub async fn lock_out(&self, home: &Home) -> Result<()> {
        self.bounded("locking the tenant out", async {
            let owner = self.owner().await?;
            self.lock_out_with(owner.client()?, home).await?;
            self.give_back_role(owner.client()?, home.role()?).await?;
            owner.keep();
            Ok(())
        })
        .await
    }

    /// Ends the sessions first: one with an open `ALTER ROLE` on itself would hold ours up. Then forbids
    /// to sign in, and ends those that slipped in between. The role stays borrowed.
    pub(super) async fn lock_out_with(&self, client: &Client, home: &Home) -> Result<()> {
        let role = home.role()?;
        let forbid = format!("SET LOCAL lock_timeout = 500; ALTER ROLE {} NOLOGIN", ident(role));
        let mut last = None;
        for _ in 0..20 {
            self.begin_for(client, role).await?;
            if !self.role_exists(client, role).await? {
                return self.commit(client).await;
            }
            self.borrow_role(client, role).await?;
            self.commit(client).await?;
            self.end_sessions(client, role).await?;
            self.begin_for(client, role).await?;
            if !self.role_exists(client, role).await? {
                return self.commit(client).await;
            }
            match client.batch_execute(&forbid).await {
                Ok(()) => {
                    self.commit(client).await?;
                    self.end_sessions(client, role).await?;
                    // Who had just been let in is not in the list of sessions for some moments.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    self.end_sessions(client, role).await?;
                    return Ok(());
                }
                Err(error) => {
                    last = Some(errors::explain(&self.name, "forbidding to sign in", &error));
                    self.run(client, "starting over", "ROLLBACK").await?;
                }
            }
        }
        last.map_or(Ok(()), Err)
    }

    /// Ends the loan that ending sessions needed.
    async fn give_back_role(&self, client: &Client, role: &str) -> Result<()> {
        self.begin_for(client, role).await?;
        if self.role_exists(client, role).await? {
            let sql = format!("REVOKE {} FROM CURRENT_USER", ident(role));
            self.run(client, "giving the login role back", &sql).await?;
        }
        self.commit(client).await
    }

    /// Allows signing in as the tenant again.
    ///
    /// # Errors
    /// `role_missing`, `cluster_unavailable`, `cluster_busy`.
    pub async fn let_in(&self, home: &Home) -> Result<()> {
        self.bounded("letting the tenant in", async {
            let owner = self.owner().await?;
            let client = owner.client()?;
            let role = home.role()?;
            self.begin_for(client, role).await?;
            if !self.role_exists(client, role).await? {
                return Err(self.role_missing(role));
            }
            self.run(client, "allowing to sign in", &format!("ALTER ROLE {} LOGIN", ident(role))).await?;
            self.commit(client).await?;
            owner.keep();
            Ok(())
        })
        .await
    }

    /// Ends the role's connections, in whatever database they are, and waits until they are gone.
    async fn end_sessions(&self, client: &Client, role: &str) -> Result<()> {
        let doing = "ending the tenant's connections";
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
        for _ in 0..200 {
            match client.query(end, &[&role]).await {
                Ok(rows) if rows.is_empty() => return Ok(()),
                Ok(_) => {}
                // Another process, done with the same, gave the loan back or dropped the role.
                Err(error) if errors::is_any(&error, &[SqlState::INSUFFICIENT_PRIVILEGE]) => {
                    self.begin_for(client, role).await?;
                    if self.role_exists(client, role).await? {
                        self.borrow_role(client, role).await?;
                    }
                    self.commit(client).await?;
                }
                Err(error) => return Err(errors::explain(&self.name, doing, &error)),
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        Err(Error::unavailable(
            "cluster_busy",
            format!("connections of the tenant do not end on cluster `{}`; it is retried", self.name),
            role,
        ))
    }
}
