//! Webhooks: what happens in a tenant reaches its endpoints, signed, at least once; whatever becomes of an endpoint
//! is its own matter. What goes wrong on the way is in [`trouble`].

mod trouble;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::on_each_engine;
use crate::world::Scene;
use crate::world::hooks::{Got, Manner, Receiver};
use crate::world::postgres::TestDatabase;
use crate::world::server::{Client, Server, Settler, eventually};
use crate::world::strangers::Verifier;

pub(super) const ENDPOINTS: &str = "/v1/tenant/webhook-endpoints";

pub(super) fn server(scene: Scene) -> (Server, Option<TestDatabase>) {
    let (starting, database) = scene.starting();
    (Receiver::called_by(starting).start(), database)
}

/// An endpoint that takes changes of the tenant, with more fields.
pub(super) async fn endpoint(owner: &Client, url: &str, more: Value) -> Value {
    let mut body = json!({ "url": url, "types": ["tenant.updated"] });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    owner.post(ENDPOINTS, body).await.expect(201)
}

/// The path of what an endpoint answered with.
pub(super) fn path(endpoint: &Value) -> String {
    format!("{ENDPOINTS}/{}", endpoint["id"].as_str().unwrap())
}

/// Renames the tenant, which is an event.
pub(super) async fn rename(of: &Settler, name: &str) {
    of.owner.patch("/v1/tenant", json!({ "name": name })).await.expect(200);
}

/// The deliveries of an endpoint, oldest first.
pub(super) async fn deliveries(owner: &Client, endpoint: &Value) -> Vec<Value> {
    let page = owner.get(&format!("{}/deliveries?limit=200", path(endpoint))).await.expect(200);
    let mut all = page["data"].as_array().unwrap().clone();
    all.reverse();
    all
}

/// Waits until all deliveries of an endpoint, so many, are in this state.
pub(super) async fn until_all(owner: &Client, endpoint: &Value, count: usize, state: &str) -> Vec<Value> {
    eventually(&format!("{count} deliveries to be {state}"), || async {
        let all = deliveries(owner, endpoint).await;
        (all.len() == count && all.iter().all(|one| one["state"] == state)).then_some(all)
    })
    .await
}

/// Whether one of a call's signatures is by this secret.
fn is_signed(got: &Got, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.{}", got.id(), got.headers["webhook-timestamp"], got.text).as_bytes());
    let ours = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    got.headers["webhook-signature"].split(' ').any(|one| one == ours)
}

on_each_engine! {
    async fn what_happens_reaches_the_endpoints_that_take_it_signed(scene) {
        let (server, _database) = server(scene);
        let receiver = Receiver::start();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let made = endpoint(&acme.owner, &receiver.url("/a"), json!({ "headers": { "X-Api-Key": "their-secret" } })).await;
        let all = endpoint(&acme.owner, &receiver.url("/all"), json!({ "types": [] })).await;
        endpoint(&acme.owner, &receiver.url("/kinds"), json!({ "types": ["tenant.*"] })).await;
        let other = endpoint(&globex.owner, &receiver.url("/globex"), json!({ "types": [] })).await;
        receiver.next("/a", &[Manner::Says("thank\u{0}you".into())]);
        rename(&acme, "Acme One").await;
        acme.key(&["data:read"]).await;
        let got = receiver.until("/a", 1).await.remove(0);
        let secret = made["secret"].as_str().unwrap();
        assert!(is_signed(&got, secret) && !is_signed(&got, all["secret"].as_str().unwrap()));
        let event = got.event();
        assert_eq!((&event["specversion"], &event["type"]), (&json!("1.0"), &json!("tenant.updated")));
        assert_eq!((&event["id"], &event["subject"], &event["source"]), (&json!(got.id()), &json!(acme.id), &json!(server.url)));
        assert_eq!(got.headers["content-type"], "application/cloudevents+json; charset=utf-8");
        assert_eq!(got.headers["x-api-key"], "their-secret");
        assert!(!got.text.contains("127.0.0.1\","), "no address of whoever did it: {}", got.text);
        eventually("all types", || async {
            let types: BTreeSet<String> = receiver.got("/all").iter().map(|one| one.event()["type"].as_str().unwrap().to_owned()).collect();
            (types.contains("tenant.updated") && types.contains("api_key.created") && types.contains("webhook_endpoint.created")).then_some(())
        }).await;
        receiver.until("/kinds", 1).await;
        assert!(receiver.got("/kinds").iter().all(|one| one.event()["type"].as_str().unwrap().starts_with("tenant.")));
        for one in receiver.got("/globex") {
            assert_eq!(one.event()["tenantid"], json!(globex.id), "nothing of another tenant's");
        }

        // What became of it, with every attempt.
        let delivery = until_all(&acme.owner, &made, 1, "succeeded").await.remove(0);
        let of_it = format!("{}/deliveries/{}", path(&made), delivery["id"].as_str().unwrap());
        let answer = acme.owner.get(&of_it).await;
        let detail = answer.expect(200);
        assert!(answer.header("etag").is_some());
        assert_eq!((&detail["payload"], &detail["history"][0]["status"]), (&event, &json!(200)));
        assert_eq!((&detail["history"][0]["number"], &detail["history"][0]["response"]), (&json!(1), &json!("thank you")));
        assert_eq!(globex.owner.get(&of_it).await.problem(404), "not_found");
        let operator = server.operator();
        let listed = operator.get(&format!("/admin/v1/webhook-deliveries?endpoint={}", made["id"].as_str().unwrap())).await.expect(200);
        assert_eq!(listed["data"], json!([delivery]));
        let one = format!("/admin/v1/webhook-deliveries/{}", delivery["id"].as_str().unwrap());
        assert_eq!(operator.get(&one).await.expect(200), detail);
        let listed = operator.get(&format!("/admin/v1/webhook-endpoints?tenant={}", globex.id)).await.expect(200);
        assert_eq!(listed["data"][0]["id"], other["id"]);

        // Secrets are in no other answer, in no event and in no log; nor are others' headers.
        let text = acme.owner.get(ENDPOINTS).await.text + &server.log() + &receiver.got("/all").iter().map(|one| one.text.clone()).collect::<String>();
        assert!(!text.contains(secret) && !text.contains("their-secret") && text.contains("X-Api-Key"));
        assert!(!std::fs::read(server.data_dir().join("control.db")).is_ok_and(|file| {
            file.windows(secret.len()).any(|part| part == secret.as_bytes())
        }));
    }
}

on_each_engine! {
    async fn an_endpoint_is_made_changed_tested_and_removed(scene) {
        let (starting, _database) = scene.starting();
        let server = Receiver::called_by(starting).set("WEBHOOKS__MAX_ENDPOINTS_PER_TENANT", 2).start();
        let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
        let owner = &acme.owner;
        let body = json!({ "url": receiver.url("/a"), "types": ["tenant.updated"], "description": "ours" });
        let first = owner.post_once(ENDPOINTS, "one", body.clone()).await;
        let again = owner.post_once(ENDPOINTS, "one", body.clone()).await;
        assert_eq!((first.expect(201), again.header("idempotent-replayed")), (again.expect(201), Some("true")));
        let made = first.json();
        let at = path(&made);
        let read = owner.get(&at).await;
        let (tag, found) = (read.header("etag").unwrap().to_owned(), read.expect(200));
        assert_eq!((&found["state"], &found["enabled"], &found["description"]), (&json!("active"), &json!(true), &json!("ours")));
        assert!(found.get("secret").is_none() && found["secrets"].as_array().unwrap().len() == 1);

        // One at a time changes it; what is wrong is all named.
        let changed = owner.patch(&at, json!({ "description": "", "rate_limit": 5, "headers": { "X-A": "b" } })).await.expect(200);
        assert_eq!((&changed["rate_limit"], &changed["headers"]), (&json!(5), &json!(["X-A"])));
        let stale = owner.send(owner.request("PATCH", &at).header("if-match", &tag).json(&json!({ "ordered": true }))).await;
        assert_eq!(stale.problem(412), "precondition_failed");
        let wrong = json!({ "url": "http://10.0.0.1/", "types": ["Tenant"], "headers": { "Host": "x" } });
        assert_eq!(owner.post(ENDPOINTS, wrong.clone()).await.pointers(), ["/headers/Host", "/types/0", "/url"]);
        assert_eq!(owner.patch(&at, wrong).await.pointers(), ["/headers/Host", "/types/0", "/url"]);
        assert_eq!(owner.post(&format!("{at}/replay"), json!({})).await.pointers(), ["/since"]);

        // A test goes out whatever types it takes; a disabled endpoint gets nothing, and keeps nothing back.
        let ping = owner.send(owner.request("POST", &format!("{at}/test"))).await.expect(202);
        let got = receiver.until("/a", 1).await.remove(0);
        assert_eq!((got.event()["type"].as_str(), got.id()), (Some("webhook.ping"), ping["event_id"].as_str().unwrap().to_owned()));
        until_all(owner, &made, 1, "succeeded").await;
        owner.patch(&at, json!({ "enabled": false })).await.expect(200);
        let off = owner.get(&at).await.expect(200);
        assert_eq!((&off["state"], &off["disabled_reason"]), (&json!("disabled"), &json!("by_hand")));
        assert_eq!(owner.send(owner.request("POST", &format!("{at}/test"))).await.problem(409), "webhook_endpoint_disabled");
        rename(&acme, "While it was off").await;
        let probe = endpoint(owner, &receiver.url("/probe"), json!({})).await;
        rename(&acme, "While it was off too").await;
        receiver.until("/probe", 1).await;
        assert_eq!(owner.post(ENDPOINTS, body).await.problem(409), "webhook_endpoint_limit");
        let on = owner.send(owner.request("POST", &format!("{at}/enable"))).await.expect(200);
        assert_eq!((&on["state"], deliveries(owner, &made).await.len()), (&json!("active"), 1));
        // What it missed is there to be sent again: all since then, once.
        let since = json!({ "since": found["created_at"] });
        assert_eq!(owner.post(&format!("{at}/replay"), since.clone()).await.expect(202), json!({ "queued": 2, "more": false }));
        until_all(owner, &made, 3, "succeeded").await;
        assert_eq!(owner.post(&format!("{at}/replay"), since).await.expect(202)["queued"], 0);
        // One event is sent again whatever became of it, with the same id.
        let event = got.id();
        let operator = server.operator();
        let again = format!("/admin/v1/webhook-endpoints/{}/replay", made["id"].as_str().unwrap());
        assert_eq!(operator.post(&again, json!({ "event_id": event })).await.expect(202)["queued"], 1);
        let all = receiver.until("/a", 4).await;
        assert_eq!((all.last().unwrap().id(), all.last().unwrap().text.clone()), (event, got.text));

        // Who may: owners, admins, developers and their keys.
        assert_eq!(acme.program.get(ENDPOINTS).await.problem(403), "insufficient_scope");
        acme.key(&["webhooks:manage"]).await.get(ENDPOINTS).await.expect(200);
        assert_eq!(server.operator_as("viewer").await.post(&again, json!({ "since": "2026-01-01T00:00:00Z" })).await.problem(403), "insufficient_role");
        // Gone with all that was of it.
        owner.delete(&at).await.expect(204);
        assert_eq!((owner.get(&at).await.problem(404), owner.get(&format!("{at}/deliveries")).await.status), ("not_found".to_owned(), 404));
        owner.get(&path(&probe)).await.expect(200);
    }
}

#[tokio::test]
async fn libraries_of_other_languages_verify_what_we_send_also_while_a_secret_is_rotated() {
    let (server, _) = server(Scene { pg: None, isolation: "database" });
    let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
    let made = endpoint(&acme.owner, &receiver.url("/a"), json!({})).await;
    rename(&acme, "Ünï \u{1f642} \"quoted\"").await;
    let first = receiver.until("/a", 1).await.remove(0);
    let rotate = format!("{}/rotate-secret", path(&made));
    let rotated = acme.owner.post(&rotate, json!({ "overlap_s": 3_600 })).await.expect(201);
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    rename(&acme, "Two").await;
    let second = receiver.until("/a", 2).await.remove(1);
    let last = acme.owner.post(&rotate, json!({ "overlap_s": 0 })).await.expect(201);
    rename(&acme, "Three").await;
    let third = receiver.until("/a", 3).await.remove(2);
    let [old, new, newest] = [&made, &rotated, &last].map(|one| one["secret"].as_str().unwrap().to_owned());
    for mut library in [Verifier::python(), Verifier::node()] {
        let mut check = |secret: &str, got: &Got| library.verify(secret, &got.headers, &got.text);
        assert_eq!(check(&old, &first).unwrap(), first.event());
        assert!(check(&new, &first).is_err(), "it was not there yet");
        for secret in [&old, &new] {
            assert_eq!(check(secret, &second).unwrap(), second.event(), "both sign while they overlap");
        }
        assert!(check(&old, &third).is_err() && check(&new, &third).is_err());
        assert_eq!(check(&newest, &third).unwrap(), third.event());
        let mut forged = third.clone();
        forged.text = forged.text.replace("Three", "Tree!");
        assert!(check(&newest, &forged).is_err());
    }
}

on_each_engine! {
    async fn a_deleted_tenant_leaves_nothing_of_its_webhooks(scene) {
        let (server, _database) = server(scene);
        let (receiver, acme) = (Receiver::start(), server.settle("Acme").await);
        let made = endpoint(&acme.owner, &receiver.url("/a"), json!({})).await;
        rename(&acme, "Once").await;
        let delivery = until_all(&acme.owner, &made, 1, "succeeded").await.remove(0);
        acme.owner.delete("/v1/tenant").await.expect(202);
        let operator = server.operator();
        eventually("the tenant to be gone", || async {
            let listed = operator.get("/admin/v1/webhook-endpoints").await.expect(200);
            (listed["data"] == json!([])).then_some(())
        }).await;
        assert_eq!(operator.get("/admin/v1/webhook-deliveries").await.expect(200)["data"], json!([]));
        let one = format!("/admin/v1/webhook-deliveries/{}", delivery["id"].as_str().unwrap());
        assert_eq!(operator.get(&one).await.problem(404), "not_found");
    }
}
