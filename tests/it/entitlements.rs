//! Entitlements: what a tenant may do, by plan, by default and by override, with the reason; and what masks it.

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::server::{Client, Server, Settler, Starting, eventually};

const PLANS: &str = r#"
[features.support]
default = "community"
[features.exports]
default = false

[plans.free]
name = "Free"
[plans.free.features]
projects = 3
sso = false
theme = "plain"
credits = { meter = "credits", limit = 10, per = "month", overage = "deny" }
[plans.free.limits]
requests_per_s = 1_000_000
burst = 1_000_000

[plans.pro]
name = "Pro"
price = 4_900
currency = "EUR"
[plans.pro.features]
projects = 50
sso = true
audit_log = true
"#;

fn selling(starting: Starting) -> Starting {
    starting.file("plans.toml", PLANS).set("PLANS__FILE", "plans.toml")
}

async fn check(service: &Client, tenant: &str, feature: &str, amount: u64) -> Value {
    let body = json!({ "tenant": tenant, "feature": feature, "amount": amount });
    service.post("/v1/entitlements/check", body).await.expect(200)
}

/// What a check says, in short.
async fn says(service: &Client, tenant: &str, feature: &str, amount: u64) -> (String, Value, Value) {
    let answer = check(service, tenant, feature, amount).await;
    let reason = answer["reason"].as_str().unwrap().to_owned();
    assert_eq!(answer["allowed"], json!(matches!(reason.as_str(), "ALLOWED" | "OVERAGE")), "{answer}");
    (reason, answer["value"].clone(), answer["source"].clone())
}

fn said(reason: &str, value: Value, source: Value) -> (String, Value, Value) {
    (reason.to_owned(), value, source)
}

async fn grant(server: &Server, tenant: &Settler, body: Value) -> Value {
    server.operator().post(&format!("{}/entitlement-overrides", tenant.admin()), body).await.expect(201)
}

on_each_engine! {
    async fn each_answer_names_its_reason_and_its_source(scene) {
        let (starting, _database) = scene.starting();
        let server = selling(starting).start();
        let acme = server.settle("Acme").await;
        let service = server.service(&["entitlements:check"]).await;
        for (feature, amount, expected) in [
            ("projects", 3, said("ALLOWED", json!(3), json!("plan"))),
            ("projects", 4, said("LIMIT_REACHED", json!(3), json!("plan"))),
            ("sso", 1, said("NOT_IN_PLAN", json!(false), json!("plan"))),
            ("theme", 1, said("ALLOWED", json!("plain"), json!("plan"))),
            ("support", 1, said("ALLOWED", json!("community"), json!("default"))),
            ("exports", 1, said("NOT_IN_PLAN", json!(false), json!("default"))),
            ("audit_log", 1, said("NOT_IN_PLAN", Value::Null, Value::Null)),
            ("nonsense", 1, said("UNKNOWN_FEATURE", Value::Null, Value::Null)),
        ] {
            assert_eq!(says(&service, "acme", feature, amount).await, expected, "{feature}");
        }
        let metered = check(&service, &acme.id, "credits", 11).await;
        assert_eq!((&metered["reason"], &metered["limit"], &metered["used"], &metered["remaining"], &metered["overage"]), (&json!("LIMIT_REACHED"), &json!(10), &json!(0), &json!(10), &json!(0)));
        assert!(metered["resets_at"].as_str().unwrap().ends_with("-01T00:00:00Z"), "{metered}");
        // The same, all at once, for the tenant and for operators.
        let own = acme.owner.get("/v1/tenant/entitlements").await.expect(200);
        assert_eq!(own, server.operator().get(&format!("{}/entitlements", acme.admin())).await.expect(200));
        assert_eq!((&own["plan"], &own["plan_version"], &own["subscription"]), (&json!("free"), &json!(1), &json!("active")));
        let names: Vec<&str> = own["data"].as_array().unwrap().iter().map(|one| one["feature"].as_str().unwrap()).collect();
        assert_eq!(names, ["credits", "exports", "projects", "sso", "support", "theme"]);
        // Mistakes are told, each where it is.
        let post = async |body: Value| service.post("/v1/entitlements/check", body).await;
        let wrong = post(json!({ "tenant": "acme", "feature": "credits", "amount": 0, "consume": true })).await;
        assert_eq!(wrong.pointers(), ["/amount", "/idempotency_key"]);
        let consume = json!({ "tenant": "acme", "feature": "projects", "consume": true, "idempotency_key": "x" });
        assert_eq!(post(consume).await.problem(422), "not_metered");
        assert_eq!(post(json!({ "tenant": "nobody", "feature": "sso" })).await.problem(404), "not_found");
        let stranger = server.service(&["keys:verify"]).await;
        let refused = stranger.post("/v1/entitlements/check", json!({ "tenant": "acme", "feature": "sso" })).await;
        assert_eq!(refused.problem(403), "insufficient_scope");
    }
}

on_each_engine! {
    async fn an_override_grants_and_takes_away_for_its_time(scene) {
        let (starting, _database) = scene.starting();
        let server = selling(starting).start();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let service = server.service(&["entitlements:check"]).await;
        let path = format!("{}/entitlement-overrides", acme.admin());
        let operator = server.operator();
        // Granted: at once, to this tenant alone.
        let more = grant(&server, &acme, json!({ "feature": "projects", "value": 20, "reason": "a pilot" })).await;
        assert_eq!((&more["state"], &more["value"], &more["revoke"], &more["ends_at"]), (&json!("active"), &json!(20), &json!(false), &Value::Null));
        assert_eq!(says(&service, "acme", "projects", 20).await, said("ALLOWED", json!(20), json!("override")));
        assert_eq!(says(&service, "globex", "projects", 20).await.0, "LIMIT_REACHED");
        // Of two, the later one wins, while it counts.
        let gone = grant(&server, &acme, json!({ "feature": "projects", "revoke": true, "reason": "abuse" })).await;
        assert_eq!(says(&service, "acme", "projects", 1).await, said("REVOKED_BY_OVERRIDE", Value::Null, json!("override")));
        let one = format!("{path}/{}", gone["id"].as_str().unwrap());
        let read = operator.get(&one).await;
        assert_eq!((read.header("etag"), &read.expect(200)), (Some("\"1\""), &gone));
        let stale = operator.send(operator.request("DELETE", &one).header("if-match", "\"7\"")).await;
        assert_eq!(stale.problem(412), "precondition_failed");
        let ended = operator.send(operator.request("DELETE", &one).header("if-match", "\"1\"")).await;
        assert_eq!((ended.header("etag"), &ended.expect(200)["state"]), (Some("\"2\""), &json!("ended")));
        assert_eq!(says(&service, "acme", "projects", 20).await, said("ALLOWED", json!(20), json!("override")));
        let again = operator.delete(&one).await;
        assert_eq!(again.header("etag"), Some("\"2\""), "ending twice is ending once");
        // One whose time has not come changes nothing.
        let later = json!({ "feature": "sso", "value": true, "reason": "next year", "starts_at": "2100-01-01T00:00:00Z", "ends_at": "2101-01-01T00:00:00Z" });
        assert_eq!(grant(&server, &acme, later).await["state"], "scheduled");
        assert_eq!(says(&service, "acme", "sso", 1).await.0, "NOT_IN_PLAN");
        // One that ends by itself.
        let end = tenantry::kernel::clock::Clock::system().now().plus(std::time::Duration::from_millis(1500));
        grant(&server, &acme, json!({ "feature": "audit_log", "value": true, "reason": "a look", "ends_at": end })).await;
        assert_eq!(says(&service, "acme", "audit_log", 1).await.0, "ALLOWED");
        eventually("it to end", || async { (says(&service, "acme", "audit_log", 1).await.0 == "NOT_IN_PLAN").then_some(()) }).await;
        // Lists, newest first, in pages; of one feature.
        let first = operator.get(&format!("{path}?limit=3")).await.expect(200);
        let second = operator.get(&format!("{path}?limit=3&cursor={}", first["next_cursor"].as_str().unwrap())).await.expect(200);
        let features = |page: &Value| page["data"].as_array().unwrap().iter().map(|one| one["feature"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(features(&first), ["audit_log", "sso", "projects"]);
        assert_eq!((features(&second), &second["next_cursor"]), (vec!["projects".to_owned()], &Value::Null));
        let of_one = operator.get(&format!("{path}?feature=sso")).await.expect(200);
        assert_eq!(features(&of_one), ["sso"]);
        // Another tenant's are not there.
        let elsewhere = format!("{}/entitlement-overrides/{}", globex.admin(), more["id"].as_str().unwrap());
        assert_eq!(operator.get(&elsewhere).await.problem(404), "not_found");
        assert_eq!(operator.delete(&elsewhere).await.problem(404), "not_found");
        // Support may, a viewer may look.
        let body = || json!({ "feature": "sso", "value": true, "reason": "help" });
        server.operator_as("support").await.post(&path, body()).await.expect(201);
        let viewer = server.operator_as("viewer").await;
        assert_eq!(viewer.post(&path, body()).await.problem(403), "insufficient_role");
        viewer.get(&path).await.expect(200);
        assert_eq!(acme.owner.get(&path).await.problem(403), "wrong_credential");
    }
}

#[tokio::test]
async fn an_override_that_cannot_be_meant_is_refused_field_by_field() {
    let server = selling(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let path = format!("{}/entitlement-overrides", acme.admin());
    let operator = server.operator();
    for (body, pointers) in [
        (json!({ "feature": "nonsense", "value": true, "reason": "x" }), vec!["/feature"]),
        (json!({ "feature": "projects", "value": true, "reason": "x" }), vec!["/value"]),
        (json!({ "feature": "projects", "reason": "x" }), vec!["/value"]),
        (
            json!({ "feature": "projects", "value": 1, "revoke": true, "reason": " " }),
            vec!["/reason", "/value"],
        ),
        (
            json!({ "feature": "sso", "value": true, "reason": "x", "ends_at": "2001-01-01T00:00:00Z" }),
            vec!["/ends_at"],
        ),
        (json!({ "feature": "theme", "value": "", "reason": "x" }), vec!["/value"]),
        (json!({ "feature": "sso", "value": true }), vec!["/reason"]),
    ] {
        assert_eq!(operator.post(&path, body.clone()).await.pointers(), pointers, "{body}");
    }
    assert_eq!(operator.get(&path).await.expect(200)["data"], json!([]));
    // The same request sent again is one override.
    let body = json!({ "feature": "sso", "value": true, "reason": "x" });
    let (first, second) =
        (operator.post_once(&path, "k", body.clone()).await, operator.post_once(&path, "k", body).await);
    assert_eq!((first.expect(201), second.header("idempotent-replayed")), (second.expect(201), Some("true")));
    assert_eq!(operator.get(&path).await.expect(200)["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_tenant_that_stands_still_may_nothing_and_is_told_why() {
    let mut server = selling(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let service = server.service(&["entitlements:check"]).await;
    let take = |key: &str| json!({ "tenant": "acme", "feature": "credits", "consume": true, "idempotency_key": key });
    assert_eq!(service.post("/v1/entitlements/check", take("a")).await.expect(200)["used"], 1);
    server.operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    for feature in ["projects", "theme", "credits"] {
        let (reason, value, source) = says(&service, "acme", feature, 1).await;
        assert_eq!((reason.as_str(), &source), ("TENANT_SUSPENDED", &json!("plan")), "{feature}");
        assert_ne!(value, Value::Null, "what is granted is no secret");
    }
    let refused = service.post("/v1/entitlements/check", take("b")).await.expect(200);
    assert_eq!((&refused["allowed"], &refused["used"]), (&json!(false), &json!(1)), "and nothing is taken");
    server.operator().post(&format!("{}/resume", acme.admin()), json!({})).await.expect(200);
    assert_eq!(says(&service, "acme", "projects", 1).await.0, "ALLOWED");
    for (state, reason) in [
        ("past_due", "ALLOWED"),
        ("restricted", "READ_ONLY"),
        ("suspended", "SUBSCRIPTION_INACTIVE"),
        ("trialing", "ALLOWED"),
    ] {
        assert!(server.stop());
        let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
        let sql = "UPDATE subscriptions SET state = ?1, trial_ends_at = 4102444800000000, next_at = NULL";
        file.execute(sql, [state]).unwrap();
        drop(file);
        server.start();
        let service = service.at(&server.url);
        assert_eq!(says(&service, "acme", "projects", 1).await.0, reason, "{state}");
        let listed = server.operator().get(&format!("{}/entitlements", acme.admin())).await.expect(200);
        assert_eq!((&listed["subscription"], &listed["data"][0]["reason"]), (&json!(state), &json!(reason)));
    }
}
