//! What is tried on SQLite, where each tenant has a file.

use std::path::Path;

use super::Homes;
use super::variants::{Arsenal, listed, owned};

const TABLES: &str =
    "notebooks  notes  note_tags  main.notes  temp.notes  \"main\".\"notes\"  [notes]  `notes`  'notes'";

const CATALOGS: &str = r##"
    sqlite_schema  sqlite_master  sqlite_temp_schema  sqlite_temp_master  main.sqlite_schema  temp.sqlite_schema
    sqlite_sequence  sqlite_stat1  sqlite_stat4  tenantry_home  tenantry_migrations  dbstat  sqlite_dbpage
    sqlite_stmt  bytecode('SELECT 1')  tables_used('SELECT 1')  pragma_database_list  pragma_function_list
    pragma_module_list  pragma_pragma_list  pragma_compile_options  pragma_collation_list  pragma_journal_mode
    pragma_writable_schema  pragma_table_info('notes')  pragma_table_list  pragma_index_list('notes')
    pragma_foreign_key_list('notes')  pragma_integrity_check  pragma_quick_check  pragma_user_version
    pragma_schema_version  pragma_application_id  pragma_trusted_schema  pragma_query_only  pragma_temp_store
    pragma_temp_store_directory  pragma_data_store_directory  pragma_wal_checkpoint  pragma_optimize
    pragma_locking_mode  pragma_lock_status  pragma_cache_size  pragma_mmap_size  pragma_hard_heap_limit
    pragma_soft_heap_limit  pragma_table_xinfo('sqlite_schema')  json_each('[1,2]')  json_tree('{"a":[1]}')
    generate_series(1, 3)  fts5vocab  fts3tokenize('simple')  fts3tokenize  rtreecheck('x')  completion
    fsdir('/')  zipfile('x.zip')  csv  carray(1, 2)  sqlite_parameters  sqlite_vtab  swarmvtab  unionvtab
    notes.pragma_table_info  main.dbstat  temp.dbstat  "dbstat"  [sqlite_dbpage]  DBSTAT  Sqlite_DbPage
"##;

const WRAPPERS: &str = r##"
    SELECT * FROM {R}
    SELECT count(*) FROM {R}
    SELECT * FROM {R} WHERE {W}
    SELECT r.* FROM {R} AS r NOT INDEXED WHERE {W}
    WITH q AS (SELECT * FROM {R}) SELECT * FROM q
    WITH q AS MATERIALIZED (SELECT * FROM {R} WHERE {W}) SELECT * FROM q
    WITH RECURSIVE q(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM q WHERE n < 5) SELECT n, r.* FROM q, {R} r
    SELECT 'x' UNION ALL SELECT json_group_array(name) FROM {R}
    SELECT (SELECT group_concat(name) FROM {R} WHERE {W})
    VALUES ((SELECT count(*) FROM {R}))
    SELECT * FROM notebooks b LEFT JOIN {R} ON {W}
    SELECT * FROM notebooks WHERE EXISTS (SELECT 1 FROM {R} WHERE {W})
    SELECT row_number() OVER (ORDER BY name), lag(name) OVER () FROM {R}
    SELECT {G}, r.* FROM {R} r
    SELECT {G}
    SELECT {G} FROM {R} WHERE {W}
    SELECT json_object('g', {G}), json({G}), hex({G}), typeof({G})
    SELECT * FROM json_each({G})
    SELECT * FROM pragma_table_info({G})
    EXPLAIN SELECT * FROM {R} WHERE {W}
    EXPLAIN QUERY PLAN SELECT * FROM {R} WHERE {W}
    EXPLAIN INSERT INTO notebooks (name) SELECT name FROM {R}
    EXPLAIN DELETE FROM {R}
    INSERT INTO notebooks (name) SELECT 'c' || substr(name, 1, 100) || abs(random()) FROM {R} LIMIT 2
    INSERT OR REPLACE INTO notebooks (name) SELECT substr({G}, 1, 100) FROM {R} LIMIT 1
    INSERT INTO {R} SELECT * FROM {R} LIMIT 1
    INSERT OR IGNORE INTO {R} DEFAULT VALUES RETURNING *
    REPLACE INTO {R} (name) VALUES ({G}) RETURNING *
    UPDATE notebooks SET archived = EXISTS (SELECT 1 FROM {R} WHERE {W}) RETURNING *
    UPDATE OR IGNORE {R} SET name = name WHERE {W} AND false
    UPDATE notes SET body = substr(coalesce({G}, 'x'), 1, 100) FROM {R} r WHERE {W}
    DELETE FROM {R} WHERE {W} AND false RETURNING *
    DELETE FROM {R} INDEXED BY sqlite_autoindex_notes_1 WHERE false
    ATTACH {G} AS other
    VACUUM INTO {G}
    PRAGMA table_info({R})
"##;

const GUISES: &str = r##"
    1  NULL  current_tenant()  gen_random_uuid()  load_extension('x')  load_extension('x', 'y')  readfile('/etc/passwd')
    writefile('stolen', 'x')  edit('x')  fts3_tokenizer('simple')  fts3_tokenizer('simple', x'00')  sqlite_version()
    sqlite_source_id()  sqlite_compileoption_get(1)  sqlite_log(1, 'x')  sqlite_offset(name)  randomblob(100)
    zeroblob(1000000000)  zeroblob(33554432)  printf('%.*c', 100000000, 'x')  printf('%n')  printf('%s%s%s%p')
    format('%2147483647d', 1)  hex(randomblob(16000000))  quote(zeroblob(16000000))  replace(hex(zeroblob(10000)), '0', hex(zeroblob(10000)))
    json_patch('{}', '{}')  json('{')  json_extract('[1]', '$[#-1]')  json_set('{}', '$.a.b[99999999]', 1)  jsonb('[1]')
    char(0)  char(1114112)  unicode('')  unhex('00')  abs(-9223372036854775808)  likelihood(1, 2)  unlikely(1)
    soundex('x')  load_file('x')  system('id')  shell('id')  eval('SELECT 1')  lsmode('x')  fts5(1)  fts5_source_id()
    match('a', 'b')  snippet(1)  highlight(notes, 0, 'a', 'b')  bm25(notes)  rtreenode(1, x'00')  rtreedepth(x'00')  geopoly_blob(1)
    strftime('%s', 'now')  julianday('x')  last_insert_rowid()  changes()  total_changes()  sum(9223372036854775807)  subtype(1)
    'a' LIKE 'b' ESCAPE 'cc'  'a' REGEXP 'b'  'a' MATCH 'b'  'a' GLOB '[[[[['  CAST(x'ff' AS TEXT)  x'ffff'  1e999  -1e999  0x7fffffffffffffff
    (SELECT sql FROM sqlite_schema LIMIT 1)  (SELECT group_concat(name) FROM pragma_function_list)  (SELECT file FROM pragma_database_list)
"##;

const CONDITIONS: &str = r##"
    true  1 = 1  tenant_id <> current_tenant()  tenant_id IS NOT current_tenant()  rowid > 0  _rowid_ IS NOT NULL
    tenant_id IN (SELECT tenant_id FROM {R})  {G} IS NOT NULL  {G} IS NULL  name LIKE '%'  name GLOB '*'
    EXISTS (SELECT 1 FROM {R})  CASE WHEN {G} THEN 1 ELSE 0 END  (SELECT count(*) FROM {R}) > 0
"##;

const TOKENS: &str = r##"
    SELECT  FROM  WHERE  (  )  ,  *  'x'  '  "  [  ]  `  --  /*  */  ;  UNION ALL  VALUES  AS  r  1  0  NULL  =  <>  ||  AND  OR  NOT
    ORDER BY 1  LIMIT 1  OFFSET 0  GROUP BY  HAVING  JOIN  NATURAL JOIN  ON true  SET  RETURNING *  INTO  DEFAULT VALUES  tenant_id  name
    ATTACH  DETACH  PRAGMA  VACUUM  INTO  TEMP  CREATE TABLE  TRIGGER  COLLATE NOCASE  CAST(  AS TEXT)  x'00'  $1  ?1  :a  @b  ?99999  CASE WHEN
    THEN  END  EXISTS  IN  BETWEEN  LIKE  GLOB  MATCH  REGEXP  ISNULL  OVER ()  FILTER (WHERE true)  WINDOW w AS ()  INDEXED BY  NOT INDEXED
    RAISE(ABORT, 'x')  ->  ->>  <<  ~  %  é  current_tenant()  main.  temp.  sqlite_schema  rowid  oid  MATERIALIZED  RECURSIVE  EXCEPT  INTERSECT
"##;

const WRITTEN: &str = r##"
    PRAGMA writable_schema = ON
    PRAGMA query_only = OFF  PRAGMA database_list  PRAGMA journal_mode = OFF  PRAGMA journal_mode = DELETE  PRAGMA locking_mode = EXCLUSIVE
    PRAGMA trusted_schema = ON  PRAGMA foreign_keys = OFF  PRAGMA temp_store_directory = '/tmp'  PRAGMA synchronous = OFF  PRAGMA cell_size_check = OFF
    PRAGMA hard_heap_limit = 1  PRAGMA soft_heap_limit = 1  PRAGMA max_page_count = 1  PRAGMA wal_checkpoint(TRUNCATE)  PRAGMA integrity_check
    PRAGMA main.user_version = 5  PRAGMA ignore_check_constraints = ON  PRAGMA recursive_triggers = OFF  PRAGMA key = 'x'  PRAGMA rekey = 'x'
    CREATE TABLE x (a)  CREATE TEMP TABLE x (a)  CREATE TEMP VIEW notes AS SELECT 1  CREATE VIEW v AS SELECT 1  CREATE INDEX i ON notes (title)
    CREATE TEMP TRIGGER x AFTER INSERT ON notes BEGIN SELECT 1; END
    CREATE TRIGGER x AFTER INSERT ON notes BEGIN SELECT load_extension('x'); END
    CREATE VIRTUAL TABLE x USING fts5(a)  CREATE VIRTUAL TABLE x USING rtree(a, b, c)  CREATE VIRTUAL TABLE x USING dbstat  CREATE VIRTUAL TABLE temp.x USING fts5vocab(main, notes, row)
    CREATE VIRTUAL TABLE x USING csv(filename='/etc/passwd')  CREATE VIRTUAL TABLE x USING fts3tokenize  CREATE TABLE x AS SELECT * FROM notes
    DROP TABLE notes  DROP TABLE tenantry_home  ALTER TABLE notes ADD x  ALTER TABLE notes RENAME TO n  REINDEX  ANALYZE  VACUUM  BEGIN  BEGIN EXCLUSIVE
    COMMIT  ROLLBACK  END  SAVEPOINT a  RELEASE a  ROLLBACK TO a  DETACH main  DETACH DATABASE temp
    UPDATE sqlite_schema SET sql = ''  UPDATE sqlite_master SET rootpage = 1  INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (a)')
    DELETE FROM sqlite_schema  DELETE FROM sqlite_sequence  DELETE FROM sqlite_stat1  UPDATE sqlite_dbpage SET data = x'00'  DELETE FROM tenantry_home  UPDATE tenantry_home SET tenant_id = 'x'
    INSERT INTO tenantry_home VALUES ('x')  REPLACE INTO tenantry_migrations VALUES (9, 'x')  WITH x AS (SELECT 1) DELETE FROM main.sqlite_schema
    INSERT INTO temp.sqlite_schema VALUES ('view', 'notes', 'notes', 0, 'CREATE VIEW notes AS SELECT 1')
    SELECT 1; SELECT 2  SELECT 1;;  ;  --  /*  /* x  SELECT 1 --  SELECT 1 /*  SELECT 1; ATTACH 'x' AS y  SELECT 1; -- x  explain drop table notes
    EXPLAIN ATTACH 'x' AS y  EXPLAIN QUERY PLAN VACUUM INTO 'x'  EXPLAIN PRAGMA database_list  /* */PRAGMA database_list  (PRAGMA database_list)
    SELECT "x"  SELECT 'a' 'b'  SELECT [notes].* FROM notes  SELECT `title` FROM notes  SELECT notes.rowid, * FROM notes  SELECT * FROM notes, notes, notes, notes
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM (SELECT i FROM n LIMIT 1000000)
    WITH RECURSIVE n(i, s) AS (SELECT 1, 'x' UNION ALL SELECT i + 1, s || s FROM n WHERE i < 40) SELECT max(length(s)) FROM n
    WITH RECURSIVE n(s) AS (SELECT '[' UNION ALL SELECT s || s FROM n LIMIT 22) SELECT json(s) FROM n
    SELECT json_extract(printf('%.*c', 2000000, '['), '$')  SELECT json_valid(printf('%.*c', 2000000, '['), 4)
    SELECT * FROM json_tree(replace(hex(zeroblob(500)), '00', '['))  SELECT group_concat(hex(randomblob(1000000))) FROM json_each('[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20]')
    SELECT printf('%.1000000f', 1.0)  SELECT printf('%*s', 2147483647, 'x')  SELECT printf('%0999999999d', 1)  SELECT substr(zeroblob(30000000), -1, 9223372036854775807)
    SELECT strftime(printf('%.*c', 1000000, '%'), 'now')  SELECT 'a' LIKE printf('%.*c', 1000, '%')  SELECT printf('%.*c', 20000, 'a') LIKE '%a%a%a%a%a%a%b'
    SELECT abs(-9223372036854775808)  SELECT -9223372036854775808 / -1  SELECT 9223372036854775807 % -1  SELECT 1 << 9223372036854775807  SELECT x'80' || 'x'  SELECT CAST(x'fffe' AS TEXT)
    INSERT INTO notes (notebook_id, title) VALUES ('x', 'y')  INSERT INTO notebooks DEFAULT VALUES  SELECT $1, $2  SELECT ?99999  SELECT ?0  SELECT :x, @y  SELECT $a::b(c)
"##;

/// Everything, aimed at the victim's file. `data` is where the server keeps its files.
pub fn arsenal(homes: &Homes, data: &Path) -> Arsenal {
    let (victim, tenant) = (&homes.victim, &homes.victim.tenant);
    let data = data.display();
    let mut files = vec![
        victim.database.clone(),
        format!("{data}/{}", victim.database),
        format!("{data}/tenants/{}", victim.database),
    ];
    files.extend([
        format!("{data}/tenants/../tenants/{}", victim.database),
        format!("{data}/control.db"),
        "stolen.db".to_owned(),
        ":memory:".to_owned(),
        String::new(),
    ]);
    files.extend([
        format!("file:{data}/tenants/{}?mode=ro", victim.database),
        format!("file:{data}/tenants/{}?immutable=1&vfs=unix-none", victim.database),
        "file::memory:?cache=shared".to_owned(),
    ]);

    let mut guises = listed(GUISES);
    let mut written = listed(WRITTEN);
    for file in &files {
        guises.extend([
            format!("'{file}'"),
            format!("readfile('{file}')"),
            format!("writefile('{file}', 'x')"),
            format!("load_extension('{file}')"),
        ]);
        for sql in [
            "ATTACH '{F}' AS other",
            "ATTACH DATABASE '{F}' AS other",
            "ATTACH \"{F}\" AS main2",
            "ATTACH [{F}] AS x",
            "attach/**/'{F}'/**/as/**/x",
            "/* x */ AtTaCh '{F}' AS x",
            "-- x\nATTACH '{F}' AS x",
            "EXPLAIN ATTACH '{F}' AS x",
            "SELECT 1; ATTACH '{F}' AS x; SELECT * FROM x.notes",
            "ATTACH '{F}' || '' AS x",
            "ATTACH (SELECT '{F}') AS x",
            "ATTACH '{F}' AS x KEY 'y'",
            "VACUUM INTO '{F}'",
            "VACUUM main INTO '{F}'",
            "PRAGMA temp_store_directory = '{F}'",
            "PRAGMA table_info('{F}')",
            "SELECT * FROM '{F}'",
            "SELECT * FROM \"{F}\".notes",
            "SELECT * FROM pragma_table_info('notes', '{F}')",
            "SELECT * FROM pragma_database_list('{F}')",
            "CREATE VIRTUAL TABLE x USING csv(filename='{F}')",
        ] {
            written.push(sql.replace("{F}", file));
        }
    }
    written.extend(owned(&[
        "",
        " ",
        "\u{feff}SELECT 1",
        "\u{a0}SELECT 1",
        "SELECT\u{a0}1",
        "-- x\rPRAGMA database_list",
        "-- x\nPRAGMA database_list",
        "SELECT 1 AS \"\u{202e}\"",
        "SELECT '\u{1f600}\u{0301}'",
        "\u{c}SELECT\u{c}1",
    ]));
    written.extend([
        format!("INSERT INTO notebooks (tenant_id, name) VALUES ('{tenant}', 'planted')"),
        format!("UPDATE notebooks SET tenant_id = '{tenant}'"),
        format!("UPDATE tenantry_home SET tenant_id = '{tenant}'"),
        format!("SELECT * FROM notes WHERE tenant_id = '{tenant}'"),
    ]);
    for deep in [100, 3_000, 30_000] {
        written.push(format!("SELECT {}1{}", "(".repeat(deep), ")".repeat(deep)));
        written.push(format!("SELECT 1{}", " + 1".repeat(deep)));
        written.push(format!("SELECT {}1", "- ".repeat(deep)));
        written.push(format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(deep)));
        written.push(format!("SELECT json('{}')", "[".repeat(deep)));
        written.push(format!("SELECT json('{}{}')", "[".repeat(deep), "]".repeat(deep)));
        written.push(format!("SELECT * FROM {}notes{}", "(SELECT * FROM ".repeat(deep), ")".repeat(deep)));
        written.push(format!("SELECT \"{}\"", "x".repeat(deep)));
        written.push(format!("SELECT max({})", vec!["1"; deep].join(",")));
        written.push(format!("SELECT {}", vec!["1"; deep].join(",")));
        written.push(format!("SELECT * FROM {}", vec!["notes"; deep].join(",")));
        written.push(format!("SELECT CASE {} END", "WHEN 1 THEN 1 ".repeat(deep)));
    }
    let mut targets = listed(TABLES);
    targets.extend(listed(CATALOGS));
    targets.extend(files.iter().map(|file| format!("\"{file}\".notes")));
    let sweeping = [
        "UPDATE {T} SET tenant_id = tenant_id",
        "DELETE FROM {T} WHERE tenant_id <> current_tenant() RETURNING *",
        "DELETE FROM {T} WHERE random() IS NOT NULL RETURNING *",
        "DELETE FROM {T}",
    ];
    Arsenal {
        written,
        sweeping: ["note_tags", "notes", "notebooks"]
            .iter()
            .flat_map(|table| sweeping.map(|sql| sql.replace("{T}", table)))
            .collect(),
        noisy: owned(&[
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM (SELECT i FROM n LIMIT 300000)",
            "UPDATE notes SET body = body",
            "SELECT abs(-9223372036854775808)",
        ]),
        prefixes: owned(&[
            " ",
            "\n\t",
            "-- x\n",
            "--\r",
            "/* a */",
            "/* /* */",
            "((",
            "EXPLAIN ",
            "EXPLAIN QUERY PLAN ",
            ";",
            "SELECT 1; ",
            "COMMIT; ",
            "BEGIN; ",
            "/*",
            "'",
            "\"",
            "\u{feff}",
            "ROLLBACK; ",
            "CREATE TABLE stolen AS ",
            "CREATE TEMP VIEW stolen AS ",
            "WITH x AS (SELECT 1) ",
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
            " LIMIT -1",
            " OFFSET 0",
            ")",
            "))",
            "; COMMIT",
            "; ATTACH 'x' AS y",
            "'",
            " UNION ALL SELECT 1",
            " RETURNING *",
            " ON CONFLICT DO NOTHING",
        ]),
        guises,
        wrappers: listed(WRAPPERS),
        targets,
        conditions: listed(CONDITIONS),
        tokens: listed(TOKENS),
    }
}
