//! Parameters, by the type that the statement takes.

use serde_json::{Value, json};
use tenantry::placement::door::Access;

use super::world::{World, word};
use crate::on_each_postgres;
use crate::world::postgres::Pg;

on_each_postgres!(values_arrive_as_their_type, what_does_not_fit_is_named, changes_report_how_many_rows);

async fn values_arrive_as_their_type(pg: &Pg) {
    let w = World::new(pg).await;
    for (kind, value, shown) in [
        ("int8", json!(9_007_199_254_740_993i64), json!("9007199254740993")),
        ("int4", json!(2.0), json!(2)),
        ("numeric", json!(18_446_744_073_709_551_615u64), json!("18446744073709551615")),
        ("float8", json!(0.1), json!(0.1)),
        ("bool", json!(false), json!(false)),
        ("text", json!("d'éjà \"vu\" \\ 🙂"), json!("d'éjà \"vu\" \\ 🙂")),
        ("bytea", json!("AP8="), json!("AP8=")),
        ("bytea", json!({"$base64": "AP8="}), json!("AP8=")),
        ("jsonb", json!({"a": [1, "x"]}), json!({"a": [1, "x"]})),
        ("jsonb", json!([1, 2]), json!([1, 2])),
        ("json", json!("\"text\""), json!("text")),
        ("int4[]", json!([1, null, 3]), json!([1, null, 3])),
        ("text[]", json!([["a,b", "{\""], ["\\", "NULL"]]), json!([["a,b", "{\""], ["\\", "NULL"]])),
        ("bytea[]", json!(["AP8=", null]), json!(["AP8=", null])),
        ("jsonb[]", json!([{"a": 1}, [2]]), json!([{"a": 1}, [2]])),
        (
            "uuid",
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("timestamptz", json!("2026-01-02T03:04:05Z"), json!("2026-01-02T03:04:05Z")),
        ("text", Value::Null, Value::Null),
    ] {
        let answer = w.run(Access::Read, &format!("SELECT $1::{kind}"), std::slice::from_ref(&value)).await;
        let answer = answer.unwrap_or_else(|error| panic!("{kind} {value}: {error:?}"));
        assert_eq!(answer.rows[0].values(), [shown], "{kind} {value}");
    }
}

async fn what_does_not_fit_is_named(pg: &Pg) {
    let w = World::new(pg).await;
    for (sql, params, outcome) in [
        ("SELECT $1::bytea, $2::bytea", vec![json!("AA=="), json!("?")], "/params/1"),
        ("SELECT $1::int, $2::int", vec![json!(1)], "/params/1"),
        ("SELECT $1::int", vec![json!(1), json!(2)], "/params/1"),
        ("SELECT 1", vec![json!(1)], "/params/0"),
        ("SELECT $1::int", vec![], "/params/0"),
        ("SELECT $1::text", vec![json!("a\0b")], "/params/0"),
        ("SELECT $1::text", vec![json!({"$base64": "AA=="})], "/params/0"),
        ("SELECT $1::int", vec![json!("x")], "22P02"),
        ("SELECT $1::int", vec![json!(2.5)], "22P02"),
        ("SELECT $1::int2", vec![json!(70_000)], "22003"),
        ("SELECT '\0'", vec![], "/sql"),
    ] {
        assert_eq!(word(&w.run(Access::Write, sql, &params).await), outcome, "{sql} {params:?}");
        assert_eq!(w.one("SELECT 1").await, json!(1));
    }
    assert_eq!(w.sessions().await, 1, "none of these costs a connection");
}

async fn changes_report_how_many_rows(pg: &Pg) {
    let w = World::new(pg).await;
    let insert = "INSERT INTO notes VALUES ($1, $2), ($3, $4)";
    let params = [json!(1), json!("a"), json!(2), json!("b")];
    let answer = w.run(Access::Write, insert, &params).await.unwrap();
    assert_eq!((answer.row_count, answer.columns.len(), answer.rows.len()), (2, 0, 0));
    let answer =
        w.run(Access::Write, "UPDATE notes SET body = $1 RETURNING id", &[json!("c")]).await.unwrap();
    assert_eq!((answer.row_count, answer.columns.len(), answer.rows.len()), (2, 1, 2));
    assert_eq!(w.write("DELETE FROM notes").await.row_count, 2);
    assert_eq!(w.write("DELETE FROM notes").await.row_count, 0);
    let merge = "MERGE INTO notes n USING (VALUES (5)) v(id) ON n.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'm')";
    assert_eq!(w.write(merge).await.row_count, 1);
    let both = "WITH gone AS (DELETE FROM notes RETURNING id) SELECT * FROM gone";
    assert_eq!(w.write(both).await.rows[0].json(), "[5]");
    assert_eq!(w.one("SELECT count(*) FROM notes").await, json!(0));
}
