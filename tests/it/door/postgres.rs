//! Connections that break, and credentials that do not hold.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tenantry::placement::connections::Settings;
use tenantry::placement::door::{Access, Place, Server, Target};

use super::world::{CAPS, SETTINGS, World, counts, statement, until, word};
use crate::on_each_postgres;
use crate::world::postgres::Pg;

on_each_postgres!(
    a_connection_that_died_while_idle_is_replaced,
    a_connection_that_dies_under_a_statement_is_reported,
    wrong_credentials_are_told_from_an_absent_server,
    md5_and_other_ways_to_sign_in,
    an_older_placement_is_refused_and_its_connections_go,
    unused_connections_are_closed,
    a_deferred_constraint_fails_at_the_end_and_nothing_stays
);

/// Ends all sessions of the tenant's role, as a restart of the server would.
async fn kill(w: &World) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    w.owner.execute(sql, &[&w.role]).await.unwrap();
}

async fn a_connection_that_died_while_idle_is_replaced(pg: &Pg) {
    let w = World::new(pg).await;
    for access in [Access::Read, Access::Write] {
        for params in [vec![], vec![json!(1)]] {
            let sql = if params.is_empty() { "SELECT 1" } else { "SELECT $1::int" };
            assert_eq!(word(&w.run(access, sql, &params).await), "ok");
            kill(&w).await;
            assert_eq!(
                word(&w.run(access, sql, &params).await),
                "ok",
                "at once, whether the news has arrived or not"
            );
            kill(&w).await;
            until("the server has let go", async || w.sessions().await == 0).await;
            assert_eq!(word(&w.run(access, sql, &params).await), "ok");
        }
    }
    assert_eq!(counts(&w.door).open, 1);
}

async fn a_connection_that_dies_under_a_statement_is_reported(pg: &Pg) {
    let w = World::new(pg).await;
    let (door, target) = (w.door.clone(), w.target.clone());
    let running = tokio::spawn(async move {
        door.query(&target, &statement("SELECT pg_sleep(60)", &[]), Access::Write, CAPS).await
    });
    until("it runs", async || w.active().await == 1).await;
    kill(&w).await;
    let outcome = running.await.unwrap();
    assert_eq!(word(&outcome), "database_unavailable");
    until("its place is free", async || counts(&w.door).open == 0).await;
    assert_eq!(w.one("SELECT 1").await, json!(1));
}

async fn wrong_credentials_are_told_from_an_absent_server(pg: &Pg) {
    let w = World::new(pg).await;
    let at = |change: &dyn Fn(&mut Place)| {
        let mut place = w.target.place.clone();
        change(&mut place);
        Target { place, ..w.target.clone() }
    };
    let run =
        async |target: Target| w.door.query(&target, &statement("SELECT 1", &[]), Access::Read, CAPS).await;
    let wrong = at(&|place| match place {
        Place::Postgres { password, .. } => *password = "wrong".to_owned().into(),
        Place::Sqlite { .. } => unreachable!(),
    });
    let outcome = run(wrong).await;
    assert_eq!(word(&outcome), "database_credentials_refused");
    assert!(!outcome.unwrap_err().to_string().contains(&w.role));
    for (host, port) in [("127.0.0.1", 1), ("/nowhere", 5432), ("no-such-host.invalid", 5432)] {
        let absent = at(&|place| match place {
            Place::Postgres { server, .. } => {
                *server = Arc::new(Server { host: host.to_owned(), port, ..server.as_ref().clone() });
            }
            Place::Sqlite { .. } => unreachable!(),
        });
        let outcome = run(absent).await;
        assert_eq!(word(&outcome), "database_unavailable");
        assert!(!outcome.unwrap_err().to_string().contains(host));
    }
    assert_eq!(word(&run(w.target.clone()).await), "ok");
    assert_eq!(counts(&w.door).open, 1, "failures cost no place");
}

async fn md5_and_other_ways_to_sign_in(pg: &Pg) {
    let w = World::new(pg).await;
    let change = format!("SET password_encryption = 'md5'; ALTER ROLE \"{0}\" PASSWORD 'pw-{0}'", w.role);
    w.owner.batch_execute(&change).await.unwrap();
    // With `scram-sha-256` in pg_hba an md5 secret is refused; with `md5` or `trust` it is taken.
    let outcome = word(&w.run(Access::Read, "SELECT 1", &[]).await);
    assert!(["ok", "database_credentials_refused"].contains(&outcome.as_str()), "{outcome}");
}

async fn an_older_placement_is_refused_and_its_connections_go(pg: &Pg) {
    let w = World::new(pg).await;
    w.one("SELECT 1").await;
    let next = Target { generation: 2, ..w.target.clone() };
    let run = async |target: &Target| {
        word(&w.door.query(target, &statement("SELECT 1", &[]), Access::Read, CAPS).await)
    };
    assert_eq!(run(&next).await, "ok");
    assert_eq!(run(&w.target).await, "placement_changed");
    until("the old connection is closed", async || w.sessions().await == 1).await;
}

async fn unused_connections_are_closed(pg: &Pg) {
    let w = World::with(pg, Settings { idle_close: Duration::ZERO, ..SETTINGS }).await;
    w.one("SELECT 1").await;
    assert_eq!(w.sessions().await, 1);
    w.door.sweep();
    until("it is closed", async || w.sessions().await == 0 && counts(&w.door).open == 0).await;
}

async fn a_deferred_constraint_fails_at_the_end_and_nothing_stays(pg: &Pg) {
    let w = World::new(pg).await;
    w.ddl(
        "CREATE TABLE parents (id int PRIMARY KEY); \
         CREATE TABLE children (parent int REFERENCES parents DEFERRABLE INITIALLY DEFERRED)",
    )
    .await;
    let outcome = w.run(Access::Write, "INSERT INTO children VALUES (1)", &[]).await;
    assert_eq!(word(&outcome), "23503");
    assert_eq!(w.one("SELECT count(*) FROM children").await, json!(0));
    assert_eq!(w.sessions().await, 1);
}
