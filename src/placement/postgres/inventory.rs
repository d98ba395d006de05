//! What of tenants exists on a server for this control plane, whatever the control store believes.

use tokio_postgres::Client;

use crate::kernel::error::{Error, Result};
use crate::kernel::isolation::Isolation;

use super::sql::ident;
use super::{PgCluster, get};
use crate::placement::home::{tenant_of, tenant_of_role};
use crate::placement::steps::{Found, Inventory};

impl PgCluster {
    /// Lists the roles, schemas, databases and map entries of this control plane's tenants, and
    /// templates that a crash left unfinished. Empty on a server that was never prepared.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_login_refused`.
    pub async fn inventory(&self) -> Result<Inventory> {
        self.bounded("listing what is there", async {
            let owner = self.owner().await?;
            let found = self.take_inventory(owner.client()?).await?;
            owner.keep();
            Ok(found)
        })
        .await
    }

    /// Drops a template that a crash left unfinished.
    ///
    /// # Errors
    /// `cluster_unavailable`, `cluster_busy`; `not_debris` for any other name.
    pub async fn drop_debris(&self, name: &str) -> Result<()> {
        self.bounded("dropping an unfinished template", async {
            if !name.starts_with(&self.names.scaffolds()) {
                return Err(Error::refused(
                    "not_debris",
                    format!("{name} is nothing that a crash left here"),
                ));
            }
            let owner = self.owner().await?;
            let client = owner.client()?;
            let turn = self.take_turn().await?;
            let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name));
            self.run(client, "dropping an unfinished template", &sql).await?;
            drop(turn);
            owner.keep();
            Ok(())
        })
        .await
    }

    async fn take_inventory(&self, client: &Client) -> Result<Inventory> {
        let mut found = Inventory::default();
        let groups: Vec<String> = Isolation::ALL.iter().map(|model| self.names.group(*model)).collect();
        let roles = "SELECT r.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
             JOIN pg_roles r ON r.oid = m.member WHERE g.rolname = ANY ($1) ORDER BY 1";
        for name in self.names_of(client, roles, &groups).await? {
            if let Some((tenant, isolation)) = tenant_of_role(&name) {
                found.roles.push(Found { tenant, isolation, name });
            }
        }
        let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname ^@ ANY ($1) ORDER BY 1";
        for name in self.names_of(client, schemas, &["t_".to_owned()]).await? {
            if let Some(tenant) = tenant_of(&name) {
                found.schemas.push(Found { tenant, isolation: Isolation::Schema, name });
            }
        }
        let map = "SELECT 1 FROM pg_class WHERE oid = to_regclass('tenantry.tenant_role')";
        if self.any(client, "looking for the map", map, &[]).await? {
            let registered =
                "SELECT rolname::text FROM tenantry.tenant_role WHERE rolname ^@ ANY ($1) ORDER BY 1";
            for name in self.names_of(client, registered, &["t_".to_owned()]).await? {
                if let Some((tenant, isolation)) = tenant_of_role(&name) {
                    found.registered.push(Found { tenant, isolation, name });
                }
            }
        }
        // A database is this plane's when the map or the group knows its tenant: it is registered
        // before it is created and forgotten after it is dropped.
        for name in self.own_databases(client, &["t_".to_owned()]).await? {
            let ours = tenant_of(&name).filter(|tenant| {
                let same = |one: &Found| one.tenant == *tenant && one.isolation == Isolation::Database;
                found.roles.iter().chain(&found.registered).any(same)
            });
            if let Some(tenant) = ours {
                found.databases.push(Found { tenant, isolation: Isolation::Database, name });
            }
        }
        found.debris = self.own_databases(client, &[self.names.scaffolds()]).await?;
        Ok(found)
    }

    async fn names_of(&self, client: &Client, sql: &str, names: &[String]) -> Result<Vec<String>> {
        let rows = self.rows(client, "listing what is there", sql, &[&names]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }
}
