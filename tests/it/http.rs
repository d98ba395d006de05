//! What every endpoint does alike: problems instead of pages, request ids, careful headers.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::server::{Answer, Client, Server, Starting};

async fn raw(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let request = client.request(method, path).body(body.to_owned());
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    client.send(request).await
}

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn what_is_not_there_is_a_problem_not_a_page() {
    let server = Server::embedded();
    let nobody = server.nobody();
    for path in [
        "/",
        "/nowhere",
        "/v1",
        "/v1/",
        "/v1/tenants",
        "/admin/v1/tenants/",
        "//v1/plans",
        "/v1/plans/",
        "/%2e%2e/etc/passwd",
        "/v1/%00",
    ] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.problem(404), "not_found", "{path}");
        assert!(answer.json()["type"] == "/problems/not_found" && answer.json()["title"] == "Not Found");
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
    }
    for (method, path, allowed) in [
        ("DELETE", "/v1/plans", "GET"),
        ("POST", "/v1/tenant", "DELETE, GET, PATCH"),
        ("GET", "/v1/signups", "POST"),
        ("PUT", "/admin/v1/tenants/acme", "DELETE, GET, PATCH"),
        ("GET", "/v1/query", "POST"),
    ] {
        let answer = raw(&nobody, method, path, &[JSON], "{}").await;
        assert_eq!(answer.problem(405), "method_not_allowed", "{method} {path}");
        assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
    }
}

#[tokio::test]
async fn an_unreadable_body_is_refused_for_what_it_is() {
    let server = Starting::new().set("SERVER__MAX_BODY_BYTES", 2048).start();
    let nobody = server.nobody();
    let post =
        async |headers: &[(&str, &str)], body: &str| raw(&nobody, "POST", "/v1/signups", headers, body).await;
    for body in ["", "{", "{\"organization\": \"Acme\",}", "nonsense", "{}{}", "\u{feff}{}"] {
        assert_eq!(post(&[JSON], body).await.problem(400), "malformed_json", "{body:?}");
    }
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "",
    ] {
        assert_eq!(
            post(&[("content-type", kind)], "{}").await.problem(415),
            "unsupported_media_type",
            "{kind}"
        );
    }
    assert_eq!(post(&[], "{}").await.problem(415), "unsupported_media_type");
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/problem+json"] {
        assert_eq!(post(&[("content-type", kind)], "{}").await.problem(422), "validation_failed", "{kind}");
    }
    for body in ["null", "[]", "7", "\"text\""] {
        assert_eq!(post(&[JSON], body).await.pointers(), [""], "{body}");
    }
    let long = format!("{{\"organization\": \"{}\"}}", "a".repeat(4096));
    assert_eq!(post(&[JSON], &long).await.problem(413), "too_large");
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    assert_eq!(post(&[JSON], &deep).await.problem(400), "malformed_json");
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let server = Server::embedded();
    let operator = server.operator();
    for (query, pointers) in [
        ("limit=0", vec!["?limit"]),
        ("limit=201", vec!["?limit"]),
        ("cursor=x", vec!["?cursor"]),
        ("cursor=", vec!["?cursor"]),
        ("limit=0&cursor=AAAA", vec!["?cursor", "?limit"]),
    ] {
        for path in
            ["/admin/v1/tenants", "/admin/v1/operations", "/admin/v1/operators", "/admin/v1/service-keys"]
        {
            assert_eq!(operator.get(&format!("{path}?{query}")).await.pointers(), pointers, "{path}?{query}");
        }
    }
    for query in
        ["limit=many", "limit=-1", "limit=99999999999", "colour=red", "state=gone", "limit=1&limit=2"]
    {
        let answer = operator.get(&format!("/admin/v1/tenants?{query}")).await;
        assert_eq!(answer.problem(422), "validation_failed", "{query}");
    }
    assert_eq!(operator.get("/admin/v1/tenants?limit=200").await.status, 200);
}

#[tokio::test]
async fn a_missing_or_garbled_credential_is_401_and_says_what_to_send() {
    let server = Server::embedded();
    let nobody = server.nobody();
    let long = format!("Bearer {}", "k".repeat(9000));
    for value in [
        None,
        Some(""),
        Some("Bearer"),
        Some("Bearer "),
        Some("Basic YTpi"),
        Some("bearer-token"),
        Some("Bearer tnt_live_x"),
        Some("Bearer nobody's key"),
        Some("Bearer a.b.c"),
        Some(long.as_str()),
    ] {
        let headers: Vec<_> = value.map(|value| ("authorization", value)).into_iter().collect();
        for path in ["/v1/tenant", "/admin/v1/tenants"] {
            let answer = raw(&nobody, "GET", path, &headers, "").await;
            assert_eq!(answer.problem(401), "unauthenticated", "{value:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"tenantry\""));
        }
    }
    let operator = server.operator();
    let twice = operator.request("GET", "/admin/v1/tenants").header("authorization", "Bearer x");
    assert_eq!(operator.send(twice).await.problem(401), "unauthenticated");
    let key = format!("bEaReR   {}", crate::world::server::OPERATOR_KEY);
    assert_eq!(raw(&nobody, "GET", "/admin/v1/tenants", &[("authorization", &key)], "").await.status, 200);
}

#[tokio::test]
async fn a_request_has_one_id_in_answer_header_and_log() {
    let server = Server::embedded();
    let nobody = server.nobody();
    let given = raw(&nobody, "GET", "/nowhere", &[("x-request-id", "my-id/1")], "").await;
    assert_eq!(given.header("x-request-id"), Some("my-id/1"));
    assert_eq!(given.json()["request_id"], "my-id/1");
    let (one, two) = (nobody.get("/healthz").await, nobody.get("/healthz").await);
    let id = one.header("x-request-id").unwrap();
    assert!(id.starts_with("req_") && Some(id) != two.header("x-request-id"));
    for unfit in ["two words", "", &"x".repeat(129), "caf\u{e9}"] {
        let answer = raw(&nobody, "GET", "/healthz", &[("x-request-id", unfit)], "").await;
        assert!(answer.header("x-request-id").unwrap().starts_with("req_"), "{unfit}");
    }
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    raw(&nobody, "GET", "/v1/plans", &[("traceparent", trace), ("x-request-id", "traced")], "").await;
    crate::world::server::eventually("the log line", || async {
        let log = server.log();
        let line = log.lines().find(|line| line.contains("\"traced\""))?;
        assert!(line.contains("4bf92f3577b34da6a3ce929d0e0e4736") && line.contains("/v1/plans"), "{line}");
        Some(())
    })
    .await;
}

#[tokio::test]
async fn every_answer_carries_the_headers_that_keep_browsers_from_guessing() {
    let server = Server::embedded();
    for path in
        ["/healthz", "/readyz", "/v1/plans", "/nowhere", "/v1/tenant", "/openapi.json", "/docs/", "/metrics"]
    {
        let answer = server.nobody().get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
        assert!(answer.header("cache-control").is_some() && answer.header("server").is_none(), "{path}");
    }
    assert_eq!(server.operator().get("/admin/v1/tenants").await.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn the_server_tells_how_it_is() {
    let server = Server::embedded();
    let nobody = server.nobody();
    assert_eq!(nobody.get("/healthz").await.expect(200)["status"], "ok");
    let ready = nobody.get("/readyz").await.expect(200);
    assert_eq!(
        ready,
        json!({ "ready": true, "engine": "sqlite", "store": true, "migrations": true, "accepting": true })
    );
    nobody.get("/v1/plans").await.expect(200);
    let metrics = nobody.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    assert!(
        metrics.text.contains("tenantry_http_request_seconds")
            && metrics.text.contains("route=\"/v1/plans\"")
    );
    let config = server.operator().get("/admin/v1/config").await;
    assert!(config.expect(200)["data"].as_array().unwrap().len() > 30);
}

#[tokio::test]
async fn garbage_on_the_wire_ends_the_connection_and_not_the_server() {
    let server = Server::embedded();
    let address = server.url.strip_prefix("http://").unwrap();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/signups HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/signups HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nzz\r\n",
        b"GET /v1/plans HTTP/1.1\r\nHost: x\r\nbad header\x00: 1\r\n\r\n",
    ] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer).await);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    server.nobody().get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_server_that_is_told_to_end_ends_well_and_finds_everything_again() {
    let mut server = Server::embedded();
    let acme = server.settle("Acme").await;
    acme.program.query("INSERT INTO notebooks (name) VALUES ('Ideas')", json!([])).await.expect(200);
    assert!(server.stop(), "{}", server.log());
    assert!(!server.data_dir().join("server.addr").exists(), "nobody is sent to where it was");
    server.set("LOG__LEVEL", "warn");
    server.start();
    let seen = server.with(&acme.key).query("SELECT name FROM notebooks", json!([])).await.expect(200);
    assert_eq!(seen["rows"], json!([["Ideas"]]));
}
