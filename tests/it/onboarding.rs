//! Signing up, landing in an isolated database, and using it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::Scene;
use crate::world::server::{Answer, PASSWORD, Server, Starting, eventually};
use crate::{in_every_model, on_each_engine};

fn signup(name: &str, email: &str) -> Value {
    json!({ "organization": name, "email": email, "password": PASSWORD })
}

fn with_slug(slug: &str, email: &str) -> Value {
    json!({ "organization": "Acme", "slug": slug, "email": email, "password": PASSWORD })
}

async fn sign_up(server: &Server, body: Value) -> Answer {
    server.nobody().post("/v1/signups", body).await
}

async fn number_of_tenants(server: &Server) -> usize {
    let list = server.operator().get("/admin/v1/tenants?limit=200").await.expect(200);
    list["data"].as_array().unwrap().len()
}

in_every_model! {
    async fn a_stranger_signs_up_and_uses_its_own_data_alone(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let globex = server.settle("Globex").await;
        let wrote = acme.program.query("INSERT INTO notebooks (name) VALUES ($1) RETURNING name, archived", json!(["Ideas"])).await;
        assert_eq!(wrote.expect(200)["rows"], json!([["Ideas", false]]));
        let seen = acme.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
        assert_eq!(seen["rows"], json!([["Ideas"]]));
        let others = globex.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
        assert_eq!(others["rows"], json!([]));
        let home = acme.owner.get("/v1/tenant/database").await.expect(200);
        assert_eq!(home["isolation"], scene.isolation);
        assert_eq!(home["state"], "active");
    }
}

in_every_model! {
    async fn without_stock_the_operation_shows_every_step_to_the_stranger_who_follows_it(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let signed = sign_up(&server, signup("Acme", "ada@example.com")).await.expect(202);
        assert_eq!(signed["verification"], "not_required");
        assert_eq!(signed["operation"]["kind"], "tenant.onboard");
        let id = signed["operation"]["id"].as_str().unwrap();
        let steps: Vec<_> = signed["operation"]["steps"].as_array().unwrap().iter().map(|step| step["name"].clone()).collect();
        assert_eq!((&steps[0], steps.last().unwrap()), (&json!("prepare_cluster"), &json!("activate")));
        let followed = server.nobody().get(&format!("/v1/operations/{id}/events")).await;
        assert_eq!((followed.status, followed.header("content-type")), (200, Some("text/event-stream")));
        let states: Vec<Value> = followed
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        let last = states.last().unwrap();
        assert_eq!(last["state"], "succeeded");
        let done = server.nobody().get(&format!("/v1/operations/{id}")).await.expect(200);
        assert_eq!(&done, last, "reading it and following it tell the same");
        let ended = done["steps"].as_array().unwrap();
        assert_eq!(ended.iter().map(|step| step["name"].clone()).collect::<Vec<_>>(), steps);
        for step in ended {
            assert_eq!((&step["state"], &step["error"]), (&json!("succeeded"), &Value::Null), "{step}");
            assert!(step["attempt"].as_i64() >= Some(1) && step["finished_at"].is_string(), "{step}");
        }
        let tenant = server.operator().get(&format!("/admin/v1/tenants/{}", signed["slug"].as_str().unwrap())).await.expect(200);
        assert_eq!((&tenant["state"], &tenant["id"]), (&json!("active"), &signed["tenant_id"]));
    }
}

on_each_engine! {
    async fn a_repeated_signup_with_one_idempotency_key_is_made_once_and_answered_alike(scene) {
        let (server, _database) = scene.server();
        let nobody = server.nobody();
        let body = signup("Acme", "ada@example.com");
        let first = nobody.post_once("/v1/signups", "a-key", body.clone()).await;
        let (expected, fresh) = (first.expect(202), first.header("idempotent-replayed"));
        assert_eq!(fresh, None);
        let again = nobody.post_once("/v1/signups", "a-key", body.clone()).await;
        assert_eq!((again.expect(202), again.header("idempotent-replayed")), (expected, Some("true")));
        assert_eq!(again.header("content-type"), Some("application/json"));
        let other = nobody.post_once("/v1/signups", "a-key", signup("Globex", "bob@example.com")).await;
        assert_eq!(other.problem(422), "idempotency_key_reused");
        let too_long = nobody.post_once("/v1/signups", &"k".repeat(256), body).await;
        assert_eq!(too_long.problem(400), "bad_idempotency_key");
        assert_eq!(number_of_tenants(&server).await, 1);
    }
}

on_each_engine! {
    async fn many_at_once_with_one_idempotency_key_make_one_tenant(scene) {
        let (server, _database) = scene.server();
        let asked = (0..12).map(|_| {
            let nobody = server.nobody();
            async move { nobody.post_once("/v1/signups", "the-key", signup("Acme", "ada@example.com")).await }
        });
        let mut answers = BTreeSet::new();
        for answer in futures_util::future::join_all(asked).await {
            match answer.status {
                202 => drop(answers.insert(answer.text)),
                _ => assert_eq!(answer.problem(409), "idempotency_in_progress"),
            }
        }
        assert_eq!(answers.len(), 1, "{answers:#?}");
        assert_eq!(number_of_tenants(&server).await, 1);
    }
}

on_each_engine! {
    async fn of_many_who_want_one_slug_at_once_exactly_one_gets_it(scene) {
        let (server, _database) = scene.server();
        let asked = (0..64).map(|at| {
            let nobody = server.nobody();
            async move { nobody.post("/v1/signups", with_slug("acme", &format!("ada{at}@example.com"))).await }
        });
        let mut winners = 0;
        for answer in futures_util::future::join_all(asked).await {
            if answer.status == 202 {
                winners += 1;
            } else {
                assert_eq!(answer.problem(409), "slug_taken");
                assert!(answer.text.contains("`acme` is taken"), "{}", answer.text);
            }
        }
        assert_eq!((winners, number_of_tenants(&server).await), (1, 1));
    }
}

on_each_engine! {
    async fn a_stock_that_was_taken_from_is_filled_again(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.set("TENANCY__STOCK__DATABASE", 1).start();
        let operator = server.operator();
        let stocked = |least: usize| {
            let operator = operator.clone();
            eventually("the stock", move || {
                let operator = operator.clone();
                async move {
                    let path = "/admin/v1/operations?kind=placement.stock&state=succeeded";
                    let done = operator.get(path).await.expect(200);
                    (done["data"].as_array().unwrap().len() >= least).then_some(())
                }
            })
        };
        for at in 1..=3 {
            stocked(at).await;
            let signed = sign_up(&server, signup(&format!("Acme {at}"), &format!("ada{at}@example.com"))).await.expect(202);
            assert_eq!(signed["operation"]["state"], "succeeded", "it took a ready placement");
            let tenant = operator.get(&format!("/admin/v1/tenants/{}", signed["tenant_id"].as_str().unwrap())).await;
            assert_eq!(tenant.expect(200)["state"], "active");
        }
    }
}

#[tokio::test]
async fn a_slug_is_normalised_derived_or_refused_in_words() {
    let server = Starting::new().set("TENANCY__RESERVED_SLUGS", "ours,theirs").start();
    let typed = sign_up(&server, with_slug(" Acme-2 ", "a@example.com")).await.expect(202);
    assert_eq!(typed["slug"], "acme-2");
    let derived = sign_up(&server, signup("Müller & Söhne", "b@example.com")).await.expect(202);
    assert_eq!(derived["slug"], "mueller-and-soehne");
    let second = sign_up(&server, signup("Müller & Söhne", "c@example.com")).await.expect(202);
    let tail = second["slug"].as_str().unwrap().strip_prefix("mueller-and-soehne-").unwrap();
    assert!(tail.len() == 6 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{tail}");
    let derived_reserved = sign_up(&server, signup("Ours", "d@example.com")).await.expect(202);
    assert_eq!(derived_reserved["slug"], "ours-org");
    assert_eq!(sign_up(&server, with_slug("ACME-2", "e@example.com")).await.problem(409), "slug_taken");
    for bad in ["admin", "OURS", "ab", "a--b", "-acme", "acme-", "a_b", "2fast", "acme.io", "ácme", ""] {
        let refused = sign_up(&server, with_slug(bad, "e@example.com")).await;
        assert_eq!(refused.pointers(), ["/slug"], "{bad}");
    }
    assert_eq!(number_of_tenants(&server).await, 4);
}

#[tokio::test]
async fn every_invalid_field_is_named_at_once() {
    let server = Server::embedded();
    let rules =
        json!({ "organization": " ", "slug": "x", "email": "ada", "password": "short", "plan": "gold" });
    let refused = sign_up(&server, rules).await;
    assert_eq!(refused.pointers(), ["/email", "/organization", "/password", "/plan", "/slug"]);
    let shape = json!({ "organization": 7, "email": null, "plan": ["free"], "colour": "red" });
    let refused = sign_up(&server, shape).await;
    assert_eq!(refused.pointers(), ["/colour", "/email", "/organization", "/password", "/plan"]);
    let wrong =
        json!({ "name": " ", "slug": "x", "plan": "gold", "cluster": "moon", "owner": { "email": "ada" } });
    let refused = server.operator().post("/admin/v1/tenants", wrong).await;
    assert_eq!(refused.pointers(), ["/cluster", "/name", "/owner/email", "/plan", "/slug"]);
    // Some have the wrong shape, others break a rule: still one answer.
    let mixed = json!({ "organization": " ", "slug": "x", "email": "ada", "password": "short", "plan": 7, "colour": "red" });
    let refused = sign_up(&server, mixed).await;
    assert_eq!(refused.pointers(), ["/colour", "/email", "/organization", "/password", "/plan", "/slug"]);
    let mixed = json!({ "name": 7, "slug": "x", "plan": "gold", "cluster": "moon", "owner": { "email": "ada" }, "colour": 1 });
    let refused = server.operator().post("/admin/v1/tenants", mixed.clone()).await;
    assert_eq!(refused.pointers(), ["/cluster", "/colour", "/name", "/owner/email", "/plan", "/slug"]);
    // Who may not ask learns nothing of what there is.
    let viewer = server.operator_as("viewer").await;
    assert_eq!(viewer.post("/admin/v1/tenants", mixed).await.problem(403), "insufficient_role");
    assert_eq!(number_of_tenants(&server).await, 0);
}

#[tokio::test]
async fn with_signup_disabled_operators_still_create_tenants() {
    let server = Starting::new().set("SIGNUP__ENABLED", false).start();
    let refused = sign_up(&server, signup("Acme", "ada@example.com")).await;
    assert_eq!(refused.problem(403), "signup_disabled");
    assert_eq!(server.create(json!({ "name": "Acme" })).await["state"], "active");
}

#[tokio::test]
async fn strangers_choose_among_public_plans_and_operators_among_all() {
    let server = Server::embedded();
    let keys = |list: Value| -> Vec<Value> {
        list["data"].as_array().unwrap().iter().map(|plan| plan["key"].clone()).collect()
    };
    assert_eq!(keys(server.nobody().get("/v1/plans").await.expect(200)), ["free", "pro"]);
    assert_eq!(
        keys(server.operator().get("/admin/v1/plans").await.expect(200)),
        ["free", "pro", "enterprise"]
    );
    for (plan, status) in [("pro", 202), ("enterprise", 422), ("gold", 422)] {
        let mut body = signup(plan, &format!("{plan}@example.com"));
        body["plan"] = json!(plan);
        let answer = sign_up(&server, body).await;
        assert_eq!(answer.status, status, "{plan}: {}", answer.text);
    }
    assert_eq!(server.create(json!({ "name": "Big", "plan": "enterprise" })).await["plan"], "enterprise");
}

#[tokio::test]
async fn a_person_with_an_account_signs_up_again_only_with_its_password() {
    let server = Server::embedded();
    sign_up(&server, signup("Acme", "ada@example.com")).await.expect(202);
    let mut wrong = signup("Globex", " ADA@example.com ");
    wrong["password"] = json!("a wrong password");
    assert_eq!(sign_up(&server, wrong).await.problem(409), "email_in_use");
    assert_eq!(number_of_tenants(&server).await, 1);
    sign_up(&server, signup("Globex", " ADA@example.com ")).await.expect(202);
    let sign_in = |tenant: &'static str| {
        let nobody = server.nobody();
        async move {
            let body = json!({ "email": "ada@example.com", "password": PASSWORD, "tenant": tenant });
            nobody.post("/v1/sessions", body).await.expect(200)["tenant"]["name"].clone()
        }
    };
    assert_eq!((sign_in("acme").await, sign_in("globex").await), (json!("Acme"), json!("Globex")));
}

const PLANS: &str = r#"
[plans.free]
name = "Free"
[plans.bridge]
name = "Bridge"
isolation = "schema"
[plans.silo]
name = "Silo"
isolation = "database"
"#;

#[tokio::test]
async fn a_plan_brings_its_own_isolation_and_an_operator_may_choose_another() {
    let scene = Scene { pg: Some("newest"), isolation: "shared" };
    let (starting, _database) = scene.starting();
    let server = starting.file("plans.toml", PLANS).set("PLANS__FILE", "plans.toml").without_stock().start();
    for (plan, isolation) in [("free", "shared"), ("bridge", "schema"), ("silo", "database")] {
        let mut body = signup(plan, &format!("{plan}@example.com"));
        body["plan"] = json!(plan);
        let signed = sign_up(&server, body).await.expect(202);
        server.until_done(signed["operation"]["id"].as_str().unwrap()).await;
        let path = format!("/admin/v1/tenants/{}/placement", signed["tenant_id"].as_str().unwrap());
        let placement = server.operator().get(&path).await.expect(200);
        assert_eq!(
            (&placement["isolation"], &placement["state"]),
            (&json!(isolation), &json!("active")),
            "{plan}"
        );
    }
    let chosen = server.create(json!({ "name": "Chosen", "plan": "silo", "isolation": "schema" })).await;
    assert_eq!((&chosen["isolation"], &chosen["plan"]), (&json!("schema"), &json!("silo")));
}

#[tokio::test]
async fn an_operator_chooses_cluster_and_region() {
    let server = Starting::new()
        .set("CLUSTERS__WEST__URL", "sqlite://west")
        .set("CLUSTERS__WEST__REGION", "eu-west")
        .set("CLUSTERS__CLOSED__URL", "sqlite://closed")
        .set("CLUSTERS__CLOSED__REGION", "eu-north")
        .set("CLUSTERS__CLOSED__ACCEPTS_NEW", false)
        .start();
    let by_default = server.create(json!({ "name": "Acme" })).await;
    assert_eq!((&by_default["cluster"], &by_default["region"]), (&json!("main"), &Value::Null));
    for asked in
        [json!({ "name": "By region", "region": "eu-west" }), json!({ "name": "By name", "cluster": "west" })]
    {
        let made = server.create(asked).await;
        assert_eq!((&made["cluster"], &made["region"]), (&json!("west"), &json!("eu-west")));
    }
    let by_name = server.create(json!({ "name": "Drained", "cluster": "closed" })).await;
    assert_eq!(by_name["cluster"], "closed", "who names a drained cluster means it");
    for (asked, pointer) in [
        (json!({ "name": "X", "cluster": "moon" }), "/cluster"),
        (json!({ "name": "X", "region": "moon" }), "/region"),
        (json!({ "name": "X", "region": "eu-north" }), "/region"),
        (json!({ "name": "X", "cluster": "main", "region": "eu-west" }), "/cluster"),
        (json!({ "name": "X", "isolation": "shared" }), "/isolation"),
        (json!({ "name": "X", "isolation": "apart" }), "/isolation"),
    ] {
        let refused = server.operator().post("/admin/v1/tenants", asked.clone()).await;
        assert_eq!(refused.pointers(), [pointer], "{asked}");
    }
}

#[tokio::test]
async fn the_owner_that_an_operator_names_is_not_let_in_without_a_password() {
    let server = Server::embedded();
    let acme = server.create(json!({ "name": "Acme", "owner": { "email": "ada@example.com" } })).await;
    assert_eq!(acme["slug"], "acme");
    for password in ["", PASSWORD] {
        let body = json!({ "email": "ada@example.com", "password": password });
        assert_eq!(server.nobody().post("/v1/sessions", body).await.problem(401), "unauthenticated");
    }
    let signed = sign_up(&server, signup("Mine now", "ada@example.com")).await.expect(202);
    server.until_done(signed["operation"]["id"].as_str().unwrap()).await;
    let body = json!({ "email": "ada@example.com", "password": PASSWORD, "tenant": "acme" });
    let refused = server.nobody().post("/v1/sessions", body).await;
    assert_eq!(refused.problem(401), "unauthenticated", "who claims the address has not got the invitation");
}

#[tokio::test]
async fn an_operation_is_seen_by_those_it_concerns() {
    let server = Server::embedded();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let path = format!("/v1/operations/{}", acme.operation);
    for (who, status) in
        [(server.nobody(), 200), (acme.owner.clone(), 200), (server.operator(), 200), (globex.owner, 404)]
    {
        assert_eq!(who.get(&path).await.status, status);
    }
    assert_eq!(acme.program.get(&path).await.problem(403), "insufficient_scope");
    let deletion = server.operator().delete(&format!("{}?grace_s=3600", acme.admin())).await.expect(202);
    let path = format!("/v1/operations/{}", deletion["operation"]["id"].as_str().unwrap());
    assert_eq!(server.nobody().get(&path).await.problem(404), "not_found");
    assert_eq!(server.nobody().get("/v1/operations/op_x").await.problem(404), "not_found");
}
