//! Applying the application's migrations to one schema: in one transaction with the rights, policies
//! and checks that follow from them and with the mark in the ledger, so a crash leaves all or nothing.

use futures_util::future::join_all;
use tokio_postgres::Client;
use tokio_postgres::error::ErrorPosition;

use crate::kernel::error::{Error, Result};
use crate::kernel::isolation::Isolation;

use super::super::app_schema::{AppSchema, Migration, Script, Statement};
use super::super::home::{Engine, Home};
use super::names::OURS;
use super::sql::{ident, literal};
use super::{PgCluster, errors, get};

impl PgCluster {
    /// Brings one home to the application's latest version; answers the numbers it applied.
    ///
    /// # Errors
    /// `migration_unsafe`, `migration_failed`, `migration_changed`, `cluster_unavailable`, `cluster_busy`.
    pub async fn migrate(&self, home: &Home, app: &AppSchema) -> Result<Vec<i32>> {
        app.refuse_unsafe(Engine::Postgres)?;
        self.bounded("migrating", async {
            if home.isolation == Isolation::Database {
                let client = self.open(&home.database).await?;
                return self
                    .migrate_schema(&client, home.isolation, &home.schema, home.role.as_deref(), app)
                    .await;
            }
            let owner = self.owner().await?;
            let applied = self
                .migrate_schema(owner.client()?, home.isolation, &home.schema, home.role.as_deref(), app)
                .await?;
            owner.keep();
            Ok(applied)
        })
        .await
    }

    /// The highest migration applied to `home`; 0 when none is.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_busy`.
    pub async fn applied(&self, home: &Home) -> Result<i32> {
        let sql = "SELECT coalesce(max(number), 0) FROM tenantry.migrations WHERE schema = $1";
        let doing = "reading the ledger of migrations";
        let rows = if home.isolation == Isolation::Database {
            self.rows(&self.open(&home.database).await?, doing, sql, &[&home.schema]).await?
        } else {
            let owner = self.owner().await?;
            let rows = self.rows(owner.client()?, doing, sql, &[&home.schema]).await?;
            owner.keep();
            rows
        };
        rows.first().map_or(Ok(0), |row| get(row, 0))
    }

    /// Applies what is pending in `schema`. `role` is who gets rights in the `schema` model.
    pub(super) async fn migrate_schema(
        &self,
        client: &Client,
        isolation: Isolation,
        schema: &str,
        role: Option<&str>,
        app: &AppSchema,
    ) -> Result<Vec<i32>> {
        if self.pending(client, schema, app).await?.is_empty() {
            return Ok(Vec::new());
        }
        // A migration of a large table may take longer than one statement usually may.
        let turn = match (isolation, role) {
            (Isolation::Shared, _) => {
                "SELECT FROM tenantry.mutex WHERE name = 'shared' FOR UPDATE".to_owned()
            }
            (_, Some(role)) => {
                format!("SELECT FROM tenantry.tenant_role WHERE rolname = {} FOR UPDATE", literal(role))
            }
            // A template under construction is in one process's hands.
            (_, None) => String::new(),
        };
        let begin = format!(
            "BEGIN; {turn}; SET LOCAL search_path TO {}, {OURS}; SET LOCAL statement_timeout = {}",
            ident(schema),
            self.limits.step.as_millis(),
        );
        self.run(client, "starting a migration", &begin).await?;
        let pending = self.pending(client, schema, app).await?;
        for migration in &pending {
            self.apply(client, &migration.up).await?;
            let mark = format!(
                "INSERT INTO tenantry.migrations (schema, number, name, checksum) VALUES ({}, {}, {}, {})",
                literal(schema),
                migration.number,
                literal(&migration.name),
                literal(&migration.checksum)
            );
            self.run(client, "marking a migration as applied", &mark).await?;
        }
        self.check_shape(client, schema).await?;
        self.secure(client, isolation, schema, role).await?;
        self.check_protection(client, isolation, schema).await?;
        self.run(client, "committing a migration", "COMMIT").await?;
        Ok(pending.iter().map(|migration| migration.number).collect())
    }

    /// What `schema` lacks. A ledger that is ahead of the folder is left alone: an older process may
    /// still run beside a newer one.
    async fn pending<'a>(
        &self,
        client: &Client,
        schema: &str,
        app: &'a AppSchema,
    ) -> Result<Vec<&'a Migration>> {
        let sql = "SELECT number, checksum FROM tenantry.migrations WHERE schema = $1";
        let rows = self.rows(client, "reading the ledger of migrations", sql, &[&schema]).await?;
        let mut applied = std::collections::BTreeMap::new();
        for row in &rows {
            applied.insert(get::<i32>(row, 0)?, get::<String>(row, 1)?);
        }
        super::super::app_schema::pending(app, &applied)
    }

    /// Runs a script; the statements travel together and the first that failed is told.
    async fn apply(&self, client: &Client, script: &Script) -> Result<()> {
        let outcomes = join_all(script.statements.iter().map(|one| client.batch_execute(&one.text))).await;
        for (statement, outcome) in script.statements.iter().zip(outcomes) {
            if let Err(error) = outcome {
                return Err(self.failed(script, statement, &error));
            }
        }
        Ok(())
    }

    fn failed(&self, script: &Script, statement: &Statement, error: &tokio_postgres::Error) -> Error {
        let doing = format!("running {} line {}", script.file, statement.line);
        let explained = errors::explain(&self.name, &doing, error);
        let Some(told) = error.as_db_error() else { return explained };
        if matches!(explained, Error::Unavailable { .. }) {
            return explained;
        }
        let line = match told.position() {
            Some(ErrorPosition::Original(at)) => {
                statement.line_at(usize::try_from(at.saturating_sub(1)).unwrap_or(0))
            }
            _ => statement.line,
        };
        let mut words = format!("{} line {line}: {}", script.file, told.message());
        for more in [told.detail(), told.hint()].into_iter().flatten() {
            words.push_str("; ");
            words.push_str(more);
        }
        Error::refused("migration_failed", words)
    }
}
