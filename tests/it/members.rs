//! Who belongs to a tenant, and that it always keeps an owner.

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::server::{Answer, Client, PASSWORD, Server, Settler, Starting};

const PLANS: &str = r#"
[plans.free]
name = "Free"
[plans.free.limits]
members = 100
"#;

fn roomy(starting: Starting) -> Starting {
    starting.file("plans.toml", PLANS).set("PLANS__FILE", "plans.toml")
}

/// Somebody of a tenant, signed in.
struct Person {
    id: String,
    email: String,
    client: Client,
}

impl Person {
    fn path(&self) -> String {
        format!("/v1/tenant/members/{}", self.id)
    }
}

async fn sign_in(server: &Server, email: &str, tenant: &str) -> Answer {
    server
        .nobody()
        .post("/v1/sessions", json!({ "email": email, "password": PASSWORD, "tenant": tenant }))
        .await
}

async fn person(server: &Server, email: &str, tenant: &str) -> Person {
    let session = sign_in(server, email, tenant).await.expect(200);
    let client = server.with(session["access_token"].as_str().unwrap());
    let me = client.get("/v1/me").await.expect(200);
    Person { id: me["id"].as_str().unwrap().to_owned(), email: email.to_owned(), client }
}

/// Takes somebody new in with this role.
async fn take_in(server: &Server, to: &Settler, email: &str, role: &str) -> Person {
    let body = json!({ "email": email, "role": role });
    to.owner.post("/v1/tenant/invitations", body).await.expect(201);
    let token = server.letter(email, 1).await.token();
    let body = json!({ "token": token, "password": PASSWORD });
    server.nobody().post("/v1/invitations/accept", body).await.expect(201);
    person(server, email, &to.slug).await
}

async fn make(who: &Client, of: &Person, role: &str) -> Answer {
    who.patch(&of.path(), json!({ "role": role })).await
}

async fn roles(who: &Client) -> Vec<(Value, Value)> {
    let page = who.get("/v1/tenant/members").await.expect(200);
    let mut all: Vec<_> = page["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["email"].clone(), one["role"].clone()))
        .collect();
    all.sort_by_key(|(email, _)| email.to_string());
    all
}

on_each_engine! {
    async fn roles_are_given_and_taken_up_to_ones_own(scene) {
        let (starting, _database) = scene.starting();
        let server = roomy(starting).start();
        let acme = server.settle("Acme").await;
        let owner = person(&server, "owner@acme.example", "acme").await;
        let admin = take_in(&server, &acme, "admin@acme.example", "admin").await;
        let grace = take_in(&server, &acme, "grace@acme.example", "viewer").await;
        let read = acme.owner.get(&grace.path()).await;
        assert_eq!((read.header("etag"), &read.expect(200)["role"]), (Some("\"1\""), &json!("viewer")));
        let changed = make(&admin.client, &grace, "developer").await;
        assert_eq!((changed.header("etag"), &changed.expect(200)["role"]), (Some("\"2\""), &json!("developer")));
        // The new role counts at once, in the session that was open.
        let body = json!({ "name": "a developer's", "scopes": ["data:read"] });
        grace.client.post("/v1/tenant/api-keys", body).await.expect(201);
        let stale = admin.client.request("PATCH", &grace.path()).header("if-match", "\"1\"").json(&json!({ "role": "viewer" }));
        assert_eq!(admin.client.send(stale).await.problem(412), "precondition_failed");
        for refused in [
            make(&admin.client, &grace, "owner").await,
            make(&admin.client, &owner, "viewer").await,
            admin.client.delete(&owner.path()).await,
            make(&grace.client, &grace, "admin").await,
            grace.client.delete(&admin.path()).await,
        ] {
            assert_eq!(refused.problem(403), "insufficient_role");
        }
        // A token from before says admin; the store knows better.
        make(&acme.owner, &admin, "viewer").await.expect(200);
        assert!(matches!(make(&admin.client, &grace, "viewer").await.status, 401 | 403));
        let key = acme.key(&["members:manage"]).await;
        make(&key, &grace, "billing").await.expect(200);
        assert_eq!(make(&key, &grace, "admin").await.problem(403), "insufficient_role");
        assert_eq!(key.delete(&owner.path()).await.problem(403), "insufficient_role");
        key.delete(&grace.path()).await.expect(204);
        assert_eq!(acme.owner.get(&grace.path()).await.problem(404), "not_found");
        sign_in(&server, &grace.email, "acme").await.problem(401);
        assert_eq!(roles(&acme.owner).await, [(json!("admin@acme.example"), json!("viewer")), (json!("owner@acme.example"), json!("owner"))]);
    }
}

on_each_engine! {
    async fn the_last_owner_stays_whatever_they_try(scene) {
        let (starting, _database) = scene.starting();
        let server = roomy(starting).start();
        let acme = server.settle("Acme").await;
        let owner = person(&server, "owner@acme.example", "acme").await;
        take_in(&server, &acme, "grace@acme.example", "admin").await;
        for refused in [
            make(&owner.client, &owner, "admin").await,
            owner.client.delete(&owner.path()).await,
        ] {
            assert_eq!(refused.problem(409), "last_owner");
        }
        let heir = take_in(&server, &acme, "heir@acme.example", "owner").await;
        owner.client.delete(&owner.path()).await.expect(204);
        assert_eq!(heir.client.delete(&heir.path()).await.problem(409), "last_owner");
        sign_in(&server, "owner@acme.example", "acme").await.problem(401);
    }
}

on_each_engine! {
    async fn of_many_owners_who_leave_at_once_one_stays(scene) {
        let (starting, _database) = scene.starting();
        let server = roomy(starting).start();
        let acme = server.settle("Acme").await;
        let mut owners = vec![person(&server, "owner@acme.example", "acme").await];
        for number in 0..7 {
            owners.push(take_in(&server, &acme, &format!("o{number}@acme.example"), "owner").await);
        }
        // Eight owners, eight tries each: to leave, or to be made less.
        let tries = (0..64).map(|number| {
            let (owner, leave) = (&owners[number % 8], number / 8 % 2 == 0);
            async move {
                loop {
                    let answer = if leave { owner.client.delete(&owner.path()).await } else { make(&owner.client, owner, "viewer").await };
                    if answer.status != 503 {
                        return answer;
                    }
                }
            }
        });
        let answers = futures_util::future::join_all(tries).await;
        for answer in &answers {
            assert!(matches!(answer.status, 200 | 204 | 401 | 403 | 404 | 409 | 412), "{answer:?}");
        }
        let left = server.operator().get(&format!("{}/members", acme.admin())).await.expect(200);
        let left = left["data"].as_array().unwrap().iter().filter(|one| one["role"] == "owner").count();
        assert_eq!(left, 1, "{answers:#?}");
        assert!(answers.iter().any(|answer| answer.status == 409 && answer.text.contains("last_owner")));
    }
}

on_each_engine! {
    async fn a_tenant_is_handed_over_with_the_owners_password(scene) {
        let (starting, _database) = scene.starting();
        let server = roomy(starting).start();
        let acme = server.settle("Acme").await;
        let owner = person(&server, "owner@acme.example", "acme").await;
        let heir = take_in(&server, &acme, "heir@acme.example", "viewer").await;
        let globex = server.settle("Globex").await;
        let stranger = person(&server, "owner@globex.example", "globex").await;
        let hand = async |who: &Client, to: &str, password: &str| {
            who.post("/v1/tenant/ownership", json!({ "user_id": to, "password": password })).await
        };
        assert_eq!(hand(&owner.client, &heir.id, "wrong").await.problem(403), "wrong_password");
        assert_eq!(hand(&owner.client, &stranger.id, PASSWORD).await.problem(404), "not_found");
        assert_eq!(hand(&owner.client, &owner.id, PASSWORD).await.pointers(), ["/user_id"]);
        assert_eq!(hand(&heir.client, &heir.id, PASSWORD).await.problem(403), "insufficient_role");
        assert_eq!(hand(&globex.owner, &heir.id, PASSWORD).await.problem(404), "not_found");
        assert_eq!(hand(&owner.client, &heir.id, PASSWORD).await.expect(200)["role"], "owner");
        let heir = person(&server, "heir@acme.example", "acme").await;
        assert_eq!(roles(&heir.client).await, [(json!("heir@acme.example"), json!("owner")), (json!("owner@acme.example"), json!("admin"))]);
        let again = hand(&owner.client, &heir.id, PASSWORD).await;
        assert!(matches!(again.status, 401 | 403), "a token from before is no use: {again:?}");
    }
}

#[tokio::test]
async fn members_are_seen_by_members_and_by_operators_and_listed_in_pages() {
    let server = roomy(Starting::new()).start();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    for number in 0..4 {
        take_in(&server, &acme, &format!("p{number}@acme.example"), "viewer").await;
    }
    let first = acme.owner.get("/v1/tenant/members?limit=2").await.expect(200);
    let mut seen: Vec<Value> =
        first["data"].as_array().unwrap().iter().map(|one| one["email"].clone()).collect();
    assert_eq!(seen, ["p3@acme.example", "p2@acme.example"], "newest first");
    let mut cursor = first["next_cursor"].clone();
    while let Some(text) = cursor.as_str() {
        let page = acme.owner.get(&format!("/v1/tenant/members?limit=2&cursor={text}")).await.expect(200);
        seen.extend(page["data"].as_array().unwrap().iter().map(|one| one["email"].clone()));
        cursor = page["next_cursor"].clone();
    }
    assert_eq!(seen.len(), 5);
    let all = server.operator_as("viewer").await.get(&format!("{}/members", acme.admin())).await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 5);
    let id = all["data"][0]["user_id"].as_str().unwrap();
    let path = format!("/v1/tenant/members/{id}");
    for answer in [
        globex.owner.get(&path).await,
        globex.owner.patch(&path, json!({ "role": "viewer" })).await,
        globex.owner.delete(&path).await,
    ] {
        assert_eq!(answer.problem(404), "not_found");
    }
    assert_eq!(acme.program.get("/v1/tenant/members").await.problem(403), "insufficient_scope");
}

#[tokio::test]
async fn of_a_suspended_tenant_members_may_leave_but_not_be_changed() {
    let server = roomy(Starting::new()).start();
    let acme = server.settle("Acme").await;
    let grace = take_in(&server, &acme, "grace@acme.example", "viewer").await;
    server.operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    assert_eq!(make(&acme.owner, &grace, "developer").await.problem(403), "tenant_suspended");
    let body = json!({ "email": "x@acme.example", "role": "viewer" });
    assert_eq!(acme.owner.post("/v1/tenant/invitations", body).await.problem(403), "tenant_suspended");
    grace.client.delete(&grace.path()).await.expect(204);
}
