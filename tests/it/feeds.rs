//! Feeds of events: by cursor, waiting for the next, and as a stream that goes on where it was cut; whom they are for,
//! and that many who wait cost little.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tenantry::log::Place;

use crate::on_each_engine;
use crate::world::server::{Client, Server, Settler, eventually};

const OWN: &str = "/v1/tenant/events";
const ALL: &str = "/admin/v1/events";

fn place(event: &Value) -> Place {
    event["sequence"].as_str().unwrap().parse().unwrap()
}

fn ids(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

async fn rename(of: &Settler, name: &str) {
    of.owner.patch("/v1/tenant", json!({ "name": name })).await.expect(200);
}

/// All pages of a feed, a few events each, until one is empty; and the cursor that is left.
async fn walk(who: &Client, path: &str) -> (Vec<Value>, String) {
    let glue = if path.contains('?') { '&' } else { '?' };
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = who.get(&format!("{path}{glue}limit=3{cursor}")).await.expect(200);
        let part = page["data"].as_array().unwrap().clone();
        let next = page["next_cursor"].as_str();
        let over = part.is_empty() || next.is_none();
        all.extend(part);
        if over {
            return (all, next.unwrap_or_default().to_owned());
        }
        cursor = format!("&cursor={}", next.unwrap());
    }
}

/// A metric of the server, summed over its labels that begin so.
async fn figure(server: &Server, name: &str) -> f64 {
    let metrics = server.nobody().get("/metrics").await.text;
    let figures =
        metrics.lines().filter_map(|line| line.strip_prefix(name)?.split(' ').next_back()?.parse().ok());
    figures.fold(0.0, |sum: f64, one: f64| sum + one)
}

async fn followers(server: &Server, count: f64) {
    eventually("the followers to be there", || async {
        (figure(server, "tenantry_feed_followers ").await == count).then_some(())
    })
    .await;
}

/// A stream of server-sent events that is being read.
struct Reader {
    response: reqwest::Response,
    text: String,
    /// The id that was told last: where one goes on.
    last: String,
}

impl Reader {
    async fn open(who: &Client, path: &str, last: Option<&str>) -> Self {
        let mut request = who.request("GET", path).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut reader = Self { response, text: String::new(), last: String::new() };
        assert!(reader.frame().await.is_some_and(|frame| frame.starts_with("retry:")));
        reader
    }

    /// The next frame; none when the stream has ended.
    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(id) = frame.lines().find_map(|line| line.strip_prefix("id: ")) {
                    self.last = id.to_owned();
                }
                return Some(frame);
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The next event; none when the stream has ended.
    async fn event(&mut self) -> Option<Value> {
        loop {
            let frame = self.frame().await?;
            if let Some(data) = frame.lines().find_map(|line| line.strip_prefix("data: ")) {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }

    /// The name in the next event, which is a tenant's renaming.
    async fn name(&mut self) -> Option<String> {
        let event = self.event().await?;
        assert_eq!(event["type"], "tenant.updated", "{event}");
        assert_eq!(event["sequence"], json!(self.last), "the id is where it stands");
        Some(event["data"]["name"].as_str().unwrap_or_else(|| panic!("{event}")).to_owned())
    }
}

on_each_engine! {
    async fn a_feed_is_read_by_cursor_by_type_and_backwards(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        for count in 1..=4 {
            rename(&acme, &format!("Acme {count}")).await;
            rename(&globex, &format!("Globex {count}")).await;
        }
        // A call that did something is followed to where it stands, so that nothing is missing below.
        let done = acme.owner.patch("/v1/tenant", json!({ "name": "Acme" })).await;
        let at = done.header("tenantry-seq").unwrap().to_owned();
        let settled = || async { acme.owner.get(&format!("{OWN}?limit=1&min_seq={at}")).await };
        eventually("the log to be settled", || async { (settled().await.status == 200).then_some(()) }).await;

        let (own, cursor) = walk(&acme.owner, OWN).await;
        assert!(own.len() >= 8, "{own:#?}");
        assert!(own.is_sorted_by(|one, next| place(one) < place(next)), "in the order of the log, each once");
        for event in &own {
            assert_eq!((&event["specversion"], &event["tenantid"]), (&json!("1.0"), &json!(acme.id)), "{event}");
            assert!(event.get("address").is_none() && event["source"].is_string(), "{event}");
        }
        assert_eq!(own.iter().filter(|event| event["type"] == "tenant.updated").count(), 5);
        let (mut back, _) = walk(&acme.owner, &format!("{OWN}?order=desc")).await;
        back.reverse();
        assert_eq!(ids(&own), ids(&back), "the same from its other end");
        let (few, _) = walk(&acme.owner, &format!("{OWN}?types=tenant.updated,api_key.*")).await;
        assert!(few.iter().all(|event| event["type"] == "tenant.updated" || event["type"].as_str().unwrap().starts_with("api_key.")));
        assert!(few.len() > 5 && few.len() < own.len());

        // The cursor at the end stays good, and is where the next comes.
        let nothing = acme.owner.get(&format!("{OWN}?cursor={cursor}")).await.expect(200);
        assert_eq!(nothing["data"], json!([]));
        rename(&globex, "Globex").await;
        rename(&acme, "Acme again").await;
        let next = eventually("the next", || async {
            let page = acme.owner.get(&format!("{OWN}?cursor={cursor}")).await.expect(200);
            page["data"].as_array().unwrap().first().cloned()
        })
        .await;
        assert_eq!((&next["data"]["name"], &next["tenantid"]), (&json!("Acme again"), &json!(acme.id)));

        // Operators see all, and of a tenant also what is not for it.
        let operator = server.operator();
        let (all, _) = walk(&operator, ALL).await;
        for one in [&own, &walk(&globex.owner, OWN).await.0] {
            assert!(ids(one).iter().all(|id| ids(&all).contains(id)));
        }
        let (its, _) = walk(&operator, &format!("{}/events", acme.admin())).await;
        assert!(ids(&own).iter().all(|id| ids(&its).contains(id)));
        assert!(its.iter().all(|event| event["tenantid"] == json!(acme.id)));

        // Whom it is for.
        acme.key(&["events:read"]).await.get(OWN).await.expect(200);
        assert_eq!(acme.key(&["data:read"]).await.get(OWN).await.problem(403), "insufficient_scope");
        assert_eq!(acme.owner.get(ALL).await.problem(403), "wrong_credential");
        assert_eq!(server.nobody().get(OWN).await.problem(401), "unauthenticated");
        for bad in ["cursor=x", "limit=0", "limit=201", "wait_s=31", "order=up", "types=tenant", "order=desc&wait_s=1"] {
            assert_eq!(acme.owner.get(&format!("{OWN}?{bad}")).await.problem(422), "validation_failed", "{bad}");
        }
    }
}

on_each_engine! {
    async fn who_waits_has_the_next_event_when_it_comes(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let began = Instant::now();
        let waiting = {
            let owner = acme.owner.clone();
            tokio::spawn(async move { owner.get(&format!("{OWN}?cursor=now&wait_s=30&types=tenant.updated")).await })
        };
        followers(&server, 1.0).await;
        rename(&globex, "Globex 2").await;
        rename(&acme, "Acme 2").await;
        let page = waiting.await.unwrap().expect(200);
        assert!(began.elapsed() < Duration::from_secs(25), "it did not wait to the end");
        assert_eq!(page["data"].as_array().unwrap().len(), 1, "{page:#}");
        assert_eq!(page["data"][0]["data"]["name"], "Acme 2");
        followers(&server, 0.0).await;
        // Nothing comes: an empty page, and where to go on.
        let path = format!("{OWN}?cursor={}&wait_s=1&types=tenant.updated", page["next_cursor"].as_str().unwrap());
        let page = acme.owner.get(&path).await.expect(200);
        assert_eq!(page["data"], json!([]));
        assert!(page["next_cursor"].is_string());
    }
}

on_each_engine! {
    async fn a_stream_goes_on_where_it_was_cut(scene) {
        let (starting, _database) = scene.starting();
        // So that tokens are good at the next address too.
        let mut server = starting.set("SERVER__PUBLIC_URL", "https://tenantry.example.com").start();
        let acme = server.settle("Acme").await;
        let key = acme.key(&["events:read"]).await;
        let path = format!("{OWN}?types=tenant.updated");
        let mut reader = Reader::open(&key, &path, None).await;
        for count in 1..=3 {
            rename(&acme, &format!("Acme {count}")).await;
            assert_eq!(reader.name().await.unwrap(), format!("Acme {count}"));
        }
        let last = reader.last.clone();
        // While nobody reads, and before the process dies.
        drop(reader);
        for count in 4..=6 {
            rename(&acme, &format!("Acme {count}")).await;
        }
        server.kill();
        server.start();
        let key = key.at(&server.nobody().url);
        let owner = acme.owner.at(&server.nobody().url);
        let mut reader = Reader::open(&key, &path, Some(&last)).await;
        owner.patch("/v1/tenant", json!({ "name": "Acme 7" })).await.expect(200);
        for count in 4..=7 {
            assert_eq!(reader.name().await.unwrap(), format!("Acme {count}"), "each once, in order");
        }
        // Many at once come each once too.
        let names: Vec<String> = (8..48).map(|count| format!("Acme {count}")).collect();
        let writing = join_all(names.iter().map(|name| owner.patch("/v1/tenant", json!({ "name": name }))));
        let reading = async {
            let mut seen = Vec::new();
            while seen.len() < names.len() {
                seen.push(reader.name().await.unwrap());
            }
            seen
        };
        let (answers, mut seen) = tokio::join!(writing, reading);
        answers.iter().for_each(|answer| drop(answer.expect(200)));
        seen.sort();
        let mut names = names;
        names.sort();
        assert_eq!(seen, names);
        // A server that is asked to end ends its streams, and does not wait for them.
        assert!(server.stop());
        assert!(reader.event().await.is_none());
        // A place that is none is told so.
        server.start();
        let bad = owner.at(&server.nobody().url);
        let bad = bad.request("GET", OWN).header("accept", "text/event-stream").header("last-event-id", "7");
        assert_eq!(owner.send(bad).await.problem(400), "last_event_id_invalid");
    }
}

on_each_engine! {
    async fn a_stream_ends_with_the_right_to_see_it(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let made = acme.owner.post("/v1/tenant/api-keys", json!({ "name": "feed", "scopes": ["events:read"] })).await;
        let made = made.expect(201);
        let mut revoked = Reader::open(&server.with(made["key"].as_str().unwrap()), OWN, None).await;
        let mut goes_on = Reader::open(&acme.key(&["events:read"]).await, &format!("{OWN}?types=tenant.updated"), None).await;
        let mut suspended = Reader::open(&globex.key(&["events:read"]).await, OWN, None).await;
        acme.owner.delete(&format!("/v1/tenant/api-keys/{}", made["id"].as_str().unwrap())).await.expect(200);
        rename(&acme, "Acme 2").await;
        while let Some(event) = revoked.event().await {
            // What was before the answer to the revocation, be it the revocation; never what came after.
            assert_ne!(event["type"], "tenant.updated", "{event}");
        }
        assert_eq!(goes_on.name().await.unwrap(), "Acme 2", "another key's stream is not touched");
        let suspending = json!({ "reason": "unpaid" });
        server.operator().post(&format!("{}/suspend", globex.admin()), suspending).await.expect(200);
        while let Some(event) = suspended.event().await {
            // What made it may still come; what happened before is long over.
            let seen = event["type"].as_str().unwrap();
            assert!(["api_key.created", "tenant.suspended"].contains(&seen), "{event}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_who_wait_cost_no_more_than_one() {
    const MANY: usize = 1_000;
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let operator = server.operator();
    let path = format!("{ALL}?types=tenant.updated");
    let mut readers = Vec::new();
    for _ in 0..MANY / 50 {
        readers.extend(join_all((0..50).map(|_| Reader::open(&operator, &path, None))).await);
    }
    followers(&server, 1_000.0).await;
    let before = figure(&server, "tenantry_feed_reads_total{by=\"follower\"}").await;
    let (looked, began) = (figure(&server, "tenantry_feed_reads_total{by=\"tail\"}").await, Instant::now());
    for count in 1..=3 {
        rename(&acme, &format!("Acme {count}")).await;
        let names = join_all(readers.iter_mut().map(Reader::name)).await;
        assert!(names.iter().all(|name| name.as_deref() == Some(format!("Acme {count}").as_str())));
    }
    let after = figure(&server, "tenantry_feed_reads_total{by=\"follower\"}").await;
    assert_eq!(before, after, "none of them read the store");
    // One task looks for all: a few times for each event and by the clock, however many wait.
    let looks = figure(&server, "tenantry_feed_reads_total{by=\"tail\"}").await - looked;
    let most = 60.0 + 10.0 * began.elapsed().as_secs_f64();
    assert!(looks < most, "{looks} of at most {most}");
    drop(readers);
    followers(&server, 0.0).await;

    // One tenant does not take all seats.
    let key = acme.key(&["events:read"]).await;
    let mut own = Vec::new();
    for _ in 0..4 {
        own.extend(join_all((0..50).map(|_| Reader::open(&key, OWN, None))).await);
    }
    let one_more = key.request("GET", OWN).header("accept", "text/event-stream");
    let refused = key.send(one_more).await;
    assert_eq!(refused.problem(429), "rate_limited");
    Reader::open(&operator, &path, None).await;
}
