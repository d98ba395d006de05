//! A key never holds more than whoever gives it its power may: roles, keys and operators against scopes.

use serde_json::{Value, json};
use tenantry::auth::Scope;
use tenantry::auth::caller::TenantRole;
use tenantry::auth::scope::ScopeKind;

use super::life::ask;
use super::{KEYS, in_seconds, make};
use crate::world::server::{Client, PASSWORD, Server, Settler};

fn id(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

/// The owner in another role, signed in anew.
async fn member(server: &Server, acme: &Settler, role: TenantRole) -> Client {
    ask(server, None, &format!("UPDATE memberships SET role = '{role}'"));
    let email = format!("owner@{}.example", acme.slug);
    let session = server.nobody().post("/v1/sessions", json!({ "email": email, "password": PASSWORD })).await;
    server.with(session.expect(200)["access_token"].as_str().unwrap())
}

/// Roles that may manage keys, and the scopes that each may not put on one.
const MATRIX: [(TenantRole, &[&str]); 3] = [
    (TenantRole::Owner, &[]),
    // It also deletes the tenant, which is the owner's alone.
    (TenantRole::Admin, &["tenant:manage"]),
    (TenantRole::Developer, &["members:manage", "audit:read", "tenant:manage"]),
];

#[tokio::test]
async fn each_role_gives_keys_what_it_may_do_itself_and_no_more() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let strong =
        make(&acme.owner, json!({ "name": "strong", "scopes": ["tenant:manage"] })).await.expect(201);
    let weak = make(&acme.owner, json!({ "name": "weak", "scopes": ["data:read"] })).await.expect(201);
    for (role, not) in MATRIX {
        let member = member(&server, &acme, role).await;
        for scope in Scope::all_of(ScopeKind::Tenant) {
            let word = scope.word();
            let made = make(&member, json!({ "name": "x", "scopes": [word] })).await;
            let patched = member.patch(&id(&weak), json!({ "scopes": ["data:read", word] })).await;
            if !not.contains(&word) {
                member.delete(&id(&made.expect(201))).await.expect(200);
                patched.expect(200);
                member.patch(&id(&weak), json!({ "scopes": ["data:read"] })).await.expect(200);
            } else {
                assert_eq!(made.problem(403), "scope_beyond_own", "{role} {word}");
                assert_eq!(patched.problem(403), "scope_beyond_own", "{role} {word}");
            }
        }
        let rotated = member.post(&format!("{}/rotate", id(&strong)), json!({ "overlap_s": 0 })).await;
        if role == TenantRole::Owner {
            // Put the way back: the rest of the story goes on with the successor's rights.
            let next = rotated.expect(201);
            member.delete(&id(&next)).await.expect(200);
            ask(
                &server,
                None,
                "UPDATE keys SET expires_at = NULL, successor_id = NULL WHERE name = 'strong'",
            );
            continue;
        }
        assert_eq!(rotated.problem(403), "scope_beyond_own", "{role}: its text would come into their hands");
        for stronger in [json!({ "rate_limit": null }), json!({ "scopes": ["tenant:manage", "data:read"] })] {
            ask(&server, None, "UPDATE keys SET rate_per_s = 1, rate_burst = 1 WHERE name = 'strong'");
            assert_eq!(member.patch(&id(&strong), stronger).await.problem(403), "scope_beyond_own");
        }
        for weaker in [json!({ "name": "strong" }), json!({ "metadata": {} }), json!({ "disabled": true })] {
            member.patch(&id(&strong), weaker).await.expect(200);
        }
        let on = member.patch(&id(&strong), json!({ "disabled": false })).await;
        assert_eq!(on.problem(403), "scope_beyond_own", "{role}");
        ask(&server, None, "UPDATE keys SET disabled_at = NULL WHERE name = 'strong'");
    }
    for role in [TenantRole::Billing, TenantRole::Viewer] {
        let member = member(&server, &acme, role).await;
        for refused in [
            make(&member, json!({ "name": "x", "scopes": ["tenant:read"] })).await,
            member.get(&id(&weak)).await,
            member.patch(&id(&weak), json!({ "name": "x" })).await,
            member.post(&format!("{}/rotate", id(&weak)), json!({ "overlap_s": 0 })).await,
            member.delete(&id(&weak)).await,
        ] {
            assert_eq!(refused.problem(403), "insufficient_role", "{role}");
        }
    }
}

#[tokio::test]
async fn a_key_that_manages_keys_gives_what_it_holds() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let manager = acme.key(&["keys:manage", "data:read"]).await;
    let body = json!({ "name": "mine", "scopes": ["data:read"], "expires_at": in_seconds(3600) });
    let mine = make(&manager, body).await.expect(201);
    assert!(mine["created_by"].as_str().unwrap().starts_with("key_"));
    let writer = make(
        &acme.owner,
        json!({ "name": "writer", "scopes": ["data:read", "data:write"], "expires_at": in_seconds(3600) }),
    );
    let writer = writer.await.expect(201);
    manager.patch(&id(&mine), json!({ "expires_at": null })).await.expect(200);
    manager.post(&format!("{}/rotate", id(&mine)), json!({ "overlap_s": 0 })).await.expect(201);
    for (path, body) in
        [(id(&writer), json!({ "expires_at": null })), (id(&mine), json!({ "scopes": ["data:write"] }))]
    {
        let code = manager.patch(&path, body.clone()).await;
        assert!(matches!(code.problem(code.status).as_str(), "scope_beyond_own"), "{body}: {code:?}");
    }
    let stolen = manager.post(&format!("{}/rotate", id(&writer)), json!({ "overlap_s": 60 })).await;
    assert_eq!(stolen.problem(403), "scope_beyond_own");
    manager
        .patch(&id(&writer), json!({ "scopes": ["data:write"], "expires_at": in_seconds(60) }))
        .await
        .expect(200);
    manager.delete(&id(&writer)).await.expect(200);
}

#[tokio::test]
async fn operators_see_a_tenants_keys_and_stop_them() {
    let server = Server::embedded();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let [admin, support, viewer] = ["admin", "support", "viewer"].map(|role| server.operator_as(role));
    let (admin, support, viewer) = (admin.await, support.await, viewer.await);
    let keys = format!("{}/api-keys", acme.admin());
    let list = viewer.get("/admin/v1/tenants/acme/api-keys").await.expect(200);
    assert_eq!(list["data"][0]["name"], "program");
    let path = format!("{keys}/{}", list["data"][0]["id"].as_str().unwrap());
    viewer.get(&path).await.expect(200);
    let wanted = json!({ "name": "set up", "scopes": ["data:read"], "environment": "test" });
    for (who, path) in [(&viewer, &keys), (&support, &keys)] {
        assert_eq!(who.post(path, wanted.clone()).await.problem(403), "insufficient_role");
    }
    assert_eq!(viewer.patch(&path, json!({ "disabled": true })).await.problem(403), "insufficient_role");
    assert_eq!(viewer.delete(&path).await.problem(403), "insufficient_role");

    let etag = support.get(&path).await.header("etag").unwrap().to_owned();
    let off = support.patch(&path, json!({ "disabled": true })).await.expect(200);
    assert_eq!(
        (&off["state"], acme.program.query("SELECT 1", json!([])).await.status),
        (&json!("disabled"), 401)
    );
    let stale = support.request("PATCH", &path).header("if-match", &etag).json(&json!({ "disabled": false }));
    assert_eq!(support.send(stale).await.problem(412), "precondition_failed");
    support.patch(&path, json!({ "disabled": false })).await.expect(200);
    acme.program.query("SELECT 1", json!([])).await.expect(200);
    assert_eq!(
        support.patch(&path, json!({ "scopes": ["data:read"] })).await.pointers(),
        ["/disabled", "/scopes"]
    );

    let made = admin.post_once(&keys, "k", wanted.clone()).await.expect(201);
    assert_eq!(admin.post_once(&keys, "k", wanted.clone()).await.expect(201), made);
    server.with(made["key"].as_str().unwrap()).query("SELECT 1", json!([])).await.expect(200);
    assert_eq!(acme.owner.get(&format!("{KEYS}?search=set")).await.expect(200)["data"][0]["id"], made["id"]);
    let elsewhere = format!("{}/api-keys/{}", globex.admin(), made["id"].as_str().unwrap());
    for refused in [
        admin.get(&elsewhere).await,
        admin.delete(&elsewhere).await,
        admin.patch(&elsewhere, json!({ "disabled": true })).await,
        admin.get("/admin/v1/tenants/nobody/api-keys").await,
        admin.post("/admin/v1/tenants/nobody/api-keys", wanted.clone()).await,
    ] {
        assert_eq!(refused.problem(404), "not_found");
    }
    support.delete(&path).await.expect(200);
    assert_eq!(acme.program.query("SELECT 1", json!([])).await.problem(401), "unauthenticated");
    while admin.post(&keys, wanted.clone()).await.status == 201 {}
    assert_eq!(admin.post(&keys, wanted.clone()).await.problem(409), "key_limit_reached");

    support.post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    let made_path = format!("{keys}/{}", made["id"].as_str().unwrap());
    support.patch(&made_path, json!({ "disabled": true })).await.expect(200);
    assert_eq!(
        support.patch(&made_path, json!({ "disabled": false })).await.problem(403),
        "tenant_suspended"
    );
    let own = format!("{KEYS}/{}", made["id"].as_str().unwrap());
    assert_eq!(
        acme.owner.post(&format!("{own}/rotate"), json!({ "overlap_s": 0 })).await.problem(403),
        "tenant_suspended"
    );
    acme.owner.delete(&own).await.expect(200);
}
