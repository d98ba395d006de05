//! What happens is published to NATS: each event once and in its order, whoever dies, freezes or comes back.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenantry::db::{Db, Options};
use tenantry::kernel::clock::Ts;
use tenantry::kernel::id::ReplicaId;
use tenantry::log::follower::{self, Begin};
use tenantry::log::lease::{self, Lease};
use tenantry::log::{self, Entry, Place};

use crate::on_each_engine;
use crate::world::nats::{Nats, Told};
use crate::world::postgres::Pg;
use crate::world::server::{Server, Starting, eventually};

fn publishing(starting: Starting, nats: &Nats) -> Starting {
    starting.set("BROKER__NATS__URL", nats.url()).set("BROKER__LEASE_S", 1).without_stock()
}

/// The server's control store, looked at from outside.
async fn store(server: &Server) -> Db {
    let settings = tenantry::config::gather(&server.inputs()).loaded.unwrap().settings;
    Db::open(settings.store.url.expose(), &Options { max_connections: 2, ..Options::default() })
        .await
        .unwrap()
}

async fn the_log(db: &Db) -> Vec<Entry> {
    db.read(|conn| log::settled_in(conn, Place::default(), None, 100_000)).await.unwrap()
}

async fn place(db: &Db) -> Place {
    let found = db.read(|conn| follower::find_in(conn, "nats")).await.unwrap();
    found.map_or_else(Place::default, |found| found.place)
}

/// Waits until the stream has all that the log has; both are the same, one for one and in the same order.
async fn all_is_told(nats: &Nats, db: &Db) -> (Vec<Told>, Vec<Entry>) {
    eventually("the stream to end as the log does", || async {
        let end = db.read(log::end_in).await.unwrap();
        (place(db).await == end).then_some(())
    })
    .await;
    let (told, log) = (nats.told().await, the_log(db).await);
    let ids = |all: &[Told]| all.iter().map(|one| one.message_id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&told), log.iter().map(|entry| entry.id.to_string()).collect::<Vec<_>>());
    (told, log)
}

/// No name is given twice.
static NAMES: AtomicUsize = AtomicUsize::new(0);

/// Renames tenants again and again, some at once, until told to stop; how often it was answered with success.
/// What a server that dies or sleeps does not answer is asked no more.
async fn bustle(
    servers: Vec<String>,
    operator: crate::world::server::Client,
    tenants: Vec<String>,
    stop: Arc<AtomicBool>,
) -> usize {
    let mut asked = Vec::new();
    for tenant in tenants {
        for url in &servers {
            let (client, tenant, stop) = (operator.at(url), tenant.clone(), Arc::clone(&stop));
            asked.push(tokio::spawn(async move {
                let mut done = 0usize;
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({ "name": format!("Name {}", NAMES.fetch_add(1, Ordering::Relaxed)) });
                    let path = format!("/admin/v1/tenants/{tenant}");
                    let request = client.request("PATCH", &path).json(&body).timeout(Duration::from_secs(5));
                    match request.send().await {
                        Ok(answer) if answer.status().is_success() => done += 1,
                        _ => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                done
            }));
        }
    }
    let done = futures_util::future::join_all(asked).await;
    done.into_iter().map(Result::unwrap).sum()
}

async fn made(server: &Server, names: &[&str]) -> Vec<String> {
    let mut all = Vec::new();
    for name in names {
        let tenant = server.create(json!({ "name": name })).await;
        all.push(tenant["id"].as_str().unwrap().to_owned());
    }
    all
}

async fn figure(server: &Server, name: &str) -> Option<f64> {
    let metrics = server.nobody().get("/metrics").await.text;
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

on_each_engine! {
    async fn what_happens_is_published_as_cloud_events(scene) {
        let nats = Nats::start();
        let (starting, _database) = scene.starting();
        let server = publishing(starting, &nats).start();
        let acme = server.create(json!({ "name": "Acme" })).await;
        let id = acme["id"].as_str().unwrap();
        server.operator().post(&format!("/admin/v1/tenants/{id}/suspend"), json!({ "reason": "late" })).await.expect(200);
        let db = store(&server).await;
        let (told, log) = all_is_told(&nats, &db).await;
        for (told, entry) in told.iter().zip(&log) {
            let tenant = entry.tenant.map_or_else(|| "_".to_owned(), |tenant| tenant.to_string());
            assert_eq!(told.subject, format!("tenantry.{tenant}.{}", entry.kind));
            assert_eq!(told.event, log::cloud::event(&server.url, entry));
        }
        let suspended = told.iter().find(|one| one.event["type"] == "tenant.suspended").unwrap();
        assert_eq!(suspended.subject, format!("tenantry.{id}.tenant.suspended"));
        assert_eq!((&suspended.event["specversion"], &suspended.event["subject"]), (&json!("1.0"), &json!(id)));
        assert!(told.iter().any(|one| one.subject.starts_with("tenantry._.")), "facts of nobody have their subject");
        assert_eq!(figure(&server, "tenantry_broker_leader ").await, Some(1.0));
        let published = figure(&server, "tenantry_broker_published_total ").await;
        assert!(published >= Some(f64::from(u32::try_from(told.len()).unwrap())));
    }
}

on_each_engine! {
    async fn a_server_without_its_broker_serves_and_catches_up(scene) {
        let mut nats = Nats::stopped(&[]);
        let (starting, _database) = scene.starting();
        let mut server = publishing(starting, &nats).start();
        made(&server, &["Acme"]).await;
        server.nobody().get("/readyz").await.expect(200);
        eventually("the lag to be told", || async {
            (figure(&server, "tenantry_broker_lag_seconds ").await? > 0.0).then_some(())
        })
        .await;
        let warnings = server.log().lines().filter(|line| line.contains("nothing can be published")).count();
        assert_eq!(warnings, 1, "a broker that is away is told of once");
        nats.again();
        let db = store(&server).await;
        all_is_told(&nats, &db).await;
        // And from a start without it.
        nats.kill();
        assert!(server.stop());
        server.start();
        made(&server, &["Globex"]).await;
        nats.again();
        all_is_told(&nats, &db).await;
        eventually("the lag to be over", || async {
            (figure(&server, "tenantry_broker_lag_seconds ").await? == 0.0).then_some(())
        })
        .await;
    }
}

on_each_engine! {
    async fn killed_under_load_nothing_is_lost_and_nothing_comes_twice(scene) {
        let mut nats = Nats::start();
        let (starting, _database) = scene.starting();
        let mut server = publishing(starting, &nats).start();
        let tenants = made(&server, &["Acme", "Globex", "Initech"]).await;
        let db = store(&server).await;
        let mut renamed = 0;
        for round in 0..4 {
            let stop = Arc::new(AtomicBool::new(false));
            let load = tokio::spawn(bustle(vec![server.url.clone()], server.operator(), tenants.clone(), Arc::clone(&stop)));
            let before = place(&db).await;
            eventually("some of it to be published", || async { (place(&db).await > before).then_some(()) }).await;
            if round % 2 == 0 {
                nats.kill();
                // The server goes on without it.
                let log = db.read(log::end_in).await.unwrap();
                eventually("more to happen", || async { (db.read(log::end_in).await.unwrap() > log).then_some(()) }).await;
                nats.again();
            } else {
                server.kill();
                server.start();
            }
            stop.store(true, Ordering::Relaxed);
            renamed += load.await.unwrap();
        }
        let (told, _) = all_is_told(&nats, &db).await;
        let updates = told.iter().filter(|one| one.event["type"] == "tenant.updated").count();
        // What was answered is there; what was done and not answered, because the server died, may be more.
        assert!(renamed > 0 && updates >= renamed, "{updates} of {renamed}");
    }
}

fn signal(server: &Server, name: &str) {
    let sent = Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_freezes_is_replaced_and_does_no_harm_when_it_wakes() {
    let nats = Nats::start();
    let database = Pg::newest().fresh_database();
    let start = || {
        let starting = Starting::new()
            .on_postgres(&database.url, "shared")
            .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 6);
        publishing(starting, &nats).start()
    };
    let servers = [start(), start(), start()];
    let tenants = made(&servers[0], &["Acme", "Globex"]).await;
    let db = store(&servers[0]).await;
    // The place, watched all the while: it never goes back.
    let (watched, over) = (store(&servers[0]).await, Arc::new(AtomicBool::new(false)));
    let watching = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let mut last = Place::default();
            while !over.load(Ordering::Relaxed) {
                let now = place(&watched).await;
                assert!(now >= last, "{now} after {last}");
                last = now;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    for _ in 0..2 {
        let leader = eventually("one to publish", || async {
            for (at, server) in servers.iter().enumerate() {
                if figure(server, "tenantry_broker_leader ").await == Some(1.0) {
                    return Some(at);
                }
            }
            None
        })
        .await;
        let awake: Vec<String> = servers
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != leader)
            .map(|(_, one)| one.url.clone())
            .collect();
        let stop = Arc::new(AtomicBool::new(false));
        let load = tokio::spawn(bustle(awake, servers[0].operator(), tenants.clone(), Arc::clone(&stop)));
        let before = place(&db).await;
        eventually("some of it to be published", || async { (place(&db).await > before).then_some(()) })
            .await;
        signal(&servers[leader], "-STOP");
        let frozen = Instant::now();
        // Whatever it had read or half sent when it froze is not waited for.
        let then = db.read(log::end_in).await.unwrap();
        eventually("another to publish", || async {
            for (at, server) in servers.iter().enumerate() {
                if at != leader && figure(server, "tenantry_broker_leader ").await == Some(1.0) {
                    return Some(());
                }
            }
            None
        })
        .await;
        // A lease of a second; the rest is for a machine at work.
        assert!(frozen.elapsed() < Duration::from_secs(20), "it took {:?}", frozen.elapsed());
        eventually("what happens to be published", || async { (place(&db).await > then).then_some(()) })
            .await;
        signal(&servers[leader], "-CONT");
        eventually("the one that slept to know that it is not the one", || async {
            (figure(&servers[leader], "tenantry_broker_leader ").await == Some(0.0)).then_some(())
        })
        .await;
        stop.store(true, Ordering::Relaxed);
        assert!(load.await.unwrap() > 0);
    }
    all_is_told(&nats, &db).await;
    over.store(true, Ordering::Relaxed);
    watching.await.unwrap();
}

on_each_engine! {
    async fn a_stream_that_is_not_ours_is_left_alone_and_named(scene) {
        let nats = Nats::start();
        let jetstream = nats.jetstream().await;
        let other = async_nats::jetstream::stream::Config {
            name: "TENANTRY".to_owned(),
            subjects: vec!["orders.>".to_owned()],
            ..Default::default()
        };
        jetstream.create_stream(other).await.unwrap();
        let (starting, _database) = scene.starting();
        let server = publishing(starting, &nats).start();
        eventually("the reason to be told", || async {
            server.log().contains("the stream TENANTRY takes orders.>, not tenantry.>").then_some(())
        })
        .await;
        // With one that is, it goes on without a restart; what others write between does not matter.
        jetstream.delete_stream("TENANTRY").await.unwrap();
        made(&server, &["Acme"]).await;
        let db = store(&server).await;
        all_is_told(&nats, &db).await;
    }
}

#[tokio::test]
async fn what_signs_in_is_said_apart_and_never_shown() {
    let nats = {
        let mut nats = Nats::stopped(&["--user", "tenantry", "--pass", "a-password-of-nats"]);
        nats.again();
        nats
    };
    let refused = publishing(Starting::new(), &nats)
        .set("BROKER__NATS__URL", "nats://me:a-password-of-nats@127.0.0.1:4222")
        .stopped()
        .start_refused();
    assert!(refused.contains("must name no user") && !refused.contains("a-password-of-nats"), "{refused}");
    let server = publishing(Starting::new().file("secret", "a-password-of-nats"), &nats)
        .set("BROKER__NATS__USER", "tenantry")
        .set("BROKER__NATS__PASSWORD", "file:secret")
        .start();
    let db = store(&server).await;
    eventually("something to be published", || async { (place(&db).await > Place::default()).then_some(()) })
        .await;
    assert!(!server.log().contains("a-password-of-nats"));
    let shown: Value = server.operator().get("/admin/v1/config").await.expect(200);
    assert!(!shown.to_string().contains("a-password-of-nats"));
}

on_each_engine! {
    async fn a_lease_that_was_given_again_moves_nothing_any_more(scene) {
        let (server, _database) = scene.server();
        let db = store(&server).await;
        let now = Ts::of("2026-11-25T12:00:00Z".parse().unwrap());
        let (long, short) = (now.plus(Duration::from_secs(60)), now.plus(Duration::from_secs(5)));
        let (one, two) = (ReplicaId::mint(), ReplicaId::mint());
        let at = |seq| Place { txid: 7, seq };
        db.write(move |conn| follower::open_in(conn, "test", Begin::Now, now).map(drop)).await.unwrap();
        let start = db.read(|conn| follower::find_in(conn, "test")).await.unwrap().unwrap().place;
        let lease = |owner, now, until| db.write_held(move |conn| lease::lease_in(conn, "test", owner, now, until));
        let moved = async |held: &Lease, to| {
            let held = held.clone();
            db.write_held(move |conn| lease::advance_fenced_in(conn, &held, to, now)).await.unwrap()
        };
        let first = lease(one, now, short).await.unwrap().unwrap();
        assert_eq!((first.fence, first.place), (1, start));
        if scene.pg.is_some() {
            assert_eq!(lease(two, now, long).await.unwrap(), None, "it is held");
            let again = lease(one, now, short).await.unwrap().unwrap();
            assert_eq!(again.fence, 2, "whoever takes its own again is another holder");
            assert!(!moved(&first, at(i64::MAX - 9)).await);
        }
        let second = lease(two, now.plus(Duration::from_secs(6)), long).await.unwrap().unwrap();
        assert!(second.fence > first.fence);
        // The first one wakes up.
        assert!(!moved(&first, at(i64::MAX - 8)).await);
        for until in [short, long] {
            let held = first.clone();
            assert!(!db.write_held(move |conn| lease::renew_in(conn, &held, until)).await.unwrap());
            let held = first.clone();
            assert!(!db.write_held(move |conn| lease::release_in(conn, &held)).await.unwrap());
        }
        let (ahead, further) = (Place { txid: i64::MAX, seq: i64::MAX - 6 }, Place { txid: i64::MAX, seq: i64::MAX - 5 });
        assert!(moved(&second, ahead).await);
        let second = Lease { place: ahead, ..second };
        assert!(moved(&second, ahead).await && !moved(&second, start).await, "the place never goes back");
        assert!(moved(&second, further).await);
        let found = db.read(|conn| follower::find_in(conn, "test")).await.unwrap().unwrap();
        assert_eq!(found.place, further);
        let held = second.clone();
        assert!(db.write_held(move |conn| lease::release_in(conn, &held)).await.unwrap());
        assert!(lease(one, now, long).await.unwrap().unwrap().fence > second.fence);
    }
}
