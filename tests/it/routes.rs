//! Where a tenant lives, for the services that go there themselves.

use serde_json::{Value, json};

use crate::in_every_model;
use crate::world::server::{Client, Server, eventually};

async fn get_if_none_match(client: &Client, path: &str, tag: &str) -> crate::world::server::Answer {
    client.send(client.request("GET", path).header("if-none-match", tag)).await
}

in_every_model! {
    async fn the_url_of_a_route_leads_to_the_tenants_own_rows(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        for (one, name) in [(&acme, "Ideas"), (&globex, "Others")] {
            one.program.query("INSERT INTO notebooks (name) VALUES ($1)", json!([name])).await.expect(200);
        }
        let service = server.service(&["routes:read", "routes:credentials"]).await;
        let route = service.get(&format!("/v1/routes/{}", acme.id)).await.expect(200);
        assert_eq!((&route["isolation"], &route["cluster"], &route["generation"]), (&json!(scene.isolation), &json!("main"), &json!(1)));
        let url = route["url"].as_str().unwrap();
        let sql = "SELECT name FROM notebooks";
        let Some(_) = scene.pg else {
            assert_eq!((&route["engine"], &route["role"]), (&json!("sqlite"), &Value::Null));
            let file = rusqlite::Connection::open(url.strip_prefix("sqlite://").unwrap()).unwrap();
            let name: String = file.query_row(sql, [], |row| row.get(0)).unwrap();
            assert_eq!(name, "Ideas");
            return;
        };
        assert_eq!(route["engine"], "postgres");
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        let row = client.query_one("SELECT current_user::text, current_database()::text, current_schema()::text", &[]).await.unwrap();
        let (role, database, schema): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((json!(role), json!(database), json!(schema)), (route["role"].clone(), route["database"].clone(), route["schema"].clone()));
        let rows = client.query(sql, &[]).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(), ["Ideas"]);
        client.batch_execute("INSERT INTO notebooks (name) VALUES ('From outside')").await.unwrap();
        let seen = acme.program.query("SELECT name FROM notebooks ORDER BY name", json!([])).await.expect(200);
        assert_eq!(seen["rows"], json!([["From outside"], ["Ideas"]]));
    }
}

#[tokio::test]
async fn a_route_is_asked_for_by_id_or_slug_and_answers_304_while_nothing_moved() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let service = server.service(&["routes:read"]).await;
    let by_id = service.get(&format!("/v1/routes/{}", acme.id)).await;
    let by_slug = service.get("/v1/routes/ACME").await;
    assert_eq!(by_id.expect(200), by_slug.expect(200));
    let tag = by_id.header("etag").unwrap();
    assert_eq!(tag, format!("\"{}\"", by_id.json()["generation"]));
    for known in [tag, &format!("W/{tag}"), &format!("\"7\", {tag}"), "*"] {
        let unchanged = get_if_none_match(&service, "/v1/routes/acme", known).await;
        assert_eq!(
            (unchanged.status, unchanged.text.as_str(), unchanged.header("etag")),
            (304, "", Some(tag))
        );
    }
    assert_eq!(get_if_none_match(&service, "/v1/routes/acme", "\"7\"").await.status, 200);
    server.operator().post(&format!("{}/suspend", acme.admin()), json!({})).await.expect(200);
    let stopped = get_if_none_match(&service, "/v1/routes/acme", tag).await.expect(200);
    assert_eq!(stopped["state"], "suspended", "who holds the route must hear that it is not to be served");
}

#[tokio::test]
async fn credentials_go_only_to_keys_with_the_scope_for_them() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let path = "/v1/routes/acme";
    assert!(server.service(&["routes:read"]).await.get(path).await.expect(200).get("url").is_none());
    let both = server.service(&["routes:read", "routes:credentials"]).await;
    assert!(both.get(path).await.expect(200)["url"].is_string());
    let alone = server.service(&["routes:credentials"]).await.get(path).await;
    assert_eq!(alone.problem(403), "insufficient_scope");
    for who in [&acme.owner, &acme.program, &server.operator()] {
        assert_eq!(who.get(path).await.problem(403), "wrong_credential");
    }
    for (who, path) in [
        (&acme.owner, "/v1/tenant/database".to_owned()),
        (&server.operator(), format!("{}/placement", acme.admin())),
    ] {
        let shown = who.get(&path).await.expect(200);
        assert!(shown["database"].is_string() && shown.get("url").is_none(), "{shown}");
    }
}

#[tokio::test]
async fn a_slug_leads_to_its_present_bearer_and_to_nobody_else() {
    let server = Server::embedded();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let (service, operator) = (server.service(&["routes:read"]).await, server.operator());
    let of = |slug: &'static str| {
        let service = service.clone();
        async move { service.get(&format!("/v1/routes/{slug}")).await }
    };
    assert_eq!(of("acme").await.expect(200)["tenant_id"], json!(acme.id));
    assert_eq!(of("acme-two").await.problem(404), "not_found");
    operator.patch(&acme.admin(), json!({ "slug": "acme-two" })).await.expect(200);
    assert_eq!(of("acme").await.problem(404), "not_found");
    assert_eq!(of("acme-two").await.expect(200)["tenant_id"], json!(acme.id));
    operator.patch(&globex.admin(), json!({ "slug": "acme" })).await.expect(200);
    assert_eq!(of("acme").await.expect(200)["tenant_id"], json!(globex.id));
    for unknown in ["globex", "nobody-here", "tenant_01h455vb4pex5vsknk084sn02q", "tenant_x", "%20", "a%2Fb"]
    {
        assert_eq!(
            service.get(&format!("/v1/routes/{unknown}")).await.problem(404),
            "not_found",
            "{unknown}"
        );
    }
    let deletion = operator.delete(&format!("{}?grace_s=0", globex.admin())).await.expect(202);
    server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    eventually("the route to end", || async { (of("acme").await.status == 404).then_some(()) }).await;
}
