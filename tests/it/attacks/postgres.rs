//! What is tried on PostgreSQL.

use super::Homes;
use super::variants::{Arsenal, listed, owned};
use crate::world::postgres::TestDatabase;

/// Tables and views of the server that hold, or lead to, what is others'.
const CATALOGS: &str = r##"
    pg_authid  pg_shadow  pg_roles  pg_user  pg_group  pg_auth_members  pg_database  pg_stat_activity
    pg_stats  pg_stats_ext  pg_stats_ext_exprs  pg_statistic  pg_statistic_ext_data  pg_class
    pg_attribute  pg_attrdef  pg_constraint  pg_policy  pg_policies  pg_proc  pg_views  pg_rules
    pg_largeobject  pg_largeobject_metadata  pg_user_mapping  pg_user_mappings  pg_subscription
    pg_file_settings  pg_hba_file_rules  pg_ident_file_mappings  pg_settings  pg_locks  pg_cursors
    pg_prepared_statements  pg_prepared_xacts  pg_stat_user_tables  pg_statio_user_tables
    pg_stat_database  pg_stat_progress_vacuum  pg_stat_replication  pg_stat_ssl  pg_stat_wal_receiver
    pg_replication_slots  pg_replication_origin_status  pg_db_role_setting  pg_shdescription  pg_shdepend
    pg_depend  pg_description  pg_default_acl  pg_init_privs  pg_seclabel  pg_tables  pg_indexes  pg_index
    pg_matviews  pg_sequences  pg_trigger  pg_type  pg_backend_memory_contexts  pg_shmem_allocations
    pg_stat_xact_user_tables  pg_foreign_server  pg_publication_tables  information_schema.tables
    information_schema.columns  information_schema.routines  information_schema.table_privileges
    information_schema.role_table_grants  information_schema.view_column_usage
    information_schema.user_mapping_options  pg_toast.pg_toast_1255  pg_stat_statements
    dblink('dbname=postgres', 'SELECT 1') AS t(a text)  pg_ls_dir('.')  pg_ls_waldir()  pg_ls_logdir()
    pg_ls_tmpdir()  pg_stat_get_activity(NULL)  pg_show_all_settings()  pg_config
    pg_stat_file('PG_VERSION')  pg_control_system()  pg_get_keywords()  pg_available_extensions
    pg_logical_slot_peek_changes('x', NULL, NULL)  pg_read_binary_file('PG_VERSION') AS f(b)
"##;

const TABLES: &[&str] = &["notebooks", "notes", "note_tags"];

/// Statements with holes for a relation, a condition and a guise.
const WRAPPERS: &str = r##"
    SELECT * FROM {R}
    SELECT count(*) FROM {R}
    TABLE {R}
    SELECT q::text FROM {R} AS q WHERE {W}
    SELECT * FROM {R} WHERE {W}
    SELECT to_jsonb(q) FROM {R} q
    SELECT json_agg(q) FROM {R} q WHERE {W}
    SELECT string_agg(q::text, ',') FROM {R} q
    SELECT array_agg(q::text) FROM {R} q
    SELECT * FROM {R} AS q FOR UPDATE
    SELECT * FROM {R} AS q FOR KEY SHARE SKIP LOCKED
    SELECT * FROM {R} TABLESAMPLE SYSTEM (100)
    SELECT * FROM {R} TABLESAMPLE BERNOULLI (100) REPEATABLE (1)
    SELECT * FROM ONLY {R}
    WITH q AS (SELECT * FROM {R}) SELECT * FROM q
    WITH q AS MATERIALIZED (SELECT * FROM {R} WHERE {W}) TABLE q
    WITH RECURSIVE q AS (SELECT 1 AS n, (SELECT max(r::text) FROM {R} r) AS t UNION ALL SELECT n + 1, t FROM q WHERE n < 5) SELECT * FROM q
    SELECT 'x' UNION ALL SELECT r::text FROM {R} r
    SELECT 'x' EXCEPT SELECT r::text FROM {R} r
    VALUES ((SELECT r::text FROM {R} r LIMIT 1))
    SELECT (SELECT r::text FROM {R} r WHERE {W} LIMIT 1)
    SELECT l.* FROM notebooks b, LATERAL (SELECT r::text FROM {R} r WHERE {W}) l
    SELECT b.name, r::text FROM notebooks b FULL JOIN {R} r ON true
    SELECT * FROM notebooks b WHERE EXISTS (SELECT FROM {R} WHERE {W})
    SELECT * FROM notebooks WHERE name > ANY (SELECT r::text FROM {R} r)
    SELECT row_number() OVER (ORDER BY r::text), lag(r::text) OVER () FROM {R} r
    SELECT (r::text)::int FROM {R} r
    SELECT 1 / (length(r::text) - length(r::text)) FROM {R} r
    SELECT * FROM {R} r WHERE (r::text)::int = 1
    SELECT * FROM {R} r ORDER BY (r::text)::numeric
    SELECT r::text FROM {R} r GROUP BY r HAVING max(r::text)::int = 1
    SELECT generate_series(1, (r::text)::int) FROM {R} r
    SELECT xmlparse(document r::text) FROM {R} r
    SELECT (r::text)::json FROM {R} r WHERE {W}
    SELECT ('[' || r::text)::jsonb FROM {R} r
    SELECT (r::text)::regclass FROM {R} r
    SELECT to_date(r::text, r::text) FROM {R} r
    SELECT set_config('application_name', r::text, false) FROM {R} r
    SELECT current_setting(r::text) FROM {R} r
    SELECT nextval(r::text) FROM {R} r
    SELECT substring(r::text FROM r::text) FROM {R} r
    SELECT * FROM {R} r WHERE r::text ~ '(' OR {W}
    SELECT query_to_xml('SELECT * FROM {R}', true, true, '')
    SELECT query_to_xml_and_xmlschema($q$SELECT * FROM {R} WHERE {W}$q$, true, false, '')
    SELECT {G}, query_to_xml('SELECT * FROM {R}', true, true, '')
    SELECT * FROM ts_stat($q$SELECT to_tsvector('simple', r::text) FROM {R} r$q$)
    SELECT ts_rewrite('a'::tsquery, $q$SELECT 'a'::tsquery, plainto_tsquery(r::text) FROM {R} r$q$)
    SELECT table_to_xml('{R}', true, true, '')
    SELECT schema_to_xml(nspname, true, true, '') FROM pg_namespace
    SELECT database_to_xml(true, true, '')
    SELECT query_to_xml('{G}', true, true, '')
    SELECT query_to_xml('SELECT {G}; SELECT * FROM {R}', true, true, '')
    SELECT {G}, (SELECT json_agg(r) FROM {R} r)
    SELECT {G}, r.* FROM {R} r WHERE {W}
    WITH g AS MATERIALIZED (SELECT {G} AS v) SELECT g.v, r::text FROM g, {R} r WHERE g.v IS NOT NULL
    SELECT * FROM (SELECT {G} OFFSET 0) g, LATERAL (SELECT r::text FROM {R} r WHERE g IS NOT NULL) l
    SELECT r.* FROM {R} r WHERE {G} IS NOT NULL
    SELECT {G}, tenantry.current_tenant(), session_user, current_user
    SELECT {G}, {G}, (SELECT count(*) FROM {R})
    SELECT {G}, pg_catalog.current_setting('role'), query_to_xml('SELECT current_user, session_user, count(*) FROM {R}', true, true, '')
    EXPLAIN (VERBOSE, COSTS) SELECT * FROM {R} WHERE {W}
    EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM {R} r WHERE {W}
    EXPLAIN ANALYZE INSERT INTO notebooks (name) SELECT left(r::text, 200) FROM {R} r
    EXPLAIN ANALYZE UPDATE {R} SET tenant_id = tenantry.current_tenant()
    EXPLAIN ANALYZE DELETE FROM {R} WHERE {W} AND false
    EXPLAIN ANALYZE CREATE TABLE stolen AS SELECT * FROM {R}
    EXPLAIN ANALYZE EXECUTE types (1)
    INSERT INTO notebooks (name) SELECT left(r::text, 200) FROM {R} r LIMIT 2 ON CONFLICT DO NOTHING
    INSERT INTO note_tags SELECT tenant_id, id, 'x' FROM {R} LIMIT 1 ON CONFLICT DO NOTHING RETURNING *
    UPDATE notebooks SET archived = EXISTS (SELECT FROM {R} WHERE {W}) RETURNING *
    WITH d AS (DELETE FROM {R} WHERE {W} AND false RETURNING *) SELECT * FROM d
    WITH u AS (UPDATE {R} SET tenant_id = tenant_id WHERE {W} RETURNING *) TABLE u
    MERGE INTO notebooks n USING {R} r ON n.name = r::text WHEN MATCHED THEN DO NOTHING
    MERGE INTO {R} t USING (VALUES (1)) v ON {W} WHEN MATCHED THEN UPDATE SET tenant_id = tenantry.current_tenant()
    SELECT * INTO stolen FROM {R}
    SELECT * INTO TEMP stolen FROM {R}
    SELECT lo_put(lo_from_bytea(0, 'x'), 0, convert_to(r::text, 'UTF8')) FROM {R} r
    SELECT pg_notify('x', left(r::text, 100)) FROM {R} r
    UPDATE notes SET body = (SELECT string_agg(r::text, ' ') FROM {R} r) FROM {R} other WHERE {W} RETURNING *
"##;

const CONDITIONS: &str = r##"
    true
    tenant_id <> tenantry.current_tenant()
    tenant_id IS DISTINCT FROM current_tenant()
    1 = 1 OR tenant_id IS NOT NULL
    NOT (tenant_id = tenantry.current_tenant())
    tenant_id::text LIKE '%'
    ctid >= '(0,0)'
    xmin::text::bigint > 0
    tableoid > 0
    tenant_id IN (SELECT tenant_id FROM {R})
    true OR {G} IS NULL
    coalesce(tenant_id::text, '') <> ''
    (random() < 2 OR tenant_id = current_tenant())
    tenant_id::text::int > 0
    1 / (CASE WHEN tenant_id = current_tenant() THEN 1 ELSE 0 END) = 1
    current_setting('app.tenant_id', true) IS NULL
"##;

const TOKENS: &str = r##"
    SELECT  FROM  WHERE  (  )  (  )  ,  *  'x'  '  "  $$  $a$  --  /*  */  ;  UNION ALL  VALUES  AS  r
    r.*  1  0  NULL  =  <>  ||  ::text  ::int  ::regclass  ::xml  AND  OR  NOT  ORDER BY 1  LIMIT 1
    OFFSET 0  GROUP BY  HAVING  JOIN  LATERAL  ON true  USING (tenant_id)  SET  RETURNING *  INTO  DEFAULT
    tenant_id  name  id  ctid  current_tenant()  session_user  current_user  CASE WHEN  THEN  ELSE  END
    E'\x41'  U&'\0041'  B'1'  ARRAY[  ]  ROW(  EXISTS  ANY  IN  BETWEEN  FOR UPDATE  SET ROLE  RESET ALL
    COPY  DO  EXPLAIN  ANALYZE  $1  @  #  \  %  é  COLLATE "C"  OVER ()  FILTER (WHERE true)
    WITH ORDINALITY  TABLESAMPLE SYSTEM (1)  ROWS FROM (  generate_series(1, 3)  OPERATOR(pg_catalog.=)
    IS JSON  XMLTABLE(  JSON_TABLE(
"##;

/// Functions that reach outside of a database, into other sessions, or at what is not the caller's.
const FUNCTIONS: &str = r##"
    pg_read_file('/etc/passwd')  pg_read_file('pg_hba.conf')  pg_read_binary_file('PG_VERSION')
    pg_ls_dir('/')  pg_ls_logdir()  pg_ls_waldir()  pg_stat_file('PG_VERSION')  lo_import('/etc/passwd')
    lo_export(1, '/tmp/x')  lo_open(1, 262144)  lo_get(1)  lo_unlink(1)
    dblink('dbname=postgres', 'SELECT 1')  dblink_connect('x')  pg_terminate_backend(1)
    pg_cancel_backend(1)  pg_reload_conf()  pg_rotate_logfile()  pg_switch_wal()  pg_promote()
    pg_create_restore_point('x')  pg_stat_reset()  pg_stat_reset_shared('bgwriter')
    pg_stat_reset_single_table_counters(1)  pg_log_backend_memory_contexts(1)
    pg_logical_emit_message(true, 'x', 'y')  pg_create_physical_replication_slot('x')
    pg_create_logical_replication_slot('x', 'test_decoding')  pg_replication_origin_create('x')
    pg_export_snapshot()  pg_import_system_collations('pg_catalog')  pg_extension_config_dump(1, '')
    binary_upgrade_set_next_pg_authid_oid(1)  pg_advisory_lock(1)  pg_advisory_xact_lock(1)
    pg_advisory_unlock_all()  pg_notify('x', 'y')  pg_listening_channels()  lastval()
    current_setting('data_directory')  current_setting('hba_file')  current_setting('primary_conninfo')
    inet_server_addr()  pg_postmaster_start_time()  pg_current_logfile()  pg_get_userbyid(10)
    pg_relation_filepath('pg_class')  pg_sequence_last_value(1)  brin_summarize_new_values(1)
    gin_clean_pending_list(1)  pg_nextoid(1, 'x', 1)  plpgsql_call_handler()  fmgr_sql_validator(1)
    pg_stat_get_backend_activity(1)  pg_get_backend_memory_contexts()  pg_prepared_xact()
    pg_stop_making_pinned_objects()
"##;

/// Statements as they are.
const WRITTEN: &str = r##"
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename IS DISTINCT FROM session_user
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename IS DISTINCT FROM session_user
    SELECT query FROM pg_stat_activity WHERE usename IS DISTINCT FROM session_user
    SELECT pg_stat_get_backend_activity(n) FROM generate_series(1, 200) n
    SELECT * FROM pg_stats WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
    SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats
    SELECT relname, reltuples FROM pg_class
    SELECT pg_get_functiondef(oid) FROM pg_proc WHERE proname = 'current_tenant'
    SELECT lo_get(oid) FROM pg_largeobject_metadata  SELECT lo_unlink(oid) FROM pg_largeobject_metadata
    SELECT * FROM pg_largeobject  SELECT nextval(oid) FROM pg_class WHERE relkind = 'S'
    SELECT setval(oid, 1) FROM pg_class WHERE relkind = 'S'  SELECT last_value FROM pg_sequences
    COPY notes TO STDOUT  COPY notes FROM STDIN  COPY (SELECT 1) TO PROGRAM 'id'
    COPY (SELECT 1) TO '/tmp/x'  DO $$ BEGIN PERFORM 1; END $$  DO LANGUAGE plpgsql 'BEGIN END'  CALL x()
    CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'
    CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'  CREATE VIEW v AS SELECT 1
    CREATE TEMP VIEW v AS SELECT 1  CREATE TABLE t (a int)  CREATE TEMP TABLE t (a int)
    CREATE TEMP TABLE notes AS SELECT 1  CREATE TRIGGER t AFTER INSERT ON notes EXECUTE FUNCTION f()
    CREATE RULE r AS ON SELECT TO notes DO INSTEAD SELECT 1  CREATE SCHEMA s  CREATE ROLE r SUPERUSER
    CREATE DATABASE d  CREATE EXTENSION dblink  CREATE POLICY p ON notes USING (true)
    ALTER TABLE notes DISABLE ROW LEVEL SECURITY  ALTER TABLE notes NO FORCE ROW LEVEL SECURITY
    DROP POLICY tenantry_tenant ON notes  ALTER SYSTEM SET log_statement = 'all'  DROP TABLE notes
    TRUNCATE notes  LOCK TABLE notes  REINDEX TABLE notes  VACUUM  ANALYZE notes  CLUSTER  CHECKPOINT
    LISTEN x  NOTIFY x, 'y'  UNLISTEN *  PREPARE p AS SELECT 1  EXECUTE types(1)  DEALLOCATE ALL
    DECLARE c CURSOR WITH HOLD FOR SELECT 1  FETCH ALL FROM c  DISCARD ALL  RESET ALL  RESET ROLE
    RESET SESSION AUTHORIZATION  SET row_security = off  SET search_path = public
    SET statement_timeout = 0  LOAD 'x'  BEGIN  COMMIT  ROLLBACK  COMMIT AND CHAIN  ROLLBACK AND CHAIN
    ABORT  END  SAVEPOINT a  PREPARE TRANSACTION 'x'  SET TRANSACTION READ WRITE
    SET TRANSACTION SNAPSHOT '00000003-0000001B-1'  SELECT 1; SELECT 2  SELECT 1;;  ;  --  /*  /* /* */
    SELECT /* /* */ 1  SELECT 1 -- ; DROP TABLE notes  /* */SET ROLE none  /*/**/*/SET ROLE none
    (((SET ROLE none)))  SELECT '\'; SET ROLE none; --'  SELECT E'\'; SET ROLE none; --'
    SELECT $$; SET ROLE none; $$  SELECT $a$ $$ $a$; RESET ALL  SELECT $é$x$é$
    SELECT U&'\0027; RESET ALL; --'  SELECT U&"\0022" FROM notes  SELECT U&'!0041' UESCAPE '!'
    SELECT N'x'  SHOW ALL  SHOW data_directory  SHOW hba_file  SHOW role  SHOW session_authorization
    EXPLAIN ANALYZE SELECT 1  EXPLAIN EXPLAIN SELECT 1
    EXPLAIN (ANALYZE, WAL, BUFFERS, SETTINGS) SELECT * FROM notes
    EXPLAIN ANALYZE DECLARE c CURSOR FOR SELECT 1  EXPLAIN ANALYZE REFRESH MATERIALIZED VIEW v
    SELECT xmlparse(document '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>')
    SELECT xpath('//a', '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>')
    SELECT * FROM notes WHERE pg_sleep(0) IS NOT NULL  SELECT 1 FROM generate_series(1, 100000)
    SELECT repeat('x', 10000000)  SELECT $1, $2  SELECT $99999
    WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT count(*) FROM (SELECT * FROM r LIMIT 100000) x
    SELECT (SELECT count(*) FROM notes a, notes b, notes c)  SELECT cast(pg_backend_pid() AS text)::xml
    SELECT row(n.*)::text::int FROM notes n  INSERT INTO notebooks (name) VALUES (repeat('x', 201))
    INSERT INTO notebooks DEFAULT VALUES  SELECT oid, rolname, rolpassword FROM pg_roles
    SELECT umoptions FROM pg_user_mappings  SELECT subconninfo FROM pg_subscription
    SELECT pg_get_expr(polqual, polrelid) FROM pg_policy
"##;

/// Everything, aimed at the victim of these homes.
pub fn arsenal(homes: &Homes, database: &TestDatabase) -> Arsenal {
    let (victim, own) = (&homes.victim, &homes.own);
    let (schema, role, tenant) = (&victim.schema, &victim.role, &victim.tenant);
    let ask = |query: &str| database.ask_at(&victim.database, query);
    let groups = ask("SELECT DISTINCT roleid::regrole::text FROM pg_auth_members WHERE member IN \
         (SELECT oid FROM pg_roles WHERE rolname ~ '^t_') AND roleid::regrole::text LIKE 'tenantry%'");
    let group = groups.iter().find(|group| group.contains(&database.name)).unwrap_or(&groups[0]);
    let oids = ask(&format!("SELECT oid FROM pg_class WHERE relnamespace = '\"{schema}\"'::regnamespace"));
    let stores = database.ask(
        "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    );

    let mut targets = owned(TABLES);
    for table in TABLES {
        targets.extend([
            format!("{schema}.{table}"),
            format!("\"{schema}\".\"{table}\""),
            format!("{}.{schema}.{table}", victim.database),
            format!(
                "U&\"{}\".{table}",
                schema.chars().map(|c| format!("\\{:04x}", u32::from(c))).collect::<String>()
            ),
            format!("app.{table}"),
            format!("public.{table}"),
            format!("pg_temp.{table}"),
        ]);
    }
    targets.extend(owned(&[
        "tenantry.tenant_role",
        "tenantry.migrations",
        "tenantry.mutex",
        "pg_catalog.pg_authid",
    ]));
    targets.extend(stores.iter().map(|store| format!("public.{store}")));
    targets.extend(listed(CATALOGS));

    let others = [
        role,
        group,
        &database.owner,
        &"postgres".to_owned(),
        &"pg_read_all_data".to_owned(),
        &"none".to_owned(),
    ]
    .map(String::clone);
    let mut guises = Vec::new();
    for whose in &others {
        for scope in ["true", "false"] {
            guises.push(format!("set_config('role', '{whose}', {scope})"));
            guises.push(format!("set_config('session_authorization', '{whose}', {scope})"));
        }
    }
    for (key, value) in [
        ("search_path", format!("{schema}, public, tenantry")),
        ("search_path", "pg_temp, pg_catalog".to_owned()),
        ("row_security", "off".to_owned()),
        ("app.tenant", tenant.clone()),
        ("app.tenant_id", tenant.clone()),
        ("tenantry.tenant_id", tenant.clone()),
        ("request.jwt.claims", format!("{{\"tenant_id\":\"{tenant}\"}}")),
        ("is_superuser", "on".to_owned()),
        ("transaction_read_only", "off".to_owned()),
        ("default_transaction_read_only", "off".to_owned()),
        ("session_replication_role", "replica".to_owned()),
        ("lo_compat_privileges", "on".to_owned()),
        ("allow_system_table_mods", "on".to_owned()),
        ("local_preload_libraries", "x".to_owned()),
        ("zero_damaged_pages", "on".to_owned()),
        ("log_min_messages", "debug5".to_owned()),
        ("client_min_messages", "debug5".to_owned()),
        ("check_function_bodies", "off".to_owned()),
        ("client_encoding", "SQL_ASCII".to_owned()),
        ("enable_indexscan", "off".to_owned()),
        ("force_parallel_mode", "on".to_owned()),
        ("plan_cache_mode", "force_generic_plan".to_owned()),
        ("standard_conforming_strings", "off".to_owned()),
        ("xmlbinary", "hex".to_owned()),
    ] {
        guises.push(format!("set_config('{key}', $g${value}$g$, true)"));
        guises.push(format!("pg_catalog.set_config('{key}', $g${value}$g$, false)"));
    }
    guises.extend(owned(&[
        "1",
        "pg_sleep(0)",
        "txid_current()",
        "current_setting('is_superuser')",
        "pg_advisory_xact_lock(7)",
        "lo_create(0)",
    ]));

    let mut written = Vec::new();
    for whose in &others {
        for how in ["SET ROLE", "SET LOCAL ROLE", "SET SESSION ROLE", "SET SESSION AUTHORIZATION", "GRANT"] {
            let end = if how == "GRANT" { format!(" TO {}", own.role) } else { String::new() };
            written.push(format!("{how} {whose}{end}"));
            written.push(format!("SELECT 1; {how} {whose}{end}; SELECT * FROM {schema}.notes"));
        }
        written.push(format!(
            "SELECT pg_has_role('{whose}', 'USAGE'), set_config('role', '{whose}', false), current_user"
        ));
        written.push(format!("SELECT rolpassword FROM pg_authid WHERE rolname = '{whose}'"));
    }
    for oid in &oids {
        written.push(format!("SELECT table_to_xml({oid}, true, true, '')"));
        written.push(format!(
            "SELECT pg_relation_size({oid}), has_table_privilege({oid}, 'SELECT'), obj_description({oid})"
        ));
        written.push(format!("SELECT * FROM pg_stats WHERE tablename = {oid}::regclass::text"));
        written.push(format!("SELECT * FROM pg_statistic WHERE starelid = {oid}"));
        written.push(format!("SELECT currtid2('{schema}.notes', '(0,1)'), {oid}::regclass"));
    }
    for call in listed(FUNCTIONS) {
        written.push(format!("SELECT {call}"));
        written.push(format!("SELECT pg_catalog.{call}"));
        written.push(format!("SELECT * FROM {call}"));
    }
    written.extend(listed(WRITTEN));
    written.extend(owned(&[
        "",
        " ",
        "--\rSET ROLE none",
        "-- x\nSET ROLE none",
        "SELECT 'a' -- x\n 'b'",
        "SELECT 1 AS \"\u{202e}\"",
        "\u{feff}SELECT 1",
        "\u{a0}SELECT 1",
        "SELECT\u{a0}1",
    ]));
    for deep in [100, 3_000, 30_000] {
        written.push(format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep)));
        written.push(format!("{}SELECT 1{}", "(".repeat(deep), ")".repeat(deep)));
        written.push(format!("SELECT 1{}", " + 1".repeat(deep)));
        written.push(format!("SELECT {}1", "- ".repeat(deep)));
        written.push(format!("SELECT '{}'::jsonb", "[".repeat(deep)));
        written.push(format!("SELECT '{0}{1}'::json", "[".repeat(deep), "]".repeat(deep)));
        written.push(format!("{}SELECT 1", "/*".repeat(deep)));
        written.push(format!("SELECT \"{}\"", "x".repeat(deep)));
    }
    written.extend([
        format!("INSERT INTO notebooks (tenant_id, name) VALUES ('{tenant}', 'planted')"),
        format!("INSERT INTO {schema}.notebooks (tenant_id, name) VALUES ('{tenant}', 'planted')"),
        format!("INSERT INTO {schema}.notebooks (name) VALUES ('planted here')"),
        format!("UPDATE notebooks SET tenant_id = '{tenant}'"),
        format!("UPDATE {schema}.notes SET body = 'x' WHERE tenant_id = '{tenant}'"),
        format!("DELETE FROM {schema}.notes WHERE tenant_id = '{tenant}'"),
        format!("MERGE INTO notes USING (VALUES (1)) v ON true WHEN MATCHED THEN UPDATE SET tenant_id = '{tenant}'"),
        format!("SELECT * FROM {schema}.notes_pkey"),
        format!("ALTER ROLE {role} PASSWORD 'x'"),
        format!("ALTER ROLE {} SUPERUSER", own.role),
        format!("ALTER ROLE {} PASSWORD 'x'", own.role),
        format!("SELECT query_to_xml('ALTER ROLE {} PASSWORD ''x''', true, true, '')", own.role),
        format!("ALTER ROLE {} SET search_path = {schema}", own.role),
        format!("GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {}", own.role),
        format!("REASSIGN OWNED BY {role} TO {}", own.role),
        format!("INSERT INTO tenantry.tenant_role VALUES ('{}', '{tenant}', 'shared')", own.role),
        format!("UPDATE tenantry.tenant_role SET tenant_id = '{tenant}' WHERE rolname = session_user"),
        format!("SELECT dblink('dbname={} user={role}', 'SELECT * FROM {schema}.notes')", victim.database),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"),
        format!("SELECT has_schema_privilege('{schema}', 'USAGE'), to_regclass('{schema}.notes')"),
    ]);

    let sweeping = [
        "UPDATE {T} SET tenant_id = tenant_id",
        "WITH u AS (UPDATE {T} SET tenant_id = current_tenant() WHERE true RETURNING *) SELECT * FROM u",
        "DELETE FROM {T} WHERE tenant_id <> current_tenant() RETURNING *",
        "DELETE FROM {T} USING (SELECT 1) x WHERE random() < 2 RETURNING *",
        "MERGE INTO {T} t USING (VALUES (1)) v ON true WHEN MATCHED THEN DELETE",
        "DELETE FROM {T}",
    ];
    let of_each = |table: &&str| {
        sweeping.map(|sql| [sql.replace("{T}", table), sql.replace("{T}", &format!("{schema}.{table}"))])
    };
    let own_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = session_user";
    Arsenal {
        written,
        sweeping: TABLES.iter().rev().flat_map(of_each).flatten().collect(),
        noisy: owned(&[
            "SELECT pg_terminate_backend(pg_backend_pid())",
            "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(1)",
            own_sessions,
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = session_user",
            "SELECT pg_advisory_lock(1), pg_sleep(0.2)",
            "SELECT set_config('idle_session_timeout', '1', false)",
            "SELECT set_config('statement_timeout', '1', false), set_config('lock_timeout', '1', false), pg_sleep(0.1)",
            "SELECT * FROM notes FOR UPDATE",
        ]),
        prefixes: owned(&[
            " ",
            "\n\t",
            "-- x\n",
            "--\r",
            "/* a */",
            "/* /* */ */",
            "/**/(",
            "((",
            "EXPLAIN ",
            "EXPLAIN ANALYZE ",
            "EXPLAIN (ANALYZE, FORMAT XML) ",
            ";",
            "SELECT 1; ",
            "COMMIT; ",
            "BEGIN; ",
            "/* ' */",
            "/*",
            "'",
            "\"",
            "$$",
            "\u{feff}",
            "\u{200b}",
            "ROLLBACK; RESET ALL; ",
            "PREPARE a AS ",
            "COPY (",
            "CREATE TABLE stolen AS ",
            "CREATE TEMP VIEW stolen AS ",
            "DECLARE c CURSOR FOR ",
            "WITH x AS (SELECT 1) ",
            "WITH x AS MATERIALIZED (SELECT set_config('role', 'postgres', false)) ",
        ]),
        suffixes: owned(&[
            ";",
            " --",
            " -- ; x",
            " /*",
            " /* x */;",
            "; SELECT 1",
            ";;",
            ";--x\n",
            " LIMIT ALL",
            " OFFSET 0",
            ")",
            "))",
            "; COMMIT",
            "; SET ROLE none",
            "; RESET ALL; SELECT 1",
            " \\g",
            " FOR UPDATE",
            " FETCH FIRST 1 ROW WITH TIES",
            "'",
            "$$",
            " UNION ALL TABLE notes",
            " INTO stolen",
            " RETURNING *",
        ]),
        guises,
        wrappers: listed(WRAPPERS),
        targets,
        conditions: listed(CONDITIONS),
        tokens: listed(TOKENS),
    }
}
