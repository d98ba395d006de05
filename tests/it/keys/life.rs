//! The life of keys, of all three kinds: settings, lists, changes, rotation, an end.

use serde_json::{Value, json};

use super::{KEYS, in_seconds, make, verify};
use crate::on_each_engine;
use crate::world::postgres::TestDatabase;
use crate::world::server::{Answer, Client, Server};

/// What a query says on the control store, a text a row.
pub(super) fn ask(server: &Server, database: Option<&TestDatabase>, sql: &str) -> Vec<String> {
    match database {
        Some(database) => database.ask(sql),
        None => {
            let store = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
            let mut query = store.prepare(sql).unwrap();
            if query.column_count() == 0 {
                query.execute([]).unwrap();
                return vec![];
            }
            query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        }
    }
}

/// What the log tells of a key, in order.
fn told(server: &Server, database: Option<&TestDatabase>, id: &str) -> Vec<String> {
    let sql = format!("SELECT type FROM events WHERE data->>'key_id' = '{id}' ORDER BY id");
    ask(server, database, &sql)
}

fn text<'a>(key: &'a Value, name: &str) -> &'a str {
    key[name].as_str().unwrap_or_else(|| panic!("{name} of {key}"))
}

fn path_of(all: &str, key: &Value) -> String {
    format!("{all}/{}", text(key, "id"))
}

async fn rotate(client: &Client, path: &str, overlap_s: u32) -> Answer {
    client.post(&format!("{path}/rotate"), json!({ "overlap_s": overlap_s })).await
}

async fn names(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("{KEYS}?{query}")).await.expect(200);
    page["data"].as_array().unwrap().iter().map(|key| text(key, "name").to_owned()).collect()
}

/// The path of a key whose time is over.
async fn made_and_over(server: &Server, owner: &Client) -> String {
    let body = json!({ "name": "short", "scopes": ["data:read"], "expires_at": in_seconds(3600) });
    let path = path_of(KEYS, &make(owner, body).await.expect(201));
    ask(server, None, "UPDATE keys SET expires_at = created_at WHERE name = 'short'");
    path
}

#[tokio::test]
async fn a_key_is_made_with_settings_and_found_by_them() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let wanted = json!({
        "name": "Nightly 100%", "scopes": ["data:read", "data:read"], "expires_at": in_seconds(3600), "environment": "test",
        "rate_limit": { "requests_per_s": 3, "burst": 6 }, "metadata": { "team": "blue", "ticket": "A-1" }
    });
    let made = make(&acme.owner, wanted.clone()).await.expect(201);
    assert!(text(&made, "key").starts_with("tnt_test_"), "{made}");
    for field in ["name", "expires_at", "environment", "rate_limit", "metadata"] {
        assert_eq!(made[field], wanted[field], "{field}");
    }
    assert_eq!((&made["state"], &made["scopes"]), (&json!("active"), &json!(["data:read"])));
    assert!(text(&made, "created_by").starts_with("user_"));
    assert_eq!((&made["last_used_at"], &made["successor_id"]), (&Value::Null, &Value::Null));
    server.with(text(&made, "key")).query("SELECT 1", json!([])).await.expect(200);
    for (body, pointers) in [
        (json!({ "environment": "staging" }), vec!["/environment"]),
        (
            json!({ "rate_limit": { "requests_per_s": 0, "burst": 5_000_000 } }),
            vec!["/rate_limit/burst", "/rate_limit/requests_per_s"],
        ),
        (json!({ "rate_limit": { "requests_per_s": 1 } }), vec!["/rate_limit/burst"]),
        (json!({ "metadata": { "a": "x".repeat(501), "b": 1 } }), vec!["/metadata/b"]),
        (json!({ "metadata": { "a": "x".repeat(501), "": "" } }), vec!["/metadata/", "/metadata/a"]),
        (
            json!({ "metadata": (0..51).map(|at| (at.to_string(), json!(""))).collect::<serde_json::Map<_, _>>() }),
            vec!["/metadata"],
        ),
    ] {
        let mut body = body;
        body["name"] = json!("x");
        body["scopes"] = json!(["data:read"]);
        assert_eq!(make(&acme.owner, body.clone()).await.pointers(), pointers, "{body}");
    }
    let off = make(&acme.owner, json!({ "name": "off", "scopes": ["data:read"] })).await.expect(201);
    acme.owner.patch(&path_of(KEYS, &off), json!({ "disabled": true })).await.expect(200);
    let gone = make(&acme.owner, json!({ "name": "gone", "scopes": ["data:read"] })).await.expect(201);
    acme.owner.delete(&path_of(KEYS, &gone)).await.expect(200);
    made_and_over(&server, &acme.owner).await;
    let one: &[&str] = &["Nightly 100%"];
    for (query, expected) in [
        ("environment=test", one),
        ("state=active", &["Nightly 100%", "program"]),
        ("state=active&environment=live", &["program"]),
        ("state=disabled", &["off"]),
        ("state=expired", &["short"]),
        ("state=revoked", &["gone"]),
        ("search=nIGHT", one),
        ("search=100%25", one),
        ("search=1%250", &[]),
        ("search=o_f", &[]),
        (&format!("search={}", text(&made, "id")), one),
        (&format!("search={}", text(&made, "prefix")), one),
        (&format!("search={}", text(&made, "key")), one),
        ("search=tnt_test_", one),
        (&format!("created_by={}&state=disabled", text(&made, "created_by")), &["off"]),
        ("created_by=user_nobody", &[]),
        ("limit=2&search=o", &["short", "gone"]),
    ] {
        assert_eq!(names(&acme.owner, query).await, expected, "{query}");
    }
    assert_eq!(acme.owner.get(&format!("{KEYS}?state=lost")).await.pointers(), ["?"]);
}

on_each_engine! {
    async fn a_key_is_changed_by_who_has_read_it_and_at_once(scene) {
        let (server, database) = scene.server();
        let acme = server.settle("Acme").await;
        let service = server.service(&["keys:verify"]).await;
        let made = make(&acme.owner, json!({ "name": "one", "scopes": ["data:read"], "metadata": { "a": "1" } })).await.expect(201);
        let (path, key) = (path_of(KEYS, &made), text(&made, "key"));
        let holder = server.with(key);
        holder.query("SELECT 1", json!([])).await.expect(200);
        let etag = acme.owner.get(&path).await.header("etag").unwrap().to_owned();
        let change = json!({
            "name": " two ", "scopes": ["data:write", "tenant:read"], "expires_at": in_seconds(3600),
            "rate_limit": { "requests_per_s": 100, "burst": 200 }, "metadata": { "b": "2" }
        });
        let with = |tag: &str| acme.owner.request("PATCH", &path).header("if-match", tag).json(&change);
        let changed = acme.owner.send(with(&etag)).await;
        let after = changed.expect(200);
        assert_eq!((&after["name"], &after["scopes"], &after["metadata"]), (&json!("two"), &json!(["data:write", "tenant:read"]), &json!({ "b": "2" })));
        assert_eq!(acme.owner.send(with(&etag)).await.problem(412), "precondition_failed");
        assert_ne!(changed.header("etag"), Some(etag.as_str()));
        assert_eq!(acme.owner.get(&path).await.expect(200), after);
        assert_eq!(verify(&service, key, &["tenant:read"]).await["code"], "VALID", "the next check knows");
        holder.get("/v1/tenant").await.expect(200);
        let same = acme.owner.patch(&path, json!({ "name": "two" })).await;
        assert_eq!(same.header("etag"), changed.header("etag"), "what changes nothing is no change");

        let off = acme.owner.patch(&path, json!({ "disabled": true, "expires_at": null, "rate_limit": null })).await.expect(200);
        assert_eq!((&off["state"], &off["expires_at"], &off["rate_limit"]), (&json!("disabled"), &Value::Null, &Value::Null));
        assert_eq!(verify(&service, key, &[]).await["code"], "DISABLED");
        assert_eq!(holder.get("/v1/tenant").await.problem(401), "unauthenticated");
        acme.owner.patch(&path, json!({ "disabled": false })).await.expect(200);
        holder.get("/v1/tenant").await.expect(200);

        for (body, pointers) in [
            (json!({ "scopes": [] }), vec!["/scopes"]),
            (json!({ "scopes": ["keys:verify"], "name": " " }), vec!["/name", "/scopes/0"]),
            (json!({ "expires_at": "2020-01-01T00:00:00Z" }), vec!["/expires_at"]),
            (json!({ "environment": "test" }), vec!["/environment"]),
            (json!({ "disabld": true }), vec!["/disabld"]),
        ] {
            assert_eq!(acme.owner.patch(&path, body.clone()).await.pointers(), pointers, "{body}");
        }
        let stale = acme.owner.request("DELETE", &path).header("if-match", &etag);
        assert_eq!(acme.owner.send(stale).await.problem(412), "precondition_failed");
        acme.owner.delete(&path).await.expect(200);
        assert_eq!(acme.owner.patch(&path, json!({ "name": "three" })).await.problem(409), "wrong_state");
        assert_eq!(
            told(&server, database.as_ref(), text(&made, "id")),
            ["api_key.created", "api_key.updated", "api_key.updated", "api_key.disabled", "api_key.enabled", "api_key.revoked"]
        );
    }
}

on_each_engine! {
    async fn a_rotated_key_and_its_successor_both_work_until_the_overlap_is_over(scene) {
        let (server, database) = scene.server();
        let acme = server.settle("Acme").await;
        let body = json!({ "name": "one", "scopes": ["tenant:read"], "environment": "test", "metadata": { "a": "1" } });
        let made = make(&acme.owner, body).await.expect(201);
        let path = path_of(KEYS, &made);
        while make(&acme.owner, json!({ "name": "filler", "scopes": ["data:read"] })).await.status == 201 {}

        let send = async || acme.owner.post_once(&format!("{path}/rotate"), "k", json!({ "overlap_s": 3600 })).await;
        let (first, again) = (send().await, send().await);
        let next = first.expect(201);
        assert_eq!((again.expect(201), again.header("idempotent-replayed")), (next.clone(), Some("true")));
        assert!(text(&next, "key").starts_with("tnt_test_") && next["key"] != made["key"]);
        for field in ["name", "scopes", "environment", "metadata", "expires_at", "rate_limit", "tenant_id"] {
            assert_eq!(next[field], made[field], "{field}");
        }
        let old = acme.owner.get(&path).await.expect(200);
        assert_eq!((&old["successor_id"], &old["expires_at"], &old["state"]), (&next["id"], &next["replaced_ends_at"], &json!("active")));
        assert_eq!(next["replaces"], made["id"]);
        for key in [&made, &next] {
            server.with(text(key, "key")).get("/v1/tenant").await.expect(200);
        }
        assert_eq!(rotate(&acme.owner, &path, 0).await.problem(409), "already_rotated");
        for longer in [json!({ "expires_at": null }), json!({ "expires_at": in_seconds(7200) })] {
            assert_eq!(acme.owner.patch(&path, longer).await.problem(409), "already_rotated");
        }
        let refused = make(&acme.owner, json!({ "name": "more", "scopes": ["data:read"] })).await;
        assert_eq!(refused.problem(409), "key_limit_reached", "the successor took the old one's place, no more");

        let next_path = path_of(KEYS, &next);
        let last = rotate(&acme.owner, &next_path, 0).await.expect(201);
        assert_eq!(server.with(text(&next, "key")).get("/v1/tenant").await.problem(401), "unauthenticated");
        assert_eq!(acme.owner.get(&next_path).await.expect(200)["state"], "expired");
        for key in [&made, &last] {
            server.with(text(key, "key")).get("/v1/tenant").await.expect(200);
        }
        for overlap in [json!(2_592_001), json!(-1), json!("1"), json!(null)] {
            let answer = acme.owner.post(&format!("{path}/rotate"), json!({ "overlap_s": overlap })).await;
            assert_eq!(answer.pointers(), ["/overlap_s"], "{overlap}");
        }
        assert_eq!(acme.owner.post(&format!("{path}/rotate"), json!({})).await.pointers(), ["/overlap_s"]);
        let database = database.as_ref();
        assert_eq!(told(&server, database, text(&made, "id")), ["api_key.created", "api_key.rotated"]);
        assert_eq!(told(&server, database, text(&next, "id")), ["api_key.created", "api_key.rotated"]);
        assert_eq!(told(&server, database, text(&last, "id")), ["api_key.created"]);
    }
}

on_each_engine! {
    async fn of_many_who_rotate_a_key_at_once_one_gets_the_successor(scene) {
        let (server, _database) = scene.server();
        let acme = server.settle("Acme").await;
        let made = make(&acme.owner, json!({ "name": "one", "scopes": ["tenant:read"] })).await.expect(201);
        let path = path_of(KEYS, &made);
        let asked = (0..64).map(|_| rotate(&acme.owner, &path, 60));
        let answers = futures_util::future::join_all(asked).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
        assert_eq!(won.len(), 1);
        lost.iter().for_each(|answer| assert_eq!(answer.problem(409), "already_rotated"));
        let of_this_name = acme.owner.get(&format!("{KEYS}?search=one")).await.expect(200);
        assert_eq!(of_this_name["data"].as_array().unwrap().len(), 2, "{of_this_name}");
        assert_eq!(acme.owner.get(&path).await.expect(200)["successor_id"], won[0].json()["id"]);
    }
}

#[tokio::test]
async fn replaced_keys_do_not_pile_up_and_ended_ones_do_not_come_back_over_the_limit() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let mut path = path_of(
        KEYS,
        &make(&acme.owner, json!({ "name": "one", "scopes": ["tenant:read"] })).await.expect(201),
    );
    for _ in 0..5 {
        path = path_of(KEYS, &rotate(&acme.owner, &path, 3600).await.expect(201));
    }
    assert_eq!(rotate(&acme.owner, &path, 1).await.problem(409), "rotation_limit_reached");
    let next = rotate(&acme.owner, &path, 0).await.expect(201);
    server.with(text(&next, "key")).get("/v1/tenant").await.expect(200);

    let short = made_and_over(&server, &acme.owner).await;
    assert_eq!(rotate(&acme.owner, &short, 0).await.problem(409), "wrong_state");
    while make(&acme.owner, json!({ "name": "filler", "scopes": ["data:read"] })).await.status == 201 {}
    let revive = json!({ "expires_at": null });
    assert_eq!(acme.owner.patch(&short, revive.clone()).await.problem(409), "key_limit_reached");
    let filler = acme.owner.get(&format!("{KEYS}?search=filler&limit=1")).await.expect(200);
    acme.owner.delete(&path_of(KEYS, &filler["data"][0])).await.expect(200);
    assert_eq!(acme.owner.patch(&short, revive).await.expect(200)["state"], "active");
}

#[tokio::test]
async fn a_service_key_has_the_same_life() {
    const SERVICES: &str = "/admin/v1/service-keys";
    let server = Server::embedded();
    let (operator, viewer) = (server.operator(), server.operator_as("viewer").await);
    let made = operator
        .post(SERVICES, json!({ "name": "gateway", "scopes": ["keys:verify"], "metadata": { "host": "a" } }))
        .await
        .expect(201);
    let path = path_of(SERVICES, &made);
    let holder = server.with(text(&made, "key"));
    let check = async || holder.post("/v1/api-keys/verify", json!({ "key": "x" })).await.status;
    assert_eq!(
        (check().await, &viewer.get(&path).await.expect(200)["metadata"]),
        (200, &json!({ "host": "a" }))
    );
    assert_eq!(viewer.patch(&path, json!({ "name": "x" })).await.problem(403), "insufficient_role");
    assert_eq!(rotate(&viewer, &path, 0).await.problem(403), "insufficient_role");
    operator.patch(&path, json!({ "scopes": ["routes:read"], "name": "edge" })).await.expect(200);
    assert_eq!(check().await, 403);
    operator.patch(&path, json!({ "scopes": ["keys:verify"], "disabled": true })).await.expect(200);
    assert_eq!(check().await, 401);
    operator.patch(&path, json!({ "disabled": false })).await.expect(200);
    let next = rotate(&operator, &path, 3600).await.expect(201);
    assert!(text(&next, "key").starts_with("tnt_svc_"));
    assert_eq!(
        (check().await, &next["name"], &next["metadata"]),
        (200, &json!("edge"), &json!({ "host": "a" }))
    );
    operator.delete(&path).await.expect(200);
    assert_eq!(check().await, 401);
    server.with(text(&next, "key")).post("/v1/api-keys/verify", json!({ "key": "x" })).await.expect(200);
    let list = operator.get(&format!("{SERVICES}?state=revoked")).await.expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}

on_each_engine! {
    async fn whatever_would_leave_no_admin_is_refused(scene) {
        const OPERATORS: &str = "/admin/v1/operators";
        let (server, database) = scene.server();
        let first = server.operator();
        let list = first.get(OPERATORS).await.expect(200);
        let path = path_of(OPERATORS, &list["data"][0]);
        let weaker = [json!({ "disabled": true }), json!({ "role": "support" }), json!({ "expires_at": in_seconds(3600) })];
        for body in &weaker {
            assert_eq!(first.patch(&path, body.clone()).await.problem(409), "last_admin", "{body}");
        }
        first.patch(&path, json!({ "name": "the first" })).await.expect(200);
        let made = first.post(OPERATORS, json!({ "name": "second", "role": "admin", "expires_at": in_seconds(7200) })).await.expect(201);
        let second_path = path_of(OPERATORS, &made);
        let second = server.with(text(&made, "key"));
        second.patch(&second_path, json!({ "disabled": true })).await.expect(200);
        assert_eq!(second.get(OPERATORS).await.problem(401), "unauthenticated");
        assert_eq!(first.patch(&path, json!({ "disabled": true })).await.problem(409), "last_admin", "a disabled one does not count");
        first.patch(&second_path, json!({ "disabled": false })).await.expect(200);

        // Each switches the other off at the same moment.
        let off = json!({ "disabled": true });
        let (one, other) = tokio::join!(first.patch(&second_path, off.clone()), second.patch(&path, off));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert!(matches!(statuses, [200, 401 | 409]), "{statuses:?}");
        let left = if one.status == 200 { &first } else { &second };
        let own = if one.status == 200 { &path } else { &second_path };
        for body in [&weaker[0], &weaker[1]] {
            assert_eq!(left.patch(own, body.clone()).await.problem(409), "last_admin", "{body}");
        }
        let next = rotate(left, own, 0).await.expect(201);
        assert!(text(&next, "key").starts_with("tnt_opr_"));
        assert_eq!(left.get(OPERATORS).await.problem(401), "unauthenticated", "the old one ended at once");
        let left = server.with(text(&next, "key"));
        let viewer = left.post(OPERATORS, json!({ "name": "v", "role": "viewer" })).await.expect(201);
        let viewer_path = path_of(OPERATORS, &viewer);
        let changed = left.patch(&viewer_path, json!({ "role": "support", "name": "s" })).await.expect(200);
        assert_eq!((&changed["role"], &changed["name"], &changed["scopes"]), (&json!("support"), &json!("s"), &json!([])));
        left.delete(&viewer_path).await.expect(200);
        let told = told(&server, database.as_ref(), text(&viewer, "id"));
        assert_eq!(told, ["api_key.created", "api_key.updated", "api_key.revoked"]);
    }
}

#[tokio::test]
async fn what_an_operator_began_with_a_key_that_ends_at_once_ends_with_it() {
    const OPERATORS: &str = "/admin/v1/operators";
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let visit = async |who: &Client| {
        let body = json!({ "role": "viewer", "reason": "to see what they see" });
        server.with_token_of(&who.post(&format!("{}/impersonate", acme.admin()), body).await.expect(201))
    };
    let made = server.operator().post(OPERATORS, json!({ "name": "s", "role": "support" })).await.expect(201);
    let inside = visit(&server.with(text(&made, "key"))).await;
    let next = rotate(&server.operator(), &path_of(OPERATORS, &made), 60).await.expect(201);
    inside.get("/v1/tenant").await.expect(200);
    let inside = visit(&server.with(text(&next, "key"))).await;
    rotate(&server.operator(), &path_of(OPERATORS, &next), 0).await.expect(201);
    assert_eq!(inside.get("/v1/tenant").await.problem(401), "unauthenticated");
}
