//! A reader cannot write, and nothing of one statement reaches the next.

use serde_json::json;
use tenantry::kernel::error::Error;
use tenantry::placement::door::Access;

use super::world::{World, word};
use crate::on_each_postgres;
use crate::world::postgres::Pg;

on_each_postgres!(
    a_reader_cannot_write_by_any_trick,
    only_single_queries_and_changes_run,
    the_report_says_where_and_what,
    nothing_of_a_session_outlives_a_statement,
    settings_changed_within_a_statement_do_not_break_its_answer
);

async fn a_reader_cannot_write_by_any_trick(pg: &Pg) {
    let w = World::new(pg).await;
    w.ddl(
        "CREATE FUNCTION sneak() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
           SET TRANSACTION READ WRITE; INSERT INTO notes VALUES (9, 'x'); RETURN 1; END $$; \
         CREATE FUNCTION sneak2() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
           PERFORM set_config('transaction_read_only', 'off', false); INSERT INTO notes VALUES (9, 'x'); RETURN 1; END $$; \
         CREATE SEQUENCE counter",
    )
    .await;
    // PostgreSQL 18 refuses even to make this one.
    let sneak3 = format!(
        "SET check_function_bodies = off; SET search_path = \"{}\"; \
         CREATE FUNCTION sneak3() RETURNS int LANGUAGE plpgsql SET transaction_read_only = off AS $$ BEGIN \
         INSERT INTO notes VALUES (9, 'x'); RETURN 1; END $$",
        w.role
    );
    assert!(w.owner.batch_execute(&sneak3).await.is_ok() || pg.major >= 18);
    for sql in [
        "INSERT INTO notes VALUES (1, 'x')",
        "UPDATE notes SET body = 'x'",
        "DELETE FROM notes",
        "WITH i AS (INSERT INTO notes VALUES (1, 'x') RETURNING 1) SELECT * FROM i",
        "EXPLAIN ANALYZE INSERT INTO notes VALUES (1, 'x')",
        "SELECT set_config('transaction_read_only', 'off', true), sneak()",
        "SELECT set_config('transaction_read_only', 'off', false)",
        "SELECT set_config('default_transaction_read_only', 'off', false), sneak()",
        "SELECT sneak()",
        "SELECT sneak2()",
        "SELECT sneak3()",
        "SELECT * FROM notes FOR UPDATE",
        "SELECT * INTO copied FROM notes",
        "SELECT * INTO TEMP copied FROM notes",
        "EXPLAIN ANALYZE CREATE TABLE copied AS SELECT 1",
        "MERGE INTO notes n USING (VALUES (1)) v(id) ON false WHEN NOT MATCHED THEN INSERT VALUES (1, 'x')",
    ] {
        for params in [&[][..], &[json!(1)][..]] {
            let sql = if params.is_empty() { sql.to_owned() } else { format!("{sql} -- $1") };
            let outcome = w.run(Access::Read, &sql, params).await;
            assert!(outcome.is_err(), "{sql}: {outcome:?}");
        }
    }
    assert_eq!(w.one("SELECT count(*) FROM notes").await, json!(0));
    // Before version 16 a read-only transaction may make large objects; it is rolled back.
    for sql in [
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        "SELECT query_to_xml('SELECT lo_create(0)', true, true, '')",
    ] {
        let _ = w.run(Access::Read, sql, &[]).await;
    }
    let made = "SELECT count(*) FROM pg_largeobject_metadata WHERE lomowner = session_user::regrole";
    assert_eq!(w.one(made).await, json!(0));
    let Err(Error::Sql(problem)) = w.run(Access::Read, "DELETE FROM notes", &[]).await else { panic!() };
    assert_eq!(problem.sqlstate, "25006");
    assert!(problem.hint.unwrap().contains("only read"));
}

async fn only_single_queries_and_changes_run(pg: &Pg) {
    let w = World::new(pg).await;
    for (sql, outcome) in [
        ("SELECT 1; SELECT 2", "multiple_statements"),
        ("SELECT 1; DROP TABLE notes", "multiple_statements"),
        ("SELECT 1;; -- done", "ok"),
        ("/* a */ -- b\n (SELECT 1)", "ok"),
        ("SELECT ';--'", "ok"),
        ("", "empty_statement"),
        ("-- nothing", "empty_statement"),
        ("COMMIT", "statement_not_allowed"),
        ("COPY notes FROM STDIN", "statement_not_allowed"),
        ("COPY notes TO STDOUT", "statement_not_allowed"),
        ("DO $$ BEGIN END $$", "statement_not_allowed"),
        ("SET search_path = public", "statement_not_allowed"),
        ("SELEC 1", "statement_not_allowed"),
        ("SELECT 1 FROM", "42601"),
        ("SELECT 1 AS \"a", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing FROM notes", "42703"),
        ("SELECT 1/0", "22012"),
        ("EXPLAIN EXECUTE x", "26000"),
        ("SELECT pg_read_file('/etc/passwd')", "42501"),
        ("SELECT * INTO copied FROM notes", "42501"),
        ("SELECT pg_terminate_backend(1)", "ok"),
        ("SHOW search_path", "ok"),
    ] {
        assert_eq!(word(&w.run(Access::Write, sql, &[]).await), outcome, "{sql}");
        assert_eq!(word(&w.run(Access::Write, "SELECT $1::int", &[json!(1)]).await), "ok", "after {sql}");
    }
    assert_eq!(w.sessions().await, 1, "none of these costs a connection");
}

async fn the_report_says_where_and_what(pg: &Pg) {
    let w = World::new(pg).await;
    w.write("INSERT INTO notes VALUES (1, 'x')").await;
    let problem = |outcome| match outcome {
        Err(Error::Sql(problem)) => problem,
        other => panic!("{other:?}"),
    };
    let wrong = problem(w.run(Access::Read, "SELECT 'é', nothing FROM notes", &[]).await);
    assert_eq!((wrong.sqlstate.as_str(), wrong.position), ("42703", Some(13)));
    let twice = problem(w.run(Access::Write, "INSERT INTO notes VALUES ($1, 'y')", &[json!(1)]).await);
    assert_eq!(twice.sqlstate, "23505");
    assert_eq!(twice.constraint.as_deref(), Some("notes_pkey"));
    assert_eq!(twice.detail.as_deref(), Some("Key (id)=(1) already exists."));
    let long = problem(w.run(Access::Read, "SELECT repeat('x', 5000000)::int", &[]).await);
    assert!(long.message.len() < 5_000);
}

async fn nothing_of_a_session_outlives_a_statement(pg: &Pg) {
    let w = World::new(pg).await;
    w.write("SELECT set_config('search_path', 'pg_catalog', false), set_config('my.secret', 'x', false)")
        .await;
    w.write("SELECT set_config('TimeZone', 'Asia/Tokyo', false), set_config('DateStyle', 'German', false)")
        .await;
    w.write(
        "SELECT set_config('client_encoding', 'LATIN1', false), set_config('statement_timeout', '0', false)",
    )
    .await;
    w.write("SELECT set_config('bytea_output', 'escape', false), pg_advisory_lock(42)").await;
    assert_eq!(w.sessions().await, 1, "all on one connection");
    assert_eq!(w.one("SELECT current_setting('my.secret', true)").await, json!(""));
    assert_eq!(w.one("SELECT '2026-01-02'::timestamptz").await, json!("2026-01-02T00:00:00Z"));
    assert_eq!(w.one("SELECT 'é'").await, json!("é"));
    assert_eq!(w.one("SELECT '\\x01'::bytea").await, json!("AQ=="));
    assert_eq!(w.one("SHOW statement_timeout").await, json!("10s"));
    assert_eq!(
        w.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 42").await,
        json!(0)
    );
    assert_eq!(w.one("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''").await, json!(0));
    assert_eq!(w.one("SELECT count(*) FROM pg_listening_channels()").await, json!(0));
    assert_eq!(w.one("SELECT count(*) FROM notes").await, json!(0), "the schema is first in the path again");
    assert_eq!(w.one("SELECT session_user::text").await, json!(w.role));
    assert_eq!(w.one("SHOW application_name").await, json!("tenantry"));
}

async fn settings_changed_within_a_statement_do_not_break_its_answer(pg: &Pg) {
    let w = World::new(pg).await;
    let sql = "SELECT set_config('client_encoding', 'LATIN1', false), 'é', set_config('extra_float_digits', '-10', false), 0.1::float8";
    assert_eq!(w.read(sql).await.row_count, 1);
    let sql = "SELECT set_config('DateStyle', 'German', false), '2026-01-02 03:04:05+00'::timestamptz \
               UNION ALL SELECT '', now()";
    assert_eq!(w.read(sql).await.row_count, 2);
    assert_eq!(w.one("SELECT 'é'").await, json!("é"));
}
