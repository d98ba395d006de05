//! The catalogue of events: told to everybody, kept to by whoever appends, and asked for by those who filter.

use serde_json::{Value, json};
use tenantry::log::catalogue::{Audience, FactType};

use crate::on_each_engine;
use crate::world::server::Server;

fn facts() -> Vec<&'static FactType> {
    let mut all = tenantry::app::facts();
    all.sort_by_key(|fact| fact.kind());
    all
}

#[tokio::test]
async fn everybody_may_read_which_events_there_are() {
    let server = Server::embedded();
    let nobody = server.nobody();
    let list = nobody.get("/v1/event-types").await;
    let told: Vec<_> = list.json()["data"].as_array().unwrap().clone();
    let ours: Vec<_> = facts()
        .into_iter()
        .map(|fact| {
            json!({
                "type": fact.kind(), "version": fact.version(), "audience": fact.audience(),
                "description": fact.description(),
            })
        })
        .collect();
    assert_eq!(told, ours);
    let audience = |kind: &str| told.iter().find(|one| one["type"] == kind).unwrap()["audience"].clone();
    assert_eq!(
        (audience("tenant.suspended"), audience("signing_key.created")),
        (json!("tenant"), json!("operator"))
    );

    // It changes with the program alone, and who has it is told so.
    let tag = list.header("etag").unwrap().to_owned();
    let again = nobody.request("GET", "/v1/event-types").header("if-none-match", &tag);
    assert_eq!(nobody.send(again).await.status, 304);
    let other = nobody.request("GET", "/v1/event-types").header("if-none-match", "\"other\"");
    assert_eq!(nobody.send(other).await.status, 200);

    for fact in facts() {
        let one = nobody.get(&format!("/v1/event-types/{}", fact.kind())).await.expect(200);
        assert_eq!((&one["type"], &one["schema"]), (&json!(fact.kind()), &fact.schema()));
        assert_eq!(one["example"]["type"], fact.kind());
        let faults = fact.faults(&one["example"]["data"]);
        assert!(faults.is_empty(), "the example of {}: {faults:?}", fact.kind());
    }
    let one = nobody.get("/v1/event-types/tenant.suspended").await.expect(200);
    assert_eq!(one["schema"]["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(one["schema"]["properties"]["reason"]["type"], json!(["string", "null"]));
    assert!(one["example"]["tenantid"].as_str().unwrap().starts_with("tenant_"));
    assert_eq!(nobody.get("/v1/event-types/tenant.praised").await.problem(404), "not_found");
}

#[tokio::test]
async fn a_filter_for_what_never_happens_is_refused() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    for (types, near) in [("tenant.suspendet", "tenant.suspended"), ("tenant.*,invoise.*", "invoice.*")] {
        let refused = acme.owner.get(&format!("/v1/tenant/events?types={types}")).await;
        assert_eq!(
            (refused.problem(422).as_str(), refused.pointers()),
            ("validation_failed", vec!["?types".to_owned()])
        );
        assert!(refused.text.contains(near), "{}", refused.text);
        let types: Vec<_> = types.split(',').collect();
        let at = format!("/types/{}", types.len() - 1);
        let endpoint = json!({ "url": "https://hooks.example.com/", "types": types });
        let refused = acme.owner.post("/v1/tenant/webhook-endpoints", endpoint).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![at]));
        assert!(refused.text.contains(near), "{}", refused.text);
    }
    acme.owner.get("/v1/tenant/events?types=invoice.*,tenant.suspended,*").await.expect(200);
}

/// The events of a type that an operator reads.
async fn read(server: &Server, kind: &str) -> Vec<Value> {
    let feed = server.operator().get(&format!("/admin/v1/events?types={kind}&limit=200")).await.expect(200);
    feed["data"].as_array().unwrap().clone()
}

on_each_engine! {
    async fn what_is_appended_is_as_the_catalogue_says_and_names_its_cause(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let acme = server.settle("Acme").await;
        server.operator().post(&format!("{}/suspend", acme.admin()), json!({ "reason": "unpaid" })).await.expect(200);

        server.operator().post(&format!("{}/resume", acme.admin()), json!({})).await.expect(200);

        // A step of an operation appended the one; a request the other; time the third.
        let provisioned = &read(&server, "tenant.provisioned").await[0];
        assert_eq!(provisioned["data"]["cause"], acme.operation);
        let suspended = &read(&server, "tenant.suspended").await[0];
        assert_eq!(suspended["data"], json!({ "reason": "unpaid" }));
        assert!(suspended["requestid"].is_string());
        assert_eq!(read(&server, "signing_key.created").await[0]["data"]["cause"], "clock");

        let feed = server.operator().get("/admin/v1/events?limit=200").await.expect(200);
        let all = feed["data"].as_array().unwrap();
        assert!(all.len() > 5, "{all:?}");
        for event in all {
            let kind = event["type"].as_str().unwrap();
            let fact = facts().into_iter().find(|fact| fact.kind() == kind).unwrap();
            assert_eq!(event["dataversion"], fact.version().to_string());
            let faults = fact.faults(&event["data"]);
            assert!(faults.is_empty(), "{kind}: {faults:?}");
            // The address that it names has its schema.
            let schema = event["dataschema"].as_str().unwrap();
            let path = &schema[schema.find("/v1/").unwrap()..];
            assert_eq!(server.nobody().get(path).await.expect(200)["type"], kind);
        }
        // The tenant sees what is meant for tenants, and all of that.
        let theirs = acme.owner.get("/v1/tenant/events?limit=200").await.expect(200);
        let theirs: Vec<_> = theirs["data"].as_array().unwrap().iter().collect();
        let meant = |event: &&Value| {
            let fact = facts().into_iter().find(|fact| event["type"] == fact.kind()).unwrap();
            event["subject"] == acme.id && fact.audience() == Audience::Tenant
        };
        assert_eq!(theirs, all.iter().filter(meant).collect::<Vec<_>>());
    }
}
