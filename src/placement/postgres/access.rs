//! Closing and opening a home: a suspended tenant's role cannot sign in and nobody is signed in as it.

use std::time::Duration;

use tokio_postgres::Client;

use crate::kernel::error::{Error, Result};

use super::super::home::Home;
use super::sql::ident;
use super::{PgCluster, get};

impl PgCluster {
    /// Forbids signing in as the tenant and ends its connections. A role that is gone counts as locked.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_busy` when a connection does not end in time.
    pub async fn lock_out(&self, home: &Home) -> Result<()> {
        self.bounded("locking the tenant out", async {
            let owner = self.owner().await?;
            self.lock_out_with(owner.client()?, home).await?;
            owner.keep();
            Ok(())
        })
        .await
    }

    pub(super) async fn lock_out_with(&self, client: &Client, home: &Home) -> Result<()> {
        let role = home.role()?;
        self.lock(client, role).await?;
        if self.role_exists(client, role).await? {
            let sql = format!("ALTER ROLE {} NOLOGIN", ident(role));
            self.run(client, "forbidding to sign in", &sql).await?;
            self.end_sessions(client, role).await?;
        }
        self.unlock(client, role).await
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
            self.lock(client, role).await?;
            if !self.role_exists(client, role).await? {
                return Err(self.role_missing(role));
            }
            self.run(client, "allowing to sign in", &format!("ALTER ROLE {} LOGIN", ident(role))).await?;
            self.unlock(client, role).await?;
            owner.keep();
            Ok(())
        })
        .await
    }

    /// Ends the role's connections, in whatever database they are, and waits until they are gone.
    async fn end_sessions(&self, client: &Client, role: &str) -> Result<()> {
        let doing = "ending the tenant's connections";
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        let rows = self.rows(client, doing, count, &[&role]).await?;
        if rows.first().map_or(Ok(0i64), |row| get(row, 0))? == 0 {
            return Ok(());
        }
        self.borrow_role(client, role).await?;
        for _ in 0..100 {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
            if self.rows(client, doing, end, &[&role]).await?.is_empty() {
                return self.run(client, doing, &format!("REVOKE {} FROM CURRENT_USER", ident(role))).await;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::unavailable(
            "cluster_busy",
            format!("connections of the tenant do not end on cluster `{}`; it is retried", self.name),
            role,
        ))
    }
}
