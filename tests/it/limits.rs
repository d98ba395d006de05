//! Rate limits: of a tenant by its plan, of a key by its own, on our API and on the verify call.

use std::time::Instant;

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::Scene;
use crate::world::postgres::TestDatabase;
use crate::world::server::{Answer, Client, Server};

/// One request a second and `burst` at once: what is used up stays so for long enough to be looked at.
fn limited(scene: Scene, burst: u32) -> (Server, Option<TestDatabase>) {
    let (starting, database) = scene.starting();
    let plans =
        format!("[plans.free]\nname = \"Free\"\nlimits = {{ requests_per_s = 1, burst = {burst} }}\n");
    (starting.file("plans.toml", &plans).set("PLANS__FILE", "plans.toml").start(), database)
}

const EMBEDDED: Scene = Scene { pg: None, isolation: "database" };

/// Asks until it is refused.
async fn until_refused(program: &Client) -> (usize, Answer) {
    for passed in 0..200 {
        let answer = program.query("SELECT 1", json!([])).await;
        if answer.status == 429 {
            return (passed, answer);
        }
        answer.expect(200);
    }
    panic!("never refused");
}

async fn verify(service: &Client, body: Value) -> Value {
    service.post("/v1/api-keys/verify", body).await.expect(200)
}

/// Asks at `cost` until the limits refuse; the answer that did.
async fn until_limited(service: &Client, key: &str, cost: u32) -> Value {
    for _ in 0..200 {
        let answer = verify(service, json!({ "key": key, "cost": cost })).await;
        if answer["code"] == "RATE_LIMITED" {
            return answer;
        }
        assert_eq!(answer["code"], "VALID");
    }
    panic!("never limited");
}

on_each_engine! {
    async fn a_program_that_asks_too_fast_is_told_when_to_come_back(scene) {
        let (server, _database) = limited(scene, 8);
        let acme = server.settle("Acme").await;
        let first = acme.program.query("SELECT 1", json!([])).await;
        first.expect(200);
        assert_eq!(first.header("ratelimit-policy"), Some("\"tenant\";q=8;w=8"));
        let left = first.header("ratelimit").unwrap();
        assert!(left.starts_with("\"tenant\";r=7;t="), "{left}");
        let began = Instant::now();
        let (passed, refused) = until_refused(&acme.program).await;
        let refilled = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
        assert!((7..=7 + refilled).contains(&passed), "{passed} passed in {:?}", began.elapsed());
        assert_eq!(refused.problem(429), "rate_limited");
        assert_eq!((refused.header("retry-after"), refused.header("ratelimit-policy")), (Some("1"), first.header("ratelimit-policy")));
        assert!(refused.header("ratelimit").unwrap().starts_with("\"tenant\";r=0;t="), "{refused:?}");
        // People, operators and services are not programs of the tenant.
        let service = server.service(&["routes:read"]).await;
        for _ in 0..12 {
            for answer in [
                acme.owner.get("/v1/tenant").await,
                server.operator().get(&acme.admin()).await,
                service.get("/v1/routes/acme").await,
            ] {
                answer.expect(200);
                assert_eq!(answer.header("ratelimit"), None);
            }
        }
        // A service's key has no plan; it is held to the limit it was given.
        let own = json!({ "name": "slow", "scopes": ["routes:read"], "rate_limit": { "requests_per_s": 1, "burst": 3 } });
        let slow = server.operator().post("/admin/v1/service-keys", own).await.expect(201);
        let slow = server.with(slow["key"].as_str().unwrap());
        let first = slow.get("/v1/routes/acme").await;
        first.expect(200);
        assert_eq!(first.header("ratelimit-policy"), Some("\"key\";q=3;w=3"));
        let mut refused = slow.get("/v1/routes/acme").await;
        for _ in 0..20 {
            if refused.status == 429 {
                break;
            }
            refused = slow.get("/v1/routes/acme").await;
        }
        assert_eq!(refused.problem(429), "rate_limited");
        service.get("/v1/routes/acme").await.expect(200);
        // Another tenant's limit is another.
        let globex = server.settle("Globex").await;
        globex.program.query("SELECT 1", json!([])).await.expect(200);
    }
}

#[tokio::test]
async fn verify_takes_the_cost_from_the_limit_and_tells_what_is_left() {
    let (server, _) = limited(EMBEDDED, 8);
    let acme = server.settle("Acme").await;
    let service = server.service(&["keys:verify"]).await;
    let looked = verify(&service, json!({ "key": acme.key, "cost": 0 })).await;
    assert_eq!(looked["rate_limit"], json!({ "limit": 8, "remaining": 8, "reset_ms": 0 }));
    let most = verify(&service, json!({ "key": acme.key, "cost": 7 })).await;
    assert_eq!((&most["code"], &most["rate_limit"]["remaining"]), (&json!("VALID"), &json!(1)));
    let reset = most["rate_limit"]["reset_ms"].as_u64().unwrap();
    assert!((6_000..=7_000).contains(&reset), "{reset}");
    let beyond = verify(&service, json!({ "key": acme.key, "cost": 9 })).await;
    assert_eq!(
        (&beyond["valid"], &beyond["code"]),
        (&json!(false), &json!("RATE_LIMITED")),
        "more than the burst"
    );
    assert_eq!((&beyond["tenant_slug"], &beyond["rate_limit"]["limit"]), (&json!("acme"), &json!(8)));
    // A refusal for another reason takes nothing, and comes first.
    for _ in 0..20 {
        let answer = verify(&service, json!({ "key": acme.key, "scopes": ["keys:manage"], "cost": 1 })).await;
        assert_eq!(answer["code"], "INSUFFICIENT_SCOPE");
        assert!(answer["rate_limit"]["remaining"].as_u64().unwrap() >= 1, "{answer}");
    }
    until_limited(&service, &acme.key, 1).await;
    // The same limit counts what the program asks of us.
    let (passed, _) = until_refused(&acme.program).await;
    assert!(passed <= 3, "{passed}");
    let unknown = verify(&service, json!({ "key": "x" })).await;
    assert_eq!((&unknown["code"], &unknown["rate_limit"]), (&json!("NOT_FOUND"), &Value::Null));
    let refused = service.post("/v1/api-keys/verify", json!({ "key": acme.key, "cost": 1_000_001 })).await;
    assert_eq!(refused.pointers(), ["/cost"]);
}

#[tokio::test]
async fn a_keys_own_limit_and_its_tenants_both_hold() {
    let (server, _) = limited(EMBEDDED, 8);
    let acme = server.settle("Acme").await;
    let service = server.service(&["keys:verify"]).await;
    let own = json!({ "requests_per_s": 1000, "burst": 3 });
    let wanted = json!({ "name": "other", "scopes": ["data:read"], "rate_limit": own });
    let made = acme.owner.post("/v1/tenant/api-keys", wanted).await.expect(201);
    let (other, id) = (made["key"].as_str().unwrap().to_owned(), made["id"].clone());
    let looked = verify(&service, json!({ "key": other, "cost": 0 })).await;
    assert_eq!(
        (&looked["key_id"], &looked["rate_limit"]["limit"]),
        (&id, &json!(3)),
        "the tighter one is told"
    );
    let beyond = verify(&service, json!({ "key": other, "cost": 4 })).await;
    assert_eq!((&beyond["code"], &beyond["rate_limit"]["limit"]), (&json!("RATE_LIMITED"), &json!(3)));
    let left = verify(&service, json!({ "key": acme.key, "cost": 0 })).await;
    assert_eq!(
        left["rate_limit"]["remaining"], 8,
        "what the key's limit refused was taken from the tenant's"
    );
    until_limited(&service, &acme.key, 1).await;
    let refused = until_limited(&service, &other, 3).await;
    assert_eq!(refused["rate_limit"]["limit"], 8, "now it is the tenant's that refuses");
    // A change of the key loads it anew; what was used stays used.
    let path = format!("/v1/tenant/api-keys/{}", id.as_str().unwrap());
    acme.owner
        .patch(&path, json!({ "rate_limit": { "requests_per_s": 1, "burst": 1000 } }))
        .await
        .expect(200);
    server.operator().patch(&acme.admin(), json!({ "name": "Acme Ltd" })).await.expect(200);
    let after = verify(&service, json!({ "key": other, "cost": 0 })).await;
    assert!(after["rate_limit"]["remaining"].as_u64().unwrap() < 8, "the tenant's limit was filled: {after}");
    acme.owner.patch(&path, json!({ "rate_limit": own })).await.expect(200);
    let headers = server.with(&other).get("/v1/tenant/database").await;
    let policy = headers.header("ratelimit-policy");
    assert_eq!(policy, Some("\"tenant\";q=8;w=8, \"key\";q=3;w=1"), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_at_once_get_what_the_limit_has_and_no_more() {
    let (server, _) = limited(EMBEDDED, 2000);
    let acme = server.settle("Acme").await;
    let service = server.service(&["keys:verify"]).await;
    let began = Instant::now();
    let asked = (0..64).map(|_| {
        let (service, key) = (service.clone(), acme.key.clone());
        async move {
            let mut valid = 0u64;
            for _ in 0..4 {
                let answer = verify(&service, json!({ "key": key, "cost": 10 })).await;
                valid += u64::from(answer["code"] == "VALID");
            }
            valid
        }
    });
    let valid: u64 = futures_util::future::join_all(asked).await.into_iter().sum();
    let most = 200 + began.elapsed().as_secs() / 10 + 1;
    assert!((200..=most).contains(&valid), "{valid} of 256 passed, {most} may");
}
