//! The budget of a cluster, shared fairly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tenantry::placement::connections::{Settings, TenantConnections};
use tenantry::placement::door::{Access, Target};

use super::world::{CAPS, SETTINGS, counts, owner, server, statement, tenant, until, word};
use crate::on_each_postgres;
use crate::world::postgres::{Pg, TestDatabase};

on_each_postgres!(
    twenty_tenants_share_three_connections,
    waiting_ends_at_the_deadline_and_one_tenant_leaves_room_for_others,
    the_connection_unused_for_longest_makes_room
);

async fn tenants(
    pg: &Pg,
    count: usize,
    cluster: &str,
) -> (TestDatabase, tokio_postgres::Client, Vec<(Target, String)>) {
    let database = pg.fresh_database();
    let owner = owner(&database).await;
    let server = server(&database, cluster);
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(tenant(&owner, Arc::clone(&server), &database.name).await);
    }
    (database, owner, all)
}

async fn twenty_tenants_share_three_connections(pg: &Pg) {
    let (_database, owner, all) = tenants(pg, 20, "small").await;
    let settings = Settings { wait: Duration::from_secs(60), ..SETTINGS };
    let door = Arc::new(TenantConnections::new(settings));
    door.set_budget("small", 3);
    let roles: Vec<String> = all.iter().map(|(_, role)| role.clone()).collect();
    let done = Arc::new(AtomicBool::new(false));
    let watch = tokio::spawn({
        let done = Arc::clone(&done);
        async move {
            let mut most = 0i64;
            while !done.load(Ordering::Relaxed) {
                let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = ANY ($1)";
                most = most.max(owner.query_one(sql, &[&roles]).await.unwrap().get(0));
            }
            most
        }
    });
    let mut running = Vec::new();
    for round in 0..10 {
        for (target, role) in &all {
            let (door, target, role) = (Arc::clone(&door), target.clone(), role.clone());
            running.push(tokio::spawn(async move {
                let sql = statement("SELECT session_user::text, $1::int", &[json!(round)]);
                let answer = door.query(&target, &sql, Access::Read, CAPS).await.unwrap();
                assert_eq!(answer.rows[0].values(), [json!(role), json!(round)]);
            }));
        }
    }
    for one in running {
        one.await.unwrap();
    }
    done.store(true, Ordering::Relaxed);
    let most = watch.await.unwrap();
    assert!((1..=3).contains(&most), "the server has seen {most} connections at once");
    let stats = counts(&door);
    assert_eq!((stats.max, stats.waiting), (3, 0));
    assert!(stats.open <= 3);
}

async fn waiting_ends_at_the_deadline_and_one_tenant_leaves_room_for_others(pg: &Pg) {
    let (_database, _owner, all) = tenants(pg, 2, "small").await;
    let settings = Settings {
        max_connections: 3,
        max_in_flight_per_tenant: 10,
        wait: Duration::from_millis(300),
        ..SETTINGS
    };
    let door = Arc::new(TenantConnections::new(settings));
    let [(greedy, _), (modest, _)] = all.try_into().unwrap();
    let mut running = Vec::new();
    for _ in 0..5 {
        let (door, target) = (Arc::clone(&door), greedy.clone());
        running.push(tokio::spawn(async move {
            door.query(&target, &statement("SELECT pg_sleep(2)", &[]), Access::Read, CAPS).await
        }));
    }
    until("two of the greedy one's run", async || counts(&door).open == 2).await;
    let outcome = door.query(&modest, &statement("SELECT 1", &[]), Access::Read, CAPS).await;
    assert_eq!(word(&outcome), "ok", "the last connection is not the greedy one's");
    let mut words = Vec::new();
    for one in running {
        words.push(word(&one.await.unwrap()));
    }
    words.sort();
    assert_eq!(words, ["database_busy", "database_busy", "database_busy", "ok", "ok"]);
    assert_eq!(counts(&door).waiting, 0);
}

async fn the_connection_unused_for_longest_makes_room(pg: &Pg) {
    let (_database, owner, all) = tenants(pg, 3, "small").await;
    let door = TenantConnections::new(Settings { max_connections: 2, ..SETTINGS });
    let sessions = async |role: &String| -> i64 {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        owner.query_one(sql, &[role]).await.unwrap().get(0)
    };
    for at in [0, 1, 0, 2] {
        let outcome = door.query(&all[at].0, &statement("SELECT 1", &[]), Access::Read, CAPS).await;
        assert_eq!(word(&outcome), "ok");
    }
    assert_eq!((sessions(&all[0].1).await, sessions(&all[1].1).await, sessions(&all[2].1).await), (1, 0, 1));
    door.set_budget("small", 1);
    until("a smaller budget closes what is idle", async || counts(&door).open == 1).await;
    door.close_all();
    until("all are closed", async || counts(&door).open == 0).await;
}
