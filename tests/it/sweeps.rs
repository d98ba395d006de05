//! Over everything at once: every route as nobody, as a stranger, with the wrong kind of credential and with
//! garbage; the policy; the OpenAPI document; the migrations; the store away.

use std::path::Path;

use serde_json::{Map, Value, json};
use tenantry::db::{Db, Options};

use crate::scenes;
use crate::world::postgres::Pg;
use crate::world::server::{Answer, Client, OPERATOR_KEY, Server, Settler, Starting, eventually};
use crate::world::sqlite::Folder;

/// What anybody may call. This list only shrinks, or grows by what is meant for strangers.
const PUBLIC: [&str; 22] = [
    "GET /.well-known/jwks.json",
    "GET /.well-known/openid-configuration",
    "GET /healthz",
    "GET /metrics",
    "GET /readyz",
    "GET /v1/event-types",
    "GET /v1/event-types/{event_type}",
    "GET /v1/operations/{operation_id}",
    "GET /v1/operations/{operation_id}/events",
    "GET /v1/plans",
    "POST /admin/v1/operator-setup",
    "POST /admin/v1/sessions",
    "POST /admin/v1/sessions/refresh",
    "POST /v1/billing/stripe/webhook",
    "POST /v1/invitations/accept",
    "POST /v1/password-resets",
    "POST /v1/password-resets/confirm",
    "POST /v1/sessions",
    "POST /v1/sessions/refresh",
    "POST /v1/signups",
    "POST /v1/signups/{signup_id}/resend",
    "POST /v1/signups/{signup_id}/verify",
];

/// Paths without an id that may find nothing: the clock is there only in an installation that is under test; the
/// bodies of an invoice and of a check name their tenant.
const ABSENT: [&str; 3] = ["/admin/v1/clock", "/admin/v1/invoices", "/v1/entitlements/check"];

/// One operation of the OpenAPI document.
struct Route {
    method: String,
    path: String,
    spec: Value,
    document: Value,
}

fn routes() -> Vec<Route> {
    let document: Value = serde_json::from_str(&tenantry::server::openapi().unwrap()).unwrap();
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, spec) in
            item.as_object().unwrap().iter().filter(|(_, spec)| spec.get("responses").is_some())
        {
            let (method, path) = (method.to_uppercase(), path.clone());
            all.push(Route { method, path, spec: spec.clone(), document: document.clone() });
        }
    }
    assert!(all.len() > 30, "the document has its routes");
    all
}

impl Route {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    fn is_public(&self) -> bool {
        PUBLIC.contains(&self.name().as_str())
    }

    /// Which kind of credential it is for.
    fn is_for(&self) -> &'static str {
        match self.path.as_str() {
            "/admin/v1/sessions/current" => "officer",
            path if path.starts_with("/admin/v1/me/") => "officer",
            path if path.starts_with("/admin/v1/") => "operator",
            path if path.starts_with("/v1/me/") || path == "/v1/sessions/current" => "member",
            path if path.starts_with("/v1/tenant/sessions") => "member",
            "/v1/usage/events" => "sender",
            "/v1/api-keys/verify" | "/v1/entitlements/check" | "/v1/routes/{tenant}" => "service",
            "/v1/me" => "member",
            "/v1/query" | "/v1/tenant" => "tenant",
            path if path.starts_with("/v1/tenant/") => "tenant",
            _ if self.is_public() => "anybody",
            other => panic!("{other} is for whom? Say so here."),
        }
    }

    fn schema<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str() {
            return &self.document["components"]["schemas"][name.rsplit('/').next().unwrap()];
        }
        let options = schema["oneOf"].as_array().into_iter().flatten();
        options
            .into_iter()
            .find(|option| option["type"] != "null")
            .map_or(schema, |option| self.schema(option))
    }

    fn body_schema(&self) -> Option<&Value> {
        let schema = self.spec["requestBody"]["content"].as_object()?.values().next()?.get("schema")?;
        Some(self.schema(schema))
    }

    /// A value that fits the schema, with all its fields when `whole`.
    fn example(&self, schema: &Value, whole: bool) -> Value {
        let schema = self.schema(schema);
        if let Some(first) = schema["enum"].as_array().and_then(|words| words.first()) {
            return first.clone();
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("string");
        match kind {
            "object" => {
                let required = schema["required"].as_array().cloned().unwrap_or_default();
                let fields = schema["properties"].as_object().cloned().unwrap_or_default();
                let wanted = fields.iter().filter(|(name, _)| whole || required.contains(&json!(name)));
                Value::Object(wanted.map(|(name, of)| (name.clone(), self.example(of, whole))).collect())
            }
            "array" if schema["minItems"].as_u64().is_some_and(|least| least > 0) => {
                json!([self.example(&schema["items"], whole)])
            }
            "array" => json!([]),
            "integer" | "number" => json!(1),
            "boolean" => json!(true),
            _ if schema["pattern"].as_str().is_some_and(|pattern| pattern.ends_with("{25}$")) => {
                let prefix = schema["pattern"].as_str().unwrap().trim_start_matches('^').split('[').next();
                json!(format!("{}01h455vb4pex5vsknk084sn02q", prefix.unwrap()))
            }
            _ if schema["maxLength"] == 3 => json!("EUR"),
            _ if schema["format"] == "date-time" => json!("2100-01-01T00:00:00Z"),
            _ => json!("ada@example.com"),
        }
    }

    fn path_with(&self, value: impl Fn(&str) -> String) -> String {
        let segments = self.path.split('/').map(|part| match part.strip_prefix('{') {
            Some(name) => value(name.trim_end_matches('}')),
            None => part.to_owned(),
        });
        segments.collect::<Vec<_>>().join("/")
    }

    async fn call(&self, who: &Client, path: &str, body: Option<Vec<u8>>) -> Answer {
        let mut request = who.request(&self.method, path);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        who.send(request).await
    }

    /// A well-formed call of it.
    async fn call_well(&self, who: &Client, ids: &Ids) -> Answer {
        let body = self.body_schema().map(|schema| self.example(schema, false).to_string().into_bytes());
        self.call(who, &self.path_with(|name| ids.of(name)), body).await
    }

    /// A failure must be documented, a problem, and none of ours.
    fn check(&self, answer: &Answer, what: &str) {
        let name = self.name();
        assert!(answer.status < 500, "{name} with {what}: {answer:?}");
        if answer.status == 404 && !self.path.contains('{') && !ABSENT.contains(&self.path.as_str()) {
            panic!("{name} with {what}: {answer:?}");
        }
        assert!(
            self.spec["responses"].get(answer.status.to_string()).is_some(),
            "{name} with {what}: {answer:?}"
        );
        if answer.status >= 400 {
            let code = answer.problem(answer.status);
            assert!(
                !code.is_empty() && answer.json()["detail"].as_str().is_some_and(|detail| !detail.is_empty())
            );
        }
    }
}

/// Ids of one tenant's things.
struct Ids {
    tenant: String,
    key: String,
    operation: String,
    user: String,
    invitation: String,
    invoice: String,
    endpoint: String,
    session: String,
    /// Of nobody and of nothing: what happens to these must not happen to the test's own.
    officer: String,
    kid: String,
}

impl Ids {
    async fn of_tenant(settler: &Settler) -> Self {
        let keys = settler.owner.get("/v1/tenant/api-keys").await.expect(200);
        let key = keys["data"][0]["id"].as_str().unwrap().to_owned();
        let sessions = settler.owner.get("/v1/me/sessions").await.expect(200);
        let me = settler.owner.get("/v1/me").await.expect(200);
        let body = json!({ "email": format!("open@{}.example", settler.slug), "role": "viewer" });
        let invited = settler.owner.post("/v1/tenant/invitations", body).await.expect(201);
        let line = json!({ "kind": "usage", "description": "Calls", "quantity": 1, "unit_price": 1 });
        let body = json!({ "tenant": settler.id, "currency": "EUR", "lines": [line] });
        let invoice = settler.owner.with(OPERATOR_KEY).post("/admin/v1/invoices", body).await.expect(201);
        let body = json!({ "url": "https://hooks.example.com/", "enabled": false });
        let endpoint = settler.owner.post("/v1/tenant/webhook-endpoints", body).await.expect(201);
        Self {
            endpoint: endpoint["id"].as_str().unwrap().to_owned(),
            tenant: settler.id.clone(),
            key,
            operation: settler.operation.clone(),
            session: sessions["data"][0]["id"].as_str().unwrap().to_owned(),
            officer: "oper_01h455vb4pex5vsknk084sn02q".to_owned(),
            kid: "01h455vb4pex5vsknk084sn02q".to_owned(),
            user: me["id"].as_str().unwrap().to_owned(),
            invitation: invited["id"].as_str().unwrap().to_owned(),
            invoice: invoice["id"].as_str().unwrap().to_owned(),
        }
    }

    fn of(&self, name: &str) -> String {
        match name {
            "tenant" => self.tenant.clone(),
            // What happens to plans must not happen to the tests' own.
            "plan" => "nobodys".to_owned(),
            "key_id" => self.key.clone(),
            "operation_id" => self.operation.clone(),
            "session_id" => self.session.clone(),
            "operator_id" => self.officer.clone(),
            "kid" => self.kid.clone(),
            "override_id" => "ovr_01h455vb4pex5vsknk084sn02q".to_owned(),
            "user_id" => self.user.clone(),
            "invitation_id" => self.invitation.clone(),
            "invoice_id" => self.invoice.clone(),
            "endpoint_id" => self.endpoint.clone(),
            "event_type" => "tenant.suspended".to_owned(),
            "delivery_id" => "whd_01h455vb4pex5vsknk084sn02q".to_owned(),
            "signup_id" => "signup_01h455vb4pex5vsknk084sn02q".to_owned(),
            "projection" => "nothing".to_owned(),
            other => panic!("which id is {other}? Say so here."),
        }
    }
}

async fn tenant_key_with_everything(of: &Settler) -> Client {
    let scopes: Vec<_> = tenantry::auth::Scope::ALL
        .iter()
        .filter(|scope| scope.fits(tenantry::auth::scope::ScopeKind::Tenant))
        .map(|scope| scope.word())
        .collect();
    of.key(&scopes).await
}

async fn service_with_everything(server: &Server) -> Client {
    server
        .service(&["keys:verify", "routes:read", "routes:credentials", "entitlements:check", "usage:write"])
        .await
}

#[tokio::test]
async fn who_has_no_credential_gets_into_nothing_but_the_public_routes() {
    let server = Server::embedded();
    let ids = Ids::of_tenant(&server.settle("Acme").await).await;
    let bad =
        server.with("tnt_live_00000000000000000000000000_0000000000000000000000000000000000000000000000000");
    for route in routes() {
        if route.is_public() {
            let answer = route.call_well(&server.nobody(), &ids).await;
            assert!(answer.status != 403, "{}: {answer:?}", route.name());
            continue;
        }
        for who in [server.nobody(), bad.clone()] {
            let answer = route.call_well(&who, &ids).await;
            assert_eq!(answer.status, 401, "{}: {}", route.name(), answer.text);
            assert_eq!(answer.problem(401), "unauthenticated");
            assert!(answer.header("www-authenticate").is_some());
        }
        assert_eq!(
            route.spec["security"],
            json!([{ "bearer": [] }]),
            "{} says that it needs one",
            route.name()
        );
    }
    let known: Vec<String> = routes().iter().map(Route::name).collect();
    PUBLIC
        .iter()
        .for_each(|name| assert!(known.iter().any(|one| one == name), "{name} is no route any more"));
}

/// Whether a caller of this kind may have a route that is for those.
fn fits(kind: &str, is_for: &str) -> bool {
    match is_for {
        "operator" => matches!(kind, "operator" | "officer"),
        "tenant" => matches!(kind, "member" | "program"),
        "sender" => matches!(kind, "member" | "program" | "service"),
        other => kind == other,
    }
}

#[tokio::test]
async fn the_wrong_kind_of_credential_is_told_so_on_every_route() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;
    let ids = Ids::of_tenant(&acme).await;
    let callers = [
        ("operator", server.operator()),
        ("service", service_with_everything(&server).await),
        ("officer", server.with_token_of(&server.officer("eve@example.com", "admin").await)),
        ("member", acme.owner.clone()),
        ("program", tenant_key_with_everything(&acme).await),
    ];
    for route in routes().iter().filter(|route| !route.is_public()) {
        for (kind, who) in callers.iter().filter(|(kind, _)| !fits(kind, route.is_for())) {
            let answer = route.call_well(who, &ids).await;
            assert_eq!(answer.status, 403, "{} by {kind}: {}", route.name(), answer.text);
            assert_eq!(answer.problem(403), "wrong_credential", "{} by {kind}", route.name());
        }
    }
    assert_eq!(acme.owner.get("/v1/tenant").await.expect(200)["state"], "active", "and nothing happened");
}

#[tokio::test]
async fn a_stranger_with_another_tenants_ids_reaches_none_of_its_things() {
    let server = Server::embedded();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let deletion = server.operator().post("/admin/v1/tenants", json!({ "name": "Third" })).await.expect(202);
    let ids = Ids::of_tenant(&acme).await;
    // A fresh code is asked for by people without a credential, and answered alike for every signup.
    // And what events there are is nobody's in particular.
    let open = ["POST /v1/signups/{signup_id}/resend", "GET /v1/event-types/{event_type}"];
    let alike = |route: &&Route| !open.contains(&route.name().as_str());
    for route in routes().iter().filter(|route| route.path.contains('{')).filter(alike) {
        for who in [&globex.owner, &tenant_key_with_everything(&globex).await] {
            let answer = route.call_well(who, &ids).await;
            assert!(matches!(answer.status, 403 | 404), "{}: {answer:?}", route.name());
            assert!(!answer.text.contains(&acme.slug), "{}: {answer:?}", route.name());
        }
        let mut keys =
            globex.owner.get("/v1/tenant/api-keys").await.expect(200)["data"].as_array().unwrap().clone();
        for key in keys.drain(..).filter(|key| key["name"] == "key") {
            globex
                .owner
                .delete(&format!("/v1/tenant/api-keys/{}", key["id"].as_str().unwrap()))
                .await
                .expect(200);
        }
    }
    let third = deletion["operation"]["id"].as_str().unwrap();
    assert_eq!(globex.owner.get(&format!("/v1/operations/{third}")).await.problem(404), "not_found");
    assert_eq!(acme.program.query("SELECT 1", json!([])).await.status, 200, "acme is as it was");
}

const NASTY: [&str; 10] = [
    "\u{0}",
    "a\u{0}b",
    "'; DROP TABLE tenants; --",
    "\u{202e}\u{feff}",
    "../../etc/passwd",
    "%s%n{}",
    "",
    "-1",
    "1e999",
    "🙂\u{301}",
];

fn nasty_values() -> Vec<Value> {
    let mut all: Vec<Value> = NASTY.iter().map(|text| json!(text)).collect();
    all.extend([
        Value::Null,
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!([]),
        json!([[], null, "\u{0}"]),
        json!({}),
        json!({ "\u{0}": "\u{0}" }),
        json!("x".repeat(5_000)),
        json!("9999-12-31T23:59:59.999999999Z"),
        json!("-009999-01-01T00:00:00Z"),
    ]);
    all
}

/// Each engine once, on the newest PostgreSQL.
macro_rules! on_both_engines {
    (async fn $name:ident($scene:ident) $body:block) => {
        scenes! { $name($scene) $body; sqlite = None, "database"; postgres = Some("newest"), "shared"; }
    };
}

async fn callers(server: &Server) -> (Ids, impl Fn(&Route) -> Client) {
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let ids = Ids::of_tenant(&globex).await;
    let (operator, service, nobody) =
        (server.operator(), service_with_everything(server).await, server.nobody());
    let officer = server.with_token_of(&server.officer("eve@example.com", "admin").await);
    let of = move |route: &Route| match route.is_for() {
        "operator" => operator.clone(),
        "officer" => officer.clone(),
        "service" | "sender" => service.clone(),
        "tenant" | "member" => acme.owner.clone(),
        _ => nobody.clone(),
    };
    (ids, of)
}

on_both_engines! {
    async fn no_body_whatever_gets_a_fault_of_ours_out_of_any_route(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let (ids, caller) = callers(&server).await;
        for route in routes().iter().filter(|route| route.body_schema().is_some()) {
            let (who, path) = (caller(route), route.path_with(|name| ids.of(name)));
            let raw: [&[u8]; 10] = [b"", b"{", b"null", b"[]", b"{}", b"\xff\xfe", b"{\"x\":1}", b"\"\\u0000\"", b"[[[[[[[[", b"1e999"];
            for body in raw {
                let answer = route.call(&who, &path, Some(body.to_vec())).await;
                route.check(&answer, &String::from_utf8_lossy(body));
            }
            let schema = route.body_schema().unwrap();
            let whole = route.example(schema, true);
            let fields: Map<String, Value> = whole.as_object().cloned().unwrap_or_default();
            for name in fields.keys() {
                for value in nasty_values() {
                    let mut body = route.example(schema, false);
                    body[name] = value.clone();
                    if value.as_str().is_some() && whole[name].is_array() {
                        body[name] = json!([value]);
                    }
                    let answer = route.call(&who, &path, Some(body.to_string().into_bytes())).await;
                    route.check(&answer, &body.to_string().chars().take(300).collect::<String>());
                }
            }
        }
        server.nobody().get("/healthz").await.expect(200);
    }
}

on_both_engines! {
    async fn no_path_or_parameter_gets_a_fault_of_ours_out_of_any_route(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let (ids, caller) = callers(&server).await;
        let long = "x".repeat(3_000);
        let pieces = ["%00", "a%00b", "%FF%FE", "%27", "tenant_x", "..%2F..", "%F0%9F%99%82", "key_01h455vb4pex5vsknk084sn02q", "%5C", "%25", long.as_str()];
        for route in routes() {
            let who = caller(&route);
            let body = route.body_schema().map(|schema| route.example(schema, false).to_string().into_bytes());
            for piece in pieces.iter().filter(|_| route.path.contains('{')) {
                let answer = route.call(&who, &route.path_with(|_| (*piece).to_owned()), body.clone()).await;
                route.check(&answer, piece);
                assert!(answer.status >= 400, "{} with {piece}: {answer:?}", route.name());
            }
            let path = route.path_with(|name| ids.of(name));
            let parameters = route.spec["parameters"].as_array().cloned().unwrap_or_default();
            for name in parameters.iter().filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap()) {
                for piece in pieces.iter().filter(|_| route.method == "GET") {
                    let answer = route.call(&who, &format!("{path}?{name}={piece}"), None).await;
                    route.check(&answer, &format!("{name}={piece}"));
                }
            }
        }
    }
}

/// Compares `now` with the file that is kept, or writes it when `UPDATE_GOLDEN` is set.
fn golden(file: &str, now: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let line = kept.lines().zip(now.lines()).position(|(one, other)| one != other);
    assert!(
        kept == now,
        "{file} is not what the code says, first at line {:?}. If the change is meant: UPDATE_GOLDEN=1 cargo test --test it sweeps",
        line.map(|at| at + 1)
    );
}

#[test]
fn the_policy_is_the_one_that_was_reviewed() {
    golden("tests/it/golden/policy.txt", &tenantry::auth::policy::matrix());
}

#[test]
fn the_openapi_document_is_the_one_that_is_published() {
    golden("docs/openapi.json", &format!("{}\n", tenantry::server::openapi().unwrap().trim_end()));
}

#[test]
fn the_page_of_events_is_the_one_that_is_published() {
    let mut all = tenantry::app::facts();
    all.sort_by_key(|fact| fact.kind());
    golden("docs/EVENTS.md", &tenantry::log::catalogue::markdown(&all));
}

#[tokio::test]
async fn the_server_serves_the_document_that_it_keeps_to() {
    let server = Server::embedded();
    let served = server.nobody().get("/openapi.json").await.expect(200);
    let ours: Value = serde_json::from_str(&tenantry::server::openapi().unwrap()).unwrap();
    assert_eq!((&served["openapi"], &served), (&json!("3.1.0"), &ours));
    let page = server.nobody().get("/docs/").await;
    assert!(page.status == 200 && page.header("content-type").unwrap().starts_with("text/html"));
    let away = server.nobody().get("/docs").await;
    assert!((300..400).contains(&away.status), "{away:?}");
}

/// `table.column` as the code's own list has them.
fn columns_of_the_code() -> Vec<String> {
    let (mut table, mut renamed, mut all) = (String::new(), None, Vec::new());
    for line in include_str!("../../src/db/schema.rs").lines().map(str::trim) {
        if let Some((name, _)) = line.strip_suffix(") {").and_then(|head| head.split_once(" (")) {
            table = name.to_owned();
        } else if let Some(name) = line.strip_prefix("#[sql_name = \"") {
            renamed = Some(name.trim_end_matches("\"]").to_owned());
        } else if let Some((name, _)) = line.split_once(" -> ").filter(|(name, _)| !name.contains("::")) {
            all.push(format!("{table}.{}", renamed.take().unwrap_or_else(|| name.to_owned())));
        }
    }
    all
}

fn sorted(mut all: Vec<String>) -> Vec<String> {
    all.retain(|name| !name.starts_with("__diesel"));
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_migrations_go_down_and_up_and_make_the_same_tables_on_both_engines() {
    let folder = Folder::new();
    let sqlite = Db::open(&folder.url("control.db"), &Options::default()).await.unwrap();
    sqlite.migrate().await.unwrap();
    sqlite.migrate_down_and_up().await.unwrap();
    assert!(sqlite.migrate().await.unwrap().is_empty(), "nothing is left to apply");
    let file = rusqlite::Connection::open(folder.path().join("control.db")).unwrap();
    let sql = "SELECT t.name || '.' || c.name FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite@_%' ESCAPE '@'";
    let columns: Vec<String> =
        file.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let code = sorted(columns_of_the_code());
    assert!(code.len() > 80 && code.contains(&"events.type".to_owned()));
    assert_eq!(sorted(columns), code, "SQLite and src/db/schema.rs");
    for pg in Pg::each() {
        let database = pg.fresh_database();
        let db = Db::open(&database.url, &Options::default()).await.unwrap();
        db.migrate().await.unwrap();
        db.migrate_down_and_up().await.unwrap();
        assert!(db.migration_status().await.unwrap().iter().all(|one| one.applied));
        let columns = database.ask(
            "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'",
        );
        assert_eq!(sorted(columns), code, "PostgreSQL {} and src/db/schema.rs", pg.major);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_store_is_away_the_server_is_alive_but_not_ready_and_recovers_by_itself() {
    let cluster = Pg::newest().alone();
    let database = cluster.fresh_database();
    let server = Starting::new().on_postgres(&database.url, "shared").start();
    let acme = server.settle("Acme").await;
    let nobody = server.nobody();
    assert_eq!(nobody.get("/readyz").await.status, 200);
    cluster.crash();
    eventually("the server not to be ready", || async {
        let ready = nobody.get("/readyz").await;
        (ready.status == 503 && ready.json()["store"] == false).then_some(())
    })
    .await;
    nobody.get("/healthz").await.expect(200);
    nobody.get("/v1/plans").await.expect(200);
    for refused in
        [server.operator().get("/admin/v1/tenants").await, acme.program.query("SELECT 1", json!([])).await]
    {
        let code = refused.problem(503);
        assert!(["store_unavailable", "database_unavailable"].contains(&code.as_str()), "{refused:?}");
        assert!(
            refused.header("retry-after").is_some() && !refused.text.contains("127.0.0.1"),
            "{refused:?}"
        );
    }
    cluster.restart();
    eventually("the server to be ready again", || async {
        (nobody.get("/readyz").await.status == 200).then_some(())
    })
    .await;
    eventually("the door to serve again", || async {
        (acme.program.query("SELECT 1", json!([])).await.status == 200).then_some(())
    })
    .await;
}
