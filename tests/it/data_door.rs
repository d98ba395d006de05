//! The data door over HTTP: values without loss, one statement, read-only scopes, errors and caps.

use serde_json::{Value, json};

use crate::world::Scene;
use crate::{in_every_model, scenes};

const QUERIES: &str = include_str!("../../examples/notes/queries.sql");

/// Each engine once, on the newest PostgreSQL.
macro_rules! on_both_engines {
    ($(#[$meta:meta])* async fn $name:ident($scene:ident) $body:block) => {
        scenes! { $(#[$meta])* $name($scene) $body;
            sqlite = None, "database";
            postgres = Some("newest"), "shared";
        }
    };
}

/// The statements with their names.
fn queries() -> Vec<(&'static str, &'static str)> {
    QUERIES.split("\n-- name: ").skip(1).map(|one| one.split_once('\n').unwrap()).collect()
}

in_every_model! {
    async fn the_applications_statements_run_unchanged(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let mut counts = Vec::new();
        for (name, sql) in queries() {
            let answer = acme.program.query(sql, json!([])).await;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text);
            counts.push((name, answer.json()["row_count"].as_u64().unwrap()));
        }
        assert!(counts.len() > 10);
        let expected = [
            ("add_notebook", 1), ("ensure_notebook", 1), ("keep_notebook", 1), ("add_note", 1), ("tag_note", 1),
            ("pin_note", 1), ("list_notes", 1), ("count_by_tag", 1), ("notebooks_with_counts", 2), ("search", 1),
            ("untag_note", 1), ("drop_notebook", 1),
        ];
        assert_eq!(counts, expected);
        let others = globex.program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
        assert_eq!(others["rows"], json!([[0]]));
    }
}

on_both_engines! {
    async fn values_come_back_as_they_went_in(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        acme.program.query("INSERT INTO notebooks (name) VALUES ('Ideas')", json!([])).await.expect(200);
        for (revision, shown) in [
            (json!(9_007_199_254_740_991_i64), json!(9_007_199_254_740_991_i64)),
            (json!(9_007_199_254_740_993_i64), json!("9007199254740993")),
            (json!("-9007199254740993"), json!("-9007199254740993")),
            (json!(i64::MAX), json!("9223372036854775807")),
            (json!(i64::MIN), json!("-9223372036854775808")),
        ] {
            let params = json!(["d'éjà \"vu\" \\ 🙂", "", revision, true, "2026-01-02 03:04:05"]);
            let sql = "INSERT INTO notes (notebook_id, title, body, revision, pinned, created_at)
                       SELECT id, $1, $2, $3, $4, $5 FROM notebooks RETURNING title, body, revision, pinned, created_at";
            let answer = acme.program.query(sql, params).await.expect(200);
            assert_eq!(answer["rows"], json!([["d'éjà \"vu\" \\ 🙂", "", shown, true, "2026-01-02T03:04:05Z"]]));
            let names: Vec<_> = answer["columns"].as_array().unwrap().iter().map(|column| column["name"].as_str().unwrap()).collect();
            assert_eq!(names, ["title", "body", "revision", "pinned", "created_at"]);
        }
        let bytes = if scene.pg.is_some() { "SELECT $1::bytea, $2::text" } else { "SELECT $1, $2" };
        let answer = acme.program.query(bytes, json!([{ "$base64": "AP8=" }, null])).await.expect(200);
        assert_eq!(answer["rows"], json!([["AP8=", null]]));
        if scene.pg.is_some() {
            let sql = "SELECT $1::numeric, 0.1::numeric + 0.2, $2::jsonb, $3::int8[], 'NaN'::float8, 12345678901234567890.000010";
            let params = json!(["12345678901234567890.000010", { "a": [1, null] }, [1, null]]);
            let answer = acme.program.query(sql, params).await.expect(200);
            assert_eq!(answer["rows"], json!([["12345678901234567890.000010", "0.3", { "a": [1, null] }, [1, null], "NaN", "12345678901234567890.000010"]]));
            let types: Vec<_> = answer["columns"].as_array().unwrap().iter().map(|column| column["type"].as_str().unwrap()).collect();
            assert_eq!(types, ["numeric", "numeric", "jsonb", "int8[]", "float8", "numeric"]);
        }
    }
}

on_both_engines! {
    async fn wrong_parameters_are_named_by_their_place(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let cast = if scene.pg.is_some() { "::int" } else { "" };
        for (sql, params, pointer) in [
            (format!("SELECT $1{cast}, $2{cast}"), json!([1]), "/params/1"),
            ("SELECT 1".to_owned(), json!([1]), "/params/0"),
            ("SELECT 1".to_owned(), json!("none"), "/params"),
            ("SELECT '\0'".to_owned(), json!([]), "/sql"),
        ] {
            assert_eq!(acme.program.query(&sql, params).await.pointers(), [pointer], "{sql}");
        }
    }
}

on_both_engines! {
    async fn one_statement_goes_through_and_nothing_but_data_is_touched(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        for (sql, code) in [
            ("SELECT 1; SELECT 2", "multiple_statements"),
            ("INSERT INTO notebooks (name) VALUES ('x'); DELETE FROM notebooks", "multiple_statements"),
            ("; SELECT 1", "multiple_statements"),
            ("", "empty_statement"),
            ("-- nothing\n /* at all */ ;", "empty_statement"),
            ("DROP TABLE notebooks", "statement_not_allowed"),
            ("/* */ create table x (a int)", "statement_not_allowed"),
            ("BEGIN", "statement_not_allowed"),
            ("SET search_path = public", "statement_not_allowed"),
            ("PRAGMA journal_mode", "statement_not_allowed"),
            ("ATTACH 'x' AS y", "statement_not_allowed"),
            ("COPY notebooks TO STDOUT", "statement_not_allowed"),
        ] {
            assert_eq!(acme.program.query(sql, json!([])).await.problem(422), code, "{sql}");
        }
        let fine = acme.program.query("SELECT count(*) FROM notebooks;", json!([])).await.expect(200);
        assert_eq!(fine["rows"], json!([[0]]), "a final semicolon is no second statement");
    }
}

on_both_engines! {
    async fn a_key_that_may_only_read_cannot_write_in_any_way(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let reader = acme.key(&["data:read"]).await;
        let none = acme.key(&["tenant:read"]).await;
        acme.program.query("INSERT INTO notebooks (name) VALUES ('Ideas')", json!([])).await.expect(200);
        for sql in [
            "INSERT INTO notebooks (name) VALUES ('Mine')",
            "UPDATE notebooks SET name = 'Mine'",
            "DELETE FROM notebooks",
            "WITH x AS (SELECT 1) INSERT INTO notebooks (name) SELECT 'Mine' FROM x",
        ] {
            let refused = reader.query(sql, json!([])).await;
            assert_eq!((refused.problem(403).as_str(), refused.json()["sql"]["sqlstate"].as_str()), ("sql_read_only", Some("25006")), "{sql}");
        }
        let seen = reader.query("SELECT name FROM notebooks", json!([])).await.expect(200);
        assert_eq!(seen["rows"], json!([["Ideas"]]));
        assert_eq!(none.query("SELECT 1", json!([])).await.problem(403), "insufficient_scope");
    }
}

on_both_engines! {
    async fn the_databases_own_words_reach_the_one_who_asked(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        acme.program.query("INSERT INTO notebooks (name) VALUES ('Ideas')", json!([])).await.expect(200);
        for (sql, status, code, sqlstate) in [
            ("SELECT 1 FROM nowhere", 400, "sql_error", "42P01"),
            ("SELECT missing FROM notebooks", 400, "sql_error", "42703"),
            ("SELECT FROM WHERE", 400, "sql_error", "42601"),
            ("SELECT missing(1)", 400, "sql_error", "42883"),
            ("INSERT INTO notebooks (name) VALUES ('Ideas')", 409, "sql_constraint_violation", "23505"),
            ("INSERT INTO notebooks (name) VALUES ('')", 409, "sql_constraint_violation", "23514"),
            ("INSERT INTO notebooks (name) VALUES (NULL)", 409, "sql_constraint_violation", "23502"),
        ] {
            let refused = acme.program.query(sql, json!([])).await;
            assert_eq!(refused.problem(status), code, "{sql}");
            let told = &refused.json()["sql"];
            assert_eq!(told["sqlstate"], sqlstate, "{sql}: {told}");
            assert!(told["message"].as_str().is_some_and(|message| !message.is_empty()), "{told}");
        }
        let refused = acme.program.query("SELECT 'é' )", json!([])).await.json();
        assert_eq!(refused["sql"]["position"], 12, "in characters, not bytes: {refused}");
    }
}

on_both_engines! {
    async fn what_is_over_a_cap_is_cut_off_and_said_so(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.set("DATA_DOOR__MAX_ROWS", 3).set("DATA_DOOR__MAX_BYTES", 1024).start();
        let acme = server.settle("Acme").await;
        let count = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT x FROM n";
        let cut = acme.program.query(count, json!([])).await.expect(200);
        assert_eq!((&cut["rows"], &cut["row_count"], &cut["truncated"]), (&json!([[1], [2], [3]]), &json!(3), &json!(true)));
        let whole = acme.program.query(&format!("{count} WHERE x < 4"), json!([])).await.expect(200);
        assert_eq!((&whole["row_count"], &whole["truncated"]), (&json!(3), &json!(false)));
        let long = acme.program.query(&format!("SELECT '{}' AS a UNION ALL SELECT '{}'", "a".repeat(600), "b".repeat(600)), json!([])).await.expect(200);
        assert_eq!((&long["row_count"], &long["truncated"]), (&json!(1), &json!(true)));
        let wrote = "INSERT INTO notebooks (name) SELECT 'n' || x FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT x FROM n) AS five RETURNING name";
        assert_eq!(acme.program.query(wrote, json!([])).await.expect(200)["truncated"], json!(true));
        let all = acme.program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
        assert_eq!(all["rows"], json!([[5]]), "a write is carried out in full");
    }
}

on_both_engines! {
    async fn a_statement_that_runs_too_long_is_stopped_and_changes_nothing(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.set("DATA_DOOR__STATEMENT_TIMEOUT_MS", 150).start();
        let acme = server.settle("Acme").await;
        let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x > 0) SELECT count(*) FROM n";
        assert_eq!(acme.program.query(endless, json!([])).await.problem(504), "statement_timeout");
        let writes = format!("INSERT INTO notebooks (name) SELECT 'x' || c FROM ({}) AS t(c)", endless.replace("SELECT count(*)", "SELECT sum(x)"));
        let writes = if scene.pg.is_some() { writes } else { writes.replace(" AS t(c)", "").replace("'x' || c", "*") };
        assert_eq!(acme.program.query(&writes, json!([])).await.problem(504), "statement_timeout");
        let left = acme.program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
        assert_eq!(left["rows"], json!([[0]]));
    }
}

#[tokio::test]
async fn the_tenant_comes_from_the_credential_and_operators_have_none() {
    let (server, _database) = Scene { pg: None, isolation: "database" }.server();
    let acme = server.settle("Acme").await;
    let body = json!({ "sql": "SELECT 1", "params": [], "tenant": acme.id });
    assert_eq!(acme.program.post("/v1/query", body).await.pointers(), ["/tenant"]);
    assert_eq!(server.operator().query("SELECT 1", json!([])).await.problem(403), "wrong_credential");
    let by_default = acme.program.post("/v1/query", json!({ "sql": "SELECT 1" })).await.expect(200);
    assert_eq!(by_default["rows"], json!([[1]]));
    let empty: Value = acme.owner.query("SELECT name FROM notebooks", json!([])).await.expect(200);
    assert_eq!(
        (&empty["rows"], &empty["row_count"], &empty["truncated"]),
        (&json!([]), &json!(0), &json!(false))
    );
}
