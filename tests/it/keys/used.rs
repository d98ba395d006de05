//! When keys were last used: noted in memory, written in batches, never backwards, over all replicas.

use serde_json::{Value, json};

use super::life::ask;
use super::{KEYS, make, verify};
use crate::on_each_engine;
use crate::world::postgres::Pg;
use crate::world::server::{Client, Server, eventually};

async fn used(client: &Client, path: &str) -> Option<String> {
    client.get(path).await.expect(200)["last_used_at"].as_str().map(str::to_owned)
}

fn path_of(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

on_each_engine! {
    async fn a_use_is_seen_soon_and_changes_nothing_else(scene) {
        let (starting, database) = scene.starting();
        let server = starting.set("KEYS__LAST_USED_FLUSH_S", 1).start();
        let acme = server.settle("Acme").await;
        let service = server.service(&["keys:verify"]).await;
        let mut keys = Vec::new();
        for name in ["called", "verified", "ahead", "refused"] {
            keys.push(make(&acme.owner, json!({ "name": name, "scopes": ["tenant:read"] })).await.expect(201));
        }
        let text = |at: usize| keys[at]["key"].as_str().unwrap();
        let path = |at: usize| path_of(&keys[at]);
        let etag = acme.owner.get(&path(0)).await.header("etag").unwrap().to_owned();
        // Another replica, whose clock is ahead, has noted a use already.
        let ahead = if database.is_some() { "now() + interval '1 day'" } else { "(unixepoch() + 86400) * 1000000" };
        let sql = format!("INSERT INTO key_uses (key_id, used_at) SELECT id, {ahead} FROM keys WHERE name = 'ahead'");
        ask(&server, database.as_ref(), &sql);
        let noted = used(&acme.owner, &path(2)).await.unwrap();

        server.with(text(2)).get("/v1/tenant").await.expect(200);
        server.with(text(0)).get("/v1/tenant").await.expect(200);
        assert_eq!(verify(&service, text(1), &["tenant:read"]).await["code"], "VALID");
        assert_eq!(verify(&service, text(3), &["data:write"]).await["code"], "INSUFFICIENT_SCOPE");
        let first = eventually("the uses to be written", || async {
            let (one, other) = (used(&acme.owner, &path(0)).await?, used(&acme.owner, &path(1)).await?);
            Some((one, other))
        })
        .await;
        assert_eq!(used(&acme.owner, &path(2)).await, Some(noted), "never backwards");
        assert_eq!(used(&acme.owner, &path(3)).await, None, "who was refused did not use it");
        eventually("the service's own use", || async {
            let list = server.operator().get("/admin/v1/service-keys").await.expect(200);
            list["data"][0]["last_used_at"].is_string().then_some(())
        })
        .await;
        let page = acme.owner.get(&path(0)).await;
        assert_eq!(page.header("etag"), Some(etag.as_str()), "a use is no change");
        let events = ask(&server, database.as_ref(), &format!("SELECT type FROM events WHERE data->>'key_id' = '{}'", keys[0]["id"].as_str().unwrap()));
        assert_eq!(events, ["api_key.created"]);

        // It is told to the second.
        eventually("the next use", || async {
            server.with(text(0)).get("/v1/tenant").await.expect(200);
            (used(&acme.owner, &path(0)).await? > first.0).then_some(())
        })
        .await;
        assert_eq!(used(&acme.owner, &path(1)).await, Some(first.1));
    }
}

#[tokio::test]
async fn what_was_noted_is_written_when_the_server_stops() {
    let mut server = crate::world::server::Starting::new().set("KEYS__LAST_USED_FLUSH_S", 60).start();
    let acme = server.settle("Acme").await;
    acme.program.query("SELECT 1", json!([])).await.expect(200);
    let sql = "SELECT name FROM keys JOIN key_uses ON key_id = id ORDER BY name";
    assert!(ask(&server, None, sql).is_empty(), "its time has not come");
    assert!(server.stop());
    assert_eq!(ask(&server, None, sql), ["bootstrap", "program"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_use_counts_whichever_replica_saw_it() {
    let database = Pg::newest().fresh_database();
    let start = || -> Server {
        crate::world::server::Starting::new()
            .on_postgres(&database.url, "shared")
            .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 6)
            .set("KEYS__LAST_USED_FLUSH_S", 1)
            .start()
    };
    let (one, two) = (start(), start());
    let acme = one.settle("Acme").await;
    let list = acme.owner.get(KEYS).await.expect(200);
    let path = path_of(&list["data"][0]);
    let mut last = String::new();
    for server in [&one, &two, &one] {
        last = eventually("the use to be written", || async {
            server.with(&acme.key).query("SELECT 1", json!([])).await.expect(200);
            used(&acme.owner, &path).await.filter(|at| *at > last)
        })
        .await;
    }
    // Both at once, on many keys, in batches that meet.
    eventually("both to have written", || async {
        let asked = (0..16).map(|at| {
            let server = if at % 2 == 0 { &one } else { &two };
            let client = server.with(&acme.key);
            async move { client.query("SELECT 1", json!([])).await.expect(200) }
        });
        futures_util::future::join_all(asked).await;
        used(&acme.owner, &path).await.filter(|at| *at > last)
    })
    .await;
    for server in [&one, &two] {
        assert!(!server.log().contains("could not be written"));
    }
}
