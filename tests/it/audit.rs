//! The audit trail: who sees what of it, what gets into it, and out as a file. Whatever is done to it behind our back
//! is in [`tamper`].

mod tamper;

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::on_each_engine;
use crate::world::Scene;
use crate::world::postgres::TestDatabase;
use crate::world::server::{Client, OPERATOR_KEY, PASSWORD, Server, Settler, Starting, eventually};

const OWN: &str = "/v1/tenant/audit";
const ALL: &str = "/admin/v1/audit";

fn server(scene: Scene) -> (Server, Option<TestDatabase>) {
    let (starting, database) = scene.starting();
    (behind_a_proxy(starting).without_stock().start(), database)
}

/// So that callers can come from different addresses.
fn behind_a_proxy(starting: Starting) -> Starting {
    starting.set("SERVER__TRUSTED_PROXIES", "127.0.0.0/8")
}

/// A page of the trail.
async fn page(who: &Client, path: &str) -> Vec<Value> {
    who.get(path).await.expect(200)["data"].as_array().unwrap().clone()
}

fn kinds(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["type"].as_str().unwrap()).collect()
}

/// Waits until the trail at `path` has so many entries of this kind.
async fn until(who: &Client, path: &str, kind: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} of {kind} at {path}"), || async {
        let found = page(who, &format!("{path}?types={kind}&limit=200")).await;
        (found.len() == count).then_some(found)
    })
    .await
}

async fn get_from(who: &Client, address: &str, path: &str) -> u16 {
    who.send(who.request("GET", path).header("x-forwarded-for", address)).await.status
}

async fn sign_in(server: &Server, address: &str, email: &str, password: &str) -> u16 {
    let nobody = server.nobody();
    let body = json!({ "email": email, "password": password });
    let request = nobody.request("POST", "/v1/sessions").header("x-forwarded-for", address).json(&body);
    nobody.send(request).await.status
}

async fn rename(of: &Settler, address: &str, name: &str) {
    let request = of.owner.request("PATCH", "/v1/tenant").header("x-forwarded-for", address);
    of.owner.send(request.json(&json!({ "name": name }))).await.expect(200);
}

/// Runs the program beside the server.
fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(arguments).env_clear().current_dir(server.data_dir());
    command.env("TENANTRY_SERVER_URL", &server.url).env("TENANTRY_OPERATOR_KEY", OPERATOR_KEY);
    command.output().unwrap()
}

fn words(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

on_each_engine! {
    async fn tenants_and_operators_see_who_did_what_from_where(scene) {
        let (server, _database) = server(scene);
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        rename(&acme, "192.0.2.1", "Acme One").await;
        rename(&acme, "192.0.2.2", "Acme Two").await;
        rename(&globex, "192.0.2.3", "Globex One").await;
        let operator = server.operator();
        operator.post(&format!("{}/suspend", acme.admin()), json!({ "reason": "unpaid" })).await.expect(200);
        operator.send(operator.request("POST", &format!("{}/resume", acme.admin()))).await.expect(200);

        // A tenant: its own alone, newest first, with the addresses of its own people and of nobody else.
        let own = until(&acme.owner, OWN, "tenant.*", 6).await;
        assert_eq!(kinds(&own)[..4], ["tenant.resumed", "tenant.suspended", "tenant.updated", "tenant.updated"]);
        assert!(own.iter().all(|entry| entry["tenant_id"] == acme.id.as_str()));
        assert_eq!((&own[2]["address"], &own[3]["address"]), (&json!("192.0.2.2"), &json!("192.0.2.1")));
        assert_eq!((&own[2]["actor"]["kind"], &own[2]["outcome"]), (&json!("user"), &json!("done")));
        assert_eq!((&own[1]["actor"]["kind"], &own[1]["address"]), (&json!("operator"), &Value::Null));
        assert_eq!(own[1]["data"]["reason"], "unpaid");
        let me = own[2]["actor"]["id"].as_str().unwrap();
        for (filter, expected) in [
            (format!("actor={me}&types=tenant.*"), vec!["tenant.updated", "tenant.updated"]),
            ("types=tenant.suspended,tenant.resumed".into(), vec!["tenant.resumed", "tenant.suspended"]),
            ("address=192.0.2.1".into(), vec!["tenant.updated"]),
            // The operator's address is not found out by asking for it.
            ("address=127.0.0.1&types=tenant.suspended".into(), vec![]),
            (format!("types=tenant.*&since={}", own[0]["at"].as_str().unwrap()), vec!["tenant.resumed"]),
            (format!("types=tenant.*&until={}", own[4]["at"].as_str().unwrap()), vec!["tenant.created"]),
            ("types=tenant.*&outcome=refused".into(), vec![]),
        ] {
            assert_eq!(kinds(&page(&acme.owner, &format!("{OWN}?{filter}")).await), expected, "{filter}");
        }
        // By pages, each entry once.
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let part = acme.owner.get(&format!("{OWN}?limit=2{cursor}")).await.expect(200);
            seen.extend(part["data"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap().to_owned()));
            let Some(next) = part["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let whole: Vec<String> = page(&acme.owner, &format!("{OWN}?limit=200")).await.iter().map(|entry| entry["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(seen, whole);

        // Operators: all tenants, or one, with every address.
        let viewer = server.operator_as("viewer").await;
        let all = page(&viewer, &format!("{ALL}?types=tenant.updated")).await;
        assert_eq!(all.iter().map(|entry| entry["address"].as_str().unwrap()).collect::<Vec<_>>(), ["192.0.2.3", "192.0.2.2", "192.0.2.1"]);
        let one = page(&viewer, &format!("{}/audit?types=tenant.*", acme.admin())).await;
        assert_eq!(kinds(&one), kinds(&own));
        assert_eq!(one[1]["address"], "127.0.0.1");
        assert_eq!(viewer.get("/admin/v1/tenants/nobody/audit").await.problem(404), "not_found");
        for wrong in ["types=Tenant", "limit=0", "limit=201", "cursor=x", "since=yesterday", "outcome=maybe", "colour=red"] {
            assert_eq!(viewer.get(&format!("{ALL}?{wrong}")).await.problem(422), "validation_failed", "{wrong}");
        }

        // Keys with the scope may, others may not.
        page(&acme.key(&["audit:read"]).await, OWN).await;
        assert_eq!(acme.program.get(OWN).await.problem(403), "insufficient_scope");
        assert_eq!(server.operator().get(OWN).await.problem(403), "wrong_credential");
        assert_eq!(acme.owner.get(ALL).await.problem(403), "wrong_credential");
    }
}

on_each_engine! {
    async fn what_is_refused_is_in_it_and_never_floods_it(scene) {
        let (mut server, _database) = server(scene);
        let acme = server.settle("Acme").await;
        // A known caller without the right: once, and how often.
        for _ in 0..40 {
            assert_eq!(get_from(&acme.program, "192.0.2.4", "/v1/tenant/api-keys").await, 403);
            assert_eq!(get_from(&acme.program, "192.0.2.4", "/v1/tenant/members").await, 403);
        }
        let viewer = server.operator_as("viewer").await;
        for _ in 0..10 {
            viewer.post(&format!("{}/suspend", acme.admin()), json!({})).await.problem(403);
        }
        let denied = until(&acme.owner, OWN, "access.denied", 2).await;
        let verbs: BTreeSet<_> = denied.iter().map(|entry| entry["data"]["verb"].as_str().unwrap()).collect();
        assert_eq!(verbs, BTreeSet::from(["ManageKeys", "ReadMembers"]));
        for entry in &denied {
            assert_eq!((&entry["outcome"], &entry["actor"]["kind"]), (&json!("refused"), &json!("tenant_key")));
            assert_eq!((&entry["address"], &entry["data"]["code"]), (&json!("192.0.2.4"), &json!("insufficient_scope")));
            assert_eq!((&entry["data"]["method"], &entry["data"]["count"]), (&json!("GET"), &json!(1)));
        }
        assert!(denied.iter().any(|entry| entry["data"]["route"] == "/v1/tenant/members"));
        let operators = until(&server.operator(), ALL, "access.denied", 3).await;
        let theirs = operators.iter().find(|entry| entry["actor"]["kind"] == "operator").unwrap();
        assert_eq!((&theirs["tenant_id"], &theirs["data"]["verb"], &theirs["data"]["code"]), (&Value::Null, &json!("ManageTenants"), &json!("insufficient_role")));

        // A wrong password for somebody known is in the sight of their tenant; for nobody it is folded by address.
        let secret = "not the password of anybody";
        assert_eq!(sign_in(&server, "192.0.2.5", "owner@acme.example", secret).await, 401);
        let refused = until(&acme.owner, OWN, "session.refused", 1).await;
        assert_eq!((&refused[0]["address"], &refused[0]["data"]["wrong"]), (&json!("192.0.2.5"), &json!("password")));
        for at in 0..5 {
            assert_eq!(sign_in(&server, "192.0.2.6", &format!("nobody-{at}@acme.example"), secret).await, 401);
        }
        let strangers = until(&server.operator(), ALL, "sign_in.refused", 1).await;
        assert_eq!((&strangers[0]["data"]["why"], &strangers[0]["data"]["party"]), (&json!("unknown_account"), &json!("192.0.2.6")));
        assert_eq!(sign_in(&server, "192.0.2.5", "owner@acme.example", PASSWORD).await, 200);

        let metrics = server.nobody().get("/metrics").await.text;
        assert!(!metrics.contains("tenantry_audit_notes_lost_total"), "nothing was dropped");

        // What was folded is told when the minute is over, or the server ends.
        assert!(server.stop());
        server.start();
        let operator = server.operator();
        let counts = async |kind: &str, events: usize| {
            let found = until(&operator, ALL, kind, events).await;
            found.iter().map(|entry| entry["data"]["count"].as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(counts("access.denied", 6).await, 90);
        assert_eq!(counts("sign_in.refused", 2).await, 5);
        let all = operator.get(&format!("{ALL}?limit=200")).await.text;
        assert!(!all.contains(secret) && !all.contains(PASSWORD) && !all.contains("nobody-0") && !all.contains(&acme.key));
    }
}

on_each_engine! {
    async fn it_is_written_out_whole_in_both_forms(scene) {
        let (server, _database) = server(scene);
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        // More than one part of an export holds, and texts that a spreadsheet would take for formulas.
        let nasty = ["=1+1", "+1", "-1", "@SUM(A1)", "a,\"b\"\r\nc", "\u{1f642}", "' quoted"];
        for (at, name) in nasty.iter().cycle().take(620).enumerate() {
            let request = acme.owner.request("PATCH", "/v1/tenant").header("x-request-id", format!("=cmd-{at}"));
            acme.owner.send(request.json(&json!({ "name": name }))).await.expect(200);
        }
        let updates = |entries: &[Value]| kinds(entries).iter().filter(|kind| **kind == "tenant.updated").count();
        let lines = acme.owner.get(&format!("{OWN}/export")).await;
        assert_eq!(lines.header("content-type"), Some("application/jsonl"));
        assert_eq!(lines.header("content-disposition"), Some("attachment; filename=\"audit.jsonl\""));
        let entries: Vec<Value> = lines.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(updates(&entries), 620);
        assert!(entries.iter().all(|entry| entry["tenant_id"] == acme.id.as_str()));
        // Oldest first, and alike to what the list shows.
        let newest = page(&acme.owner, &format!("{OWN}?limit=200")).await;
        assert_eq!(entries.iter().rev().take(200).cloned().collect::<Vec<_>>(), newest);

        let csv = acme.owner.get(&format!("{OWN}/export?format=csv")).await;
        assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
        assert!(csv.text.contains("\"'=cmd-0\"") && !csv.text.contains("\"=cmd"), "no cell is a formula");
        let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
        let heads: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), entries.len());
        for (row, entry) in rows.iter().zip(&entries) {
            let cell = |name: &str| {
                let text = &row[heads.iter().position(|head| head == name).unwrap()];
                text.strip_prefix('\'').unwrap_or(text).to_owned()
            };
            let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
            assert_eq!((cell("id"), cell("type"), cell("at")), (text(&entry["id"]), text(&entry["type"]), text(&entry["at"])));
            assert_eq!((cell("actor_id"), cell("request_id")), (text(&entry["actor"]["id"]), text(&entry["request_id"])));
            assert_eq!(serde_json::from_str::<Value>(&cell("data")).unwrap(), entry["data"]);
        }

        // Filters, operators, and the command line.
        let some = server.operator().get(&format!("{ALL}/export?types=tenant.created")).await;
        assert_eq!(some.text.lines().count(), 2);
        let none = server.operator().get(&format!("{}/audit/export?until=2020-01-01T00:00:00Z", globex.admin())).await;
        assert_eq!((none.status, none.text.as_str()), (200, ""));
        assert_eq!(acme.program.get(&format!("{OWN}/export")).await.problem(403), "insufficient_scope");
        assert_eq!(server.operator().get(&format!("{ALL}/export?format=xml")).await.problem(422), "validation_failed");
        let told = run(&server, &["audit", "export", "--format", "csv", "--tenant", "acme", "--types", "tenant.updated"]);
        assert!(told.status.success(), "{}", words(&told.stderr));
        assert_eq!(csv::Reader::from_reader(told.stdout.as_slice()).records().map(Result::unwrap).count(), 620);
        let told = run(&server, &["audit", "list", "--tenant", "acme", "--limit", "3", "--types", "tenant.updated"]);
        assert_eq!(words(&told.stdout).lines().filter(|line| line.contains("tenant.updated")).count(), 3);
        let told = run(&server, &["audit", "export", "--tenant", "nobody"]);
        assert!(!told.status.success() && told.stdout.is_empty() && words(&told.stderr).contains("not_found"));
    }
}
