//! Who may work on what: several processes take turns by row locks in tables that tenants cannot
//! touch. Advisory locks would not do: a tenant may take any of them and so stand in the way of, say,
//! its own suspension.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::kernel::error::Result;

use super::sql::literal;
use super::{PgCluster, errors};

/// The turn to prepare the server; over when dropped.
pub(super) struct Turn {
    _client: Client,
}

impl PgCluster {
    /// Waits for the turn to prepare the server. Held by a transaction on a connection of its own,
    /// because databases cannot be made inside one.
    pub(super) async fn take_turn(&self) -> Result<Turn> {
        let client = self.open(&self.database).await?;
        let doing = "waiting for another process";
        // For as long as preparing takes, and not for ever, should this process be frozen.
        let first = "SET idle_in_transaction_session_timeout = '10min'; CREATE SCHEMA IF NOT EXISTS tenantry; \
             CREATE TABLE IF NOT EXISTS tenantry.mutex (name text PRIMARY KEY); \
             INSERT INTO tenantry.mutex VALUES ('prepare') ON CONFLICT DO NOTHING";
        // The very first time, two processes may collide in making the table to wait on.
        let collided = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_SCHEMA, SqlState::DUPLICATE_TABLE];
        for _ in 0..5 {
            match client.batch_execute(first).await {
                Ok(()) => break,
                Err(error) if errors::is_any(&error, &collided) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => return Err(errors::explain(&self.name, doing, &error)),
            }
        }
        self.run(&client, doing, "BEGIN; SELECT FROM tenantry.mutex WHERE name = 'prepare' FOR UPDATE")
            .await?;
        Ok(Turn { _client: client })
    }

    /// Begins a transaction that has `role`'s home for itself: its row of the map is locked. A home
    /// that is not registered, or on a server that was never prepared, has nothing to fight over.
    pub(super) async fn begin_for(&self, client: &Client, role: &str) -> Result<()> {
        let map = "SELECT 1 WHERE to_regclass('tenantry.tenant_role') IS NOT NULL";
        if !self.any(client, "looking for the map", map, &[]).await? {
            return self.run(client, "beginning", "BEGIN").await;
        }
        let sql =
            format!("BEGIN; SELECT FROM tenantry.tenant_role WHERE rolname = {} FOR UPDATE", literal(role));
        self.run(client, "waiting for another process", &sql).await
    }

    /// Commits what [`PgCluster::begin_for`] began.
    pub(super) async fn commit(&self, client: &Client) -> Result<()> {
        self.run(client, "committing", "COMMIT").await
    }
}
