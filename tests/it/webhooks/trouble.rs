//! Endpoints that fail, hang, mislead, or die; and servers that do.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ENDPOINTS, deliveries, endpoint, path, rename, server, until_all};
use crate::on_each_engine;
use crate::world::hooks::{Manner, Receiver};
use crate::world::postgres::Pg;
use crate::world::server::{Server, Starting, eventually};

on_each_engine! {
    async fn a_delivery_is_tried_again_until_it_arrives_or_is_given_up(scene) {
        let (server, _database) = server(scene);
        let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
        let owner = &acme.owner;
        let made = endpoint(owner, &receiver.url("/a"), json!({})).await;
        receiver.next("/a", &[Manner::Status(500), Manner::HangsUp, Manner::Elsewhere(receiver.url("/elsewhere"))]);
        rename(&acme, "One").await;
        let one = until_all(owner, &made, 1, "succeeded").await.remove(0);
        let all = receiver.got("/a");
        assert_eq!(all.iter().map(crate::world::hooks::Got::id).collect::<BTreeSet<_>>().len(), 1, "the same id each time");
        let at = format!("{}/deliveries/{}", path(&made), one["id"].as_str().unwrap());
        let history = owner.get(&at).await.expect(200)["history"].clone();
        let statuses: Vec<_> = history.as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
        assert_eq!(statuses, [json!(500), json!(null), json!(302), json!(200)]);
        assert_eq!(history[2]["error"], "answered 302: redirects are not followed");
        assert!(receiver.got("/elsewhere").is_empty());

        // Four attempts, then it is given up; by hand it begins anew.
        receiver.always("/a", Manner::Status(400));
        rename(&acme, "Two").await;
        eventually("it to be given up", || async {
            let two = deliveries(owner, &made).await.pop().unwrap();
            (two["state"] == "failed" && two["attempts"] == 4 && two["last_status"] == 400).then_some(())
        }).await;
        assert_eq!(owner.get(&path(&made)).await.expect(200)["state"], "failing");
        receiver.always("/a", Manner::Status(204));
        let two = deliveries(owner, &made).await.pop().unwrap();
        let at = format!("{}/deliveries/{}", path(&made), two["id"].as_str().unwrap());
        owner.send(owner.request("POST", &format!("{at}/retry"))).await.expect(202);
        until_all(owner, &made, 2, "succeeded").await;
        assert_eq!(owner.get(&at).await.expect(200)["history"].as_array().unwrap().len(), 5);
        assert_eq!(owner.get(&path(&made)).await.expect(200)["state"], "active");
    }
}

on_each_engine! {
    async fn a_dead_endpoint_delays_nobody_and_order_is_kept_where_it_was_asked_for(scene) {
        let (starting, _database) = scene.starting();
        let server = Receiver::called_by(starting).set("WEBHOOKS__MAX_IN_FLIGHT_PER_ENDPOINT", 3)
            .set("WEBHOOKS__MAX_IN_FLIGHT_PER_TENANT", 5).set("WEBHOOKS__CONCURRENCY", 8).set("WEBHOOKS__TIMEOUT_S", 60).start();
        let receiver = Receiver::start();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let dead = endpoint(&acme.owner, &receiver.url("/dead"), json!({})).await;
        let in_order = endpoint(&acme.owner, &receiver.url("/ordered"), json!({ "ordered": true })).await;
        let other = endpoint(&globex.owner, &receiver.url("/globex"), json!({})).await;
        receiver.always("/dead", Manner::Hangs);
        receiver.next("/ordered", &[Manner::Status(500), Manner::Status(500), Manner::Status(200), Manner::HangsUp]);
        for at in 0..20 {
            rename(&acme, &format!("Acme {at}")).await;
            rename(&globex, &format!("Globex {at}")).await;
        }
        until_all(&globex.owner, &other, 20, "succeeded").await;
        until_all(&acme.owner, &in_order, 20, "succeeded").await;
        // One at a time; each waited for the one before it, whatever became of that at first.
        assert_eq!(receiver.at_once("/ordered"), 1);
        let mut seen: Vec<String> = receiver.got("/ordered").iter().map(|one| one.event()["sequence"].as_str().unwrap().to_owned()).collect();
        assert_eq!(seen.len(), 23);
        seen.dedup();
        let places: Vec<tenantry::log::Place> = seen.iter().map(|text| text.parse().unwrap()).collect();
        assert!(places.len() == 20 && places.is_sorted(), "{places:?}");
        // The dead one holds its own places and no more.
        receiver.until("/dead", 3).await;
        assert_eq!((receiver.got("/dead").len(), receiver.at_once("/dead")), (3, 3));
        assert!(deliveries(&acme.owner, &dead).await.iter().all(|one| one["state"] != "succeeded"));
        receiver.always("/dead", Manner::Status(200));
        receiver.release();
        until_all(&acme.owner, &dead, 20, "succeeded").await;
    }
}

on_each_engine! {
    async fn an_endpoint_that_fails_is_left_alone_comes_back_by_itself_or_is_switched_off(scene) {
        let (starting, _database) = scene.starting();
        let server = Receiver::called_by(starting).set("WEBHOOKS__BREAKER_FAILURES", 2)
            .set("WEBHOOKS__RETRY_SCHEDULE_S", "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0").set("WEBHOOKS__BREAKER_MAX_S", 1)
            .set("WEBHOOKS__DISABLE_AFTER_S", 3).start();
        let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
        let owner = &acme.owner;
        // Automatic recovery: after a few failures it is asked one at a time, then all arrive.
        let made = endpoint(owner, &receiver.url("/a"), json!({})).await;
        receiver.next("/a", &[Manner::Status(500), Manner::Status(500), Manner::Status(503)]);
        for at in 0..4 {
            rename(&acme, &format!("Acme {at}")).await;
        }
        until_all(owner, &made, 4, "succeeded").await;
        let healed = owner.get(&path(&made)).await.expect(200);
        assert_eq!((&healed["state"], &healed["failing_since"], &healed["retry_at"]), (&json!("active"), &json!(null), &json!(null)));

        // Too long: it is switched off, its people are told, and what waits is kept.
        let watch = endpoint(owner, &receiver.url("/watch"), json!({ "types": ["webhook_endpoint.*"] })).await;
        receiver.always("/a", Manner::Status(500));
        rename(&acme, "For nobody").await;
        let off = eventually("it to be switched off", || async {
            let found = owner.get(&path(&made)).await.expect(200);
            (found["enabled"] == false).then_some(found)
        }).await;
        assert_eq!((&off["state"], &off["disabled_reason"]), (&json!("disabled"), &json!("failing")));
        let told = eventually("the event", || async {
            receiver.got("/watch").into_iter().map(|one| one.event()).find(|event| event["type"] == "webhook_endpoint.disabled")
        }).await;
        assert_eq!((&told["data"]["endpoint_id"], &told["data"]["reason"], &told["actorkind"]), (&made["id"], &json!("failing"), &json!("system")));
        let letter = eventually("the letter", || async { server.letters("owner@acme.example").pop() }).await;
        assert!(letter.subject().contains("acme") && letter.raw.contains(&receiver.url("/a")), "{letter:?}");
        owner.get(&path(&watch)).await.expect(200);

        // Mended and enabled: what waited goes out.
        receiver.always("/a", Manner::Status(200));
        let enabled = owner.send(owner.request("POST", &format!("{}/enable", path(&made)))).await;
        assert_eq!(enabled.expect(200)["state"], "active");
        let since = json!({ "since": made["created_at"] });
        owner.post(&format!("{}/replay", path(&made)), since).await.expect(202);
        until_all(owner, &made, 5, "succeeded").await;
        // One that says it is gone is believed at once.
        receiver.always("/a", Manner::Status(410));
        rename(&acme, "Gone").await;
        eventually("it to be switched off", || async {
            let found = owner.get(&path(&made)).await.expect(200);
            (found["disabled_reason"] == "gone").then_some(())
        }).await;
    }
}

#[tokio::test]
async fn an_endpoint_may_ask_for_time_and_a_rate_is_kept() {
    let starting = Receiver::called_by(Starting::new()).set("WEBHOOKS__RETRY_AFTER_MAX_S", 2);
    let (server, receiver) = (starting.start(), Receiver::start());
    let acme = server.settle("Acme").await;
    let made = endpoint(&acme.owner, &receiver.url("/busy"), json!({})).await;
    let slow = endpoint(&acme.owner, &receiver.url("/paced"), json!({ "rate_limit": 2 })).await;
    receiver.next("/busy", &[Manner::TooMany(1), Manner::TooMany(86_400)]);
    for at in 0..5 {
        rename(&acme, &format!("Acme {at}")).await;
    }
    let all = until_all(&acme.owner, &made, 5, "succeeded").await;
    until_all(&acme.owner, &slow, 5, "succeeded").await;
    let mut waits = Vec::new();
    for one in &all {
        let at = format!("{}/deliveries/{}", path(&made), one["id"].as_str().unwrap());
        let detail = acme.owner.get(&at).await.expect(200);
        for pair in detail["history"].as_array().unwrap().windows(2) {
            let [before, after] = [&pair[0], &pair[1]].map(|one| moment(&one["at"]));
            waits.push(after - before);
        }
    }
    waits.sort_unstable();
    assert_eq!(waits.len(), 2, "each 429 was answered to one attempt: {waits:?}");
    // The first asked for a second; the other for a day, of which it gets two seconds.
    assert!(waits[0] >= 1_000_000 && waits[1] < 60_000_000, "{waits:?}");
    // Five at two a second, of which two may go at once: never more within a second than two seconds' worth.
    let mut began = Vec::new();
    for one in deliveries(&acme.owner, &slow).await {
        let at = format!("{}/deliveries/{}", path(&slow), one["id"].as_str().unwrap());
        began.push(moment(&acme.owner.get(&at).await.expect(200)["history"][0]["at"]));
    }
    began.sort_unstable();
    assert!(began[4] - began[0] >= 1_000_000, "{began:?}");
}

fn moment(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<tenantry::kernel::clock::Ts>().unwrap().micros()
}

#[tokio::test]
async fn nothing_inside_is_reached_by_address_name_or_redirect() {
    let receiver = Receiver::start();
    let starting = Receiver::called_by(Starting::new()).set("WEBHOOKS__ALLOW_PRIVATE", "");
    let server = starting.start();
    let acme = server.settle("Acme").await;
    let port = receiver.url("").rsplit(':').next().unwrap().to_owned();
    for url in [
        receiver.url("/a"),
        format!("http://127.1:{port}/a"),
        format!("http://2130706433:{port}/a"),
        format!("http://0x7f.0.0.1:{port}/a"),
        format!("http://[::1]:{port}/a"),
        format!("http://[::ffff:127.0.0.1]:{port}/a"),
        format!("http://[64:ff9b::7f00:1]:{port}/a"),
        format!("http://0.0.0.0:{port}/a"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://100.64.0.1/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "gopher://example.com/".to_owned(),
    ] {
        let refused = acme.owner.post(ENDPOINTS, json!({ "url": url })).await;
        assert_eq!(refused.pointers(), ["/url"], "{url}");
    }
    // A name is looked up when something is sent: what it leads to is what counts.
    let made = endpoint(&acme.owner, &format!("http://localhost:{port}/a"), json!({})).await;
    rename(&acme, "One").await;
    let failed = until_all(&acme.owner, &made, 1, "failed").await.remove(0);
    let why = failed["last_error"].as_str().unwrap();
    assert!(why.starts_with("the host's address is ") && why.ends_with(": it may not be called"), "{why}");
    // One that was good under other settings is not called, either.
    drop(server);
    assert!(receiver.got("/a").is_empty());

    let mut server = Receiver::called_by(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let made = endpoint(&acme.owner, &receiver.url("/b"), json!({})).await;
    server.kill();
    server.set("WEBHOOKS__ALLOW_PRIVATE", "10.0.0.0/8");
    server.start();
    let owner = server.with_token_of(&server.sign_in("Acme").await);
    owner.patch("/v1/tenant", json!({ "name": "Two" })).await.expect(200);
    until_all(&owner, &made, 1, "failed").await;
    assert!(receiver.got("/b").is_empty());
}

/// Renames a tenant until the server dies: how many were acknowledged.
async fn rename_on(server: &Server, name: usize) -> usize {
    let owner = server.with_token_of(&server.sign_in("Acme").await);
    let mut done = 0;
    for at in 0..100_000 {
        let body = json!({ "name": format!("Acme {name} {at}") });
        match owner.request("PATCH", "/v1/tenant").json(&body).send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), 200);
                done += 1;
            }
            Err(_) => return done,
        }
    }
    panic!("it was not killed");
}

on_each_engine! {
    async fn a_killed_server_loses_nothing_and_doubles_nothing_that_has_one_id(scene) {
        let (mut server, _database) = server(scene);
        let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
        let made = endpoint(&acme.owner, &receiver.url("/a"), json!({})).await;
        receiver.next("/a", &[Manner::Status(500), Manner::HangsUp, Manner::Status(503)]);
        let mut acknowledged = 0;
        for round in 1..=3 {
            let renaming = rename_on(&server, round);
            let killing = async {
                receiver.until("/a", round * 40).await;
                signal(&server, "-KILL");
            };
            acknowledged += tokio::join!(renaming, killing).0;
            server.kill();
            server.start();
        }
        let owner = server.with_token_of(&server.sign_in("Acme").await);
        let list = format!("/admin/v1/webhook-deliveries?limit=200&endpoint={}", made["id"].as_str().unwrap());
        let total = eventually("all to have arrived", || async {
            let (mut cursor, mut all) = (String::new(), Vec::new());
            loop {
                let page = server.operator().get(&format!("{list}{cursor}")).await.expect(200);
                all.extend(page["data"].as_array().unwrap().iter().cloned());
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let seen: BTreeSet<String> = receiver.got("/a").iter().map(crate::world::hooks::Got::id).collect();
            let done = all.len() >= acknowledged && all.iter().all(|one| one["state"] == "succeeded");
            let events: BTreeSet<String> = all.iter().map(|one| one["event_id"].as_str().unwrap().to_owned()).collect();
            (done && events == seen && events.len() == all.len()).then_some(all.len())
        }).await;
        // A change that was not acknowledged may have been made, once for each kill.
        assert!((acknowledged..=acknowledged + 3).contains(&total), "{total} of {acknowledged}");
        owner.get(&path(&made)).await.expect(200);
    }
}

fn signal(server: &Server, which: &str) {
    let sent = std::process::Command::new("kill").args([which, &server.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_froze_and_thaws_does_not_overwrite_what_came_of_its_delivery() {
    let database = Pg::newest().fresh_database();
    let replica = || {
        Receiver::called_by(Starting::new().on_postgres(&database.url, "schema"))
            .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 6)
            .set("WEBHOOKS__TIMEOUT_S", 1)
    };
    let (one, receiver) = (replica().start(), Receiver::start());
    let acme = one.settle("Acme").await;
    let made = endpoint(&acme.owner, &receiver.url("/a"), json!({})).await;
    receiver.next("/a", &[Manner::Hangs]);
    rename(&acme, "One").await;
    receiver.until("/a", 1).await;
    signal(&one, "-STOP");
    let two = replica().start();
    let owner = acme.owner.at(&two.url);
    let done = until_all(&owner, &made, 1, "succeeded").await.remove(0);
    assert_eq!(done["attempts"], 2);
    signal(&one, "-CONT");
    // The one that thawed comes to the end of its attempt, and goes on with others.
    eventually("it to serve again", || async {
        (one.nobody().get("/healthz").await.status == 200).then_some(())
    })
    .await;
    for at in 0..5 {
        rename(&acme, &format!("Acme {at}")).await;
    }
    let all = until_all(&owner, &made, 6, "succeeded").await;
    assert_eq!(all[0], done, "what came of it stands");
}
