//! Keys: made, limited, verified, revoked, and never kept in the clear. Their further life is in [`life`], who
//! may give them what in [`rights`], when they were used in [`used`].

mod cli;
mod life;
mod rights;
mod used;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::server::{Answer, Client, Server, Settler, eventually};

const KEYS: &str = "/v1/tenant/api-keys";

async fn make(client: &Client, body: Value) -> Answer {
    client.post(KEYS, body).await
}

async fn verify(service: &Client, key: &str, scopes: &[&str]) -> Value {
    service.post("/v1/api-keys/verify", json!({ "key": key, "scopes": scopes })).await.expect(200)
}

/// So many seconds from now, as RFC 3339.
fn in_seconds(seconds: u64) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(seconds);
    let micros = i64::try_from(since.as_micros()).unwrap();
    let at = tenantry::kernel::clock::Ts::from_micros(micros).unwrap();
    serde_json::to_value(at).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tenants_keys_are_made_listed_read_and_revoked() {
    let server = Server::embedded();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let mut made = Vec::new();
    for name in ["one", "two"] {
        let key = make(&acme.owner, json!({ "name": name, "scopes": ["tenant:read"] })).await.expect(201);
        let text = key["key"].as_str().unwrap();
        assert!(text.starts_with("tnt_live_") && text.starts_with(key["prefix"].as_str().unwrap()), "{key}");
        assert_eq!((&key["tenant_id"], &key["scopes"]), (&json!(acme.id), &json!(["tenant:read"])));
        made.push(key);
    }
    let (mut listed, mut path) = (Vec::new(), format!("{KEYS}?limit=2"));
    loop {
        let page = acme.owner.get(&path).await.expect(200);
        listed.extend(page["data"].as_array().unwrap().iter().map(|key| key["name"].clone()));
        assert!(page["data"].as_array().unwrap().iter().all(|key| key.get("key").is_none()), "{page}");
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("{KEYS}?limit=2&cursor={next}");
    }
    assert_eq!(listed, ["two", "one", "program"]);
    let one = format!("{KEYS}/{}", made[0]["id"].as_str().unwrap());
    let read = acme.owner.get(&one).await;
    let mut shown = made[0].clone();
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(read.expect(200), shown);
    assert!(read.header("etag").is_some());
    let bearer = server.with(made[0]["key"].as_str().unwrap());
    bearer.get("/v1/tenant").await.expect(200);
    for stranger in [&globex.owner, &globex.key(&["keys:manage"]).await] {
        assert_eq!(stranger.get(&one).await.problem(404), "not_found");
        assert_eq!(stranger.delete(&one).await.problem(404), "not_found");
    }
    assert_eq!(acme.program.get(KEYS).await.problem(403), "insufficient_scope");
    let revoked = acme.owner.delete(&one).await.expect(200);
    assert!(revoked["revoked_at"].is_string());
    assert_eq!(bearer.get("/v1/tenant").await.problem(401), "unauthenticated");
    assert_eq!(acme.owner.delete(&one).await.expect(200), revoked, "revoking twice is revoking once");
    assert_eq!(acme.owner.get(&one).await.expect(200)["revoked_at"], revoked["revoked_at"]);
    assert_eq!(acme.owner.get(&format!("{KEYS}/key_x")).await.problem(404), "not_found");
}

#[tokio::test]
async fn a_key_never_holds_more_than_its_maker_may() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let maker = acme.key(&["keys:manage", "data:read"]).await;
    make(&maker, json!({ "name": "less", "scopes": ["data:read"] })).await.expect(201);
    for scopes in [json!(["data:write"]), json!(["data:read", "tenant:manage"])] {
        let refused = make(&maker, json!({ "name": "more", "scopes": scopes })).await;
        assert_eq!(refused.problem(403), "scope_beyond_own");
    }
    for (body, pointers) in [
        (json!({ "name": "x", "scopes": [] }), vec!["/scopes"]),
        (
            json!({ "name": "x", "scopes": ["data:read", "routes:read", "keys:verify"] }),
            vec!["/scopes/1", "/scopes/2"],
        ),
        (json!({ "name": "x", "scopes": ["data:read", "everything"] }), vec!["/scopes/1"]),
        (
            json!({ "name": " ", "scopes": [], "expires_at": "2020-01-01T00:00:00Z" }),
            vec!["/expires_at", "/name", "/scopes"],
        ),
        (json!({ "name": "x", "scopes": ["data:read"], "expires_at": "tomorrow" }), vec!["/expires_at"]),
    ] {
        assert_eq!(make(&acme.owner, body.clone()).await.pointers(), pointers, "{body}");
    }
    let tenants_scope = json!({ "name": "x", "scopes": ["data:read"] });
    assert_eq!(
        server.operator().post("/admin/v1/service-keys", tenants_scope).await.pointers(),
        ["/scopes/0"]
    );
    assert_eq!(acme.owner.get(KEYS).await.expect(200)["data"].as_array().unwrap().len(), 3);
}

on_each_engine! {
    async fn the_plans_number_of_keys_holds_against_many_at_once(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let asked = (0..64).map(|at| {
            let owner = acme.owner.clone();
            async move { make(&owner, json!({ "name": format!("key {at}"), "scopes": ["data:read"] })).await }
        });
        let answers = futures_util::future::join_all(asked).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!(made.len(), 4, "the plan has five, and one was made before");
        refused.iter().for_each(|answer| assert_eq!(answer.problem(409), "key_limit_reached"));
        let one = made[0].json()["id"].as_str().unwrap().to_owned();
        acme.owner.delete(&format!("{KEYS}/{one}")).await.expect(200);
        let body = json!({ "name": "in its place", "scopes": ["data:read"] });
        make(&acme.owner, body.clone()).await.expect(201);
        assert_eq!(make(&acme.owner, body).await.problem(409), "key_limit_reached");
    }
}

#[tokio::test]
async fn a_key_is_answered_again_to_who_repeats_the_request_that_made_it() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let body = json!({ "name": "once", "scopes": ["tenant:read"] });
    let first = acme.owner.post_once(KEYS, "a", body.clone()).await;
    let again = acme.owner.post_once(KEYS, "a", body.clone()).await;
    assert_eq!((first.expect(201), Some("true")), (again.expect(201), again.header("idempotent-replayed")));
    server.with(again.json()["key"].as_str().unwrap()).get("/v1/tenant").await.expect(200);
    let globex = server.settle("Globex").await;
    let other = globex.owner.post_once(KEYS, "a", body).await;
    assert_eq!(other.header("idempotent-replayed"), None, "another caller's key is another key");
    assert_eq!(other.expect(201)["tenant_id"], json!(globex.id));
}

#[tokio::test]
async fn verify_says_why_a_key_may_not_and_the_first_reason_counts() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let service = server.service(&["keys:verify"]).await;
    let valid = verify(&service, &acme.key, &["data:read", "data:write"]).await;
    assert_eq!(
        (
            &valid["valid"],
            &valid["code"],
            &valid["tenant_id"],
            &valid["tenant_slug"],
            &valid["plan"],
            &valid["environment"],
            &valid["scopes"]
        ),
        (
            &json!(true),
            &json!("VALID"),
            &json!(acme.id),
            &json!("acme"),
            &json!("free"),
            &json!("live"),
            &json!(["data:read", "data:write"])
        )
    );
    assert!(valid["key_id"].as_str().unwrap().starts_with("key_"));
    let mut misspelt = acme.key.clone();
    misspelt.pop();
    misspelt.push(if acme.key.ends_with('a') { 'b' } else { 'a' });
    let service_key = server
        .operator()
        .post("/admin/v1/service-keys", json!({ "name": "s", "scopes": ["keys:verify"] }))
        .await;
    let service_key = service_key.expect(201)["key"].as_str().unwrap().to_owned();
    for none in ["", "x", &misspelt, &service_key, crate::world::server::OPERATOR_KEY] {
        let answer = verify(&service, none, &[]).await;
        assert_eq!(
            (&answer["valid"], &answer["code"], &answer["key_id"]),
            (&json!(false), &json!("NOT_FOUND"), &Value::Null)
        );
    }
    let code = |key: String, scopes: &'static [&'static str]| {
        let service = service.clone();
        async move { verify(&service, &key, scopes).await["code"].as_str().unwrap().to_owned() }
    };
    assert_eq!(code(acme.key.clone(), &["data:read", "tenant:read"]).await, "INSUFFICIENT_SCOPE");
    let short =
        make(&acme.owner, json!({ "name": "short", "scopes": ["tenant:read"], "expires_at": in_seconds(2) }))
            .await
            .expect(201);
    let (short_key, short_id) = (short["key"].as_str().unwrap().to_owned(), short["id"].as_str().unwrap());
    eventually("the key to expire", || async {
        (code(short_key.clone(), &["data:read"]).await == "EXPIRED").then_some(())
    })
    .await;
    assert_eq!(server.with(&short_key).get("/v1/tenant").await.problem(401), "unauthenticated");
    server.operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    assert_eq!(code(acme.key.clone(), &["tenant:read"]).await, "TENANT_SUSPENDED");
    assert_eq!(code(short_key.clone(), &[]).await, "EXPIRED");
    acme.owner.delete(&format!("{KEYS}/{short_id}")).await.expect(200);
    assert_eq!(code(short_key, &[]).await, "REVOKED");
    let id = valid["key_id"].as_str().unwrap();
    acme.owner.delete(&format!("{KEYS}/{id}")).await.expect(200);
    assert_eq!(code(acme.key.clone(), &[]).await, "REVOKED");
}

#[tokio::test]
async fn a_service_key_does_what_its_scopes_say_until_it_is_revoked() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let operator = server.operator();
    let made = operator
        .post("/admin/v1/service-keys", json!({ "name": "gateway", "scopes": ["keys:verify"] }))
        .await
        .expect(201);
    assert!(made["key"].as_str().unwrap().starts_with("tnt_svc_"));
    let service = server.with(made["key"].as_str().unwrap());
    assert_eq!(verify(&service, &acme.key, &[]).await["code"], "VALID");
    assert_eq!(service.get("/v1/routes/acme").await.problem(403), "insufficient_scope");
    assert_eq!(service.get("/admin/v1/tenants").await.problem(403), "wrong_credential");
    assert_eq!(service.query("SELECT 1", json!([])).await.problem(403), "wrong_credential");
    let list = operator.get("/admin/v1/service-keys").await.expect(200);
    assert_eq!((list["data"][0]["name"].clone(), list["data"][0].get("key")), (json!("gateway"), None));
    operator.delete(&format!("/admin/v1/service-keys/{}", made["id"].as_str().unwrap())).await.expect(200);
    let refused = service.post("/v1/api-keys/verify", json!({ "key": acme.key })).await;
    assert_eq!(refused.problem(401), "unauthenticated");
    let of_another_kind =
        operator.delete(&format!("/admin/v1/operators/{}", made["id"].as_str().unwrap())).await;
    assert_eq!(of_another_kind.problem(404), "not_found");
}

#[tokio::test]
async fn operators_do_what_their_role_says() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let (support, viewer) = (server.operator_as("support").await, server.operator_as("viewer").await);
    for path in [
        "/admin/v1/tenants",
        "/admin/v1/operators",
        "/admin/v1/service-keys",
        "/admin/v1/config",
        "/admin/v1/clusters",
    ] {
        viewer.get(path).await.expect(200);
        support.get(path).await.expect(200);
    }
    let suspend = format!("{}/suspend", acme.admin());
    assert_eq!(viewer.post(&suspend, json!({})).await.problem(403), "insufficient_role");
    support.post(&suspend, json!({})).await.expect(200);
    for who in [&support, &viewer] {
        for refused in [
            who.delete(&acme.admin()).await,
            who.post("/admin/v1/tenants", json!({ "name": "X" })).await,
            who.post("/admin/v1/operators", json!({ "name": "x", "role": "admin" })).await,
            who.post("/admin/v1/service-keys", json!({ "name": "x", "scopes": ["keys:verify"] })).await,
        ] {
            assert_eq!(refused.problem(403), "insufficient_role");
        }
    }
    let refused = server.operator().post("/admin/v1/operators", json!({ "name": "x", "role": "king" })).await;
    assert_eq!(refused.pointers(), ["/role"]);
}

on_each_engine! {
    async fn the_last_admin_is_kept_even_when_two_revoke_each_other_at_once(scene) {
        let (server, _database) = scene.server();
        let first = server.operator();
        let list = first.get("/admin/v1/operators").await.expect(200);
        let first_path = format!("/admin/v1/operators/{}", list["data"][0]["id"].as_str().unwrap());
        assert_eq!(first.delete(&first_path).await.problem(409), "last_admin");
        let made = first.post("/admin/v1/operators", json!({ "name": "second", "role": "admin" })).await.expect(201);
        let second = server.with(made["key"].as_str().unwrap());
        let second_path = format!("/admin/v1/operators/{}", made["id"].as_str().unwrap());
        let (one, other) = tokio::join!(first.delete(&second_path), second.delete(&first_path));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        // Who lost was refused as the last admin, or was revoked before its own request was looked at.
        assert!(matches!(statuses, [200, 401 | 409]), "{statuses:?}");
        let working = [first.get("/admin/v1/tenants").await.status, second.get("/admin/v1/tenants").await.status];
        assert!(working == [200, 401] || working == [401, 200], "{working:?}");
    }
}

fn files_below(folder: &std::path::Path, all: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, all) } else { all.push(path) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn secrets(server: &Server, acme: &Settler) -> Vec<String> {
    let operator = server.operator();
    let mut all = vec![acme.key.clone(), "a very private password".to_owned()];
    let key = json!({ "name": "replayed", "scopes": ["data:read"] });
    for (client, path, body) in [
        (&acme.owner, KEYS, key.clone()),
        (&operator, "/admin/v1/service-keys", json!({ "name": "s", "scopes": ["keys:verify"] })),
        (&operator, "/admin/v1/operators", json!({ "name": "o", "role": "viewer" })),
    ] {
        let made = client.post_once(path, "kept sealed", body).await.expect(201);
        all.push(made["key"].as_str().unwrap().to_owned());
        let rotate = format!("{path}/{}/rotate", made["id"].as_str().unwrap());
        let next = client.post_once(&rotate, "kept sealed", json!({ "overlap_s": 60 })).await.expect(201);
        all.push(next["key"].as_str().unwrap().to_owned());
    }
    let body =
        json!({ "organization": "Quiet", "email": "ada@example.com", "password": "a very private password" });
    server.nobody().post_once("/v1/signups", "kept sealed", body.clone()).await.expect(202);
    let signed_in = server
        .nobody()
        .post("/v1/sessions", json!({ "email": "ada@example.com", "password": "a very private password" }))
        .await;
    let token = signed_in.expect(200)["access_token"].as_str().unwrap().to_owned();
    server.with(&token).get("/v1/tenant").await.expect(200);
    all.push(token);
    // Refusals are logged too, and must not tell what was sent.
    server.with(&format!("{}x", acme.key)).get("/v1/tenant").await.problem(401);
    server
        .nobody()
        .post(
            "/v1/sessions",
            json!({ "email": "ada@example.com", "password": "a very private password", "x": 1 }),
        )
        .await
        .problem(422);
    all
}

on_each_engine! {
    async fn no_secret_is_kept_in_the_store_or_told_in_the_log(scene) {
        let (starting, database) = scene.starting();
        let server = starting.set("LOG__LEVEL", "trace").start();
        let acme = server.settle("Acme").await;
        let service = server.service(&["routes:read", "routes:credentials"]).await;
        let url = service.get("/v1/routes/acme").await.expect(200)["url"].as_str().unwrap().to_owned();
        let mut secrets = secrets(&server, &acme).await;
        if database.is_some() {
            acme.program.query("SELECT 1", json!([])).await.expect(200);
            secrets.push(url::Url::parse(&url).unwrap().password().unwrap().to_owned());
        }
        let mut places = vec![("the log".to_owned(), server.log().into_bytes())];
        let mut files = Vec::new();
        files_below(&server.data_dir(), &mut files);
        places.extend(files.into_iter().map(|file| (file.display().to_string(), std::fs::read(&file).unwrap())));
        if let Some(database) = &database {
            let tables = database.ask("SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
                WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema')");
            assert!(tables.iter().any(|table| table == "public.keys"), "{tables:?}");
            for table in tables.into_iter().filter(|table| table.starts_with("public.")) {
                let rows = database.ask(&format!("SELECT whole::text FROM {table} AS whole"));
                places.push((table, rows.join("\n").into_bytes()));
            }
        }
        for secret in secrets {
            for needle in [secret.clone(), hex(secret.as_bytes())] {
                for (place, text) in &places {
                    let found = text.windows(needle.len()).any(|part| part == needle.as_bytes());
                    assert!(!found, "{place} holds the secret that begins with {}", secret.chars().take(12).collect::<String>());
                }
            }
        }
    }
}
