//! The catalogue: editions of plans that never change, loaded from a file, and who is on which.

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::server::Server;

/// Two plans; the free one with so many API keys.
fn plans(keys: u32) -> String {
    format!(
        "[plans.free]\nname = \"Free\"\n[plans.free.limits]\napi_keys = {keys}\nrequests_per_s = 1000\n\
         [plans.pro]\nname = \"Pro\"\nprice = 4_900\ncurrency = \"EUR\"\ntrial_days = 14\n"
    )
}

/// A plan as operators see it.
async fn plan(server: &Server, key: &str) -> Value {
    server.operator().get(&format!("/admin/v1/plans/{key}")).await.expect(200)
}

on_each_engine! {
    async fn an_edited_plan_is_another_edition_and_tenants_keep_theirs(scene) {
        let (starting, _database) = scene.starting();
        let mut server = starting.file("plans.toml", &plans(2)).set("PLANS__FILE", "plans.toml").start();
        server.settle("Acme").await;
        let first = plan(&server, "free").await;
        assert_eq!((&first["version"], &first["tenants"]), (&json!(1), &json!(1)));
        // Started again with the same file, it is the same edition.
        assert!(server.stop());
        server.start();
        assert_eq!(plan(&server, "free").await, first);
        // Edited: another one, for those who come now.
        assert!(server.stop());
        server.write("plans.toml", &plans(1));
        server.start();
        let second = plan(&server, "free").await;
        assert_eq!((&second["version"], &second["tenants"]), (&json!(2), &json!(1)));
        let on = |edition: usize| second["versions"][edition]["tenants"].clone();
        assert_eq!((on(0), on(1)), (json!(0), json!(1)));
        assert_eq!(second["editions"][1]["plan"]["limits"]["api_keys"], 2);
        let acme = server.with_token_of(&server.sign_in("Acme").await);
        let key = |name: &str| json!({ "name": name, "scopes": ["data:read"] });
        // `settle` made the first.
        acme.post("/v1/tenant/api-keys", key("second")).await.expect(201);
        assert_eq!(acme.post("/v1/tenant/api-keys", key("third")).await.problem(409), "key_limit_reached");
        let globex = server.settle("Globex").await;
        assert_eq!(globex.owner.post("/v1/tenant/api-keys", key("second")).await.problem(409), "key_limit_reached");
        // Edited back, it is the edition that it was.
        assert!(server.stop());
        server.write("plans.toml", &plans(2));
        server.start();
        let third = plan(&server, "free").await;
        assert_eq!((&third["version"], &third["version_id"]), (&json!(1), &first["version_id"]));
        let public = server.nobody().get("/v1/plans").await.expect(200);
        let shown: Vec<_> = public["data"].as_array().unwrap().iter().map(|one| (one["key"].as_str().unwrap(), one["version"].as_u64().unwrap())).collect();
        assert_eq!(shown, [("free", 1), ("pro", 1)]);
    }
}

on_each_engine! {
    async fn a_plan_that_the_file_does_not_name_is_archived_and_serves_on(scene) {
        let (starting, _database) = scene.starting();
        let mut server = starting.file("plans.toml", &plans(5)).set("PLANS__FILE", "plans.toml").start();
        let made = server.create(json!({ "name": "Acme", "plan": "pro" })).await;
        assert!(server.stop());
        server.write("plans.toml", "[plans.free]\nname = \"Free\"\n");
        server.start();
        let pro = plan(&server, "pro").await;
        assert!(pro["archived_at"].is_string(), "{pro:#}");
        assert_eq!(pro["tenants"], 1);
        let path = format!("/admin/v1/tenants/{}", made["id"].as_str().unwrap());
        assert_eq!(server.operator().get(&path).await.expect(200)["plan"], "pro");
        let public = server.nobody().get("/v1/plans").await.expect(200);
        assert_eq!(public["data"].as_array().unwrap().len(), 1);
        let refused = server.operator().post("/admin/v1/tenants", json!({ "name": "Globex", "plan": "pro" })).await;
        assert_eq!(refused.pointers(), ["/plan"]);
        server.operator().get("/admin/v1/plans/gold").await.problem(404);
        // It can be sold again.
        assert!(server.stop());
        server.write("plans.toml", &plans(5));
        server.start();
        assert_eq!(plan(&server, "pro").await["archived_at"], Value::Null);
    }
}
