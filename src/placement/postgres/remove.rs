//! The steps that remove a home, in pieces small enough for a server's locks and logs.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::kernel::error::{Error, Result};

use super::super::home::Home;
use super::super::steps::RemovalStep;
use super::sql::{ident, literal, within};
use super::{PgCluster, errors, get};

/// Rows deleted from a shared table at a time.
const BATCH: u32 = 5_000;
/// Tables dropped in one transaction.
const PIECE: usize = 20;

impl PgCluster {
    /// Takes one step towards no trace of `home`. What is already gone is done.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_busy`, `cluster_refused`, in words for the operation's step.
    pub async fn remove(&self, step: RemovalStep, home: &Home) -> Result<()> {
        self.bounded(step.name(), async {
            let owner = self.owner().await?;
            let client = owner.client()?;
            match step {
                RemovalStep::LockOut => self.lock_out_with(client, home).await?,
                RemovalStep::DeleteRows => self.delete_rows(client, home).await?,
                RemovalStep::DropSchema => self.drop_schema(client, home).await?,
                RemovalStep::DropDatabase => self.drop_database(client, home).await?,
                RemovalStep::DropRole => self.drop_role(client, home).await?,
                RemovalStep::Unregister => {
                    let sql = "DELETE FROM tenantry.tenant_role WHERE rolname = $1";
                    self.rows(client, "unregistering the tenant", sql, &[&home.role()?]).await?;
                }
            }
            owner.keep();
            Ok(())
        })
        .await
    }

    /// Deletes the tenant's rows from all tables, some thousands at a time. A table that others still
    /// refer to waits for the next round.
    async fn delete_rows(&self, client: &Client, home: &Home) -> Result<()> {
        let mut left = self.relations(client, &home.schema, "r").await?;
        while !left.is_empty() {
            let before = left.len();
            let mut waiting = Vec::new();
            let mut reason = String::new();
            for table in left {
                if let Some(why) = self.delete_from(client, home, &table).await? {
                    waiting.push(table);
                    reason = why;
                }
            }
            if waiting.len() == before {
                return Err(Error::refused(
                    "rows_undeletable",
                    format!("the tenant's rows in {} cannot be deleted: {reason}", waiting.join(", ")),
                ));
            }
            left = waiting;
        }
        Ok(())
    }

    /// `Some` with the engine's words when other rows still refer to this table's.
    async fn delete_from(&self, client: &Client, home: &Home, table: &str) -> Result<Option<String>> {
        let name = within(&home.schema, table);
        let whole = format!("DELETE FROM {name} WHERE tenant_id = $1");
        let batch = format!(
            "DELETE FROM {name} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {name} WHERE tenant_id = $1 LIMIT {BATCH}))"
        );
        let tenant = home.tenant.uuid();
        let referred = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::RESTRICT_VIOLATION];
        let failed = |error| errors::explain(&self.name, "deleting the tenant's rows", &error);
        loop {
            match client.execute(&batch, &[&tenant]).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(error) if errors::is_any(&error, &referred) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        // Rows of one table may refer to each other across batches.
        match client.execute(&whole, &[&tenant]).await {
            Ok(_) => Ok(None),
            Err(error) if errors::is_any(&error, &referred) => {
                Ok(Some(error.as_db_error().map(|told| told.message().to_owned()).unwrap_or_default()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Drops views, then tables some at a time, then the rest: one DROP of a large schema would need
    /// more locks than a server has.
    async fn drop_schema(&self, client: &Client, home: &Home) -> Result<()> {
        let doing = "dropping the schema";
        for (kind, word) in [("v", "VIEW"), ("r", "TABLE")] {
            for piece in self.relations(client, &home.schema, kind).await?.chunks(PIECE) {
                let names: Vec<String> = piece.iter().map(|name| within(&home.schema, name)).collect();
                let sql = format!("DROP {word} IF EXISTS {} CASCADE", names.join(", "));
                self.run(client, doing, &sql).await?;
            }
        }
        let sql = format!(
            "BEGIN; DROP SCHEMA IF EXISTS {} CASCADE; DELETE FROM tenantry.migrations WHERE schema = {}; COMMIT",
            ident(&home.schema),
            literal(&home.schema)
        );
        self.run(client, doing, &sql).await
    }

    async fn drop_database(&self, client: &Client, home: &Home) -> Result<()> {
        if !self.database_exists(client, &home.database).await? {
            return Ok(());
        }
        // Ending the connections of a role needs its rights.
        let role = home.role()?;
        self.begin_for(client, role).await?;
        if self.role_exists(client, role).await? {
            self.borrow_role(client, role).await?;
        }
        self.commit(client).await?;
        self.drop_database_named(client, &home.database).await
    }

    async fn relations(&self, client: &Client, schema: &str, kind: &str) -> Result<Vec<String>> {
        let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relkind::text = $2 ORDER BY 1";
        let rows = self.rows(client, "listing the tables", sql, &[&schema, &kind]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }
}
