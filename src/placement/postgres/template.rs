//! The template database of the `database` model: one per version of the application's schema, built
//! under another name and renamed when complete, so that a crash never leaves a half-built one in use.
//! It allows no connections: nobody can change it, and nobody stands in the way of copying it.

use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::kernel::error::{Error, Result};
use crate::kernel::isolation::Isolation;

use super::super::app_schema::AppSchema;
use super::super::home::APP_SCHEMA;
use super::sql::{ident, literal};
use super::{PgCluster, errors, get};

impl PgCluster {
    /// Makes sure that the template for `app` exists; the caller has the turn to prepare.
    pub(super) async fn ensure_template(&self, client: &Client, app: &AppSchema) -> Result<()> {
        let template = self.names.template(app);
        if self.database_exists(client, &template).await? {
            return Ok(());
        }
        let scaffold = self.names.scaffold(app);
        let doing = "building the template database";
        self.drop_database_named(client, &scaffold).await?;
        let create = format!(
            "CREATE DATABASE {} TEMPLATE template0 STRATEGY wal_log {}",
            ident(&scaffold),
            self.locale(client).await?
        );
        self.run(client, doing, &create).await?;
        self.run(client, doing, &format!("REVOKE ALL ON DATABASE {} FROM PUBLIC", ident(&scaffold))).await?;
        self.fill_template(&scaffold, app).await?;
        let close = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", ident(&scaffold));
        self.run(client, doing, &close).await?;
        let rename = format!("ALTER DATABASE {} RENAME TO {}", ident(&scaffold), ident(&template));
        // The connection that filled it takes a moment to be gone from the server.
        for _ in 0..40 {
            match client.batch_execute(&rename).await {
                Ok(()) => return Ok(()),
                Err(error) if errors::is_any(&error, &[SqlState::OBJECT_IN_USE]) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(errors::explain(&self.name, doing, &error)),
            }
        }
        Err(Error::unavailable(
            "cluster_busy",
            "the new template database stays in use; it is retried",
            rename,
        ))
    }

    async fn fill_template(&self, scaffold: &str, app: &AppSchema) -> Result<()> {
        let client = self.open(scaffold).await?;
        let groundwork = format!(
            "BEGIN; {} CREATE SCHEMA {APP_SCHEMA}; REVOKE ALL ON SCHEMA {APP_SCHEMA} FROM PUBLIC; COMMIT",
            self.groundwork_of_a_database()
        );
        self.run(&client, "building the template database", &groundwork).await?;
        self.migrate_schema(&client, Isolation::Database, APP_SCHEMA, None, app).await?;
        Ok(())
    }

    /// Drops templates of other versions and what crashes left of unfinished ones; the caller has
    /// the turn to prepare. One that is being copied right now stays until the next time.
    pub(super) async fn drop_old_templates(&self, client: &Client, app: &AppSchema) -> Result<()> {
        let doing = "dropping old template databases";
        for name in self.own_databases(client, &[self.names.templates(), self.names.scaffolds()]).await? {
            if name == self.names.template(app) {
                continue;
            }
            let drop = format!("DROP DATABASE IF EXISTS {}", ident(&name));
            if let Err(error) = client.batch_execute(&drop).await {
                if !errors::is_any(&error, &[SqlState::OBJECT_IN_USE]) {
                    return Err(errors::explain(&self.name, doing, &error));
                }
                tracing::info!(database = name, "an old template database is still in use");
            }
        }
        Ok(())
    }

    /// Drops a database, whoever is connected to it. A server's own maintenance worker gives way to a
    /// plain DROP only, other connections to a forced one only.
    pub(super) async fn drop_database_named(&self, client: &Client, name: &str) -> Result<()> {
        let gently = format!("DROP DATABASE IF EXISTS {}", ident(name));
        let firmly = format!("{gently} WITH (FORCE)");
        let mut last = None;
        for sql in [&gently, &firmly, &gently, &firmly] {
            match client.batch_execute(sql).await {
                Ok(()) => return Ok(()),
                Err(error)
                    if errors::is_any(
                        &error,
                        &[SqlState::OBJECT_IN_USE, SqlState::INSUFFICIENT_PRIVILEGE],
                    ) =>
                {
                    last = Some(errors::explain(&self.name, "dropping a database", &error));
                }
                Err(error) => return Err(errors::explain(&self.name, "dropping a database", &error)),
            }
        }
        last.map_or(Ok(()), Err)
    }

    /// Databases whose names start with one of `prefixes`.
    pub(super) async fn own_databases(&self, client: &Client, prefixes: &[String]) -> Result<Vec<String>> {
        let sql = "SELECT datname::text FROM pg_database \
             WHERE EXISTS (SELECT FROM unnest($1::text[]) prefix WHERE starts_with(datname::text, prefix)) ORDER BY 1";
        let rows = self.rows(client, "listing databases", sql, &[&prefixes]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    pub(super) async fn database_exists(&self, client: &Client, name: &str) -> Result<bool> {
        self.any(client, "looking for a database", "SELECT 1 FROM pg_database WHERE datname = $1", &[&name])
            .await
    }

    /// Encoding and sort order as in the URL's database, so that queries sort alike in each model.
    async fn locale(&self, client: &Client) -> Result<String> {
        let sql = "SELECT pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text, \
             datlocprovider::text, coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale') \
             FROM pg_database d WHERE datname = current_database()";
        let rows = self.rows(client, "reading the locale", sql, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::internal("the current database is not listed"))?;
        let (encoding, collate, ctype, provider): (&str, &str, &str, &str) =
            (get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?);
        let mut clause = format!(
            "ENCODING {} LC_COLLATE {} LC_CTYPE {}",
            literal(encoding),
            literal(collate),
            literal(ctype)
        );
        match (provider, get::<Option<&str>>(row, 4)?) {
            ("i", Some(locale)) => {
                clause.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {}", literal(locale)));
            }
            ("b", Some(locale)) => {
                clause.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {}", literal(locale)));
            }
            _ => clause.push_str(" LOCALE_PROVIDER libc"),
        }
        Ok(clause)
    }
}
