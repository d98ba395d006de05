//! What a file must look like after a migration, read from SQLite's own catalog. A file holds one
//! tenant, so nothing here keeps tenants apart: it keeps the schema fit to be moved to other models.

use rusqlite::Connection;

use crate::kernel::error::{Error, Result};

use super::open::failed;

/// One row per breach: what it is about, and what is wrong.
const BREACHES: &str = "
WITH tables AS (
    SELECT name FROM sqlite_schema WHERE type = 'table'
       AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'tenantry!_%' ESCAPE '!'
), tenant AS (
    SELECT t.name AS tbl, c.type, c.\"notnull\" AS filled, c.dflt_value AS dflt, c.hidden
    FROM tables t JOIN pragma_table_xinfo(t.name) c ON c.name = 'tenant_id'
)
SELECT 'table ' || name, 'has no column tenant_id' FROM tables WHERE name NOT IN (SELECT tbl FROM tenant)
UNION ALL SELECT 'table ' || tbl, 'has a tenant_id that is not uuid' FROM tenant WHERE lower(type) <> 'uuid'
UNION ALL SELECT 'table ' || tbl, 'has a tenant_id that may be null' FROM tenant WHERE NOT filled
UNION ALL SELECT 'table ' || tbl, 'has a tenant_id without DEFAULT (current_tenant())' FROM tenant
    WHERE hidden <> 0 OR lower(trim(coalesce(dflt, ''), ' ()')) <> 'current_tenant'
UNION ALL SELECT 'table ' || t.name, 'has a primary key that does not start with tenant_id'
    FROM tables t JOIN pragma_table_xinfo(t.name) c ON c.pk = 1 WHERE c.name <> 'tenant_id'
UNION ALL SELECT 'index ' || i.name || ' of table ' || t.name, 'is unique but does not start with tenant_id'
    FROM tables t JOIN pragma_index_list(t.name) i ON i.\"unique\"
    JOIN pragma_index_xinfo(i.name) c ON c.seqno = 0 WHERE c.name IS NOT 'tenant_id'
UNION ALL SELECT DISTINCT 'table ' || t.name, 'refers to ' || f.\"table\" || ' without tenant_id on both sides'
    FROM tables t JOIN pragma_foreign_key_list(t.name) f
    WHERE NOT EXISTS (SELECT 1 FROM pragma_foreign_key_list(t.name) g WHERE g.id = f.id
        AND g.\"from\" = 'tenant_id' AND (g.\"to\" = 'tenant_id' OR (g.\"to\" IS NULL AND g.seq = 0)))
UNION ALL SELECT DISTINCT 'table ' || \"table\", 'has rows that refer to missing rows of ' || parent
    FROM pragma_foreign_key_check
ORDER BY 1, 2";

/// Refuses a schema that would not work in each model.
pub(super) fn check(connection: &Connection) -> Result<()> {
    let doing = "checking the tables";
    let mut query = connection.prepare(BREACHES).map_err(|error| failed(doing, &error))?;
    let rows =
        query.query_map([], |row| Ok(format!("{} {}", row.get::<_, String>(0)?, row.get::<_, String>(1)?)));
    let breaches: Vec<String> = rows.and_then(Iterator::collect).map_err(|error| failed(doing, &error))?;
    if breaches.is_empty() {
        return Ok(());
    }
    Err(Error::refused(
        "migration_failed",
        format!("the migrations were rolled back, because afterwards {}", breaches.join("; ")),
    ))
}
