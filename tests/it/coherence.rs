//! Several servers over one PostgreSQL, each with a memory of its own: none answers from it what has not been
//! true for longer than the stated bound, also when the wire between them is cut.

use std::time::Instant;

use serde_json::{Value, json};
use tenantry::log::memory::BOUND;

use crate::world::postgres::{Pg, TestDatabase};
use crate::world::proxy::{Passes, Proxy};
use crate::world::server::{Client, Server, Settler, Starting, eventually};

/// How to start one of several servers on this database, whose store it reaches by `store`.
fn replica(database: &TestDatabase, store: &str) -> Starting {
    Starting::new()
        .on_postgres(&database.url, "schema")
        .set("STORE__URL", store)
        .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
        .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
        .set("STORE__MAX_CONNECTIONS", 4)
        .without_stock()
}

async fn service_key(server: &Server) -> String {
    let body = json!({ "name": "service", "scopes": ["keys:verify", "routes:read"] });
    let made = server.operator().post("/admin/v1/service-keys", body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

/// The code that `service` answers for `key`; `None` when it cannot say.
async fn code(service: &Client, key: &str) -> Option<String> {
    let answer = service.post("/v1/api-keys/verify", json!({ "key": key })).await;
    match answer.status {
        503 => None,
        _ => Some(answer.expect(200)["code"].as_str().unwrap().to_owned()),
    }
}

async fn until(service: &Client, key: &str, wanted: &str) {
    eventually(wanted, || async { (code(service, key).await.as_deref() == Some(wanted)).then_some(()) })
        .await;
}

/// Asks without a pause until the bound after `changed` is over, then once more: that answer counts.
async fn at_the_bound(service: &Client, key: &str, changed: Instant) -> Option<String> {
    loop {
        let over = changed.elapsed() >= BOUND;
        let answer = code(service, key).await;
        if over {
            return answer;
        }
    }
}

async fn revoke(acme: &Settler) -> Instant {
    let list = acme.owner.get("/v1/tenant/api-keys").await.expect(200);
    let all = list["data"].as_array().unwrap();
    let id = all.iter().find(|key| key["name"] == "program").unwrap()["id"].as_str().unwrap().to_owned();
    acme.owner.delete(&format!("/v1/tenant/api-keys/{id}")).await.expect(200);
    Instant::now()
}

async fn ears(database: &TestDatabase, wanted: usize) {
    let asked = format!(
        "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND application_name = '{}'",
        tenantry::log::ear::NAME
    );
    eventually("the servers to listen", || async {
        (database.ask(&asked) == [wanted.to_string()]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_agree_on_a_key_and_its_tenant() {
    let database = Pg::fifteen().fresh_database();
    let servers = [(); 3].map(|()| replica(&database, &database.url).start());
    ears(&database, 3).await;
    let acme = servers[0].settle("Acme").await;
    let key = service_key(&servers[0]).await;
    let others = [servers[1].with(&key), servers[2].with(&key)];
    for service in &others {
        until(service, &acme.key, "VALID").await;
    }
    servers[0].operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    let suspended = Instant::now();
    for service in &others {
        assert_eq!(at_the_bound(service, &acme.key, suspended).await.as_deref(), Some("TENANT_SUSPENDED"));
        assert_eq!(service.get("/v1/routes/acme").await.expect(200)["state"], "suspended");
    }
    let resume = servers[1].operator();
    resume.send(resume.request("POST", &format!("{}/resume", acme.admin()))).await.expect(200);
    assert_eq!(code(&others[0], &acme.key).await.as_deref(), Some("VALID"), "it was resumed here");
    until(&others[1], &acme.key, "VALID").await;
    let revoked = revoke(&acme).await;
    assert_eq!(code(&servers[0].with(&key), &acme.key).await.as_deref(), Some("REVOKED"), "revoked here");
    for service in &others {
        assert_eq!(at_the_bound(service, &acme.key, revoked).await.as_deref(), Some("REVOKED"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_notifications_the_bound_holds_and_they_come_back() {
    let database = Pg::newest().fresh_database();
    let proxy = Proxy::before(&database.url).await;
    let one = replica(&database, &database.url).start();
    let two = replica(&database, &proxy.url).start();
    ears(&database, 2).await;
    let (acme, key) = (one.settle("Acme").await, service_key(&one).await);
    let service = two.with(&key);
    until(&service, &acme.key, "VALID").await;
    proxy.let_pass(Passes::NoNotifications);
    ears(&database, 1).await;
    assert_eq!(code(&service, &acme.key).await.as_deref(), Some("VALID"), "it goes on by the clock");
    let revoked = revoke(&acme).await;
    assert_eq!(at_the_bound(&service, &acme.key, revoked).await.as_deref(), Some("REVOKED"));
    proxy.let_pass(Passes::All);
    ears(&database, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_hear_the_log_does_not_answer_from_memory() {
    let database = Pg::newest().fresh_database();
    let proxy = Proxy::before(&database.url).await;
    let one = replica(&database, &database.url).start();
    let two = replica(&database, &proxy.url).start();
    let (acme, key) = (one.settle("Acme").await, service_key(&one).await);
    let service = two.with(&key);
    until(&service, &acme.key, "VALID").await;
    proxy.let_pass(Passes::Nothing);
    let revoked = revoke(&acme).await;
    assert_eq!(at_the_bound(&service, &acme.key, revoked).await, None, "it answered from memory");
    proxy.let_pass(Passes::All);
    until(&service, &acme.key, "REVOKED").await;
    ears(&database, 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_appended_to_the_log_is_told_once_committed() {
    let database = Pg::fifteen().fresh_database();
    let server = replica(&database, &database.url).start();
    ears(&database, 1).await;
    let (client, mut connection) =
        tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    let (told, mut words) = tokio::sync::mpsc::unbounded_channel();
    let mut messages = futures_util::stream::poll_fn(move |context| connection.poll_message(context));
    tokio::spawn(async move {
        while let Some(Ok(message)) = futures_util::StreamExt::next(&mut messages).await {
            if let tokio_postgres::AsyncMessage::Notification(word) = message {
                drop(told.send((word.channel().to_owned(), word.payload().to_owned())));
            }
        }
    });
    client.batch_execute("LISTEN tenantry_log").await.unwrap();
    service_key(&server).await;
    assert_eq!(words.recv().await.unwrap(), ("tenantry_log".to_owned(), String::new()));
    let seen = client.query_one("SELECT count(*) FROM events WHERE type = 'api_key.created'", &[]).await;
    assert!(seen.unwrap().get::<_, i64>(0) >= 1, "the word came before the commit");
    let list: Value = server.operator().get("/admin/v1/service-keys").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
