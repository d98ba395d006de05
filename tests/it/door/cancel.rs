//! Whatever ends the wait, the statement ends too.

use std::time::Duration;

use serde_json::json;
use tenantry::kernel::error::Error;
use tenantry::placement::door::{Access, Caps};

use super::world::{CAPS, World, counts, statement, until, word};
use crate::on_each_postgres;
use crate::world::postgres::Pg;

on_each_postgres!(
    a_statement_that_runs_too_long_is_stopped,
    our_own_timer_holds_when_the_servers_does_not,
    a_caller_who_leaves_takes_the_statement_along,
    closing_a_tenant_stops_what_runs_and_what_waits,
    rows_and_bytes_are_capped
);

async fn a_statement_that_runs_too_long_is_stopped(pg: &Pg) {
    let w = World::new(pg).await;
    let caps = Caps { timeout: Duration::from_millis(300), ..CAPS };
    for sql in [
        "SELECT pg_sleep(60)",
        "SELECT set_config('statement_timeout', '0', true), pg_sleep(60)",
        "SELECT count(*) FROM generate_series(1, 10000000000)",
    ] {
        let outcome = w.door.query(&w.target, &statement(sql, &[]), Access::Read, caps).await;
        assert!(
            matches!(outcome, Err(Error::Timeout { code: "statement_timeout", .. })),
            "{sql}: {outcome:?}"
        );
        until("the statement is gone", async || w.active().await == 0).await;
        assert_eq!(w.one("SELECT 1").await, json!(1));
    }
}

async fn our_own_timer_holds_when_the_servers_does_not(pg: &Pg) {
    let w = World::new(pg).await;
    // Within the statement the server's timer is already set; a trigger of the application's may stop it.
    w.ddl(
        "CREATE FUNCTION stubborn() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
           FOR i IN 1..2 LOOP BEGIN PERFORM pg_sleep(30); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; \
           RETURN new; END $$; \
         CREATE TRIGGER stubborn BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION stubborn()",
    )
    .await;
    let caps = Caps { timeout: Duration::from_millis(300), ..CAPS };
    let sql = statement("INSERT INTO notes VALUES (1, 'x')", &[]);
    let outcome = w.door.query(&w.target, &sql, Access::Write, caps).await;
    assert_eq!(word(&outcome), "statement_timeout");
    assert!(outcome.unwrap_err().to_string().contains("may or may not"), "it cannot know");
    until("the server has let go", async || w.sessions().await == 0 && counts(&w.door).open == 0).await;
}

async fn a_caller_who_leaves_takes_the_statement_along(pg: &Pg) {
    let w = World::new(pg).await;
    for params in [vec![], vec![json!(60)]] {
        let sql = if params.is_empty() { "SELECT pg_sleep(60)" } else { "SELECT pg_sleep($1)" };
        let (door, target, sql) = (w.door.clone(), w.target.clone(), statement(sql, &params));
        let caller = tokio::spawn(async move { door.query(&target, &sql, Access::Read, CAPS).await });
        until("it runs", async || w.active().await == 1).await;
        caller.abort();
        until("it is gone", async || w.active().await == 0).await;
        until("its place is free", async || counts(&w.door).open == 0).await;
    }
    assert_eq!(w.one("SELECT 1").await, json!(1));
}

async fn closing_a_tenant_stops_what_runs_and_what_waits(pg: &Pg) {
    let w = World::new(pg).await;
    let mut running = Vec::new();
    for _ in 0..6 {
        let (door, target) = (w.door.clone(), w.target.clone());
        let sql = statement("SELECT pg_sleep(60)", &[]);
        running.push(tokio::spawn(async move { door.query(&target, &sql, Access::Read, CAPS).await }));
    }
    until("four run, two wait", async || w.active().await == 4 && counts(&w.door).waiting == 2).await;
    w.door.close_tenant(w.target.tenant);
    for one in running {
        assert_eq!(word(&one.await.unwrap()), "placement_changed");
    }
    until("no connection is left", async || w.sessions().await == 0 && counts(&w.door).open == 0).await;
    assert_eq!(w.one("SELECT 1").await, json!(1), "a tenant that is back is served again");
    w.door.close_tenant(w.target.tenant);
    until("idle ones go too", async || w.sessions().await == 0).await;
}

async fn rows_and_bytes_are_capped(pg: &Pg) {
    let w = World::new(pg).await;
    let caps = Caps { rows: 3, ..CAPS };
    let run = async |sql: &str, access, caps| {
        w.door.query(&w.target, &statement(sql, &[]), access, caps).await.unwrap()
    };
    let answer = run("SELECT generate_series(1, 100000000)", Access::Read, caps).await;
    assert_eq!((answer.row_count, answer.rows.len(), answer.truncated), (3, 3, true));
    let answer = run("SELECT * FROM generate_series(1, 3)", Access::Read, caps).await;
    assert_eq!((answer.row_count, answer.truncated), (3, false));
    let answer = run(
        "INSERT INTO notes SELECT n, 'x' FROM generate_series(1, 10) n RETURNING id",
        Access::Write,
        caps,
    )
    .await;
    assert_eq!((answer.row_count, answer.truncated), (3, true));
    assert_eq!(w.one("SELECT count(*) FROM notes").await, json!(10), "a write is carried out in full");

    let caps = Caps { bytes: 1_000, ..CAPS };
    let answer = run("SELECT repeat('x', 300) FROM generate_series(1, 50)", Access::Read, caps).await;
    assert_eq!((answer.rows.len(), answer.truncated), (3, true));
    let answer = run("SELECT repeat('x', 200000000)", Access::Read, caps).await;
    assert_eq!((answer.rows.len(), answer.truncated), (0, true), "one endless row is not even read");
    let answer = run("UPDATE notes SET body = repeat('y', 900) RETURNING body", Access::Write, caps).await;
    assert_eq!((answer.rows.len(), answer.truncated), (1, true));
    assert_eq!(w.one("SELECT count(*) FROM notes WHERE body LIKE 'yyy%'").await, json!(10));
    until("no place is lost", async || counts(&w.door).open == counts(&w.door).idle).await;
}
