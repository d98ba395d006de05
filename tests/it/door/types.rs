//! Every type has an answer.

use serde_json::{Value, json};
use tenantry::placement::door::Access;

use super::world::{World, word};
use crate::on_each_postgres;
use crate::world::postgres::Pg;

on_each_postgres!(
    every_builtin_type_has_its_json,
    digits_inside_json_survive_on_the_wire,
    types_of_the_application_are_looked_up,
    whole_catalogs_can_be_read
);

async fn every_builtin_type_has_its_json(pg: &Pg) {
    let w = World::new(pg).await;
    for (sql, kind, value) in [
        ("true", "bool", json!(true)),
        ("1::int2", "int2", json!(1)),
        ("-2::int4", "int4", json!(-2)),
        ("9007199254740991::int8", "int8", json!(9_007_199_254_740_991i64)),
        ("9007199254740992::int8", "int8", json!("9007199254740992")),
        ("26::oid", "oid", json!(26)),
        ("1.5::float4", "float4", json!(1.5)),
        ("0.1::float8", "float8", json!(0.1)),
        ("1e300::float8", "float8", json!(1e300)),
        ("'NaN'::float8", "float8", json!("NaN")),
        ("'-Infinity'::float4", "float4", json!("-Infinity")),
        ("12345678901234567890.000010::numeric", "numeric", json!("12345678901234567890.000010")),
        ("'x'::text", "text", json!("x")),
        ("'x'::varchar(3)", "varchar", json!("x")),
        ("'x'::char(3)", "bpchar", json!("x  ")),
        ("'x'::\"char\"", "char", json!("x")),
        ("'x'::name", "name", json!("x")),
        ("'\\x00ff'::bytea", "bytea", json!("AP8=")),
        ("'{\"a\": [1, null]}'::json", "json", json!({"a": [1, null]})),
        ("'{\"b\":1}'::jsonb", "jsonb", json!({"b": 1})),
        ("'null'::jsonb", "jsonb", json!(null)),
        (
            "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
            "uuid",
            json!("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("'2026-01-02 03:04:05.678901+00'::timestamptz", "timestamptz", json!("2026-01-02T03:04:05.678901Z")),
        ("'2026-01-02 03:04:05+02'::timestamptz", "timestamptz", json!("2026-01-02T01:04:05Z")),
        ("'infinity'::timestamptz", "timestamptz", json!("infinity")),
        ("'2026-01-02 03:04:05.678901'::timestamp", "timestamp", json!("2026-01-02T03:04:05.678901")),
        ("'2026-01-02'::date", "date", json!("2026-01-02")),
        ("'03:04:05.5'::time", "time", json!("03:04:05.5")),
        ("'03:04:05+02'::timetz", "timetz", json!("03:04:05+02")),
        ("'1 year 2 mons 3 days 04:05:06'::interval", "interval", json!("P1Y2M3DT4H5M6S")),
        ("'10.0.0.1/8'::inet", "inet", json!("10.0.0.1/8")),
        ("'10.0.0.0/8'::cidr", "cidr", json!("10.0.0.0/8")),
        ("'08:00:2b:01:02:03'::macaddr", "macaddr", json!("08:00:2b:01:02:03")),
        ("B'101'::bit(3)", "bit", json!("101")),
        ("B'101'::varbit", "varbit", json!("101")),
        ("'(1,2)'::point", "point", json!("(1,2)")),
        ("int4range(1, 5)", "int4range", json!("[1,5)")),
        ("'{[1,3),[5,7)}'::int4multirange", "int4multirange", json!("{[1,3),[5,7)}")),
        ("'a b'::tsvector", "tsvector", json!("'a' 'b'")),
        ("'a & b'::tsquery", "tsquery", json!("'a' & 'b'")),
        ("'<a/>'::xml", "xml", json!("<a/>")),
        ("'$.a'::jsonpath", "jsonpath", json!("$.\"a\"")),
        ("'pg_class'::regclass", "regclass", json!("pg_class")),
        ("'0/1'::pg_lsn", "pg_lsn", json!("0/1")),
        ("(1, 'a b')", "record", json!("(1,\"a b\")")),
        ("'1 2'::int2vector", "int2vector", json!("1 2")),
        ("NULL", "text", json!(null)),
        ("NULL::int8", "int8", json!(null)),
        ("ARRAY[1,NULL,3]", "int4[]", json!([1, null, 3])),
        ("'{}'::text[]", "text[]", json!([])),
        ("ARRAY[['a','b'],['c','\"d\\']]", "text[]", json!([["a", "b"], ["c", "\"d\\"]])),
        ("ARRAY['null', NULL, '']", "text[]", json!(["null", null, ""])),
        ("'[0:1]={5,6}'::int8[]", "int8[]", json!([5, 6])),
        ("ARRAY[true,false]", "bool[]", json!([true, false])),
        ("ARRAY['\\x00'::bytea]", "bytea[]", json!(["AA=="])),
        ("ARRAY['{\"a\":\"b,c\"}'::jsonb]", "jsonb[]", json!([{"a": "b,c"}])),
        ("ARRAY['2026-01-02 03:04:05+00'::timestamptz]", "timestamptz[]", json!(["2026-01-02T03:04:05Z"])),
        ("ARRAY['(1,2),(3,4)'::box]", "box[]", json!(["(3,4),(1,2)"])),
        ("ARRAY[1.10::numeric]", "numeric[]", json!(["1.10"])),
        ("ARRAY[int4range(1,2)]", "int4range[]", json!(["[1,2)"])),
    ] {
        let outcome = w.run(Access::Read, &format!("SELECT {sql} AS v"), &[]).await;
        // Not every build of PostgreSQL has it.
        if kind == "xml" && word(&outcome) == "0A000" {
            continue;
        }
        let answer = outcome.unwrap();
        assert_eq!(answer.rows[0].values(), [value], "{sql}");
        assert_eq!(
            (answer.columns[0].name.as_str(), answer.columns[0].type_name.as_str()),
            ("v", kind),
            "{sql}"
        );
    }
    let money = w.one("SELECT 12.5::money").await;
    assert!(money.as_str().unwrap().contains("12.50"), "{money}");
}

async fn digits_inside_json_survive_on_the_wire(pg: &Pg) {
    let w = World::new(pg).await;
    let answer = w.read("SELECT '{\"n\": 12345678901234567890.12345678901234567890}'::json").await;
    assert_eq!(answer.rows[0].json(), "[{\"n\": 12345678901234567890.12345678901234567890}]");
}

async fn types_of_the_application_are_looked_up(pg: &Pg) {
    let w = World::new(pg).await;
    w.ddl(
        "CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN age AS int CHECK (value > 0); \
         CREATE DOMAIN tags AS text[]; CREATE TYPE pair AS (a int, b text); CREATE TYPE span AS RANGE (subtype = float8); \
         CREATE TABLE things (m mood, ms mood[], a age, aa age[], t tags, p pair, ps pair[], s span)",
    )
    .await;
    w.write(
        "INSERT INTO things VALUES ('so so', '{sad,\"so so\"}', 7, '{1,2}', '{x}', (1,'q r'), ARRAY[(1,'z')::pair], '[1,2)')",
    )
    .await;
    for _ in 0..2 {
        let answer = w.read("SELECT * FROM things").await;
        let kinds: Vec<_> = answer.columns.iter().map(|column| column.type_name.as_str()).collect();
        assert_eq!(kinds, ["mood", "mood[]", "int4", "age[]", "text[]", "pair", "pair[]", "span"]);
        let expected =
            json!(["so so", ["sad", "so so"], 7, [1, 2], ["x"], "(1,\"q r\")", ["(1,z)"], "[1,2)"]);
        assert_eq!(Value::Array(answer.rows[0].values()), expected);
    }
    // As parameters too, also on a connection that has not met them yet.
    let other = World {
        door: tenantry_door(),
        owner: super::world::owner(&w.database).await,
        database: w.database.clone(),
        target: w.target.clone(),
        role: w.role.clone(),
    };
    let sql = "SELECT count(*) FROM things WHERE m = $1 AND ms = $2 AND aa = $3 AND p = $4::pair";
    let params = [json!("so so"), json!(["sad", "so so"]), json!([1, 2]), json!("(1,\"q r\")")];
    let answer = other.run(Access::Read, sql, &params).await.unwrap();
    assert_eq!(answer.rows[0].json(), "[1]");
}

fn tenantry_door() -> std::sync::Arc<tenantry::placement::connections::TenantConnections> {
    std::sync::Arc::new(tenantry::placement::connections::TenantConnections::new(super::world::SETTINGS))
}

async fn whole_catalogs_can_be_read(pg: &Pg) {
    let w = World::new(pg).await;
    for table in
        ["pg_class", "pg_type", "pg_proc", "pg_attribute", "pg_settings", "pg_stat_activity", "pg_index"]
    {
        let answer = w.read(&format!("SELECT * FROM pg_catalog.{table} LIMIT 50")).await;
        assert!(answer.row_count > 0, "{table}");
    }
    let answer =
        w.read("SELECT relacl FROM pg_class WHERE relname = 'notes' AND relacl IS NOT NULL LIMIT 1").await;
    assert_eq!(answer.columns[0].type_name, "aclitem[]");
    assert!(answer.rows[0].values()[0].is_array());
}
