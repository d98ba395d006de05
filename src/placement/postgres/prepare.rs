//! Getting a server ready for tenants: our schema with the map and `current_tenant()`, group roles,
//! what PUBLIC loses, the shared schema and the template database. Repeatable; one process at a time.

use tokio_postgres::Client;

use crate::kernel::error::{Error, Result};
use crate::kernel::isolation::Isolation;

use super::super::app_schema::AppSchema;
use super::super::home::{APP_SCHEMA, Engine};
use super::sql::ident;
use super::{PgCluster, get};

/// What [`PgCluster::prepare`] has to say.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Things that work but that an administrator should mend, in plain words.
    pub warnings: Vec<String>,
}

/// The map, the ledger and the function that tells who is signed in. `session_user` is who signed in,
/// whatever `SET ROLE` says; inside a SECURITY DEFINER function `current_user` would be its owner.
const GROUNDWORK: &str = "
CREATE SCHEMA IF NOT EXISTS tenantry;
REVOKE ALL ON SCHEMA tenantry FROM PUBLIC;
CREATE TABLE IF NOT EXISTS tenantry.tenant_role (
    rolname name PRIMARY KEY,
    tenant_id uuid NOT NULL,
    isolation text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS tenantry.mutex (name text PRIMARY KEY);
INSERT INTO tenantry.mutex VALUES ('prepare'), ('shared') ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS tenantry.migrations (
    schema text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schema, number)
);
REVOKE ALL ON tenantry.tenant_role, tenantry.mutex, tenantry.migrations FROM PUBLIC;
CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT tenant_id FROM tenantry.tenant_role WHERE rolname = session_user';
REVOKE ALL ON FUNCTION tenantry.current_tenant() FROM PUBLIC;
DO 'BEGIN
    IF to_regnamespace(''public'') IS NOT NULL THEN REVOKE ALL ON SCHEMA public FROM PUBLIC; END IF;
END';
";

impl PgCluster {
    /// Makes the server ready for the given models, and brings the shared schema and the template to
    /// the application's latest version.
    ///
    /// # Errors
    /// `cluster_rights_missing`, `cluster_too_old`, `migration_unsafe`, `migration_failed`,
    /// `migration_changed`, `cluster_unavailable`, `cluster_busy`.
    pub async fn prepare(&self, app: &AppSchema, models: &[Isolation]) -> Result<Prepared> {
        app.refuse_unsafe(Engine::Postgres)?;
        self.bounded("getting ready for tenants", self.prepare_now(app, models)).await
    }

    async fn prepare_now(&self, app: &AppSchema, models: &[Isolation]) -> Result<Prepared> {
        let owner = self.owner().await?;
        let client = owner.client()?;
        self.check_rights(client, models).await?;
        let turn = self.take_turn().await?;
        self.make_groups(client).await?;
        let doing = "laying the groundwork";
        self.run(
            client,
            doing,
            &format!("BEGIN; {GROUNDWORK} {} COMMIT", self.group_rights(&Isolation::ALL)),
        )
        .await?;
        self.close_database(client, &self.database, &[Isolation::Shared, Isolation::Schema]).await?;
        if models.contains(&Isolation::Shared) {
            let sql = format!(
                "CREATE SCHEMA IF NOT EXISTS {APP_SCHEMA}; REVOKE ALL ON SCHEMA {APP_SCHEMA} FROM PUBLIC; \
                 GRANT USAGE ON SCHEMA {APP_SCHEMA} TO {}",
                ident(&self.names.group(Isolation::Shared))
            );
            self.run(client, "making the shared schema", &sql).await?;
            self.migrate_schema(client, Isolation::Shared, APP_SCHEMA, None, app).await?;
        }
        if models.contains(&Isolation::Database) {
            self.ensure_template(client, app).await?;
            self.drop_old_templates(client, app).await?;
        }
        let warnings = self.warnings(client).await?;
        drop(turn);
        owner.keep();
        Ok(Prepared { warnings })
    }

    async fn check_rights(&self, client: &Client, models: &[Isolation]) -> Result<()> {
        let sql = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
             current_user::text, r.rolsuper OR r.rolcreaterole, r.rolsuper OR r.rolcreatedb, \
             pg_has_role(d.datdba, 'USAGE'), pg_encoding_to_char(d.encoding)::text \
             FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()";
        let rows = self.rows(client, "reading its rights", sql, &[]).await?;
        let row = rows.first().ok_or_else(|| Error::internal("no row of rights"))?;
        let (number, version): (i32, &str) = (get(row, 0)?, get(row, 1)?);
        let (user, database): (&str, &str) = (get(row, 2)?, &self.database);
        if number < 150_000 {
            return Err(Error::refused(
                "cluster_too_old",
                format!("cluster `{}` runs PostgreSQL {version}; 15 or later is needed", self.name),
            ));
        }
        let mut missing = Vec::new();
        if !get::<bool>(row, 3)? {
            missing.push(format!("may not create roles: ALTER ROLE {} CREATEROLE", ident(user)));
        }
        if models.contains(&Isolation::Database) && !get::<bool>(row, 4)? {
            missing.push(format!("may not create databases: ALTER ROLE {} CREATEDB", ident(user)));
        }
        if !get::<bool>(row, 5)? {
            missing.push(format!(
                "does not own database {database}: ALTER DATABASE {} OWNER TO {}",
                ident(database),
                ident(user)
            ));
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::refused(
            "cluster_rights_missing",
            format!(
                "the role `{user}` of cluster `{}`'s URL {} (an administrator runs this)",
                self.name,
                missing.join("; and it ")
            ),
        ))
    }

    async fn make_groups(&self, client: &Client) -> Result<()> {
        for isolation in Isolation::ALL {
            let group = self.names.group(isolation);
            let doing = "making the group roles";
            if !self.any(client, doing, "SELECT 1 FROM pg_roles WHERE rolname = $1", &[&group]).await? {
                self.run(client, doing, &format!("CREATE ROLE {} NOLOGIN", ident(&group))).await?;
            }
        }
        Ok(())
    }

    /// What the groups may do with our schema.
    fn group_rights(&self, models: &[Isolation]) -> String {
        let groups: Vec<String> = models.iter().map(|model| ident(&self.names.group(*model))).collect();
        let groups = groups.join(", ");
        format!(
            "GRANT USAGE ON SCHEMA tenantry TO {groups}; \
             GRANT EXECUTE ON FUNCTION tenantry.current_tenant() TO {groups};"
        )
    }

    /// Our schema in a database of the `database` model.
    pub(super) fn groundwork_of_a_database(&self) -> String {
        format!("{GROUNDWORK} {}", self.group_rights(&[Isolation::Database]))
    }

    /// Takes what PUBLIC may do with a database and lets the groups of `models` in. Writes only when
    /// something is to change: the one row of a database does not bear parallel updates.
    async fn close_database(&self, client: &Client, database: &str, models: &[Isolation]) -> Result<()> {
        let doing = "closing the database to strangers";
        let open = "SELECT 1 FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
             WHERE d.datname = $1 AND a.grantee = 0";
        let mut sql = String::new();
        if self.any(client, doing, open, &[&database]).await? {
            sql.push_str(&format!("REVOKE ALL ON DATABASE {} FROM PUBLIC;", ident(database)));
        }
        for model in models {
            let group = self.names.group(*model);
            let may = "SELECT 1 FROM pg_database d, aclexplode(d.datacl) a JOIN pg_roles r ON r.oid = a.grantee \
                 WHERE d.datname = $1 AND r.rolname = $2 AND a.privilege_type = 'CONNECT'";
            if !self.any(client, doing, may, &[&database, &group]).await? {
                sql.push_str(&format!("GRANT CONNECT ON DATABASE {} TO {};", ident(database), ident(&group)));
            }
        }
        self.run(client, doing, &sql).await
    }

    /// What we are not allowed to mend: databases that every role may connect to.
    async fn warnings(&self, client: &Client) -> Result<Vec<String>> {
        let sql = "SELECT datname::text FROM pg_database d, \
             aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a \
             WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT' AND datallowconn ORDER BY 1";
        let mut warnings = Vec::new();
        for row in self.rows(client, "looking for open databases", sql, &[]).await? {
            let database: &str = get(&row, 0)?;
            warnings.push(format!(
                "every role of cluster `{}`, tenants' too, may connect to database {database}; an administrator \
                 closes it with: REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC",
                self.name,
                ident(database)
            ));
        }
        // In a database older than PostgreSQL 15 the schema is the administrator's, not the owner's.
        let public = "SELECT 1 FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'public' AND a.grantee = 0";
        if self.any(client, "looking at schema public", public, &[]).await? {
            warnings.push(format!(
                "every role may use schema public of database {}; an administrator closes it with: \
                 REVOKE ALL ON SCHEMA public FROM PUBLIC",
                self.database
            ));
        }
        Ok(warnings)
    }
}
