//! The calls that sit in front of every request of the application: `POST /v1/api-keys/verify`, which takes from a
//! hard quota, `POST /v1/entitlements/check` of a metered feature, and `GET /v1/routes/{tenant}`, warm, beside a bare actix-web handler that parses and answers bodies of the
//! same size. Goal: 90 % of its requests per second, and a p99 of 1.5 times its own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::floor::{self, Floor};
use support::http::{Http, encode};
use support::load::{Load, Measured};
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::Spread;
use support::{machine, tenants};

const TENANTS: usize = 10;
const CONNECTIONS: [usize; 3] = [1, 16, 64];

/// Our server's answers, which the floor gives as well.
#[derive(Clone, Serialize, Deserialize)]
struct Answers {
    verification: Verification,
    check: Check,
    route: Route,
}

#[derive(Clone, Serialize, Deserialize)]
struct Verification {
    valid: bool,
    code: String,
    key_id: Option<String>,
    tenant_id: Option<String>,
    tenant_slug: Option<String>,
    plan: Option<String>,
    environment: Option<String>,
    scopes: Option<Vec<String>>,
    rate_limit: RateLimit,
    overage: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Check {
    tenant_id: String,
    allowed: bool,
    reason: String,
    feature: String,
    value: Metered,
    source: String,
    limit: u64,
    used: u64,
    remaining: u64,
    resets_at: String,
    overage: u64,
    repeated: bool,
}

#[derive(Clone, Serialize, Deserialize)]
struct Metered {
    meter: String,
    limit: u64,
    per: String,
    overage: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct RateLimit {
    limit: u32,
    remaining: u32,
    reset_ms: u64,
}

#[derive(Clone, Serialize, Deserialize)]
struct Route {
    tenant_id: String,
    slug: String,
    state: String,
    engine: String,
    isolation: String,
    cluster: String,
    database: Option<String>,
    schema: Option<String>,
    role: Option<String>,
    generation: i64,
}

#[derive(Deserialize)]
struct Asked {
    key: String,
    #[serde(default)]
    scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Question {
    tenant: String,
    feature: String,
    #[serde(default)]
    amount: u64,
}

async fn check(answers: web::Data<Answers>, asked: web::Json<Question>) -> HttpResponse {
    std::hint::black_box((&asked.tenant, &asked.feature, asked.amount));
    HttpResponse::Ok().json(&answers.check)
}

async fn verify(answers: web::Data<Answers>, asked: web::Json<Asked>) -> HttpResponse {
    std::hint::black_box((&asked.key, &asked.scopes));
    HttpResponse::Ok().json(&answers.verification)
}

async fn route(answers: web::Data<Answers>, tenant: web::Path<String>) -> HttpResponse {
    std::hint::black_box(&*tenant);
    HttpResponse::Ok().json(&answers.route)
}

/// One endpoint, asked of both sides.
struct Case {
    name: &'static str,
    ours: Load,
    bare: Load,
}

fn main() {
    if let Some(answers) = floor::given::<Answers>() {
        let answers = web::Data::new(answers);
        return floor::serve(move |config| {
            config
                .app_data(answers.clone())
                .route("/v1/api-keys/verify", web::post().to(verify))
                .route("/v1/entitlements/check", web::post().to(check))
                .route("/v1/routes/{tenant}", web::get().to(route));
        });
    }
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let postgres = (options.store == "postgres").then(Postgres::start);
    let mut settings = vec![("LOG__LEVEL", options.log.clone())];
    if let Some(postgres) = &postgres {
        println!("control store: PostgreSQL {}", postgres.version);
        settings.push(("STORE__URL", postgres.database("hot_path")));
    }
    let program = Program::start(&settings);
    let (cases, _floor) = cases(&program);
    println!("{TENANTS} tenants, log level {}, store {}", options.log, options.store);
    println!(
        "{:8} {:>5} {:>10} {:>10} {:>22} {:>8} {:>8} {:>22} {:>9} {:>6}",
        "call", "conns", "ours/s", "bare/s", "ours/bare", "p99 ms", "bare", "p99 ours/bare", "CPU us", "bare"
    );
    let mut figures = Vec::new();
    for case in cases.iter().filter(|case| options.wants(case.name)) {
        for connections in CONNECTIONS {
            figures.push(compare(case, connections, &options));
        }
    }
    if options.json {
        println!("{}", json!({ "bench": "hot_path", "machine": machine, "figures": figures }));
    }
}

fn cases(program: &Program) -> (Vec<Case>, Floor) {
    let all = tenants::settle(program, 0, TENANTS);
    let service = tenants::service_key(program, &["keys:verify", "entitlements:check", "routes:read"]);
    let mut http = Http::connect(program.address, Some(&service));
    let verify = |tenant: &tenants::Tenant| json!({ "key": tenant.key, "scopes": ["data:read"] });
    let check = |tenant: &tenants::Tenant| json!({ "tenant": tenant.id, "feature": "credits", "amount": 3 });
    let checked: Value = http.json("POST", "/v1/entitlements/check", Some(&check(&all[0])), 200);
    assert_eq!(checked["allowed"], true, "{checked}");
    let verification: Value = http.json("POST", "/v1/api-keys/verify", Some(&verify(&all[0])), 200);
    assert_eq!(verification["valid"], true, "{verification}");
    let route = http.json("GET", &format!("/v1/routes/{}", all[0].id), None, 200);
    let answers: Answers =
        serde_json::from_value(json!({ "verification": verification, "check": checked, "route": route }))
            .unwrap();
    let floor = Floor::start(&answers);
    let mut of_floor = Http::connect(floor.address, None);
    for (method, path, body) in [
        ("POST", "/v1/api-keys/verify", Some(verify(&all[0]))),
        ("POST", "/v1/entitlements/check", Some(check(&all[0]))),
        ("GET", "/v1/routes/x", None),
    ] {
        let theirs = of_floor.text(method, path, body.as_ref()).1;
        let path = path.replace("/x", &format!("/{}", all[0].id));
        let ours = http.text(method, &path, body.as_ref()).1;
        assert_eq!(ours, theirs, "both sides must answer alike");
    }
    let verifies = all
        .iter()
        .map(|tenant| encode("POST", "/v1/api-keys/verify", Some(&service), Some(&verify(tenant))))
        .collect();
    let checks = all
        .iter()
        .map(|tenant| encode("POST", "/v1/entitlements/check", Some(&service), Some(&check(tenant))))
        .collect();
    let routes = all
        .iter()
        .map(|tenant| encode("GET", &format!("/v1/routes/{}", tenant.id), Some(&service), None))
        .collect();
    let case = |name, requests: Vec<Vec<u8>>| {
        let requests = Arc::new(requests);
        let load = |address, process| Load { address, process, stride: 1, requests: Arc::clone(&requests) };
        Case {
            name,
            ours: load(program.address, program.process()),
            bare: load(floor.address, floor.process()),
        }
    };
    (vec![case("verify", verifies), case("check", checks), case("route", routes)], floor)
}

fn compare(case: &Case, connections: usize, options: &Options) -> Value {
    let (warm, lasting) = if options.quick {
        (Duration::from_millis(100), Duration::from_millis(300))
    } else {
        (Duration::from_millis(300), Duration::from_secs(2))
    };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds(5) {
        ours.push(case.ours.run(connections, warm, lasting));
        bare.push(case.bare.run(connections, warm, lasting));
    }
    let each = |side: &[Measured], figure: fn(&Measured) -> f64| side.iter().map(figure).collect::<Vec<_>>();
    let rate: fn(&Measured) -> f64 = |one| one.per_second;
    let late: fn(&Measured) -> f64 = |one| one.p99;
    let rates = Spread::ratio(&each(&ours, rate), &each(&bare, rate));
    let lates = Spread::ratio(&each(&ours, late), &each(&bare, late));
    let side = |side: &[Measured]| {
        (Spread::of(each(side, rate)), Spread::of(each(side, |one| one.p50)), Spread::of(each(side, late)))
    };
    let ((our_rate, our_half, our_late), (bare_rate, bare_half, bare_late)) = (side(&ours), side(&bare));
    let cpu = |side: &[Measured]| Spread::of(each(side, |one| one.cpu));
    let spread = |of: Spread| format!("{:.2} ({:.2}..{:.2})", of.median, of.least, of.most);
    println!(
        "{:8} {connections:>5} {:>10.0} {:>10.0} {:>22} {:>8.2} {:>8.2} {:>22} {:>9.1} {:>6.1}",
        case.name,
        our_rate.median,
        bare_rate.median,
        spread(rates),
        our_late.median,
        bare_late.median,
        spread(lates),
        cpu(&ours).median,
        cpu(&bare).median,
    );
    json!({
        "call": case.name, "connections": connections,
        "ours": { "per_second": our_rate.json(), "p50_ms": our_half.json(), "p99_ms": our_late.json(), "cpu_us": cpu(&ours).json() },
        "bare": { "per_second": bare_rate.json(), "p50_ms": bare_half.json(), "p99_ms": bare_late.json(), "cpu_us": cpu(&bare).json() },
        "ratio": { "per_second": rates.json(), "p99": lates.json() },
    })
}
