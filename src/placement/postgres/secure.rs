//! What follows from a migration: rights for the tenants' side and, in the shared schema, policies.
//!
//! In the models with a schema or a database each, a check on `tenant_id` keeps the promise that the
//! column holds one value, so that a later move into a shared schema cannot meet strangers' rows. The
//! owner, who is no tenant, passes it.

use tokio_postgres::Client;

use crate::kernel::error::Result;
use crate::kernel::isolation::Isolation;

use super::sql::{ident, within};
use super::{PgCluster, get};

/// The check's name in the models that have it.
pub(super) const OWN_ROWS: &str = "tenantry_own_rows";

impl PgCluster {
    pub(super) async fn secure(
        &self,
        client: &Client,
        isolation: Isolation,
        schema: &str,
        role: Option<&str>,
    ) -> Result<()> {
        let group = self.names.group(isolation);
        let grantee = match (isolation, role) {
            (Isolation::Schema, Some(role)) => ident(role),
            _ => ident(&group),
        };
        let mut sql = String::new();
        let doing = "protecting the tables";
        let tables = "SELECT c.relname::text, c.relkind = 'v', c.relrowsecurity AND c.relforcerowsecurity, \
             EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenantry_tenant'), \
             EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenantry_owner'), \
             EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.conname = 'tenantry_own_rows') \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relkind IN ('r', 'v') ORDER BY 1";
        for row in self.rows(client, doing, tables, &[&schema]).await? {
            let table = within(schema, get(&row, 0)?);
            sql.push_str(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {grantee};"));
            if get::<bool>(&row, 1)? {
                continue;
            }
            if isolation != Isolation::Shared {
                if !get::<bool>(&row, 5)? {
                    sql.push_str(&format!(
                        "ALTER TABLE {table} ADD CONSTRAINT {OWN_ROWS} CHECK (tenant_id = tenantry.current_tenant());"
                    ));
                }
                continue;
            }
            if !get::<bool>(&row, 2)? {
                sql.push_str(&format!(
                    "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; ALTER TABLE {table} FORCE ROW LEVEL SECURITY;"
                ));
            }
            if !get::<bool>(&row, 3)? {
                // In a sub-select the function is asked once per statement, not once per row.
                let own = "(tenant_id = (SELECT tenantry.current_tenant()))";
                sql.push_str(&format!(
                    "CREATE POLICY tenantry_tenant ON {table} TO {grantee} USING {own} WITH CHECK {own};"
                ));
            }
            if !get::<bool>(&row, 4)? {
                sql.push_str(&format!(
                    "CREATE POLICY tenantry_owner ON {table} TO CURRENT_USER USING (true) WITH CHECK (true);"
                ));
            }
        }
        // Identity columns need no right on their sequence; only free-standing and serial ones do.
        let sequences = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d \
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'i') ORDER BY 1";
        for row in self.rows(client, doing, sequences, &[&schema]).await? {
            let sequence = within(schema, get(&row, 0)?);
            sql.push_str(&format!("GRANT USAGE ON SEQUENCE {sequence} TO {grantee};"));
        }
        self.run(client, doing, &sql).await
    }
}
