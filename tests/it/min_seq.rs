//! A query that must see its caller's own write says so by the place that the write was answered with.

use serde_json::{Value, json};
use tenantry::log::Place;

use crate::on_each_engine;
use crate::webhooks::{ENDPOINTS, endpoint, path, rename, server};
use crate::world::hooks::Receiver;
use crate::world::postgres::Pg;
use crate::world::server::{Answer, Client, PASSWORD, Server, Starting, eventually};

/// Where the log stands after what this answer tells of.
#[track_caller]
pub(super) fn seq(answer: &Answer) -> Place {
    answer.header("tenantry-seq").unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

/// What a query answers once it has what was done up to there. When others' transactions keep the log from being
/// settled for longer than it waits, it says so; it never answers without.
pub(super) async fn seeing(client: &Client, query: &str, place: Place) -> Value {
    let glue = if query.contains('?') { '&' } else { '?' };
    eventually("the answer to have it", || async {
        let answer = client.get(&format!("{query}{glue}min_seq={place}")).await;
        if answer.status == 503 {
            assert_eq!(answer.problem(503), "projection_behind");
            assert_eq!(answer.header("retry-after"), Some("1"));
            return None;
        }
        Some(answer.expect(200))
    })
    .await
}

/// Lets a follower stand still, or go on.
async fn tell(server: &Server, follower: &str, what: &str) {
    let operator = server.operator();
    let path = format!("/admin/v1/projections/{follower}/{what}");
    operator.send(operator.request("POST", &path)).await.expect(200);
}

/// That both followers of the directory have what this place is of.
async fn directory_has(owner: &Client, operator: &Client, place: Place, name: &str) {
    let activity = seeing(owner, "/v1/tenant/activity?limit=1", place).await;
    assert_eq!(activity["data"][0]["type"], json!("tenant.updated"));
    let feed = seeing(owner, "/v1/tenant/events?order=desc&limit=1", place).await;
    assert_eq!(feed["data"][0]["sequence"], json!(place.to_string()));
    assert_eq!(activity["data"][0]["event_id"], feed["data"][0]["id"], "the very last");
    let listed = seeing(operator, "/admin/v1/directory", place).await;
    assert_eq!(listed["data"][0]["name"], json!(name));
}

on_each_engine! {
    async fn a_command_says_where_it_stands_and_a_query_waits_for_it(scene) {
        let (server, _database) = server(scene);
        let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
        let (owner, operator) = (&acme.owner, server.operator());
        let made = endpoint(owner, &receiver.url("/a"), json!({})).await;
        let (own, all) = (format!("{}/deliveries", path(&made)), "/admin/v1/webhook-deliveries?limit=200");
        let mut before = Place::default();
        for count in 1..=5 {
            let renamed = owner.patch("/v1/tenant", json!({ "name": format!("Acme {count}") })).await;
            renamed.expect(200);
            let place = seq(&renamed);
            assert!(place > before && (place.txid == 0) == scene.pg.is_none(), "{place}");
            before = place;
            assert_eq!(seeing(owner, &own, place).await["data"].as_array().unwrap().len(), count);
            let listed = seeing(&operator, all, place).await;
            assert_eq!(listed["data"].as_array().unwrap().len(), count);
            directory_has(owner, &operator, place, &format!("Acme {count}")).await;
            // What was used is added up on the spot; nobody waits for the roll-ups.
            owner.get(&format!("/v1/tenant/usage?min_seq={place}")).await.expect(200);
        }

        // Usage is written for many calls at once; who made it append is told where.
        let meter = acme.key(&["usage:write"]).await;
        let using = async |id: &str, value: u64| {
            let event = json!({ "specversion": "1.0", "id": id, "source": "/tests", "type": "api_calls", "data": { "value": value } });
            let answer = meter.post("/v1/usage/events", event).await;
            assert_eq!(answer.expect(200)["accepted"], json!(1));
            answer
        };
        assert!(using("few", 1).await.header("tenantry-seq").is_none(), "nothing is told of that");
        let place = seq(&using("many", 9_000).await);
        let told = seeing(&operator, "/admin/v1/events?order=desc&limit=50", place).await;
        let one = told["data"].as_array().unwrap().iter().find(|one| one["sequence"] == json!(place.to_string()));
        assert_eq!(one.unwrap()["type"], json!("quota.threshold_reached"));

        // What appends nothing says nothing.
        let silent = [owner.get("/v1/tenant").await, owner.patch("/v1/tenant", json!({ "name": "" })).await];
        assert!(silent.iter().all(|answer| answer.header("tenantry-seq").is_none()), "{silent:?}");
        // A repeated answer says again what the first one did.
        let body = json!({ "url": receiver.url("/b"), "types": [] });
        let first = owner.post_once(ENDPOINTS, "once", body.clone()).await;
        rename(&acme, "Acme").await;
        let again = owner.post_once(ENDPOINTS, "once", body).await;
        assert_eq!((first.expect(201), again.header("idempotent-replayed")), (again.expect(201), Some("true")));
        assert_eq!(seq(&first), seq(&again));

        // A place that the log never had is not waited for where there is nothing to wait for, and is told apart.
        let far = Place { txid: i64::MAX, seq: 1 };
        for query in ["/v1/tenant/usage", &format!("{}/usage", acme.admin())] {
            let client = if query.starts_with("/v1") { owner } else { &operator };
            assert_eq!(client.get(&format!("{query}?min_seq={far}")).await.problem(503), "projection_behind");
        }
        for bad in ["7", "1.", "-1.2", "a.b"] {
            for query in ["/v1/tenant/usage", &own, "/v1/tenant/events"] {
                assert_eq!(owner.get(&format!("{query}?min_seq={bad}")).await.problem(422), "validation_failed");
            }
        }
        let bounds = format!("{own}?min_seq={far}");
        let other = server.settle("Globex").await;
        assert_eq!(other.owner.get(&bounds).await.problem(404), "not_found", "who may not see it does not wait");

        // Behind one that stands still nobody waits; what it has, it has.
        tell(&server, "webhooks", "pause").await;
        let renamed = owner.patch("/v1/tenant", json!({ "name": "Acme Paused" })).await;
        let behind = owner.get(&format!("{own}?min_seq={}", seq(&renamed))).await;
        assert_eq!((behind.problem(503), behind.header("retry-after")), ("projection_behind".into(), Some("1")));
        owner.get(&own).await.expect(200);
        tell(&server, "webhooks", "resume").await;
        let found = seeing(owner, &own, seq(&renamed)).await;
        assert!(found["data"].as_array().unwrap().len() >= 6, "{found:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_at_one_replica_sees_what_was_done_at_another() {
    let database = Pg::newest().fresh_database();
    let start = || {
        let starting = Starting::new()
            .on_postgres(&database.url, "schema")
            .without_stock()
            .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 6);
        Receiver::called_by(starting).start()
    };
    let (one, two) = (start(), start());
    let (receiver, acme) = (Receiver::start(), one.settle("Acme").await);
    let body = json!({ "email": "owner@acme.example", "password": PASSWORD });
    let session = two.nobody().post("/v1/sessions", body).await.expect(200);
    let owners = [acme.owner.clone(), two.with_token_of(&session)];
    let made = endpoint(&owners[0], &receiver.url("/a"), json!({})).await;
    let deliveries = format!("{}/deliveries?limit=200", path(&made));
    for count in 1..=20 {
        let (here, there) = (&owners[count % 2], &owners[(count + 1) % 2]);
        let renamed = here.patch("/v1/tenant", json!({ "name": format!("Acme {count}") })).await;
        renamed.expect(200);
        let found = seeing(there, &deliveries, seq(&renamed)).await;
        assert_eq!(found["data"].as_array().unwrap().len(), count, "what was done is seen at the other");
        let operator = if count % 2 == 0 { two.operator() } else { one.operator() };
        directory_has(there, &operator, seq(&renamed), &format!("Acme {count}")).await;
    }
    tell(&one, "webhooks", "pause").await;
    let renamed = owners[0].patch("/v1/tenant", json!({ "name": "Acme Paused" })).await;
    let query = format!("{deliveries}&min_seq={}", seq(&renamed));
    for owner in &owners {
        assert_eq!(owner.get(&query).await.problem(503), "projection_behind");
    }
}
