//! The catalogue: editions of plans that never change, loaded from a file, and who is on which.

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::postgres::Pg;
use crate::world::server::{OPERATOR_KEY, Server, Starting, eventually};

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

on_each_engine! {
    async fn an_edited_file_is_loaded_by_a_call_or_refused_whole(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.file("plans.toml", &plans(2)).set("PLANS__FILE", "plans.toml").start();
        let operator = server.operator();
        let reload = async |body: Value| operator.post("/admin/v1/plans/reload", body).await;
        let same = reload(json!({})).await.expect(200);
        assert_eq!(same["diff"]["unchanged"], json!(["free", "pro"]));
        server.write("plans.toml", &plans(3).replace("pro]", "team]"));
        let told = reload(json!({ "dry_run": true })).await.expect(200);
        assert_eq!((&told["diff"]["added"], &told["diff"]["archived"]), (&json!(["team"]), &json!(["pro"])));
        let field = json!({ "field": "limits.api_keys", "before": 2, "after": 3 });
        assert_eq!(told["diff"]["changed"], json!([{ "plan": "free", "from": 1, "fields": [field] }]));
        assert_eq!(plan(&server, "free").await["version"], 1, "it was only told");
        assert_eq!(reload(json!({})).await.expect(200)["diff"], told["diff"]);
        assert_eq!(plan(&server, "free").await["version"], 2);
        let public = server.nobody().get("/v1/plans").await.expect(200);
        assert_eq!(public["data"][1]["key"], "team");
        // A mistake is refused with its place, and changes nothing.
        server.write("plans.toml", "[plans.free]\nname = \"Free\"\nprice = -1\n[plans.team]\nnmae = \"Team\"\n");
        let refused = reload(json!({})).await;
        assert_eq!(refused.pointers(), ["plans.free.price", "plans.team.name", "plans.team.nmae"]);
        assert!(refused.text.contains("plans.toml:3:9: -1 is out of range; allowed is 0 or more"), "{}", refused.text);
        // So is a file without the default plan.
        server.write("plans.toml", "[plans.team]\nname = \"Team\"\n");
        assert_eq!(reload(json!({})).await.pointers(), ["signup.default_plan"]);
        assert_eq!(plan(&server, "free").await["version"], 2);
        assert_eq!(server.operator_as("support").await.post("/admin/v1/plans/reload", json!({})).await.problem(403), "insufficient_role");
    }
}

on_each_engine! {
    async fn tenants_are_moved_to_the_newest_edition_one_or_all(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.file("plans.toml", &plans(1)).set("PLANS__FILE", "plans.toml").start();
        let (acme, globex, initech) = (server.settle("Acme").await, server.settle("Globex").await, server.settle("Initech").await);
        let operator = server.operator();
        server.write("plans.toml", &plans(2));
        operator.post("/admin/v1/plans/reload", json!({})).await.expect(200);
        let another = json!({ "name": "second", "scopes": ["data:read"] });
        assert_eq!(acme.owner.post("/v1/tenant/api-keys", another.clone()).await.problem(409), "key_limit_reached");
        let path = "/admin/v1/plans/free/move-tenants";
        let moved = operator.post(path, json!({ "tenant": "acme" })).await.expect(200);
        assert_eq!((&moved["plan_version"], &moved["tenant_id"]), (&json!(2), &json!(acme.id)));
        acme.owner.post("/v1/tenant/api-keys", another.clone()).await.expect(201);
        assert_eq!(globex.owner.post("/v1/tenant/api-keys", another.clone()).await.problem(409), "key_limit_reached");
        let all = operator.post_once(path, "all", json!({ "all": true })).await.expect(202);
        assert_eq!((&all["tenants"], all["operation"]["steps"].as_array().unwrap().len()), (&json!(2), 1));
        server.until_done(all["operation"]["id"].as_str().unwrap()).await;
        let free = plan(&server, "free").await;
        assert_eq!((&free["versions"][0]["tenants"], &free["versions"][1]["tenants"]), (&json!(3), &json!(0)));
        for of in [&globex, &initech] {
            of.owner.post("/v1/tenant/api-keys", another.clone()).await.expect(201);
        }
        let none = operator.post(path, json!({ "all": true })).await.expect(202);
        assert_eq!((&none["tenants"], &none["operation"]["state"]), (&json!(0), &json!("succeeded")));
        assert_eq!(operator.post(path, json!({})).await.pointers(), ["/all"]);
        assert_eq!(operator.post("/admin/v1/plans/pro/move-tenants", json!({ "tenant": "acme" })).await.problem(409), "other_plan");
        operator.post("/admin/v1/plans/gold/move-tenants", json!({ "all": true })).await.problem(404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_on_one_replica_is_sold_by_the_other() {
    let database = Pg::newest().fresh_database();
    let replica = || {
        let starting = Starting::new().on_postgres(&database.url, "schema").file("plans.toml", &plans(2));
        let starting = starting.set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=");
        starting
            .set("PLANS__FILE", "plans.toml")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .start()
    };
    let (one, two) = (replica(), replica());
    one.write("plans.toml", &plans(3));
    one.operator().post("/admin/v1/plans/reload", json!({})).await.expect(200);
    eventually("the other to hear of it", || async {
        let public = two.nobody().get("/v1/plans").await.expect(200);
        (public["data"][0]["version"] == 2).then_some(())
    })
    .await;
}

/// What a command says, when it is done.
#[track_caller]
fn says(server: &Server, line: &str, parts: &[&str]) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(line.split_whitespace()).env_clear().current_dir(server.data_dir());
    command.env("TENANTRY_SERVER_URL", &server.url).env("TENANTRY_OPERATOR_KEY", OPERATOR_KEY);
    let done = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{line}: {err}");
    parts.iter().for_each(|part| assert!(out.contains(part), "{line}: no {part} in\n{out}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plans_and_subscriptions_on_the_command_line() {
    let server = Starting::new().file("plans.toml", &plans(2)).set("PLANS__FILE", "plans.toml").start();
    server.settle("Acme").await;
    says(&server, "plan list", &["free", "sold", "49.00 EUR a month"]);
    says(&server, "plan show free", &["Free (free), free of charge", "VERSION"]);
    says(&server, "config diff --running", &["no difference in 2 plans"]);
    server.write("plans.toml", &plans(3));
    for line in ["plan reload --dry-run", "config diff --running", "plan reload"] {
        says(&server, line, &["~ free (from version 1)", "limits.api_keys: 2 -> 3"]);
    }
    says(&server, "plan move free --tenant acme", &["Moved."]);
    says(&server, "plan move free --wait", &[]);
    says(&server, "tenant subscription acme", &["free (version 2)", "active", "free of charge"]);
    says(&server, "tenant subscription acme change pro", &["pro (version 1)", "unpaid since"]);
    says(&server, "tenant subscription acme cancel", &["ends"]);
    says(&server, "tenant subscription acme resume", &["active"]);
    says(&server, "tenant subscription acme change free", &["then", "free at"]);
}
