//! What must be the same after the attacks: the victim's rows in the owner's eyes, and all that exists.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::Stage;
use crate::world::postgres::TestDatabase;

const TABLES: [&str; 3] = ["notebooks", "notes", "note_tags"];

/// Everything of a database that is not the server's own, with owners and rights.
const INVENTORY: &str = "
WITH ours AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
    WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
)
SELECT concat_ws(' ', 'schema', nspname, nspowner::regrole, nspacl) FROM ours
UNION ALL SELECT concat_ws(' ', 'relation', nspname, relname, relkind, relowner::regrole, relacl, relrowsecurity,
    relforcerowsecurity, relhasrules, relhastriggers, reloptions) FROM pg_class JOIN ours ON ours.oid = relnamespace
UNION ALL SELECT concat_ws(' ', 'function', nspname, proname, proowner::regrole, proacl, proconfig, md5(prosrc))
    FROM pg_proc JOIN ours ON ours.oid = pronamespace
UNION ALL SELECT concat_ws(' ', 'type', nspname, typname, typacl) FROM pg_type JOIN ours ON ours.oid = typnamespace
UNION ALL SELECT concat_ws(' ', 'policy', polrelid::regclass, polname, polcmd, pg_get_expr(polqual, polrelid),
    pg_get_expr(polwithcheck, polrelid)) FROM pg_policy
UNION ALL SELECT concat_ws(' ', 'trigger', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE conrelid <> 0
UNION ALL SELECT concat_ws(' ', 'extension', extname) FROM pg_extension
UNION ALL SELECT concat_ws(' ', 'default rights', defaclrole::regrole, defaclacl) FROM pg_default_acl
UNION ALL SELECT concat_ws(' ', 'foreign server', srvname) FROM pg_foreign_server
UNION ALL SELECT concat_ws(' ', 'publication', pubname) FROM pg_publication
UNION ALL SELECT concat_ws(' ', 'operator', oprname) FROM pg_operator JOIN ours ON ours.oid = oprnamespace
ORDER BY 1";

/// A photograph.
pub struct Proof {
    /// The victim's rows, and how many rows are nobody's that we know.
    rows: Vec<String>,
    /// What exists, without large objects.
    things: Vec<String>,
    /// Large objects: their owner and number.
    large: Vec<String>,
}

impl Proof {
    pub fn take(stage: &Stage) -> Self {
        match &stage.database {
            Some(database) => Self::of_postgres(stage, database),
            None => Self::of_files(stage),
        }
    }

    /// That all is as it was. `wrote`: the attacker could write, and may have large objects of its own now.
    #[track_caller]
    pub fn holds(&self, stage: &Stage, wrote: bool) {
        let now = Self::take(stage);
        assert_eq!(now.rows, self.rows, "the victim's rows, in the owner's eyes");
        let news: Vec<_> = now.things.iter().filter(|thing| !self.things.contains(thing)).collect();
        let gone: Vec<_> = self.things.iter().filter(|thing| !now.things.contains(thing)).collect();
        assert!(news.is_empty() && gone.is_empty(), "new: {news:#?}, gone: {gone:#?}");
        let own = |one: &&String| wrote && one.starts_with(&format!("{} ", stage.homes.own.role));
        let now: Vec<_> = now.large.iter().filter(|one| !own(one)).collect();
        assert_eq!(now, self.large.iter().collect::<Vec<_>>(), "large objects");
    }

    fn of_postgres(stage: &Stage, database: &TestDatabase) -> Self {
        let (victim, own) = (&stage.homes.victim, &stage.homes.own);
        let mut rows = Vec::new();
        for table in TABLES {
            let of = |what: &str, which: String| {
                format!("SELECT {what} FROM \"{}\".{table} t WHERE {which} ORDER BY 1", victim.schema)
            };
            let theirs = of("t::text", format!("tenant_id = '{}'", victim.tenant));
            let strays = of("count(*)", format!("tenant_id NOT IN ('{}', '{}')", victim.tenant, own.tenant));
            rows.extend(database.ask_at(&victim.database, &theirs));
            rows.extend(database.ask_at(&victim.database, &strays));
        }
        let mine = "SELECT datname FROM pg_database WHERE datdba = current_user::regrole AND datallowconn ORDER BY 1";
        let (mut things, mut large) = (Vec::new(), Vec::new());
        for name in database.ask(mine) {
            let found = database.ask_at(&name, INVENTORY);
            things.extend(found.iter().map(|one| format!("{name}: {one}")));
            let objects = "SELECT lomowner::regrole || ' ' || oid FROM pg_largeobject_metadata ORDER BY 1";
            large.extend(database.ask_at(&name, objects));
        }
        let databases = "SELECT concat_ws(' ', 'database', datname, datacl, datallowconn) FROM pg_database \
             WHERE datdba = current_user::regrole";
        let roles = format!(
            "SELECT concat_ws(' ', 'role', rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, \
             rolcanlogin, rolconnlimit, ARRAY(SELECT setconfig::text FROM pg_db_role_setting WHERE setrole = r.oid), \
             ARRAY(SELECT roleid::regrole FROM pg_auth_members WHERE member = r.oid), \
             ARRAY(SELECT member::regrole FROM pg_auth_members WHERE roleid = r.oid)) \
             FROM pg_roles r WHERE rolname IN ('{}', '{}', current_user)",
            victim.role, own.role
        );
        things.extend(database.ask(databases));
        things.extend(database.ask(&roles));
        Self { rows, things, large }
    }

    fn of_files(stage: &Stage) -> Self {
        let root = stage.server.data_dir().parent().unwrap().to_path_buf();
        let mut files = Vec::new();
        files_below(&root, &mut files);
        let mut things: Vec<String> = files.clone();
        let mut rows = Vec::new();
        for file in &files {
            let whose = [&stage.homes.victim, &stage.homes.own]
                .into_iter()
                .find(|home| file.ends_with(&home.database));
            let Some(home) = whose else { continue };
            let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
            things.extend(texts(
                &db,
                "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_schema",
            ));
            for table in TABLES.iter().chain(&["tenantry_home"]) {
                let victims = home.tenant == stage.homes.victim.tenant;
                let which =
                    if victims { "true".to_owned() } else { format!("tenant_id <> '{}'", home.tenant) };
                rows.extend(texts(&db, &format!("SELECT * FROM {table} WHERE {which} ORDER BY 1, 2")));
            }
        }
        assert!(rows.len() >= TABLES.len(), "the victim's file is among {files:?}");
        Self { rows, things, large: Vec::new() }
    }
}

/// Every file but the logs that come and go with SQLite's connections.
fn files_below(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        if path.is_dir() {
            files_below(&path, found);
        } else if !["-wal", "-shm", "-journal"].iter().any(|end| name.ends_with(end)) {
            found.push(name);
        }
    }
    found.sort();
}

/// Rows as text, their values between bars.
fn texts(db: &Connection, sql: &str) -> Vec<String> {
    let sql = if db.prepare(sql).is_err() { sql.replace("ORDER BY 1, 2", "") } else { sql.to_owned() };
    let mut statement = db.prepare(&sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let values = (0..columns).map(|at| row.get_ref(at).map(|value| format!("{value:?}")));
        Ok(values.collect::<Result<Vec<_>, _>>()?.join("|"))
    });
    rows.unwrap().map(Result::unwrap).collect()
}
