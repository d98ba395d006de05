//! Quotas: exact under many at once, on one process and on three, by check and by verify; windows; crashes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tenantry::auth::Caller;
use tenantry::entitlements::queries::{self, Question};
use tenantry::keys::verify::{self, VerifyCode};
use tenantry::metering::quota::{lending, till};

use crate::on_each_engine;
use crate::world::Scene;
use crate::world::doctor::parts;
use crate::world::postgres::{Pg, TestDatabase};
use crate::world::server::{Client, Server, Starting, eventually};

/// A plan with a hard quota `credits` and a soft one `mails` a month, and one that verifying takes from.
fn plans(credits: u64, api_calls: &str) -> String {
    format!(
        "[plans.free]\nname = \"Free\"\n[plans.free.features]\n\
         credits = {{ meter = \"credits\", limit = {credits}, per = \"month\", overage = \"deny\" }}\n\
         mails = {{ meter = \"mails\", limit = 10, per = \"day\", overage = \"allow\" }}\n\
         {api_calls}\n\
         [plans.free.limits]\nrequests_per_s = 1_000_000\nburst = 1_000_000\n"
    )
}

fn calls(limit: u64, overage: &str) -> String {
    format!("calls = {{ meter = \"api_calls\", limit = {limit}, per = \"month\", overage = \"{overage}\" }}")
}

fn selling(starting: Starting, plans: &str) -> Starting {
    starting.file("plans.toml", plans).set("PLANS__FILE", "plans.toml")
}

/// So many servers over one store: three on PostgreSQL, one on SQLite.
fn replicas(scene: Scene, plans: &str) -> (Vec<Server>, Option<TestDatabase>) {
    let (starting, database) = scene.starting();
    let Some(database) = database else { return (vec![selling(starting, plans).start()], None) };
    drop(starting);
    let start = || {
        let replica = Starting::new()
            .on_postgres(&database.url, scene.isolation)
            .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 6);
        selling(replica, plans).start()
    };
    (vec![start(), start(), start()], Some(database))
}

/// What the store answers in its first column, as text.
fn ask(server: &Server, database: Option<&TestDatabase>, sql: &str) -> Vec<String> {
    let Some(database) = database else {
        let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
        let mut found = file.prepare(sql).unwrap();
        let rows = found.query_map([], |row| row.get::<_, String>(0)).unwrap();
        return rows.map(Result::unwrap).collect();
    };
    database.ask(sql)
}

fn used(server: &Server, database: Option<&TestDatabase>, meter: &str) -> u64 {
    let sql = format!("SELECT CAST(used AS text) FROM quota_counters WHERE meter = '{meter}'");
    ask(server, database, &sql).iter().map(|used| used.parse::<u64>().unwrap()).sum()
}

/// What usage tells of a meter: what was taken from quotas is usage, once.
fn told(server: &Server, database: Option<&TestDatabase>, meter: &str) -> u64 {
    let events = ask(server, database, "SELECT CAST(counts AS text) FROM usage_events");
    let counts: Vec<Value> = events.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let all = counts.iter().flat_map(|counts| counts.as_array().unwrap());
    all.filter(|count| count["m"] == meter).map(|count| count["v"].as_u64().unwrap()).sum()
}

async fn consume(service: &Client, feature: &str, amount: u64, key: &str) -> Value {
    let body = json!({ "tenant": "acme", "feature": feature, "amount": amount, "consume": true, "idempotency_key": key });
    service.post("/v1/entitlements/check", body).await.expect(200)
}

/// A client of each server, in turn, for `many` of them.
async fn clients(servers: &[Server], many: usize, scopes: &[&str]) -> Vec<Client> {
    let first = servers[0].service(scopes).await;
    // The key is made on one of them; the others read it when they meet it.
    let key = |server: &Server| first.at(&server.url);
    (0..many).map(|n| key(&servers[n % servers.len()])).collect()
}

on_each_engine! {
    async fn sixty_four_on_every_replica_take_a_quota_to_its_last_unit_and_none_more(scene) {
        const LIMIT: u64 = 900;
        let (servers, database) = replicas(scene, &plans(LIMIT, ""));
        servers[0].settle("Acme").await;
        let clients = clients(&servers, 64 * servers.len(), &["entitlements:check"]).await;
        let asked = clients.iter().enumerate().map(|(who, client)| async move {
            let (mut taken, mut seen) = (0, BTreeSet::new());
            for n in 0.. {
                let amount = 1 + (u64::try_from(who).unwrap() + n) % 3;
                let answer = consume(client, "credits", amount, &format!("{who} {n}")).await;
                if answer["allowed"] == true {
                    assert_eq!((&answer["reason"], &answer["repeated"]), (&json!("ALLOWED"), &json!(false)));
                    taken += amount;
                    assert!(seen.insert(answer["used"].as_u64().unwrap()), "each take sees its own sum: {answer}");
                } else {
                    assert_eq!((&answer["reason"], &answer["limit"]), (&json!("LIMIT_REACHED"), &json!(LIMIT)));
                    assert!(answer["remaining"].as_u64().unwrap() < amount, "{answer}");
                    if amount == 1 {
                        return (taken, seen);
                    }
                }
            }
            unreachable!()
        });
        let (mut taken, mut sums) = (0, BTreeSet::new());
        for (amount, seen) in futures_util::future::join_all(asked).await {
            taken += amount;
            let before = sums.len();
            sums.extend(&seen);
            assert_eq!(sums.len(), before + seen.len(), "no two takes saw the same sum");
        }
        assert_eq!(taken, LIMIT, "to the last unit");
        assert_eq!(used(&servers[0], database.as_ref(), "credits"), LIMIT);
        assert_eq!(sums.last(), Some(&LIMIT));
        assert_eq!(told(&servers[0], database.as_ref(), "credits"), LIMIT, "and billing sees it");
        // Each threshold is told of once.
        let sql = "SELECT CAST(data AS text) FROM events WHERE type = 'quota.threshold_reached' ORDER BY seq";
        let told: Vec<Value> =
            ask(&servers[0], database.as_ref(), sql).iter().map(|data| serde_json::from_str(data).unwrap()).collect();
        let percents: Vec<u64> = told.iter().map(|data| data["percent"].as_u64().unwrap()).collect();
        assert_eq!(percents, [80, 100]);
        let first = &told[0];
        assert_eq!((&first["feature"], &first["meter"], &first["per"], &first["limit"]), (&json!("credits"), &json!("credits"), &json!("month"), &json!(LIMIT)));
        assert!((720..=722).contains(&first["used"].as_u64().unwrap()), "{first}");
        // What is told without taking follows within a second on every replica.
        for client in &clients[..servers.len()] {
            eventually("the check to follow", || async {
                let body = json!({ "tenant": "acme", "feature": "credits" });
                let answer = client.post("/v1/entitlements/check", body).await.expect(200);
                (answer["used"] == LIMIT && answer["reason"] == "LIMIT_REACHED").then_some(())
            })
            .await;
        }
    }
}

on_each_engine! {
    async fn one_key_takes_once_however_often_it_is_sent(scene) {
        let (servers, database) = replicas(scene, &plans(100, ""));
        let acme = servers[0].settle("Acme").await;
        let clients = clients(&servers, 64, &["entitlements:check"]).await;
        let answers = futures_util::future::join_all(clients.iter().map(|client| consume(client, "credits", 7, "order 1"))).await;
        let fresh = answers.iter().filter(|answer| answer["repeated"] == false).count();
        assert_eq!(fresh, 1);
        for answer in &answers {
            assert_eq!((&answer["allowed"], &answer["used"], &answer["remaining"]), (&json!(true), &json!(7), &json!(93)));
        }
        assert_eq!(used(&servers[0], database.as_ref(), "credits"), 7);
        // The same name for something else is a mistake, and told so.
        let body = |feature: &str, amount: u64| json!({ "tenant": acme.id, "feature": feature, "amount": amount, "consume": true, "idempotency_key": "order 1" });
        for (feature, amount) in [("credits", 8), ("mails", 7)] {
            let refused = clients[1].post("/v1/entitlements/check", body(feature, amount)).await;
            assert_eq!(refused.problem(422), "idempotency_key_reused");
        }
        // Another tenant's keys are other keys.
        servers[0].settle("Globex").await;
        let other = json!({ "tenant": "globex", "feature": "credits", "consume": true, "idempotency_key": "order 1" });
        assert_eq!(clients[0].post("/v1/entitlements/check", other).await.expect(200)["used"], 1);
        // What was refused is not kept: there may be room later.
        assert_eq!(consume(&clients[0], "credits", 94, "order 2").await["reason"], "LIMIT_REACHED");
        assert_eq!(consume(&clients[0], "credits", 93, "order 2").await["reason"], "ALLOWED");
    }
}

on_each_engine! {
    async fn a_soft_quota_goes_on_and_tells_the_excess(scene) {
        let (servers, database) = replicas(scene, &plans(1, &calls(3, "allow")));
        let acme = servers[0].settle("Acme").await;
        let client = servers[0].service(&["entitlements:check", "keys:verify"]).await;
        let full = consume(&client, "mails", 10, "a").await;
        assert_eq!((&full["reason"], &full["overage"]), (&json!("ALLOWED"), &json!(0)));
        let over = consume(&client, "mails", 4, "b").await;
        assert_eq!((&over["allowed"], &over["reason"], &over["used"], &over["overage"], &over["remaining"]), (&json!(true), &json!("OVERAGE"), &json!(14), &json!(4), &json!(0)));
        // Own takes are seen at once.
        let looked = client.post("/v1/entitlements/check", json!({ "tenant": "acme", "feature": "mails" })).await.expect(200);
        assert_eq!((&looked["reason"], &looked["used"]), (&json!("OVERAGE"), &json!(14)));
        // Verifying counts softly, too.
        for n in 1..=7u64 {
            let answer = client.post("/v1/api-keys/verify", json!({ "key": acme.key })).await.expect(200);
            assert_eq!((&answer["code"], &answer["overage"]), (&json!("VALID"), &json!(n.saturating_sub(3))));
        }
        eventually("what was spent to be counted", || async {
            (used(&servers[0], database.as_ref(), "api_calls") == 7).then_some(())
        })
        .await;
        assert_eq!(told(&servers[0], database.as_ref(), "api_calls"), 7);
        assert_eq!(told(&servers[0], database.as_ref(), "mails"), 14);
        let own = acme.owner.get("/v1/tenant/entitlements").await.expect(200);
        let calls = own["data"].as_array().unwrap().iter().find(|one| one["feature"] == "calls").unwrap();
        assert_eq!((&calls["used"], &calls["overage"], &calls["reason"]), (&json!(7), &json!(4), &json!("OVERAGE")));
    }
}

async fn code(client: &Client, key: &str) -> String {
    let answer = client.post("/v1/api-keys/verify", json!({ "key": key })).await.expect(200);
    answer["code"].as_str().unwrap().to_owned()
}

/// Verifies until the quota refuses; how often it did not.
async fn spend(client: &Client, key: &str) -> u64 {
    for passed in 0.. {
        match code(client, key).await.as_str() {
            "VALID" => {}
            "QUOTA_EXCEEDED" => return passed,
            other => panic!("{other}"),
        }
    }
    unreachable!()
}

on_each_engine! {
    async fn verifying_on_every_replica_spends_a_quota_and_never_more(scene) {
        const LIMIT: u64 = 3_000;
        let (mut servers, database) = replicas(scene, &plans(1, &calls(LIMIT, "deny")));
        let acme = servers[0].settle("Acme").await;
        let clients = clients(&servers, 64 * servers.len(), &["keys:verify"]).await;
        let spent = futures_util::future::join_all(clients.iter().map(|client| spend(client, &acme.key))).await;
        let total = AtomicU64::new(spent.iter().sum());
        let sum = |more: u64| total.fetch_add(more, Ordering::Relaxed) + more;
        assert!(sum(0) <= LIMIT, "{total:?} of {LIMIT}");
        // What another one holds and does not use comes back when it has been idle.
        eventually("the last unit to be spent", || async {
            for client in &clients[..servers.len()] {
                sum(spend(client, &acme.key).await);
            }
            assert!(sum(0) <= LIMIT, "{total:?} of {LIMIT}");
            (sum(0) == LIMIT).then_some(())
        })
        .await;
        assert_eq!(used(&servers[0], database.as_ref(), "api_calls"), LIMIT);
        assert_eq!(code(&clients[0], &acme.key).await, "QUOTA_EXCEEDED");
        // It is the last reason: whatever else is wrong comes first. And a look costs nothing.
        let body = json!({ "key": acme.key, "scopes": ["keys:manage"] });
        let lacking = clients[0].post("/v1/api-keys/verify", body).await.expect(200);
        assert_eq!(lacking["code"], "INSUFFICIENT_SCOPE");
        let looked = clients[0].post("/v1/api-keys/verify", json!({ "key": acme.key, "cost": 0 })).await.expect(200);
        assert_eq!(looked["code"], "VALID");
        // More is granted: it counts at once where it was granted, and soon elsewhere.
        let grant = json!({ "feature": "calls", "reason": "a promise", "value": { "meter": "api_calls", "limit": LIMIT + 5, "per": "month", "overage": "deny" } });
        servers[0].operator().post(&format!("{}/entitlement-overrides", acme.admin()), grant).await.expect(201);
        assert_eq!(code(&clients[0], &acme.key).await, "VALID");
        eventually("the grant to be spent", || async {
            for client in &clients[..servers.len()] {
                sum(spend(client, &acme.key).await);
            }
            // One was spent before.
            (sum(0) == LIMIT + 4).then_some(())
        })
        .await;
        servers.iter_mut().for_each(|server| assert!(server.stop()));
        assert_eq!(told(&servers[0], database.as_ref(), "api_calls"), LIMIT + 5, "and billing sees it");
    }
}

on_each_engine! {
    async fn what_is_lent_comes_back_at_a_stop_and_is_used_up_by_a_crash(scene) {
        const LIMIT: u64 = 6_400;
        let (mut servers, database) = replicas(scene, &plans(1, &calls(LIMIT, "deny")));
        servers.truncate(1);
        let acme = servers[0].settle("Acme").await;
        let key = acme.key.clone();
        let service = servers[0].service(&["keys:verify"]).await;
        let valid = async |server: &Server, many: u64| {
            let client = service.at(&server.url);
            for _ in 0..many {
                assert_eq!(code(&client, &key).await, "VALID");
            }
        };
        let server = &mut servers[0];
        valid(server, 10).await;
        assert!(server.stop());
        assert_eq!(used(server, database.as_ref(), "api_calls"), 10, "a stop gives back what was not spent");
        server.start();
        valid(server, 10).await;
        server.kill();
        // One was asked for, and with it a sixty-fourth of what was left then.
        let lost = used(server, database.as_ref(), "api_calls").checked_sub(20).unwrap();
        assert!(lost <= LIMIT / 64, "{lost}");
        server.start();
        let client = service.at(&server.url);
        let total = AtomicU64::new(20);
        eventually("the rest to be spent", || async {
            let more = spend(&client, &key).await;
            let spent = total.fetch_add(more, Ordering::Relaxed) + more;
            assert!(spent + lost <= LIMIT, "more than the quota");
            (spent + lost == LIMIT).then_some(())
        })
        .await;
    }
}

on_each_engine! {
    async fn a_take_that_was_answered_survives_a_crash_at_any_moment(scene) {
        let (mut servers, database) = replicas(scene, &plans(1_000_000, ""));
        servers.truncate(1);
        servers[0].settle("Acme").await;
        let service = servers[0].service(&["entitlements:check"]).await;
        let mut all = 0;
        for round in 0..3u64 {
            let url = servers[0].url.clone();
            let clients: Vec<_> = (0..16u64)
                .map(|who| {
                    let client = service.at(&url);
                    tokio::spawn(async move {
                        for n in 0u64.. {
                            let key = format!("{round} {who} {n}");
                            let body = json!({ "tenant": "acme", "feature": "credits", "amount": 3, "consume": true, "idempotency_key": key });
                            let sent = client.request("POST", "/v1/entitlements/check").json(&body).send().await;
                            let Ok(answer) = sent else { return n };
                            let Ok(answer) = answer.json::<Value>().await else { return n };
                            assert_eq!(answer["allowed"], true, "{answer}");
                        }
                        unreachable!()
                    })
                })
                .collect();
            // Under load, whenever that is: a few dozen takes in.
            eventually("some takes", || async {
                (used(&servers[0], database.as_ref(), "credits") > all * 3 + 100).then_some(())
            })
            .await;
            servers[0].kill();
            let mut answered = Vec::new();
            for client in clients {
                answered.push(client.await.unwrap());
            }
            servers[0].start();
            // Asked again, each that was answered was taken, and what was not is taken now: once.
            let client = service.at(&servers[0].url);
            for (who, many) in answered.iter().enumerate() {
                if let Some(last) = many.checked_sub(1) {
                    assert_eq!(consume(&client, "credits", 3, &format!("{round} {who} {last}")).await["repeated"], true);
                }
                consume(&client, "credits", 3, &format!("{round} {who} {many}")).await;
                all += many + 1;
            }
            assert_eq!(used(&servers[0], database.as_ref(), "credits"), all * 3);
            assert_eq!(told(&servers[0], database.as_ref(), "credits"), all * 3);
        }
    }
}

on_each_engine! {
    async fn windows_begin_anew_by_the_calendar(scene) {
        let (starting, database) = scene.starting();
        let sold = plans(5, &calls(3, "deny"));
        let mut server = selling(starting, &sold).set("CLOCK__MODE", "test").start();
        let acme = server.settle("Acme").await;
        assert!(server.stop());
        // In this process, on a clock of our own.
        let app = parts(&server).await;
        let tasks = [tokio::spawn(till::serve(app.clone())), tokio::spawn(lending::keep(app.clone()))];
        let me = Caller::system("test");
        let mut number = 0;
        let mut take = async |feature: &str, amount: u64| {
            number += 1;
            let take = Some(format!("take {number}"));
            let question = Question { tenant: acme.id.clone(), feature: feature.to_owned(), amount, take };
            queries::check(&app, &me, question).await.unwrap().entitlement
        };
        let code = async || verify::verify(&app, &me, &acme.key, &[], 1).await.unwrap().code;
        assert!(take("credits", 5).await.allowed && !take("credits", 1).await.allowed);
        assert_eq!(take("mails", 15).await.overage, Some(5));
        for expected in [VerifyCode::Valid, VerifyCode::Valid, VerifyCode::Valid, VerifyCode::QuotaExceeded] {
            assert_eq!(code().await, expected);
        }
        // The day is over: what counts by the day begins anew.
        let resets = take("mails", 1).await.resets_at.unwrap();
        app.clock.advance(resets.since(app.clock.now()));
        assert_eq!(take("mails", 1).await.used, Some(1));
        // The month is over: so does the rest.
        let ends = take("credits", 6).await;
        assert!(!ends.allowed);
        app.clock.advance(ends.resets_at.unwrap().since(app.clock.now()));
        let anew = take("credits", 5).await;
        assert_eq!((anew.allowed, anew.used, anew.remaining), (true, Some(5), Some(0)));
        assert!(anew.resets_at > ends.resets_at);
        assert_eq!(code().await, VerifyCode::Valid);
        // A long time later nothing is left of what nobody needs.
        app.clock.advance(Duration::from_secs(3 * 366 * 86_400));
        let now = app.clock.now();
        app.db.write(move |conn| tenantry::metering::quota::forget_old_in(conn, now)).await.unwrap();
        app.stopping.cancel();
        till::stop(&app).await;
        for task in tasks {
            task.await.unwrap();
        }
        for table in ["quota_takes", "quota_counters", "quota_thresholds"] {
            let left = ask(&server, database.as_ref(), &format!("SELECT CAST(count(*) AS text) FROM {table}"));
            assert_eq!(left, ["0"], "{table}");
        }
    }
}

/// On the newest PostgreSQL: what another replica takes is told within a second, and a store that is away is told of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_takes_are_refused_and_slices_are_spent() {
    let cluster = Pg::newest().alone();
    let database = cluster.fresh_database();
    let sold = plans(100, &calls(64_000, "deny"));
    let server = selling(Starting::new().on_postgres(&database.url, "shared"), &sold).start();
    let acme = server.settle("Acme").await;
    let service = server.service(&["entitlements:check", "keys:verify"]).await;
    assert_eq!(code(&service, &acme.key).await, "VALID");
    consume(&service, "credits", 1, "a").await;
    cluster.crash();
    let body = json!({ "tenant": "acme", "feature": "credits", "consume": true, "idempotency_key": "b" });
    let refused = service.post("/v1/entitlements/check", body).await;
    assert_eq!(refused.problem(503), "store_unavailable");
    assert!(refused.header("retry-after").is_some());
    cluster.restart();
    eventually("takes to be answered again", || async {
        let body = json!({ "tenant": "acme", "feature": "credits", "consume": true, "idempotency_key": "b" });
        let answer = service.post("/v1/entitlements/check", body).await;
        (answer.status == 200).then(|| assert_eq!(answer.json()["used"], 2))
    })
    .await;
}
