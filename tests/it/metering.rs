//! Usage: sent, counted once, asked for; followed into roll-ups that can be built anew. What they come to is held
//! against a slow recount in [`rollups`].

mod rollups;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::Scene;
use crate::world::postgres::TestDatabase;
use crate::world::server::{Answer, Client, Server, Settler, eventually};

const EVENTS: &str = "/v1/usage/events";
const BATCH: &str = "application/cloudevents-batch+json";

/// A catalogue with a meter of each kind.
const PLANS: &str = r#"
[meters.tokens]
aggregation = "sum"
value = "tokens"
group_by = ["model", "region"]
event_type = "llm.called"
[meters.calls]
aggregation = "count"
event_type = "llm.called"
[meters.models]
aggregation = "unique"
value = "model"
event_type = "llm.called"
[meters.seats]
aggregation = "max"
value = "seats"
[meters.stored]
aggregation = "latest"
value = "bytes"
[plans.free]
name = "Free"
[plans.free.features]
tokens = { meter = "tokens", limit = 100, per = "month", overage = "deny" }
plain = { meter = "plain", limit = 1_000, per = "month", overage = "allow" }
[plans.free.limits]
requests_per_s = 1_000_000
burst = 1_000_000
"#;

fn server(scene: Scene) -> (Server, Option<TestDatabase>) {
    let (starting, database) = scene.starting();
    (starting.file("plans.toml", PLANS).set("PLANS__FILE", "plans.toml").start(), database)
}

fn event(id: &str, kind: &str, data: Value) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/tests", "type": kind, "data": data })
}

fn with(mut event: Value, name: &str, value: Value) -> Value {
    event[name] = value;
    event
}

/// So many seconds from now, as RFC 3339.
fn from_now(seconds: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let micros = i64::try_from(now.as_micros()).unwrap() + seconds * 1_000_000;
    tenantry::kernel::clock::Ts::from_micros(micros).unwrap().to_string()
}

async fn send(client: &Client, events: Value) -> Answer {
    client.send(client.request("POST", EVENTS).header("content-type", BATCH).body(events.to_string())).await
}

fn statuses(answer: &Value) -> Vec<&str> {
    answer["data"].as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect()
}

/// What the tenant used of each meter, in two days around now.
async fn totals(owner: &Client) -> Value {
    let path = format!("/v1/tenant/usage?from={}&to={}", from_now(-86_400), from_now(86_400));
    let usage = owner.get(&path).await.expect(200);
    let all = usage["totals"].as_array().unwrap();
    all.iter().map(|one| (one["meter"].as_str().unwrap().to_owned(), one["value"].clone())).collect()
}

/// Waits until everything that came in is rolled up.
async fn until_rolled_up(server: &Server) {
    let operator = server.operator();
    eventually("the roll-ups to have caught up", || async {
        let all = operator.get("/admin/v1/projections").await.expect(200);
        (all["data"][0]["behind_since"].is_null()).then_some(())
    })
    .await;
}

on_each_engine! {
    async fn each_event_of_a_batch_is_answered_for_and_counted_once(scene) {
        let (server, _database) = server(scene);
        let acme = server.settle("Acme").await;
        let service = server.service(&["usage:write"]).await;
        let llm = |id: &str, model: &str, tokens: i64| {
            with(event(id, "llm.called", json!({ "tokens": tokens, "model": model, "region": "eu" })), "subject", json!(acme.slug))
        };
        let batch = json!([
            llm("1", "small", 30),
            llm("2", "large", 50),
            llm("1", "small", 30),
            with(llm("3", "small", 40), "subject", json!(acme.id)),
            with(event("4", "seats", json!({ "seats": 7 })), "subject", json!(acme.id)),
            with(event("5", "seats", json!({ "seats": 3 })), "subject", json!(acme.id)),
            with(event("6", "stored", json!({ "bytes": 900 })), "subject", json!(acme.id)),
            with(event("7", "stored", json!({ "bytes": 200 })), "subject", json!(acme.id)),
            with(event("8", "plain", json!({})), "subject", json!(acme.id)),
            llm("9", "small", -1),
            with(llm("10", "small", 1), "subject", json!("nobody")),
            event("11", "llm.called", json!({ "tokens": 1, "model": "m" })),
            with(llm("12", "small", 1), "type", json!("unheard.of")),
            with(llm("13", "small", 1), "time", json!(from_now(-30 * 86_400))),
            with(llm("14", "small", 1), "time", json!(from_now(3_600))),
            json!(5),
        ]);
        let answer = send(&service, batch.clone()).await.expect(200);
        let (a, d, r) = ("accepted", "duplicate", "rejected");
        assert_eq!(statuses(&answer), [a, a, d, a, a, a, a, a, a, r, r, r, r, r, r, r], "{answer:#}");
        assert_eq!((&answer["accepted"], &answer["duplicate"], &answer["rejected"]), (&json!(8), &json!(1), &json!(7)));
        let codes: Vec<_> = answer["data"].as_array().unwrap().iter().filter_map(|one| one["code"].as_str()).collect();
        assert_eq!(codes, ["value_out_of_range", "unknown_tenant", "subject_missing", "unknown_type", "too_late", "too_far_ahead", "malformed_event"]);
        let expected = json!({ "tokens": 120, "calls": 3, "models": 2, "seats": 7, "stored": 200, "plain": 1 });
        assert_eq!(totals(&acme.owner).await, expected, "what was just sent is counted");
        // The same call again, as a client does that got no answer.
        let again = send(&service, batch).await.expect(200);
        assert_eq!((&again["accepted"], &again["duplicate"]), (&json!(0), &json!(9)));
        until_rolled_up(&server).await;
        assert_eq!(totals(&acme.owner).await, expected);
        let by = acme.owner.get("/v1/tenant/usage?meter=tokens&window=month&group_by=model,region").await.expect(200);
        let rows: Vec<_> = by["data"].as_array().unwrap().iter().map(|row| (row["group"]["model"].as_str().unwrap(), row["value"].as_i64().unwrap())).collect();
        assert_eq!(rows, [("large", 50), ("small", 70)]);
        let path = format!("{}/usage?meter=tokens&filter=model:large,region:eu", acme.admin());
        assert_eq!(server.operator().get(&path).await.expect(200)["totals"][0]["value"], 50);
        // It counts against the quota, and facts are not refused: the hard one stands beyond its limit.
        let service = server.service(&["entitlements:check"]).await;
        let check = service.post("/v1/entitlements/check", json!({ "tenant": acme.id, "feature": "tokens" })).await.expect(200);
        assert_eq!((&check["allowed"], &check["used"]), (&json!(false), &json!(120)), "{check}");
    }
}

on_each_engine! {
    async fn a_tenants_own_credential_says_whose_use_it_is(scene) {
        let (server, _database) = server(scene);
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let key = acme.key(&["usage:write"]).await;
        let plain = |id: &str| event(id, "plain", json!({ "value": 2 }));
        let answer = send(&key, json!([
            plain("1"), with(plain("2"), "subject", json!(acme.slug)), with(plain("3"), "subject", json!(globex.slug)),
            with(plain("4"), "subject", json!("nobody")),
        ])).await.expect(200);
        assert_eq!(statuses(&answer), ["accepted", "accepted", "rejected", "rejected"]);
        // One that is there and one that is not look the same.
        assert_eq!(answer["data"][2]["code"], "foreign_subject");
        assert_eq!(answer["data"][2]["detail"], answer["data"][3]["detail"]);
        assert_eq!(totals(&acme.owner).await, json!({ "plain": 4 }));
        assert_eq!(totals(&globex.owner).await, json!({}));
        // Another tenant's event with the same source and id is another event.
        assert_eq!(statuses(&send(&globex.owner, json!([plain("1")])).await.expect(200)), ["accepted"]);
        assert_eq!(acme.program.post(EVENTS, plain("9")).await.problem(403), "insufficient_scope");
        assert_eq!(server.operator().post(EVENTS, plain("9")).await.problem(403), "wrong_credential");
    }
}

#[tokio::test]
async fn events_come_in_all_content_modes_and_bad_bodies_are_refused_whole() {
    let (server, _) = server(Scene { pg: None, isolation: "database" });
    let acme = server.settle("Acme").await;
    let key = acme.key(&["usage:write"]).await;
    let post = |kind: &'static str, body: String| {
        let request = key.request("POST", EVENTS).header("content-type", kind).body(body);
        key.send(request)
    };
    let one = |id: &str| event(id, "plain", json!({ "value": 1 })).to_string();
    let structured = "application/cloudevents+json; charset=utf-8";
    assert_eq!(post(structured, one("1")).await.expect(200)["accepted"], 1);
    assert_eq!(post("application/json", one("2")).await.expect(200)["accepted"], 1);
    assert_eq!(
        post("application/json", format!("[{},{}]", one("2"), one("3"))).await.expect(200)["duplicate"],
        1
    );
    let binary = key.request("POST", EVENTS).header("content-type", "application/json");
    let binary = binary.header("ce-specversion", "1.0").header("ce-id", "4").header("ce-source", "/tests");
    let binary =
        binary.header("ce-type", "plain").header("ce-subject", acme.slug.as_str()).body("{\"value\": 10}");
    assert_eq!(key.send(binary).await.expect(200)["accepted"], 1);
    assert_eq!(totals(&acme.owner).await, json!({ "plain": 13 }));
    for (kind, body, status, code) in [
        (BATCH, "{}".to_owned(), 400, "malformed_batch"),
        (structured, "[]".to_owned(), 400, "malformed_batch"),
        ("application/json", "[{]".to_owned(), 400, "malformed_json"),
        ("application/json", "7".to_owned(), 400, "malformed_batch"),
        ("text/plain", "{}".to_owned(), 415, "unsupported_media_type"),
        (BATCH, format!("[{}1]", "1,".repeat(1_000)), 413, "too_large"),
    ] {
        let refused = post(kind, body).await;
        assert_eq!(refused.status, status, "{kind} {code}: {}", refused.text);
        assert!(!refused.problem(status).is_empty());
    }
    assert_eq!(post(BATCH, "[]".into()).await.expect(200)["data"], json!([]));
    let wrong = acme.owner.get("/v1/tenant/usage?from=x&window=week&time_zone=Mars&filter=a").await;
    assert_eq!(wrong.pointers(), ["?filter", "?from", "?time_zone", "?window"]);
}

on_each_engine! {
    async fn what_was_acknowledged_is_counted_once_whenever_the_process_is_killed(scene) {
        let (mut server, _database) = server(scene);
        let acme = server.settle("Acme").await;
        let made = acme.owner.post("/v1/tenant/api-keys", json!({ "name": "sender", "scopes": ["usage:write"] })).await.expect(201);
        let key_text = made["key"].as_str().unwrap().to_owned();
        let (key, owner) = (server.with(&key_text), acme.owner.clone());
        // Eight senders, each with batches of its own; the process is killed while they send.
        let batch = |sender: usize, number: usize| {
            let one = |at: usize| event(&format!("{sender}-{number}-{at}"), "plain", json!({ "value": 3 }));
            Value::Array((0..20).map(one).collect())
        };
        let senders: Vec<_> = (0..8usize).map(|sender| {
            let key = key.clone();
            tokio::spawn(async move {
                let mut acknowledged = 0usize;
                for number in 0..10_000usize {
                    let body = batch(sender, number).to_string();
                    let request = key.request("POST", EVENTS).header("content-type", BATCH).body(body).send().await;
                    let Ok(response) = request else { return (number, acknowledged) };
                    let Ok(text) = response.text().await else { return (number, acknowledged) };
                    let Ok(answer) = serde_json::from_str::<Value>(&text) else { return (number, acknowledged) };
                    assert_eq!(answer["accepted"], 20, "{answer}");
                    acknowledged += 20;
                }
                panic!("it was not killed");
            })
        }).collect();
        eventually("some use", || async {
            let used = totals(&owner).await;
            (used["plain"].as_i64().unwrap_or(0) > 1_500).then_some(())
        }).await;
        server.kill();
        let mut acknowledged = 0;
        let mut unanswered = Vec::new();
        for (sender, one) in senders.into_iter().enumerate() {
            let (number, counted) = one.await.unwrap();
            acknowledged += counted;
            unanswered.push((sender, number));
        }
        server.start();
        let owner = server.with_token_of(&server.sign_in("Acme").await);
        let before = totals(&owner).await["plain"].as_u64().unwrap();
        assert!(before >= 3 * u64::try_from(acknowledged).unwrap(), "{before} of {acknowledged}");
        // What got no answer is sent again: new, or known, never twice.
        let mut retried = 0;
        for (sender, number) in unanswered {
            let key = server.with(&key_text);
            let answer = send(&key, batch(sender, number)).await.expect(200);
            let both = answer["accepted"].as_u64().unwrap() + answer["duplicate"].as_u64().unwrap();
            assert_eq!(both, 20, "{answer}");
            retried += 20;
        }
        let all = json!({ "plain": 3 * (acknowledged + retried) });
        assert_eq!(totals(&owner).await, all);
        until_rolled_up(&server).await;
        assert_eq!(totals(&owner).await, all);
        let service = server.service(&["entitlements:check"]).await;
        let check = service.post("/v1/entitlements/check", json!({ "tenant": acme.id, "feature": "plain" })).await.expect(200);
        assert_eq!(check["used"], all["plain"], "the quota counted in the same transaction");
    }
}

on_each_engine! {
    async fn roll_ups_are_built_anew_beside_those_that_answer(scene) {
        let (server, database) = server(scene);
        let acme = server.settle("Acme").await;
        let key = acme.key(&["usage:write"]).await;
        let events: Vec<_> = (0..300).map(|at| event(&at.to_string(), "llm.called", json!({ "tokens": at, "model": at % 7 }))).collect();
        send(&key, json!(events)).await.expect(200);
        until_rolled_up(&server).await;
        let good = totals(&acme.owner).await;
        assert_eq!(good, json!({ "tokens": 44_850, "calls": 300, "models": 7 }));
        // Something spoils them.
        let spoil = "UPDATE usage_rollups SET total = 1";
        match &database {
            Some(database) => { database.run(&[spoil]); }
            None => { rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap().execute(spoil, []).unwrap(); }
        }
        assert_eq!(totals(&acme.owner).await["tokens"], 7, "a cell a model");
        let operator = server.operator();
        let viewer = server.operator_as("viewer").await;
        let path = "/admin/v1/projections/usage_rollups/rebuild";
        assert_eq!(viewer.post(path, json!({})).await.problem(403), "insufficient_role");
        assert_eq!(operator.post("/admin/v1/projections/others/rebuild", json!({})).await.problem(404), "not_found");
        let begun = operator.post(path, json!({})).await.expect(202);
        assert!(begun["rebuilding_since"].is_string(), "{begun}");
        eventually("the new ones to answer", || async {
            let all = viewer.get("/admin/v1/projections").await.expect(200);
            (all["data"][0]["generation"] == 2 && all["data"][0]["rebuilding_since"].is_null()).then_some(())
        }).await;
        assert_eq!(totals(&acme.owner).await, good);
    }
}

/// Everything of a deleted tenant's use is gone with it.
#[tokio::test]
async fn a_deleted_tenants_use_is_removed() {
    let (server, _) = server(Scene { pg: None, isolation: "database" });
    let acme: Settler = server.settle("Acme").await;
    let key = acme.key(&["usage:write"]).await;
    send(
        &key,
        json!([
            event("1", "plain", json!({})),
            event("2", "llm.called", json!({ "tokens": 1, "model": "m" }))
        ]),
    )
    .await
    .expect(200);
    until_rolled_up(&server).await;
    acme.owner.delete("/v1/tenant").await.expect(202);
    let store = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    store.busy_timeout(Duration::from_secs(10)).unwrap();
    eventually("its use to be gone", || async {
        let left: i64 = store.query_row(
            "SELECT (SELECT count(*) FROM usage_events) + (SELECT count(*) FROM usage_rollups) + (SELECT count(*) FROM usage_uniques)",
            [], |row| row.get(0)).unwrap();
        (left == 0).then_some(())
    }).await;
}
