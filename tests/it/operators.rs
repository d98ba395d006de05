//! Operators who are people, and their visits to tenants.

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::tokens::part;
use crate::world::server::{PASSWORD, Server, Starting};

on_each_engine! {
    async fn an_operator_is_made_sets_a_password_signs_in_and_is_removed(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let (operator, nobody) = (server.operator(), server.nobody());
        let body = json!({ "email": "Ada@Example.com", "role": "support" });
        let made = operator.post_once("/admin/v1/operator-users", "one", body.clone()).await.expect(201);
        assert_eq!((&made["email"], &made["state"], &made["role"]), (&json!("ada@example.com"), &json!("invited"), &json!("support")));
        let replayed = operator.post_once("/admin/v1/operator-users", "one", body.clone()).await;
        assert_eq!((replayed.header("idempotent-replayed"), replayed.expect(201)), (Some("true"), made.clone()));
        assert_eq!(operator.post("/admin/v1/operator-users", body).await.problem(409), "email_in_use");
        let path = format!("/admin/v1/operator-users/{}", made["id"].as_str().unwrap());
        let sign_in = async |password: &str| nobody.post("/admin/v1/sessions", json!({ "email": "ADA@example.com", "password": password })).await;
        assert_eq!(sign_in(PASSWORD).await.problem(401), "unauthenticated");
        // The token is good once, for a password that is long enough.
        let set_up = async |token: &Value, password: &str| nobody.post("/admin/v1/operator-setup", json!({ "token": token, "password": password })).await;
        assert_eq!(set_up(&made["setup_token"], "short").await.pointers(), ["/password"]);
        assert_eq!(set_up(&json!("tnt_set_x"), PASSWORD).await.problem(401), "unauthenticated");
        assert_eq!(set_up(&made["setup_token"], PASSWORD).await.expect(200)["state"], "active");
        assert_eq!(set_up(&made["setup_token"], PASSWORD).await.problem(401), "unauthenticated");

        let session = sign_in(PASSWORD).await.expect(200);
        let claims = part(session["access_token"].as_str().unwrap(), 1);
        assert_eq!((&claims["aud"], &claims["role"], &claims["sub"]), (&json!("tenantry-admin"), &json!("support"), &made["id"]));
        assert!(claims.get("tenant_id").is_none() && claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap() <= 900);
        let ada = server.with_token_of(&session);
        ada.get("/admin/v1/tenants").await.expect(200);
        assert_eq!(ada.post("/admin/v1/operator-users", json!({ "email": "b@example.com", "role": "viewer" })).await.problem(403), "insufficient_role");
        assert_eq!(ada.get("/v1/tenant").await.problem(403), "wrong_credential");
        // The role is the present one, without a new token.
        let got = operator.get(&path).await;
        let (etag, _) = (got.header("etag").unwrap().to_owned(), got.expect(200));
        let patch = |etag: &str, body: Value| operator.send(operator.request("PATCH", &path).header("if-match", etag).json(&body));
        assert_eq!(patch("\"99\"", json!({ "role": "admin" })).await.problem(412), "precondition_failed");
        patch(&etag, json!({ "role": "admin" })).await.expect(200);
        ada.get("/admin/v1/signing-keys").await.expect(200);
        ada.post("/admin/v1/operator-users", json!({ "email": "b@example.com", "role": "viewer" })).await.expect(201);
        // Renewed like any session, and not through the members' door.
        let token = json!({ "refresh_token": session["refresh_token"] });
        assert_eq!(nobody.post("/v1/sessions/refresh", token.clone()).await.problem(401), "unauthenticated");
        let renewed = nobody.post("/admin/v1/sessions/refresh", token).await.expect(200);
        let ada = server.with_token_of(&renewed);
        assert_eq!(operator.get("/admin/v1/operator-users?limit=1").await.expect(200)["data"][0]["email"], "b@example.com");
        // Disabled: refused from that answer on, and let in again.
        operator.patch(&path, json!({ "disabled": true })).await.expect(200);
        assert_eq!(ada.get("/admin/v1/tenants").await.problem(401), "unauthenticated");
        assert_eq!(sign_in(PASSWORD).await.problem(401), "unauthenticated");
        operator.patch(&path, json!({ "disabled": false })).await.expect(200);
        let ada = server.with_token_of(&sign_in(PASSWORD).await.expect(200));
        ada.delete("/admin/v1/sessions/current").await.expect(204);
        assert_eq!(ada.get("/admin/v1/tenants").await.problem(401), "unauthenticated");
        // A lost password: the old one ends with the new token.
        let ada = server.with_token_of(&sign_in(PASSWORD).await.expect(200));
        let renewed = operator.post(&format!("{path}/setup"), json!({})).await.expect(201);
        assert_eq!(ada.get("/admin/v1/tenants").await.status, 401);
        assert_eq!(sign_in(PASSWORD).await.status, 401);
        set_up(&renewed["setup_token"], "another password").await.expect(200);
        let ada = server.with_token_of(&sign_in("another password").await.expect(200));
        operator.delete(&path).await.expect(204);
        assert_eq!(ada.get("/admin/v1/tenants").await.status, 401);
        assert_eq!(operator.get(&path).await.problem(404), "not_found");
    }
}

on_each_engine! {
    async fn the_last_admin_is_kept_keys_and_people_counted(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let session = server.officer("ada@example.com", "admin").await;
        let (ada, operator) = (server.with_token_of(&session), server.operator());
        let path = format!("/admin/v1/operator-users/{}", session["operator"]["id"].as_str().unwrap());
        let keys = operator.get("/admin/v1/operators").await.expect(200);
        let key = format!("/admin/v1/operators/{}", keys["data"][0]["id"].as_str().unwrap());
        // Two of them cross: one stays.
        let (by_key, by_person) = futures_util::join!(operator.delete(&path), ada.delete(&key));
        let won = [by_key.status, by_person.status].iter().filter(|status| matches!(status, 200 | 204)).count();
        assert_eq!(won, 1, "{by_key:?} {by_person:?}");
        let left = if by_key.status == 204 { &operator } else { &ada };
        let mine = if by_key.status == 204 { &key } else { &path };
        assert_eq!(left.delete(mine).await.problem(409), "last_admin");
        if by_key.status != 204 {
            assert_eq!(ada.patch(&path, json!({ "role": "viewer" })).await.problem(409), "last_admin");
            assert_eq!(ada.patch(&path, json!({ "disabled": true })).await.problem(409), "last_admin");
            assert_eq!(ada.post(&format!("{path}/setup"), json!({})).await.problem(409), "last_admin");
        }
    }
}

/// The kinds and data of a tenant's events, newest first.
fn events(server: &Server, kind: &str) -> Vec<(String, String, Value)> {
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    let mut sql = file
        .prepare("SELECT actor_kind, actor_id, data FROM events WHERE type = ?1 ORDER BY seq DESC")
        .unwrap();
    let rows = sql.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))).unwrap();
    rows.map(|row| row.unwrap())
        .map(|(kind, id, data)| (kind, id, serde_json::from_str(&data).unwrap()))
        .collect()
}

#[tokio::test]
async fn a_visit_in_a_members_stead_is_seen_bounded_and_ended_by_the_tenant() {
    let server = Starting::new().without_stock().start();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let session = server.officer("ada@example.com", "support").await;
    let ada = server.with_token_of(&session);
    let owner = part(server.sign_in("Acme").await["access_token"].as_str().unwrap(), 1)["sub"].clone();
    let path = format!("{}/impersonate", acme.admin());
    let wanted = json!({ "user_id": owner, "reason": "ticket 4711", "ttl_s": 600 });
    for (body, fields) in [
        (json!({ "reason": "x" }), vec!["/user_id"]),
        (json!({ "user_id": owner, "role": "owner", "reason": "x" }), vec!["/user_id"]),
        (json!({ "user_id": owner, "reason": " " }), vec!["/reason"]),
        (json!({ "user_id": owner, "reason": "x", "ttl_s": 3601 }), vec!["/ttl_s"]),
    ] {
        assert_eq!(ada.post(&path, body).await.pointers(), fields);
    }
    let other = globex.admin() + "/impersonate";
    assert_eq!(ada.post(&other, wanted.clone()).await.problem(404), "not_found");
    let viewer = server.operator_as("viewer").await;
    assert_eq!(viewer.post(&path, wanted.clone()).await.problem(403), "insufficient_role");

    let visit = ada.post(&path, wanted.clone()).await.expect(201);
    let claims = part(visit["access_token"].as_str().unwrap(), 1);
    assert_eq!(
        (&claims["sub"], &claims["role"], &claims["act"]["sub"], &claims["aud"]),
        (&owner, &json!("owner"), &session["operator"]["id"], &json!("tenantry"))
    );
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    let inside = server.with_token_of(&visit);
    assert_eq!(inside.get("/v1/tenant").await.expect(200)["id"], json!(acme.id));
    inside.query("SELECT 1", json!([])).await.expect(200);
    inside.patch("/v1/tenant", json!({ "name": "Mended" })).await.expect(200);
    // What lasts, or is the member's own, stays with the member.
    let forbidden = [
        inside.delete("/v1/tenant").await,
        inside.post("/v1/tenant/api-keys", json!({ "name": "x", "scopes": ["data:read"] })).await,
        inside.post("/v1/me/totp", json!({ "password": PASSWORD })).await,
        inside.get("/v1/me/sessions").await,
        inside.delete("/v1/me/sessions").await,
        inside.get("/v1/tenant/sessions").await,
    ];
    for answer in forbidden {
        assert_eq!(answer.problem(403), "not_in_stead", "{answer:?}");
    }
    assert_eq!(inside.get("/admin/v1/tenants").await.problem(403), "wrong_credential");
    // Every event names the operator, and whose stead it was.
    let operator = session["operator"]["id"].as_str().unwrap();
    let (kind, id, data) = events(&server, "tenant.updated").remove(0);
    assert_eq!((kind.as_str(), id.as_str()), ("operator_user", operator));
    assert_eq!(
        (&data["in_stead_of"]["user_id"], &data["in_stead_of"]["session_id"]),
        (&owner, &visit["session_id"])
    );
    let (_, _, started) = events(&server, "impersonation.started").remove(0);
    assert_eq!((&started["reason"], &started["operator"]), (&json!("ticket 4711"), &json!(operator)));
    // The tenant sees it, and the member ends it.
    for who in ["/v1/me/sessions", "/v1/tenant/sessions"] {
        let list = acme.owner.get(who).await.expect(200);
        let seen =
            list["data"].as_array().unwrap().iter().find(|one| one["id"] == visit["session_id"]).unwrap();
        assert_eq!(
            (&seen["kind"], &seen["impersonation"]["reason"]),
            (&json!("impersonation"), &json!("ticket 4711"))
        );
    }
    let path_of =
        |visit: &Value, of: &str| format!("/v1/{of}/sessions/{}", visit["session_id"].as_str().unwrap());
    assert_eq!(globex.owner.delete(&path_of(&visit, "tenant")).await.problem(404), "not_found");
    acme.owner.delete(&path_of(&visit, "me")).await.expect(204);
    assert_eq!(inside.get("/v1/tenant").await.problem(401), "unauthenticated");
    let (_, _, ended) = events(&server, "impersonation.ended").remove(0);
    assert_eq!((&ended["reason"], &ended["session_id"]), (&json!("revoked"), &visit["session_id"]));

    // Renewed within its time and never past it; ended by the operator.
    let visit =
        ada.post(&path, json!({ "user_id": owner, "reason": "again", "ttl_s": 3600 })).await.expect(201);
    assert_eq!(visit["expires_in"], 900);
    let file = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
    file.busy_timeout(std::time::Duration::from_secs(10)).unwrap();
    let sql = "UPDATE sessions SET expires_at = expires_at - 3000 * 1000000 WHERE kind = 'impersonation'";
    file.execute(sql, []).unwrap();
    let token = json!({ "refresh_token": visit["refresh_token"] });
    let renewed = server.nobody().post("/v1/sessions/refresh", token).await.expect(200);
    assert!((590..=600).contains(&renewed["expires_in"].as_u64().unwrap()), "{renewed}");
    assert_eq!(part(renewed["access_token"].as_str().unwrap(), 1)["act"]["sub"], json!(operator));
    let inside = server.with_token_of(&renewed);
    inside.get("/v1/tenant").await.expect(200);
    ada.delete(&format!("{path}/{}", visit["session_id"].as_str().unwrap())).await.expect(204);
    assert_eq!(inside.get("/v1/tenant").await.status, 401);
    // An operator may end visits alone, not members' sessions.
    let mine = part(server.sign_in("Acme").await["access_token"].as_str().unwrap(), 1)["sid"].clone();
    assert_eq!(ada.delete(&format!("{path}/{}", mine.as_str().unwrap())).await.problem(404), "not_found");
}

#[tokio::test]
async fn a_visit_ends_with_its_operator_and_keeps_to_its_role() {
    let server = Starting::new().without_stock().start();
    let acme = server.settle("Acme").await;
    let session = server.officer("ada@example.com", "support").await;
    let support = server.operator_as("support").await;
    let path = format!("{}/impersonate", acme.admin());
    let wanted = json!({ "role": "viewer", "reason": "to see what they see" });
    let visit = async |who: &crate::world::server::Client| {
        server.with_token_of(&who.post(&path, wanted.clone()).await.expect(201))
    };
    let (by_person, by_key) = (visit(&server.with_token_of(&session)).await, visit(&support).await);
    for inside in [&by_person, &by_key] {
        inside.get("/v1/tenant").await.expect(200);
        let refused = inside.patch("/v1/tenant", json!({ "name": "Mine" })).await;
        assert_eq!(refused.problem(403), "insufficient_role");
    }
    let id = session["operator"]["id"].as_str().unwrap();
    server
        .operator()
        .patch(&format!("/admin/v1/operator-users/{id}"), json!({ "role": "viewer" }))
        .await
        .expect(200);
    assert_eq!(by_person.get("/v1/tenant").await.problem(401), "unauthenticated");
    let keys = server.operator().get("/admin/v1/operators").await.expect(200);
    let key = keys["data"].as_array().unwrap().iter().find(|key| key["role"] == "support").unwrap();
    server
        .operator()
        .delete(&format!("/admin/v1/operators/{}", key["id"].as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(by_key.get("/v1/tenant").await.problem(401), "unauthenticated");
    // A repeated request in another tenant's stead is no repetition.
    let globex = server.settle("Globex").await;
    for tenant in [&acme, &globex] {
        let body = json!({ "role": "owner", "reason": "same words" });
        let admin = server.operator();
        let visit = admin.post_once(&format!("{}/impersonate", tenant.admin()), "k", body).await.expect(201);
        let inside = server.with_token_of(&visit);
        assert_eq!(inside.get("/v1/tenant").await.expect(200)["id"], json!(tenant.id));
        let left = inside.delete("/v1/sessions/current").await;
        left.expect(204);
        assert_eq!(inside.get("/v1/tenant").await.status, 401);
    }
}
