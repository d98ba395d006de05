//! Signing in, and the life of a session: renewed, listed, ended.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::tokens::part;
use crate::world::postgres::Pg;
use crate::world::server::{Answer, PASSWORD, Server, Starting, eventually};

async fn sign_in(server: &Server, body: Value) -> Answer {
    server.nobody().post("/v1/sessions", body).await
}

/// Brings a refresh token.
async fn refresh(server: &Server, token: &Value) -> Answer {
    server.nobody().post("/v1/sessions/refresh", json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_person_are_answered_alike() {
    let server = Server::embedded();
    server.settle("Acme").await;
    let told = async |body: Value| {
        let answer = sign_in(&server, body).await;
        assert_eq!(answer.problem(401), "unauthenticated");
        assert!(answer.header("www-authenticate").is_some());
        let mut told = answer.json();
        told.as_object_mut().unwrap().remove("request_id");
        told
    };
    let wrong = told(json!({ "email": "owner@acme.example", "password": "wrong" })).await;
    for body in [
        json!({ "email": "nobody@example.com", "password": "wrong" }),
        json!({ "email": "no address", "password": "wrong" }),
        json!({ "email": "owner@acme.example", "password": "" }),
        json!({ "email": "owner@acme.example", "password": PASSWORD, "tenant": "globex" }),
        json!({ "email": "owner@acme.example", "password": PASSWORD, "tenant": "tenant_x" }),
    ] {
        assert_eq!(told(body.clone()).await, wrong, "{body}");
    }
}

#[tokio::test]
async fn who_belongs_to_several_tenants_names_one() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let body = json!({ "organization": "Globex", "email": "owner@acme.example", "password": PASSWORD });
    server.nobody().post("/v1/signups", body).await.expect(202);
    let refused = sign_in(&server, json!({ "email": "owner@acme.example", "password": PASSWORD })).await;
    assert_eq!(refused.pointers(), ["/tenant"]);
    assert!(refused.text.contains("acme, globex"), "{}", refused.text);
    for (tenant, slug) in [("globex", "globex"), (acme.id.as_str(), "acme"), ("ACME", "acme")] {
        let body = json!({ "email": "owner@acme.example", "password": PASSWORD, "tenant": tenant });
        let session = sign_in(&server, body).await.expect(200);
        let own = server.with(session["access_token"].as_str().unwrap()).get("/v1/tenant").await;
        assert_eq!(own.expect(200)["slug"], slug);
    }
}

on_each_engine! {
    async fn a_session_is_renewed_again_and_again_and_a_spent_token_ends_it(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        server.settle("Acme").await;
        let first = server.sign_in("Acme").await;
        let mut session = first.clone();
        for _ in 0..3 {
            let renewed = refresh(&server, &session["refresh_token"]).await.expect(200);
            assert_eq!((&renewed["token_type"], &renewed["expires_in"]), (&json!("Bearer"), &json!(900)));
            assert_eq!(renewed["tenant"]["slug"], "acme");
            assert_ne!(renewed["refresh_token"], session["refresh_token"]);
            let (old, new) = (part(session["access_token"].as_str().unwrap(), 1), part(renewed["access_token"].as_str().unwrap(), 1));
            assert!(old["sid"] == new["sid"] && old["jti"] != new["jti"]);
            session = renewed;
        }
        // From where it was spent, and a moment ago: a second tab. It gets nothing, and ends nothing.
        let twin = refresh(&server, &first["refresh_token"]).await;
        assert_eq!(twin.problem(409), "refresh_token_spent");
        server.with_token_of(&session).get("/v1/tenant").await.expect(200);
        // Nonsense, also well-made nonsense about the same session, ends nothing either.
        let text = session["refresh_token"].as_str().unwrap();
        let forged = format!("{}{}", &text[..36], &server.sign_in("Acme").await["refresh_token"].as_str().unwrap()[36..]);
        for bad in [json!(""), json!("tnt_ref_x"), json!(forged)] {
            assert_eq!(refresh(&server, &bad).await.problem(401), "unauthenticated");
        }
        server.with_token_of(&session).get("/v1/tenant").await.expect(200);
    }
}

/// A proxy in front, so that a test can come from anywhere.
fn behind_a_proxy() -> Starting {
    Starting::new().set("SERVER__TRUSTED_PROXIES", "127.0.0.0/8").without_stock()
}

async fn from(server: &Server, address: &str, path: &str, body: Value) -> Answer {
    let nobody = server.nobody();
    nobody.send(nobody.request("POST", path).header("x-forwarded-for", address).json(&body)).await
}

#[tokio::test]
async fn a_copied_refresh_token_ends_the_session_for_thief_and_owner() {
    let server = behind_a_proxy().start();
    let acme = server.settle("Acme").await;
    let body = json!({ "email": "owner@acme.example", "password": PASSWORD });
    let session = from(&server, "203.0.113.1", "/v1/sessions", body).await.expect(200);
    let copied = json!({ "refresh_token": session["refresh_token"] });
    let owner = from(&server, "203.0.113.1", "/v1/sessions/refresh", copied.clone()).await.expect(200);
    server.with_token_of(&owner).get("/v1/tenant").await.expect(200);
    // Another place, however soon: two hold it.
    let thief = from(&server, "198.51.100.9", "/v1/sessions/refresh", copied).await;
    assert_eq!(thief.problem(401), "unauthenticated");
    assert_eq!(server.with_token_of(&owner).get("/v1/tenant").await.problem(401), "unauthenticated");
    assert_eq!(refresh(&server, &owner["refresh_token"]).await.problem(401), "unauthenticated");
    acme.owner.get("/v1/tenant").await.expect(200);
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    let told: String = file
        .query_row(
            "SELECT data FROM events WHERE type = 'session.ended' ORDER BY seq DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["reason"], "token_reused");
    assert_eq!(told["session_id"], part(owner["access_token"].as_str().unwrap(), 1)["sid"]);
}

on_each_engine! {
    async fn of_64_who_bring_one_refresh_token_exactly_one_wins(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        server.settle("Acme").await;
        let session = server.sign_in("Acme").await;
        let (nobody, token) = (server.nobody(), json!({ "refresh_token": session["refresh_token"] }));
        let asked = (0..64).map(|_| nobody.post("/v1/sessions/refresh", token.clone()));
        let (won, lost): (Vec<_>, Vec<_>) =
            futures_util::future::join_all(asked).await.into_iter().partition(|answer| answer.status == 200);
        assert_eq!(won.len(), 1);
        lost.iter().for_each(|answer| assert_eq!(answer.problem(409), "refresh_token_spent"));
        let next = refresh(&server, &won[0].json()["refresh_token"]).await.expect(200);
        server.with_token_of(&next).get("/v1/tenant").await.expect(200);
    }
}

on_each_engine! {
    async fn people_see_their_sessions_and_end_them(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let nobody = server.nobody();
        let body = json!({ "email": "owner@acme.example", "password": PASSWORD });
        let phone = nobody.send(nobody.request("POST", "/v1/sessions").header("user-agent", "Phone/1").json(&body)).await.expect(200);
        let (desk, phone) = (server.sign_in("Acme").await, server.with_token_of(&phone));
        let desk_id = part(desk["access_token"].as_str().unwrap(), 1)["sid"].clone();
        let list = phone.get("/v1/me/sessions").await.expect(200);
        let all = list["data"].as_array().unwrap();
        assert_eq!(all.len(), 3);
        assert!(all[0]["id"] == desk_id && all[0]["current"] == false);
        assert!(all[1]["current"] == true && all[1]["user_agent"] == "Phone/1" && all[1]["kind"] == "member");
        assert_eq!(all[1]["address"], "127.0.0.1");
        let page = phone.get("/v1/me/sessions?limit=2").await.expect(200);
        let rest = phone.get(&format!("/v1/me/sessions?limit=2&cursor={}", page["next_cursor"].as_str().unwrap())).await.expect(200);
        let ids: BTreeSet<_> = [&page, &rest].iter().flat_map(|page| page["data"].as_array().unwrap()).map(|one| one["id"].to_string()).collect();
        assert_eq!(ids.len(), 3);
        // Another's is not found; one's own is refused from this answer on.
        let path = format!("/v1/me/sessions/{}", desk_id.as_str().unwrap());
        assert_eq!(globex.owner.delete(&path).await.problem(404), "not_found");
        assert_eq!(globex.owner.delete(&path.replace("/me/", "/tenant/")).await.problem(404), "not_found");
        phone.delete(&path).await.expect(204);
        assert_eq!(phone.delete(&path).await.problem(404), "not_found");
        assert_eq!(server.with_token_of(&desk).get("/v1/tenant").await.problem(401), "unauthenticated");
        assert_eq!(refresh(&server, &desk["refresh_token"]).await.problem(401), "unauthenticated");
        // All others.
        phone.delete("/v1/me/sessions").await.expect(204);
        assert_eq!(acme.owner.get("/v1/tenant").await.problem(401), "unauthenticated");
        // An owner ends a member's session; programs and strangers see none.
        let again = server.sign_in("Acme").await;
        let list = phone.get("/v1/tenant/sessions").await.expect(200);
        assert_eq!(list["data"].as_array().unwrap().len(), 2);
        phone.delete(&format!("/v1/tenant/sessions/{}", list["data"][0]["id"].as_str().unwrap())).await.expect(204);
        assert_eq!(server.with_token_of(&again).get("/v1/tenant").await.status, 401);
        assert_eq!(acme.program.get("/v1/me/sessions").await.problem(403), "wrong_credential");
        // Signing out.
        phone.delete("/v1/sessions/current").await.expect(204);
        assert_eq!(phone.get("/v1/tenant").await.problem(401), "unauthenticated");
    }
}

#[tokio::test]
async fn a_session_ends_unless_it_is_refreshed_and_at_last_in_any_case() {
    let server = Starting::new()
        .set("AUTH__REFRESH_TOKEN_TTL_S", 1000)
        .set("AUTH__SESSION_MAX_S", 2000)
        .without_stock()
        .start();
    server.settle("Acme").await;
    let session = server.sign_in("Acme").await;
    let id = part(session["access_token"].as_str().unwrap(), 1)["sid"].clone();
    let path = server.data_dir().join("control.db");
    let file = rusqlite::Connection::open(path).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    // Time is the store's: what is older there is older.
    let age = |seconds: i64| {
        let sql = "UPDATE sessions SET created_at = created_at - ?1, expires_at = expires_at - ?1";
        file.execute(sql, [seconds * 1_000_000]).unwrap();
    };
    let left = || -> i64 {
        file.query_row("SELECT max((expires_at - used_at) / 1000000) FROM sessions", [], |row| row.get(0))
            .unwrap()
    };
    age(900);
    let session = refresh(&server, &session["refresh_token"]).await.expect(200);
    assert_eq!(left(), 1000, "it lives on from its last use");
    age(900);
    let session = refresh(&server, &session["refresh_token"]).await.expect(200);
    assert!((190..=200).contains(&left()), "and no longer than it may in all: {}", left());
    assert!(session["expires_in"].as_u64().unwrap() <= 200, "nor does a token outlive it");
    age(201);
    assert_eq!(refresh(&server, &session["refresh_token"]).await.problem(401), "unauthenticated");
    let fresh = server.with_token_of(&server.sign_in("Acme").await);
    let list = fresh.get("/v1/me/sessions").await.expect(200);
    assert!(list["data"].as_array().unwrap().iter().all(|one| one["id"] != id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_session_is_refused_on_every_server() {
    let database = Pg::newest().fresh_database();
    let start = || {
        Starting::new()
            .on_postgres(&database.url, "schema")
            .set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=")
            .set("SERVER__PUBLIC_URL", "https://tenantry.example.com")
            .set("STORE__MAX_CONNECTIONS", 6)
            .without_stock()
            .start()
    };
    let (one, two) = (start(), start());
    let acme = one.settle("Acme").await;
    let here = two.with_token_of(&one.sign_in("Acme").await);
    here.get("/v1/tenant").await.expect(200);
    acme.owner.delete("/v1/me/sessions").await.expect(204);
    eventually("the other to refuse it", || async {
        (here.get("/v1/tenant").await.status == 401).then_some(())
    })
    .await;
    // A role that changed counts at once where it was changed, and soon elsewhere: without a new token.
    let there = two.with_token_of(&one.sign_in("Acme").await);
    let name = json!({ "name": "Acme again" });
    there.patch("/v1/tenant", name.clone()).await.expect(200);
    database.run(&["UPDATE memberships SET role = 'viewer'"]);
    // What changes a role says so in the log; the test says it in its stead.
    one.sign_in("Acme").await;
    eventually("the other to know the role", || async {
        let answer = there.patch("/v1/tenant", name.clone()).await;
        (answer.status == 403 && answer.problem(403) == "insufficient_role").then_some(())
    })
    .await;
}
