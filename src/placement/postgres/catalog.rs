//! What a schema must look like after a migration, read from the engine's own catalog: the enforcement
//! behind the lint. Runs inside the migration's transaction, so a breach leaves nothing behind.

use tokio_postgres::{Client, Row};

use crate::kernel::error::{Error, Result};
use crate::kernel::isolation::Isolation;

use super::{PgCluster, get};

/// What migrations must have made. One row per breach of schema `$1`: what it is about, and what is wrong.
const SHAPE: &str = "
WITH relations AS (
    SELECT c.*, a.attnum AS tenant, a.atttypid, a.attnotnull, a.attgenerated, a.attidentity
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
    WHERE n.nspname = $1
), tables AS (SELECT * FROM relations WHERE relkind = 'r')
SELECT 'table ' || relname, 'has no column tenant_id' FROM tables WHERE tenant IS NULL
UNION ALL SELECT 'table ' || relname, 'has a tenant_id that is not uuid' FROM tables
    WHERE tenant IS NOT NULL AND atttypid <> 'uuid'::regtype
UNION ALL SELECT 'table ' || relname, 'has a tenant_id that may be null' FROM tables
    WHERE tenant IS NOT NULL AND NOT attnotnull
UNION ALL SELECT 'table ' || t.relname, 'has a tenant_id without DEFAULT (current_tenant())' FROM tables t
    WHERE tenant IS NOT NULL AND (attgenerated <> '' OR attidentity <> '' OR NOT EXISTS (
        SELECT FROM pg_attrdef d
        JOIN pg_depend p ON p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
             AND p.refclassid = 'pg_proc'::regclass
             AND p.refobjid = 'tenantry.current_tenant()'::regprocedure
        WHERE d.adrelid = t.oid AND d.adnum = t.tenant
          AND pg_get_expr(d.adbin, d.adrelid) IN ('current_tenant()', 'tenantry.current_tenant()')))
UNION ALL SELECT 'table ' || relname, 'is unlogged or temporary' FROM tables WHERE relpersistence <> 'p'
UNION ALL SELECT 'table ' || relname, 'is a partition or inherits from another table' FROM tables
    WHERE relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = tables.oid)
UNION ALL SELECT 'table ' || relname, 'has rules, which would run with its owner''s rights' FROM relations r
    WHERE EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN')
UNION ALL SELECT 'relation ' || relname, CASE relkind
        WHEN 'm' THEN 'is a materialized view, which no policy covers'
        WHEN 'p' THEN 'is partitioned, and partitions can be reached around the parent''s policies'
        ELSE 'is a foreign table, which no policy covers' END
    FROM relations WHERE relkind IN ('m', 'p', 'f')
UNION ALL SELECT 'index ' || x.relname || ' of table ' || t.relname, 'is unique but does not start with tenant_id'
    FROM tables t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class x ON x.oid = i.indexrelid
    WHERE i.indisunique AND t.tenant IS NOT NULL AND i.indkey[0] <> t.tenant
UNION ALL SELECT 'constraint ' || k.conname || ' of table ' || t.relname, CASE k.contype
        WHEN 'x' THEN 'excludes rows across tenants' ELSE 'refers to another schema or without tenant_id on both sides' END
    FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid
    LEFT JOIN tables r ON r.oid = k.confrelid
    WHERE k.contype = 'x' OR (k.contype = 'f' AND t.tenant IS NOT NULL AND NOT EXISTS (
        SELECT FROM generate_subscripts(k.conkey, 1) at
        WHERE k.conkey[at] = t.tenant AND k.confkey[at] = r.tenant))
UNION ALL SELECT 'view ' || relname, 'reads with its owner''s rights: write WITH (security_invoker = true)'
    FROM relations WHERE relkind = 'v' AND NOT EXISTS (
        SELECT FROM pg_options_to_table(reloptions) o
        WHERE o.option_name = 'security_invoker' AND lower(o.option_value) IN ('true', 'on', 'yes', '1'))
UNION ALL SELECT 'function ' || p.proname, 'is SECURITY DEFINER' FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 AND p.prosecdef
UNION ALL SELECT 'function ' || p.proname, 'takes a name that is the control plane''s' FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1 AND p.proname = 'current_tenant'
UNION ALL SELECT 'relation ' || relname, 'belongs to another role than the control plane''s' FROM relations
    WHERE NOT pg_has_role(relowner, 'USAGE')
ORDER BY 1, 2";

/// What must hold once the tables are protected. The same for schema `$1`; `$2` is whether it is shared.
const PROTECTION: &str = "
WITH relations AS (
    SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1
), tables AS (SELECT * FROM relations WHERE relkind = 'r')
SELECT 'policy ' || p.polname || ' of table ' || relname, 'is not the control plane''s'
    FROM tables JOIN pg_policy p ON p.polrelid = tables.oid
    WHERE p.polname NOT IN ('tenantry_tenant', 'tenantry_owner') OR NOT $2
UNION ALL SELECT 'table ' || relname, CASE WHEN $2 THEN 'has no forced row-level security'
        ELSE 'has row-level security, which this isolation model does not use' END
    FROM tables WHERE (relrowsecurity AND relforcerowsecurity) <> $2 OR (relrowsecurity <> $2)
UNION ALL SELECT 'table ' || relname, 'lacks the control plane''s policies' FROM tables
    WHERE $2 AND 2 <> (SELECT count(*) FROM pg_policy p WHERE p.polrelid = tables.oid)
UNION ALL SELECT DISTINCT 'relation ' || relname, 'gives rights to PUBLIC, or more than reading and writing rows'
    FROM relations, aclexplode(relacl) a
    WHERE a.grantee <> relowner AND (a.grantee = 0 OR a.is_grantable
        OR (relkind <> 'S' AND a.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))
        OR (relkind = 'S' AND a.privilege_type <> 'USAGE'))
ORDER BY 1, 2";

impl PgCluster {
    /// Refuses tables and views that could not be protected, or would not work in each model.
    pub(super) async fn check_shape(&self, client: &Client, schema: &str) -> Result<()> {
        breaches(&self.rows(client, "checking the tables", SHAPE, &[&schema]).await?)
    }

    /// Refuses a schema in which tenants could reach each other.
    pub(super) async fn check_protection(
        &self,
        client: &Client,
        isolation: Isolation,
        schema: &str,
    ) -> Result<()> {
        let shared = isolation == Isolation::Shared;
        breaches(&self.rows(client, "checking the protection", PROTECTION, &[&schema, &shared]).await?)
    }
}

fn breaches(rows: &[Row]) -> Result<()> {
    let mut breaches = Vec::new();
    for row in rows {
        breaches.push(format!("{} {}", get::<&str>(row, 0)?, get::<&str>(row, 1)?));
    }
    if breaches.is_empty() {
        return Ok(());
    }
    Err(Error::refused(
        "migration_failed",
        format!("the migrations were rolled back, because afterwards {}", breaches.join("; ")),
    ))
}
