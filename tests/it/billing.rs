//! Invoices as data: numbered, read by their tenant alone, paid or void once, and settled by credit.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::server::{Client, OPERATOR_KEY, Server, Starting};

fn charge(tenant: &str, currency: &str, unit_price: i64) -> Value {
    let kind = if unit_price < 0 { "credit" } else { "usage" };
    let line =
        json!({ "kind": kind, "description": "Calls & more <b>", "quantity": 2, "unit_price": unit_price });
    json!({ "tenant": tenant, "currency": currency, "lines": [line] })
}

async fn opened(operator: &Client, tenant: &str, unit_price: i64) -> Value {
    operator.post("/admin/v1/invoices", charge(tenant, "EUR", unit_price)).await.expect(201)
}

fn path(invoice: &Value) -> String {
    format!("/admin/v1/invoices/{}", invoice["id"].as_str().unwrap())
}

fn own(invoice: &Value) -> String {
    format!("/v1/tenant/invoices/{}", invoice["id"].as_str().unwrap())
}

on_each_engine! {
    async fn an_invoice_is_numbered_seen_by_its_tenant_alone_and_paid_once(scene) {
        let (server, _database) = scene.server();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        let operator = server.operator();
        let first = operator.post_once("/admin/v1/invoices", "k1", charge("acme", "eur", 2_450)).await;
        let again = operator.post_once("/admin/v1/invoices", "k1", charge("acme", "eur", 2_450)).await;
        assert_eq!((first.expect(201), again.header("idempotent-replayed")), (again.expect(201), Some("true")));
        let first = first.json();
        assert_eq!((&first["total"], &first["subtotal"], &first["currency"]), (&json!(4_900), &json!(4_900), &json!("EUR")));
        assert_eq!((&first["state"], &first["customer"]), (&json!("open"), &json!("Acme")));
        let number = first["number"].as_str().unwrap();
        let (prefix, count) = number.rsplit_once('-').unwrap();
        assert!(prefix.starts_with("INV-20") && count == "000001", "{number}");
        assert_eq!(operator.post("/admin/v1/invoices", charge("nobody", "EUR", 1)).await.problem(404), "not_found");
        let refused = operator.post("/admin/v1/invoices", json!({ "tenant": "acme", "currency": "E1R", "lines": [
            { "kind": "credit", "description": " ", "quantity": 1, "unit_price": 5 }
        ] })).await;
        assert_eq!(refused.pointers(), ["/currency", "/lines/0/description", "/lines/0/unit_price"]);
        let second = opened(&operator, &globex.id, 100).await;
        assert_eq!(second["number"], json!(format!("{prefix}-000002")), "what failed leaves no gap");

        let read = acme.owner.get(&own(&first)).await;
        assert_eq!((read.expect(200)["id"].clone(), read.header("etag")), (first["id"].clone(), Some("\"1\"")));
        assert_eq!(globex.owner.get(&own(&first)).await.problem(404), "not_found");
        assert_eq!(acme.owner.get("/v1/tenant/invoices/x").await.problem(404), "not_found");
        assert_eq!(acme.program.get(&own(&first)).await.problem(403), "insufficient_scope");
        acme.key(&["tenant:manage"]).await.get(&own(&first)).await.expect(200);
        let list = acme.owner.get("/v1/tenant/invoices").await.expect(200);
        assert_eq!((list["data"].as_array().unwrap().len(), &list["data"][0]["id"]), (1, &first["id"]));
        let page = operator.get("/admin/v1/invoices?limit=1").await.expect(200);
        assert_eq!(page["data"][0]["id"], second["id"], "the newest first");
        let cursor = page["next_cursor"].as_str().unwrap();
        let page = operator.get(&format!("/admin/v1/invoices?limit=1&cursor={cursor}")).await.expect(200);
        assert_eq!((&page["data"][0]["id"], &page["next_cursor"]), (&first["id"], &Value::Null));

        let viewer = server.operator_as("support").await;
        viewer.get(&path(&first)).await.expect(200);
        assert_eq!(viewer.post(&format!("{}/mark-paid", path(&first)), json!({})).await.problem(403), "insufficient_role");
        let future = json!({ "paid_at": "2100-01-01T00:00:00Z" });
        assert_eq!(operator.post(&format!("{}/mark-paid", path(&first)), future).await.pointers(), ["/paid_at"]);
        let mark = |tag: &str, at: &str| {
            let request = operator.request("POST", &format!("{}/mark-paid", path(&first))).header("if-match", tag);
            operator.send(request.json(&json!({ "paid_at": at, "reference": "wire 7" })))
        };
        assert_eq!(mark("\"9\"", "2026-01-02T03:04:05Z").await.problem(412), "precondition_failed");
        let paid = mark("\"1\"", "2026-01-02T03:04:05Z").await.expect(200);
        assert_eq!((&paid["state"], &paid["paid_at"]), (&json!("paid"), &json!("2026-01-02T03:04:05Z")));
        assert_eq!(paid["payment_reference"], "wire 7");
        assert_eq!(mark("*", "2026-01-02T03:04:05Z").await.problem(409), "invoice_paid");
        let void = json!({ "reason": "A mistake" });
        assert_eq!(operator.post(&format!("{}/void", path(&first)), void.clone()).await.problem(409), "invoice_paid");
        let voided = operator.post(&format!("{}/void", path(&second)), void.clone()).await.expect(200);
        assert_eq!((&voided["state"], &voided["void_reason"]), (&json!("void"), &json!("A mistake")));
        assert_eq!(operator.post(&format!("{}/void", path(&second)), void).await.problem(409), "invoice_void");
        for (filter, ids) in [
            ("?tenant=acme", vec![&first["id"]]),
            ("?state=void", vec![&second["id"]]),
            ("?tenant=nobody", vec![]),
            ("?tenant=acme&state=open", vec![]),
        ] {
            let found = operator.get(&format!("/admin/v1/invoices{filter}")).await.expect(200);
            assert_eq!(found["data"].as_array().unwrap().iter().map(|one| &one["id"]).collect::<Vec<_>>(), ids, "{filter}");
        }
        let of_tenant = operator.get(&format!("{}/invoices", globex.admin())).await.expect(200);
        assert_eq!(of_tenant["data"][0]["id"], second["id"]);
        assert_eq!(operator.get("/admin/v1/tenants/nobody/invoices").await.problem(404), "not_found");
        let billing = operator.get(&format!("{}/billing", acme.admin())).await.expect(200);
        assert_eq!((&billing["provider"], &billing["customer"]), (&json!("manual"), &Value::Null));
        let over = operator.post(&format!("{}/billing/hand-over", acme.admin()), json!({})).await;
        assert_eq!(over.problem(409), "billing_is_manual");
        assert_eq!(server.nobody().post("/v1/billing/stripe/webhook", json!({})).await.problem(422), "billing_is_manual");
    }
}

on_each_engine! {
    async fn numbers_have_no_gap_however_many_open_invoices_at_once(scene) {
        let (server, _database) = scene.server();
        server.create(json!({ "name": "Acme" })).await;
        let operator = server.operator();
        let opening = (0..24).map(|at| {
            let operator = operator.clone();
            let tenant = if at % 3 == 2 { "nobody" } else { "acme" };
            async move { operator.post("/admin/v1/invoices", charge(tenant, "EUR", 1)).await }
        });
        let answers = futures_util::future::join_all(opening).await;
        let numbers: BTreeSet<String> = answers
            .iter()
            .filter(|answer| answer.status == 201)
            .map(|answer| answer.json()["number"].as_str().unwrap().to_owned())
            .collect();
        let counts: Vec<u32> = numbers.iter().map(|number| number.rsplit('-').next().unwrap().parse().unwrap()).collect();
        assert_eq!(counts, (1..=16).collect::<Vec<_>>());
    }
}

on_each_engine! {
    async fn credit_settles_the_oldest_invoices_that_it_covers_whole(scene) {
        let (server, _database) = scene.server();
        let acme = server.create(json!({ "name": "Acme" })).await;
        let operator = server.operator();
        let id = acme["id"].as_str().unwrap();
        let old = opened(&operator, id, 300).await;
        let credit = opened(&operator, id, -500).await;
        assert_eq!((&credit["total"], &credit["state"]), (&json!(-1_000), &json!("paid")));
        let old = operator.get(&path(&old)).await.expect(200);
        assert_eq!((&old["state"], &old["payment_reference"]), (&json!("paid"), &credit["number"]));
        let billing = || operator.get("/admin/v1/tenants/acme/billing");
        assert_eq!(billing().await.expect(200)["unapplied"][0]["unapplied"], 400);
        let dear = opened(&operator, id, 250).await;
        assert_eq!(dear["state"], "open", "400 do not cover 500");
        let cheap = opened(&operator, id, 100).await;
        assert_eq!(cheap["state"], "open", "the older one comes first");
        let other = operator.post("/admin/v1/invoices", charge(id, "JPY", 100)).await.expect(201);
        assert_eq!(other["state"], "open", "of another currency");
        operator.post(&format!("{}/void", path(&dear)), json!({ "reason": "waived" })).await.expect(200);
        assert_eq!(operator.get(&path(&cheap)).await.expect(200)["state"], "paid", "now it is the oldest");
        assert_eq!(billing().await.expect(200)["unapplied"][0]["unapplied"], 200);
    }
}

#[tokio::test]
async fn an_invoice_prints_as_one_page_that_loads_nothing() {
    let server = Starting::new().set("BILLING__ISSUER", "Example <Ltd>\nSome Street 1").start();
    let acme = server.settle("Acme").await;
    let invoice =
        server.operator().post("/admin/v1/invoices", charge("acme", "JPY", 1_234)).await.expect(201);
    let by_path = acme.owner.get(&format!("{}.html", own(&invoice))).await;
    let by_header = acme
        .owner
        .send(acme.owner.request("GET", &own(&invoice)).header("accept", "text/html,*/*;q=0.8"))
        .await;
    let operators = server.operator().get(&format!("{}.html", path(&invoice))).await;
    for page in [&by_path, &by_header, &operators] {
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.text, by_path.text);
    }
    for shown in [
        "Calls &amp; more &lt;b&gt;",
        "2,468 JPY",
        "Example &lt;Ltd&gt;<br>Some Street 1",
        "@media print",
        invoice["number"].as_str().unwrap(),
    ] {
        assert!(by_path.text.contains(shown), "{shown}");
    }
    assert!(
        !by_path.text.contains("<script") && !by_path.text.contains("src=") && !by_path.text.contains("http")
    );
    let json =
        acme.owner.send(acme.owner.request("GET", &own(&invoice)).header("accept", "application/json")).await;
    assert_eq!(json.expect(200)["total"], 2_468);
}

/// What a command of the program says, when it was done.
fn said(server: &Server, args: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.arg("invoice").args(args).env_clear().current_dir(server.data_dir());
    command.env("TENANTRY_SERVER_URL", &server.url).env("TENANTRY_OPERATOR_KEY", OPERATOR_KEY);
    let done = command.output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_see_and_settle_invoices_on_the_command_line() {
    let server = Server::embedded();
    server.create(json!({ "name": "Acme" })).await;
    let operator = server.operator();
    let (first, second) = (opened(&operator, "acme", 2_450).await, opened(&operator, "acme", 100).await);
    let id = |invoice: &Value| invoice["id"].as_str().unwrap().to_owned();
    let list = said(&server, &["list", "--tenant", "acme", "--state", "open"]);
    for part in ["NUMBER", "49.00 EUR", "2.00 EUR", "Acme", first["number"].as_str().unwrap(), &id(&second)] {
        assert!(list.contains(part), "no {part} in\n{list}");
    }
    let paid = said(&server, &["mark-paid", &id(&first), "--reference", "wire 7", "--paid-at", "2026-01-31"]);
    for part in ["paid", "wire 7", "2026-01-31 00:00 UTC", "Calls & more", "49.00 EUR"] {
        assert!(paid.contains(part), "no {part} in\n{paid}");
    }
    assert!(said(&server, &["void", &id(&second), "--reason", "A mistake"]).contains("A mistake"));
    let all: Value = serde_json::from_str(&said(&server, &["list", "--json"])).unwrap();
    let states: Vec<_> = all["data"].as_array().unwrap().iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states, ["void", "paid"]);
    assert!(said(&server, &["list", "--state", "open"]).lines().count() == 1, "the heading alone");
}

#[tokio::test]
async fn the_invoices_of_a_tenant_outlive_it() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let operator = server.operator();
    let invoice = opened(&operator, "acme", 100).await;
    let deletion = operator.delete(&acme.admin()).await.expect(202);
    server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(operator.get(&path(&invoice)).await.expect(200)["customer"], "Acme");
    let found = operator.get(&format!("/admin/v1/invoices?tenant={}", acme.id)).await.expect(200);
    assert_eq!(found["data"][0]["id"], invoice["id"]);
    assert_eq!(
        operator.post("/admin/v1/invoices", charge(&acme.id, "EUR", 1)).await.problem(409),
        "wrong_state"
    );
}
