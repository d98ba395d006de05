//! Rows of a file are its tenant's: triggers that keep it so.
//!
//! A file holds one tenant, so a row with another's `tenant_id` harms nobody in it. But once the file moved
//! into a shared schema, the row would be that other tenant's. PostgreSQL has a check for this on each table;
//! SQLite cannot add one to a table that exists. The template's owner, who is no tenant, passes.

use rusqlite::Connection;

use crate::kernel::error::Result;

use super::open::failed;

const PREFIX: &str = "tenantry_own_rows";

const TRIGGERS: &str =
    "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'tenantry!_own!_rows!_%' ESCAPE '!'";

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%' \
     AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'tenantry!_%' ESCAPE '!'";

/// Makes the triggers anew: a migration may have renamed or replaced the tables that they were made for.
pub(super) fn keep(connection: &Connection) -> Result<()> {
    let doing = "protecting the tables";
    let mut sql = String::new();
    for trigger in names(connection, TRIGGERS)? {
        sql.push_str(&format!("DROP TRIGGER {};", ident(&trigger)));
    }
    for table in names(connection, TABLES)? {
        for (word, event) in [("insert", "INSERT"), ("update", "UPDATE OF tenant_id")] {
            sql.push_str(&format!(
                "CREATE TRIGGER {} BEFORE {event} ON {} WHEN new.tenant_id <> current_tenant() \
                 BEGIN SELECT RAISE(ABORT, 'CHECK constraint failed: {PREFIX}'); END;",
                ident(&format!("{PREFIX}_{word}_{table}")),
                ident(&table)
            ));
        }
    }
    connection.execute_batch(&sql).map_err(|error| failed(doing, &error))
}

fn names(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    let doing = "listing tables";
    let mut query = connection.prepare(sql).map_err(|error| failed(doing, &error))?;
    let rows = query.query_map([], |row| row.get(0));
    rows.and_then(Iterator::collect).map_err(|error| failed(doing, &error))
}

fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
