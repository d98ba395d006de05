//! A tenant's life: suspended and resumed, deleted and restored, found in lists, changed without loss.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::postgres::Pg;
use crate::world::server::{Client, PASSWORD, Server, Settler, Starting, eventually};
use crate::{in_every_model, on_each_engine};

/// A statement that is answered 200 as soon as what was done has reached the cluster; until then only 503.
async fn until_served(program: &Client, sql: &str) -> Value {
    eventually("the data door to serve", || async {
        let answer = program.query(sql, json!([])).await;
        if answer.status == 503 { None } else { Some(answer.expect(200)) }
    })
    .await
}

in_every_model! {
    async fn a_suspension_is_felt_at_once_by_door_key_and_route_and_ends_with_resume(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let operator = server.operator();
        let service = server.service(&["keys:verify", "routes:read", "routes:credentials"]).await;
        let write = "INSERT INTO notebooks (name) VALUES ('Ideas')";
        acme.program.query(write, json!([])).await.expect(200);
        let route = format!("/v1/routes/{}", acme.slug);
        let url = service.get(&route).await.expect(200)["url"].as_str().unwrap().to_owned();

        let suspended = operator.post(&format!("{}/suspend", acme.admin()), json!({ "reason": "unpaid" })).await.expect(200);
        assert_eq!((&suspended["state"], &suspended["suspend_reason"]), (&json!("suspended"), &json!("unpaid")));
        for who in [&acme.program, &acme.owner] {
            assert_eq!(who.query("SELECT 1", json!([])).await.problem(403), "tenant_suspended");
        }
        let verified = service.post("/v1/api-keys/verify", json!({ "key": acme.key })).await.expect(200);
        assert_eq!((&verified["valid"], &verified["code"]), (&json!(false), &json!("TENANT_SUSPENDED")));
        let shown = service.get(&route).await.expect(200);
        assert_eq!((&shown["state"], &shown["url"]), (&json!("suspended"), &Value::Null));
        let more = json!({ "name": "more", "scopes": ["data:read"] });
        assert_eq!(acme.owner.post("/v1/tenant/api-keys", more).await.problem(403), "tenant_suspended");
        assert_eq!(acme.owner.get("/v1/tenant").await.expect(200)["state"], "suspended");
        assert_eq!(operator.post(&format!("{}/suspend", acme.admin()), json!({})).await.problem(409), "wrong_state");
        globex.program.query(write, json!([])).await.expect(200);
        if scene.pg.is_some() {
            eventually("the role to be locked out", || async {
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await.is_err().then_some(())
            })
            .await;
        }

        let resumed = operator.send(operator.request("POST", &format!("{}/resume", acme.admin()))).await.expect(200);
        assert_eq!((&resumed["state"], &resumed["suspended_at"]), (&json!("active"), &Value::Null));
        let seen = until_served(&acme.program, "SELECT name FROM notebooks").await;
        assert_eq!(seen["rows"], json!([["Ideas"]]));
        let verified = service.post("/v1/api-keys/verify", json!({ "key": acme.key })).await.expect(200);
        assert_eq!(verified["code"], "VALID");
        let again = operator.send(operator.request("POST", &format!("{}/resume", acme.admin()))).await;
        assert_eq!(again.problem(409), "wrong_state");
    }
}

in_every_model! {
    async fn a_deletion_can_be_taken_back_within_its_grace_with_all_data(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let operator = server.operator();
        acme.program.query("INSERT INTO notebooks (name) VALUES ('Ideas')", json!([])).await.expect(200);
        let deletion = operator.delete(&format!("{}?grace_s=3600", acme.admin())).await.expect(202);
        assert_eq!((&deletion["tenant"]["state"], &deletion["operation"]["state"]), (&json!("deleting"), &json!("pending")));
        assert!(deletion["tenant"]["delete_at"].is_string());
        assert_eq!(acme.program.query("SELECT 1", json!([])).await.problem(403), "tenant_deleting");
        assert_eq!(operator.delete(&acme.admin()).await.problem(409), "wrong_state");
        assert_eq!(operator.post(&format!("{}/suspend", acme.admin()), json!({})).await.problem(409), "wrong_state");
        let restored = operator.send(operator.request("POST", &format!("{}/restore", acme.admin()))).await.expect(200);
        assert_eq!((&restored["state"], &restored["delete_at"]), (&json!("active"), &Value::Null));
        let seen = until_served(&acme.program, "SELECT name FROM notebooks").await;
        assert_eq!(seen["rows"], json!([["Ideas"]]));
        let again = operator.send(operator.request("POST", &format!("{}/restore", acme.admin()))).await;
        assert_eq!(again.problem(409), "wrong_state");
    }
}

async fn number(acme: &Client, sql: &str) -> Value {
    acme.query(sql, json!([])).await.expect(200)["rows"][0][0].clone()
}

in_every_model! {
    async fn a_deletion_without_grace_leaves_nothing_of_the_tenant_but_its_record(scene) {
        let (starting, database) = scene.starting();
        let server = starting.set("TENANCY__STOCK__DATABASE", 1).start();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        for one in [&acme, &globex] {
            one.program.query("INSERT INTO notebooks (name) VALUES ('Ideas')", json!([])).await.expect(200);
        }
        let operator = server.operator();
        let home = operator.get(&format!("{}/placement", acme.admin())).await.expect(200);
        let name = |key: &str| home[key].as_str().unwrap_or_default().to_owned();
        let file = server.data_dir().join("tenants").join(name("database"));
        let traces = || -> usize {
            let Some(database) = &database else { return usize::from(file.exists()) };
            let count = |sql: String| database.ask(&sql).remove(0).parse::<usize>().unwrap();
            count(format!("SELECT count(*) FROM pg_roles WHERE rolname = '{}'", name("role")))
                + match scene.isolation {
                    "schema" => count(format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", name("schema"))),
                    "database" => count(format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", name("database"))),
                    _ => 0,
                }
        };
        assert!(traces() >= 1, "{home}");

        let deletion = operator.delete(&format!("{}?grace_s=0", acme.admin())).await.expect(202);
        let done = server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
        assert!(done["steps"].as_array().unwrap().iter().all(|step| step["state"] == "succeeded"), "{done:#}");
        assert_eq!(traces(), 0);
        for who in [&acme.program, &acme.owner] {
            assert_eq!(who.get("/v1/tenant").await.problem(401), "unauthenticated");
        }
        let record = operator.get(&acme.admin()).await.expect(200);
        assert_eq!(record["state"], "deleted");
        assert_eq!(operator.get("/admin/v1/tenants/acme").await.problem(404), "not_found");
        assert_eq!(operator.get("/admin/v1/tenants").await.expect(200)["data"].as_array().unwrap().len(), 1);
        let deleted = operator.get("/admin/v1/tenants?state=deleted").await.expect(200);
        assert_eq!(deleted["data"][0]["id"], json!(acme.id));
        assert_eq!(operator.patch(&acme.admin(), json!({ "name": "Again" })).await.problem(404), "not_found");

        let body = json!({ "organization": "Acme", "slug": "acme", "email": "new@example.com", "password": PASSWORD });
        let signed = server.nobody().post("/v1/signups", body).await.expect(202);
        assert_eq!(signed["slug"], "acme", "the slug is free again");
        assert_ne!(signed["tenant_id"], json!(acme.id));
        assert_eq!(number(&globex.program, "SELECT count(*) FROM notebooks").await, json!(1), "others lost nothing");
    }
}

#[tokio::test]
async fn two_who_change_one_tenant_cannot_overwrite_each_other_unseen() {
    let server = Server::embedded();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let operator = server.operator();
    let change = |tag: &str, body: Value| {
        let (operator, path, tag) = (operator.clone(), acme.admin(), tag.to_owned());
        async move { operator.send(operator.request("PATCH", &path).header("if-match", tag).json(&body)).await }
    };
    let read = operator.get(&acme.admin()).await;
    let tag = read.header("etag").unwrap().to_owned();
    let first = change(&tag, json!({ "name": "Acme One" })).await;
    assert_eq!(first.expect(200)["name"], "Acme One");
    assert_ne!(first.header("etag"), Some(tag.as_str()));
    assert_eq!(change(&tag, json!({ "name": "Acme Two" })).await.problem(412), "precondition_failed");
    change("*", json!({ "name": "Acme Three" })).await.expect(200);
    let fresh = operator.get(&acme.admin()).await.header("etag").unwrap().to_owned();
    change(&format!("\"0\", {fresh}"), json!({ "slug": "Acme-New" })).await.expect(200);
    let deletion = operator.send(operator.request("DELETE", &acme.admin()).header("if-match", tag)).await;
    assert_eq!(deletion.problem(412), "precondition_failed");
    let now = operator.get("/admin/v1/tenants/acme-new").await.expect(200);
    assert_eq!((&now["name"], &now["state"]), (&json!("Acme Three"), &json!("active")));
    assert_eq!(operator.get("/admin/v1/tenants/acme").await.problem(404), "not_found");
    assert_eq!(
        operator.patch(&acme.admin(), json!({ "slug": globex.slug })).await.problem(409),
        "slug_taken"
    );
    assert_eq!(
        operator.patch(&acme.admin(), json!({ "slug": "acme-new" })).await.status,
        200,
        "its own stays its own"
    );
    for (body, pointer) in [
        (json!({ "name": "  " }), "/name"),
        (json!({ "slug": "admin" }), "/slug"),
        (json!({ "plan": "pro" }), "/plan"),
        (json!({ "name": 7 }), "/name"),
    ] {
        assert_eq!(operator.patch(&acme.admin(), body.clone()).await.pointers(), [pointer], "{body}");
    }
}

on_each_engine! {
    async fn of_two_changes_at_once_from_one_revision_one_is_refused(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let operator = server.operator();
        let tag = operator.get(&acme.admin()).await.header("etag").unwrap().to_owned();
        let asked = (0..16).map(|at| {
            let request = operator.request("PATCH", &acme.admin()).header("if-match", &tag).json(&json!({ "name": format!("Name {at}") }));
            let operator = operator.clone();
            async move { operator.send(request).await }
        });
        let answers = futures_util::future::join_all(asked).await;
        let won = answers.iter().filter(|answer| answer.status == 200).count();
        answers.iter().filter(|answer| answer.status != 200).for_each(|answer| {
            assert_eq!(answer.problem(412), "precondition_failed");
        });
        assert_eq!(won, 1);
    }
}

fn slugs(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|one| one["slug"].as_str().unwrap().to_owned()).collect()
}

on_each_engine! {
    async fn tenants_are_found_by_filters_and_search(scene) {
        let (server, _database) = scene.server();
        for (name, plan) in [("Acme Ltd", "free"), ("Zwölf", "pro"), ("100% Pure", "pro"), ("Under_score", "free")] {
            server.create(json!({ "name": name, "plan": plan })).await;
        }
        let operator = server.operator();
        operator.post("/admin/v1/tenants/acme-ltd/suspend", json!({})).await.expect(200);
        let id = operator.get("/admin/v1/tenants/zwoelf").await.expect(200)["id"].as_str().unwrap().to_owned();
        for (query, found) in [
            ("", vec!["under-score", "org-100-pure", "zwoelf", "acme-ltd"]),
            ("?search=ACME", vec!["acme-ltd"]),
            ("?search=%20", vec!["under-score", "org-100-pure", "zwoelf", "acme-ltd"]),
            ("?search=%25", vec!["org-100-pure"]),
            ("?search=_", vec!["under-score"]),
            ("?search=%5C", vec![]),
            ("?search=nobody", vec![]),
            (&format!("?search={id}"), vec!["zwoelf"]),
            ("?state=suspended", vec!["acme-ltd"]),
            ("?state=active&plan=pro", vec!["org-100-pure", "zwoelf"]),
            ("?plan=gold", vec![]),
            ("?isolation=database&cluster=main&limit=1", vec!["under-score"]),
            ("?isolation=shared", vec![]),
            ("?cluster=moon", vec![]),
        ] {
            let list = operator.get(&format!("/admin/v1/tenants{query}")).await.expect(200);
            assert_eq!(slugs(&list), found, "{query}");
        }
        for (query, pointers) in [("?state=gone", 1), ("?colour=red", 1), ("?limit=0&cursor=x", 2)] {
            let refused = operator.get(&format!("/admin/v1/tenants{query}")).await;
            assert_eq!(refused.pointers().len(), pointers, "{query}");
        }
    }
}

on_each_engine! {
    async fn pages_stay_where_they_were_while_new_tenants_arrive(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let operator = server.operator();
        let create = |name: String| {
            let operator = operator.clone();
            async move { drop(operator.post("/admin/v1/tenants", json!({ "name": name })).await.expect(202)) }
        };
        for at in 0..7 {
            create(format!("Old {at}")).await;
        }
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = operator.get(&format!("/admin/v1/tenants?limit=3{cursor}")).await.expect(200);
            seen.extend(slugs(&page));
            pages += 1;
            create(format!("New {pages}")).await;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(pages, 3);
        let expected: Vec<String> = (0..7).rev().map(|at| format!("old-{at}")).collect();
        assert_eq!(seen, expected);
        let all = slugs(&operator.get("/admin/v1/tenants?limit=200").await.expect(200));
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (10, 10));
    }
}

#[tokio::test]
async fn a_tenant_reads_changes_and_deletes_itself_as_far_as_its_credential_goes() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let (reader, manager) =
        (acme.key(&["tenant:read"]).await, acme.key(&["tenant:read", "tenant:manage"]).await);
    for who in [&acme.owner, &reader, &manager] {
        let own = who.get("/v1/tenant").await;
        assert_eq!(own.expect(200)["id"], json!(acme.id));
        assert!(own.header("etag").is_some());
    }
    assert_eq!(acme.program.get("/v1/tenant").await.problem(403), "insufficient_scope");
    assert_eq!(reader.patch("/v1/tenant", json!({ "name": "X" })).await.problem(403), "insufficient_scope");
    assert_eq!(reader.delete("/v1/tenant").await.problem(403), "insufficient_scope");
    assert_eq!(
        manager.patch("/v1/tenant", json!({ "slug": "acme-two" })).await.expect(200)["slug"],
        "acme-two"
    );
    let stale =
        acme.owner.request("PATCH", "/v1/tenant").header("if-match", "\"1\"").json(&json!({ "name": "Y" }));
    assert_eq!(acme.owner.send(stale).await.problem(412), "precondition_failed");
    let stale = acme.owner.request("DELETE", "/v1/tenant").header("if-match", "\"1\"");
    assert_eq!(acme.owner.send(stale).await.problem(412), "precondition_failed");
    let deletion = acme.owner.delete("/v1/tenant").await.expect(202);
    assert_eq!(deletion["tenant"]["state"], "deleting");
    server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    for who in [&acme.owner, &reader, &manager, &acme.program] {
        assert_eq!(who.get("/v1/tenant").await.problem(401), "unauthenticated");
    }
    let body = json!({ "email": "owner@acme.example", "password": PASSWORD });
    assert_eq!(server.nobody().post("/v1/sessions", body).await.problem(401), "unauthenticated");
}

#[tokio::test]
async fn a_tenant_that_deletes_itself_gets_the_configured_grace() {
    let server = Starting::new().set("TENANCY__DELETE_GRACE_S", 3600).start();
    let acme: Settler = server.settle("Acme").await;
    let deletion = acme.owner.delete("/v1/tenant").await.expect(202);
    assert_eq!(deletion["operation"]["state"], "pending");
    assert_eq!(acme.owner.get("/v1/tenant").await.expect(200)["state"], "deleting");
    assert_eq!(acme.owner.patch("/v1/tenant", json!({ "name": "X" })).await.problem(409), "wrong_state");
    assert_eq!(acme.owner.delete("/v1/tenant").await.problem(409), "wrong_state");
    let beyond = server.operator().delete(&format!("{}?grace_s=31536001", acme.admin())).await;
    assert_eq!(beyond.pointers(), ["?grace_s"]);
}

#[tokio::test]
async fn a_tenant_that_is_still_being_made_can_be_deleted_and_leaves_nothing() {
    let server = Starting::new().without_stock().failpoint("tenant.onboard/apply_migrations/before").start();
    let body = json!({ "organization": "Acme", "email": "ada@example.com", "password": PASSWORD });
    let signed = server.nobody().post("/v1/signups", body).await.expect(202);
    server.wait_for_failpoint();
    let mut server = server;
    server.kill();
    server.disarm();
    server.start();
    let path = format!("/admin/v1/tenants/{}", signed["tenant_id"].as_str().unwrap());
    let deletion = server.operator().delete(&format!("{path}?grace_s=3600")).await;
    let deletion = deletion.expect(202);
    server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    let left: Vec<_> = std::fs::read_dir(server.data_dir().join("tenants"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".db"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_that_meets_other_work_on_its_tenant_waits_for_it_and_does_not_fail() {
    let database = Pg::newest().fresh_database();
    let starting = Starting::new().without_stock().on_postgres(&database.url, "schema");
    let server =
        starting.set("OPERATIONS__BACKOFF_INITIAL_MS", 60_000).set("OPERATIONS__BACKOFF_MAX_S", 600).start();
    let acme = server.settle("Acme").await;
    // Whoever works on a tenant's home takes its row of the map first: so does this.
    let (holder, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    holder.batch_execute("BEGIN; SELECT FROM tenantry.tenant_role FOR UPDATE").await.unwrap();
    server.operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    let all = format!("/admin/v1/operations?tenant={}&state=running&kind=", acme.id);
    let at_work = |kind: &'static str| {
        let (operator, path) = (server.operator(), format!("{all}{kind}"));
        eventually("the operation to be at work", move || {
            let (operator, path) = (operator.clone(), path.clone());
            async move {
                let found = operator.get(&path).await.expect(200)["data"].as_array().unwrap().clone();
                let step = |one: &Value| {
                    one["steps"].as_array()?.iter().find(|step| step["state"] == "running").cloned()
                };
                found.iter().find_map(step)
            }
        })
    };
    at_work("tenant.access").await;
    let deletion = server.operator().delete(&acme.admin()).await.expect(202);
    assert_eq!(at_work("tenant.delete").await["name"], "stop_work");
    holder.batch_execute("ROLLBACK").await.unwrap();
    connection.abort();
    let done = server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(done["attempt"], 0, "it never failed: {done:#}");
}
