//! Tenants' login roles: made, renewed, and stripped of what their holders may have done to them.

use postgres_protocol::password::scram_sha_256;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::kernel::error::{Error, Result};

use super::super::home::Home;
use super::names::OURS;
use super::sql::{ident, literal};
use super::{PgCluster, errors, get};

impl PgCluster {
    /// Makes the role, or brings an existing one to what it should be.
    pub(super) async fn create_role(
        &self,
        client: &Client,
        home: &Home,
        password: &SecretString,
    ) -> Result<()> {
        let role = home.role()?;
        self.begin_for(client, role).await?;
        if self.role_exists(client, role).await? {
            self.renew_role(client, home, password, "LOGIN").await?;
        } else {
            let sql = format!(
                "CREATE ROLE {} LOGIN INHERIT NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION \
                 CONNECTION LIMIT {} PASSWORD {} IN ROLE {}; {}",
                ident(role),
                self.limits.tenant_connections,
                verifier(password),
                ident(&self.names.group(home.isolation)),
                settings(home)?
            );
            self.run(client, "creating the login role", &sql).await?;
        }
        self.commit(client).await
    }

    /// Undoes what a tenant can do to its own role: another password, other settings. `login` is
    /// `LOGIN` to open the role, or empty to leave that as it is. Inside the caller's transaction.
    async fn renew_role(
        &self,
        client: &Client,
        home: &Home,
        password: &SecretString,
        login: &str,
    ) -> Result<()> {
        let role = home.role()?;
        let doing = "renewing the login role";
        let mut sql = format!(
            "ALTER ROLE {0} {login} CONNECTION LIMIT {1} PASSWORD {2}; ALTER ROLE {0} RESET ALL; ",
            ident(role),
            self.limits.tenant_connections,
            verifier(password)
        );
        let places = "SELECT d.datname::text FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole \
             JOIN pg_database d ON d.oid = s.setdatabase WHERE r.rolname = $1";
        for row in self.rows(client, doing, places, &[&role]).await? {
            let database = ident(get(&row, 0)?);
            sql.push_str(&format!("ALTER ROLE {} IN DATABASE {database} RESET ALL; ", ident(role)));
        }
        let group = self.names.group(home.isolation);
        let member = "SELECT 1 FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
             JOIN pg_roles r ON r.oid = m.member WHERE g.rolname = $1 AND r.rolname = $2";
        if !self.any(client, doing, member, &[&group, &role]).await? {
            return Err(Error::refused(
                "role_taken",
                format!(
                    "cluster `{}` already has a role {role} that is not this control plane's; an administrator \
                     drops or renames it",
                    self.name
                ),
            ));
        }
        sql.push_str(&settings(home)?);
        self.run(client, doing, &sql).await
    }

    /// Gives `home`'s role a new password and undoes what its holder may have set on it. Whether it may
    /// sign in stays as it is; open connections stay open.
    ///
    /// # Errors
    /// `role_missing` when there is no such role; `cluster_unavailable`, `cluster_busy`.
    pub async fn reset_credentials(&self, home: &Home, password: &SecretString) -> Result<()> {
        self.bounded("resetting credentials", async {
            let owner = self.owner().await?;
            let client = owner.client()?;
            let role = home.role()?;
            self.begin_for(client, role).await?;
            if !self.role_exists(client, role).await? {
                return Err(self.role_missing(role));
            }
            self.renew_role(client, home, password, "").await?;
            self.commit(client).await?;
            owner.keep();
            Ok(())
        })
        .await
    }

    pub(super) fn role_missing(&self, role: &str) -> Error {
        Error::refused(
            "role_missing",
            format!("cluster `{}` has no role {role}: the home must be built first", self.name),
        )
    }

    pub(super) async fn role_exists(&self, client: &Client, role: &str) -> Result<bool> {
        self.any(client, "looking for a role", "SELECT 1 FROM pg_roles WHERE rolname = $1", &[&role]).await
    }

    /// Lets the owner act with the role's rights, which ending its sessions and dropping what it owns
    /// need. Creating a role gives that by itself on no version.
    pub(super) async fn borrow_role(&self, client: &Client, role: &str) -> Result<()> {
        let sql = "SELECT current_setting('server_version_num')::int";
        let rows = self.rows(client, "reading the version", sql, &[]).await?;
        let version: i32 = rows.first().map_or(Ok(0), |row| get(row, 0))?;
        let inherit = if version >= 160_000 { " WITH INHERIT TRUE, SET TRUE" } else { "" };
        let grant = format!("GRANT {} TO CURRENT_USER{inherit}", ident(role));
        self.run(client, "borrowing the login role", &grant).await
    }

    /// Drops the role and everything that depends on it, in every database where something does.
    pub(super) async fn drop_role(&self, client: &Client, home: &Home) -> Result<()> {
        let role = home.role()?;
        let doing = "dropping the login role";
        let gone = |error: &tokio_postgres::Error| errors::is_any(error, &[SqlState::UNDEFINED_OBJECT]);
        self.begin_for(client, role).await?;
        if !self.role_exists(client, role).await? {
            return self.commit(client).await;
        }
        self.borrow_role(client, role).await?;
        self.commit(client).await?;
        let owned = format!("DROP OWNED BY {} CASCADE", ident(role));
        let elsewhere = "SELECT DISTINCT d.datname::text FROM pg_shdepend s \
             JOIN pg_database d ON d.oid = s.dbid JOIN pg_roles r ON r.oid = s.refobjid \
             WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = $1 AND d.datname <> current_database()";
        for row in self.rows(client, doing, elsewhere, &[&role]).await? {
            let there = self.open(get(&row, 0)?).await?;
            match there.batch_execute(&owned).await {
                Err(error) if !gone(&error) => return Err(errors::explain(&self.name, doing, &error)),
                _ => {}
            }
        }
        self.begin_for(client, role).await?;
        if self.role_exists(client, role).await? {
            self.borrow_role(client, role).await?;
            self.run(client, doing, &format!("{owned}; DROP ROLE {}", ident(role))).await?;
        }
        self.commit(client).await
    }
}

/// The password as the server stores it, so that its logs never see the clear text.
fn verifier(password: &SecretString) -> String {
    literal(&scram_sha_256(password.expose_secret().as_bytes()))
}

fn settings(home: &Home) -> Result<String> {
    Ok(format!("ALTER ROLE {} SET search_path = {}, {OURS}", ident(home.role()?), ident(&home.schema)))
}
