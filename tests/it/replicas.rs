//! Several servers over one PostgreSQL: what one does, the others know.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::postgres::{Pg, TestDatabase};
use crate::world::server::{Answer, PASSWORD, Server, Starting, eventually};

/// How to start one of several servers on this database.
fn replica(database: &TestDatabase) -> Starting {
    Starting::new()
        .on_postgres(&database.url, "schema")
        .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
        .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
        .set("STORE__MAX_CONNECTIONS", 6)
        .set("TENANCY__STOCK__SCHEMA", 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_or_revocation_on_one_is_refused_on_the_other() {
    let database = Pg::newest().fresh_database();
    let (one, two) = (replica(&database).start(), replica(&database).start());
    let acme = one.settle("Acme").await;
    let service = two.with(one_key(&one).await.as_str());
    let (program, owner) = (two.with(&acme.key), acme.owner.clone());
    let code = async || {
        let answer = service.post("/v1/api-keys/verify", json!({ "key": acme.key })).await.expect(200);
        answer["code"].as_str().unwrap().to_owned()
    };
    let told = |status: u16, code: &'static str| {
        let program = program.clone();
        eventually("the other to hear of it", move || {
            let program = program.clone();
            async move {
                let answer = program.query("SELECT 1", json!([])).await;
                (answer.status == status && (code.is_empty() || answer.problem(status) == code)).then_some(())
            }
        })
    };
    assert_eq!((program.query("SELECT 1", json!([])).await.status, code().await.as_str()), (200, "VALID"));

    one.operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    told(403, "tenant_suspended").await;
    assert_eq!(code().await, "TENANT_SUSPENDED");
    let resume = two.operator();
    resume.send(resume.request("POST", &format!("{}/resume", acme.admin()))).await.expect(200);
    told(200, "").await;
    eventually("the one to hear of it", || async {
        (acme.program.query("SELECT 1", json!([])).await.status == 200).then_some(())
    })
    .await;

    let list = owner.get("/v1/tenant/api-keys").await.expect(200);
    owner
        .delete(&format!("/v1/tenant/api-keys/{}", list["data"][0]["id"].as_str().unwrap()))
        .await
        .expect(200);
    told(401, "unauthenticated").await;
    assert_eq!(code().await, "REVOKED");
    let other_side = json!({ "email": "owner@acme.example", "password": PASSWORD });
    let session = two.nobody().post("/v1/sessions", other_side).await.expect(200);
    one.with(session["access_token"].as_str().unwrap()).get("/v1/tenant").await.expect(200);
}

async fn one_key(server: &Server) -> String {
    let body = json!({ "name": "service", "scopes": ["keys:verify"] });
    let made = server.operator().post("/admin/v1/service-keys", body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_shared_and_none_is_run_twice() {
    let database = Pg::newest().fresh_database();
    // With the lease of an installation: a busy machine must not look like a worker that fell silent.
    let start = || replica(&database).without_stock().set("OPERATIONS__LEASE_S", 60).start();
    let (one, two) = (start(), start());
    let asked = (0..8).map(|at| {
        let operator = if at % 2 == 0 { one.operator() } else { two.operator() };
        async move {
            operator.post("/admin/v1/tenants", json!({ "name": format!("Acme {at}") })).await.expect(202)
        }
    });
    for made in futures_util::future::join_all(asked).await {
        let done = two.until_done(made["operation"]["id"].as_str().unwrap()).await;
        for step in done["steps"].as_array().unwrap() {
            assert_eq!((&step["attempt"], &step["state"]), (&json!(1), &json!("succeeded")), "{done:#}");
        }
    }
    let list = one.operator().get("/admin/v1/tenants?state=active").await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_was_at_work_on_is_finished_by_another() {
    let database = Pg::newest().fresh_database();
    let stuck = replica(&database).without_stock().failpoint("tenant.onboard/create_schema/after");
    let mut one = stuck.start();
    let body = json!({ "organization": "Acme", "email": "ada@example.com", "password": PASSWORD });
    let signed = one.nobody().post("/v1/signups", body).await.expect(202);
    one.wait_for_failpoint();
    let two = replica(&database).without_stock().start();
    one.kill();
    two.until_done(signed["operation"]["id"].as_str().unwrap()).await;
    let tenant = two.operator().get("/admin/v1/tenants/acme").await.expect(200);
    assert_eq!((&tenant["state"], &tenant["id"]), (&json!("active"), &signed["tenant_id"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slug_and_an_idempotency_key_hold_across_servers() {
    let database = Pg::newest().fresh_database();
    let servers = [replica(&database).start(), replica(&database).start()];
    let together = async |ask: fn(usize) -> (String, Value)| -> Vec<Answer> {
        let asked = (0..12).map(|at| {
            let (nobody, (key, body)) = (servers[at % 2].nobody(), ask(at));
            async move { nobody.post_once("/v1/signups", &key, body).await }
        });
        futures_util::future::join_all(asked).await
    };
    let one_slug = together(|at| {
        let email = format!("ada{at}@example.com");
        (
            format!("key {at}"),
            json!({ "organization": "Acme", "slug": "acme", "email": email, "password": PASSWORD }),
        )
    });
    let (won, lost): (Vec<_>, Vec<_>) = one_slug.await.into_iter().partition(|answer| answer.status == 202);
    assert_eq!(won.len(), 1);
    lost.iter().for_each(|answer| assert_eq!(answer.problem(409), "slug_taken"));
    let one_key = together(|_| {
        let body = json!({ "organization": "Globex", "email": "bob@example.com", "password": PASSWORD });
        ("one key".to_owned(), body)
    });
    let mut answers = BTreeSet::new();
    for answer in one_key.await {
        match answer.status {
            202 => drop(answers.insert(answer.text)),
            _ => assert_eq!(answer.problem(409), "idempotency_in_progress"),
        }
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
}

fn signal(server: &Server, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap();
    assert!(sent.success(), "{name}");
}

/// Each of these goes on with what the frozen one was at work on, and none of it is done twice when it thaws.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_is_frozen_at_work_and_thaws() {
    let database = Pg::newest().fresh_database();
    let start = || replica(&database).without_stock().set("OPERATIONS__LEASE_S", 5);
    let one = start().start();
    let acme = one.settle("Acme").await;
    let key = one_key(&one).await;
    let (two, three) = (start().start(), start().start());
    let verify = |server: &Server| {
        let (service, body) = (server.with(&key), json!({ "key": acme.key }));
        async move { service.post("/v1/api-keys/verify", body).await.expect(200)["code"].clone() }
    };
    assert_eq!(verify(&one).await, "VALID");

    let mut operations = Vec::new();
    for at in 0..6 {
        let body = json!({ "name": format!("Globex {at}") });
        let made = one.operator().post("/admin/v1/tenants", body).await.expect(202);
        operations.push(made["operation"]["id"].as_str().unwrap().to_owned());
    }
    let busy = "SELECT count(*) FROM operations WHERE lease_owner IS NOT NULL";
    eventually("one of them to be at work", || async { (database.ask(busy) != ["0"]).then_some(()) }).await;
    signal(&one, "-STOP");

    for operation in &operations {
        let done = two.until_done(operation).await;
        assert_eq!(done["state"], "succeeded", "{done:#}");
    }
    let owner = acme.owner.at(&two.url);
    let list = owner.get("/v1/tenant/api-keys").await.expect(200);
    let path = format!("/v1/tenant/api-keys/{}", list["data"][0]["id"].as_str().unwrap());
    owner.delete(&path).await.expect(200);
    assert_eq!(verify(&two).await, "REVOKED");
    eventually("the third to hear of it", || async { (verify(&three).await == "REVOKED").then_some(()) })
        .await;

    // Asked of the frozen one, which has not heard that its answer has changed.
    let asked = tokio::spawn(verify(&one));
    tokio::task::yield_now().await;
    signal(&one, "-CONT");
    assert_eq!(asked.await.unwrap(), "REVOKED", "what was believed before the frost counts no more");
    eventually("nothing is held any more", || async { (database.ask(busy) == ["0"]).then_some(()) }).await;
    let twice = "SELECT tenant_id::text FROM events WHERE type IN ('tenant.provisioned', 'tenant.created') \
                 GROUP BY tenant_id, type HAVING count(*) > 1";
    assert!(database.ask(twice).is_empty());
    let provisioned = "SELECT count(*) FROM events WHERE type = 'tenant.provisioned'";
    assert_eq!(database.ask(provisioned), ["7"]);
    assert_eq!(verify(&one).await, "REVOKED");
    one.until_done(&operations[0]).await;
}
