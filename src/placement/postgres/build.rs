//! The steps that build a home. Each finds out by itself what is left to do.

use secrecy::SecretString;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;

use super::names::OURS;
use super::sql::{ident, literal};
use super::{PgCluster, connect, errors, get};
use crate::placement::app_schema::AppSchema;
use crate::placement::home::Home;
use crate::placement::steps::BuildStep;

impl PgCluster {
    /// Takes one step towards `home`. Done before is done.
    ///
    /// # Errors
    /// What the step met: `cluster_unavailable`, `cluster_busy`, `cluster_refused`, `migration_failed`,
    /// `home_unverified` and the like, in words for the operation's step.
    pub async fn build(
        &self,
        step: BuildStep,
        home: &Home,
        password: &SecretString,
        app: &AppSchema,
    ) -> Result<()> {
        self.bounded(step.name(), async {
            match step {
                BuildStep::VerifyAccess => return self.verify(home, password).await,
                BuildStep::ApplyMigrations => return self.migrate(home, app).await.map(drop),
                _ => {}
            }
            let owner = self.owner().await?;
            let client = owner.client()?;
            match step {
                BuildStep::Register => self.register(client, home).await?,
                BuildStep::CreateRole => self.create_role(client, home, password).await?,
                BuildStep::CreateSchema => self.create_schema(client, home).await?,
                BuildStep::CreateDatabase => self.create_database(client, home, app).await?,
                BuildStep::GrantAccess => self.grant_access(client, home).await?,
                BuildStep::ApplyMigrations | BuildStep::VerifyAccess => {}
            }
            owner.keep();
            Ok(())
        })
        .await
    }

    /// Enters the role into the map of the database that `client` is connected to.
    async fn register(&self, client: &Client, home: &Home) -> Result<()> {
        let sql = "INSERT INTO tenantry.tenant_role (rolname, tenant_id, isolation) VALUES ($1, $2, $3) \
             ON CONFLICT (rolname) DO NOTHING";
        let word = home.isolation.word();
        let doing = "registering the tenant";
        self.rows(client, doing, sql, &[&home.role()?, &home.tenant.uuid(), &word]).await.map(drop)
    }

    async fn create_schema(&self, client: &Client, home: &Home) -> Result<()> {
        let sql = format!("CREATE SCHEMA IF NOT EXISTS {}", ident(&home.schema));
        match client.batch_execute(&sql).await {
            // Two processes at once: the other was faster.
            Err(error)
                if errors::is_any(&error, &[SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_SCHEMA]) =>
            {
                Ok(())
            }
            outcome => outcome.map_err(|error| errors::explain(&self.name, "creating the schema", &error)),
        }
    }

    /// Copies the template. Closed to everybody until [`PgCluster::grant_access`], because a copy's
    /// rights start out as PUBLIC's.
    async fn create_database(&self, client: &Client, home: &Home, app: &AppSchema) -> Result<()> {
        if self.database_exists(client, &home.database).await? {
            return Ok(());
        }
        let template = self.names.template(app);
        if !self.database_exists(client, &template).await? {
            let turn = self.take_turn().await?;
            self.ensure_template(client, app).await?;
            drop(turn);
        }
        let sql = format!(
            "CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log ALLOW_CONNECTIONS false",
            ident(&home.database),
            ident(&template)
        );
        match client.batch_execute(&sql).await {
            Err(error)
                if errors::is_any(&error, &[SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION]) =>
            {
                Ok(())
            }
            outcome => {
                outcome.map_err(|error| errors::explain(&self.name, "copying the template database", &error))
            }
        }
    }

    async fn grant_access(&self, client: &Client, home: &Home) -> Result<()> {
        let role = home.role()?;
        let doing = "granting access";
        self.begin_for(client, role).await?;
        let usage = format!("GRANT USAGE ON SCHEMA {} TO {}", ident(&home.schema), ident(role));
        match home.isolation {
            Isolation::Shared => {}
            Isolation::Schema => {
                let sql = format!("REVOKE ALL ON SCHEMA {} FROM PUBLIC; {usage}", ident(&home.schema));
                self.run(client, doing, &sql).await?;
                // Nothing to do for a new home; after its role was lost and made anew, all of it.
                self.secure(client, home.isolation, &home.schema, Some(role)).await?;
            }
            Isolation::Database => {
                let sql = format!(
                    "REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO {1}; \
                     ALTER DATABASE {0} ALLOW_CONNECTIONS true",
                    ident(&home.database),
                    ident(role)
                );
                self.run(client, doing, &sql).await?;
                self.commit(client).await?;
                let inside = self.open(&home.database).await?;
                self.register(&inside, home).await?;
                return self.within_database(&inside, home, &usage).await;
            }
        }
        self.commit(client).await
    }

    /// Lets the role use the schema in its own database, where the map has a row for it alone.
    async fn within_database(&self, inside: &Client, home: &Home, usage: &str) -> Result<()> {
        self.begin_for(inside, home.role()?).await?;
        self.run(inside, "granting access", usage).await?;
        self.commit(inside).await
    }

    /// Signs in as the tenant and looks: is it the right tenant, are the tables there, and is nothing
    /// in reach that should not be.
    async fn verify(&self, home: &Home, password: &SecretString) -> Result<()> {
        let wrong = |what: String| {
            Error::refused(
                "home_unverified",
                format!("signed in to cluster `{}` as the tenant, but {what}", self.name),
            )
        };
        let config = self.tenant_config(home, password)?;
        let client = match connect::connect(&config, &self.tls, self.limits.connect).await {
            Ok(client) => client,
            Err(failure) => return Err(failure.explain(&self.name)),
        };
        let sql = "SELECT current_tenant(), session_user::text, \
             r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb, \
             has_database_privilege(current_database(), 'CREATE, TEMPORARY'), \
             has_table_privilege('tenantry.tenant_role', 'SELECT'), \
             (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r'), \
             (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r' \
                AND pg_table_is_visible(c.oid) AND has_table_privilege(c.oid, 'SELECT') \
                AND has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE') \
                AND has_table_privilege(c.oid, 'DELETE') AND NOT has_table_privilege(c.oid, 'TRUNCATE') \
                AND row_security_active(c.oid) = $2) \
             FROM pg_roles r, pg_namespace n WHERE r.rolname = session_user AND n.nspname = $1";
        let shared = home.isolation == Isolation::Shared;
        let rows = self.rows(&client, "verifying the home", sql, &[&home.schema, &shared]).await?;
        let Some(row) = rows.first() else { return Err(wrong(format!("schema {} is missing", home.schema))) };
        let tenant: Option<uuid::Uuid> = get(row, 0)?;
        if tenant != Some(home.tenant.uuid()) {
            let told = tenant.map_or("nobody".to_owned(), |id| TenantId::from_uuid(id).to_string());
            return Err(wrong(format!("{OURS}.current_tenant() says {told}")));
        }
        if get::<bool>(row, 2)? || get::<bool>(row, 3)? || get::<bool>(row, 4)? {
            return Err(wrong(format!("the role {} has more rights than it should", get::<&str>(row, 1)?)));
        }
        let (all, usable): (i64, i64) = (get(row, 5)?, get(row, 6)?);
        if all == 0 || all != usable {
            return Err(wrong(format!(
                "only {usable} of {all} tables of schema {} are usable",
                literal(&home.schema)
            )));
        }
        Ok(())
    }
}
