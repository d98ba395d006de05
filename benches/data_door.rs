//! The data door: `POST /v1/query` with a point read by key, beside the same query on the bare driver
//! (rusqlite, tokio-postgres, both prepared) behind a bare actix-web handler of the same shape, and on the
//! bare driver alone, on each engine and in each model.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod bare_driver;
mod support;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use bare_driver::{Given, Home};
use serde_json::{Value, json};
use support::floor::{self, Floor};
use support::http::{Http, encode};
use support::load::{Load, Measured};
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::Spread;
use support::{machine, tenants};

const TENANTS: usize = 4;
const ROWS: usize = 1_000;
const CONNECTIONS: [usize; 2] = [1, 16];
/// Both engines take it as it stands; the key of every table begins with the tenant.
const SQL: &str = "SELECT CAST(id AS text) AS id, name, archived, CAST(created_at AS text) AS created_at \
                   FROM notebooks WHERE tenant_id = $1 AND name = $2";

fn fill(engine: &str) -> String {
    match engine {
        "sqlite" => format!(
            "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {ROWS}) \
             INSERT INTO notebooks (name) SELECT 'book-' || n FROM n"
        ),
        _ => format!("INSERT INTO notebooks (name) SELECT 'book-' || n FROM generate_series(1, {ROWS}) AS n"),
    }
}

fn main() {
    if let Some(given) = floor::given::<Given>() {
        let given = web::Data::new(given);
        return floor::serve(move |config| {
            config.app_data(given.clone()).route("/v1/query/{tenant}", web::post().to(bare_driver::query));
        });
    }
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let postgres = Postgres::start();
    println!("PostgreSQL {}, SQLite {}, log level {}", postgres.version, rusqlite::version(), options.log);
    println!(
        "{:18} {:>5} {:>9} {:>9} {:>9} {:>20} {:>20} {:>8} {:>8} {:>8}",
        "point read",
        "conns",
        "ours/s",
        "actix/s",
        "driver/s",
        "ours/actix",
        "ours/driver",
        "p99 ms",
        "actix",
        "driver"
    );
    let mut figures = Vec::new();
    for (engine, isolation) in
        [("sqlite", "database"), ("postgres", "shared"), ("postgres", "schema"), ("postgres", "database")]
    {
        let name = format!("{engine}/{isolation}");
        if options.wants(&name) {
            figures.extend(place(&name, engine, isolation, &postgres, &options));
        }
    }
    if options.json {
        println!(
            "{}",
            json!({ "bench": "data_door", "machine": machine, "postgres": postgres.version, "figures": figures })
        );
    }
}

fn place(name: &str, engine: &str, isolation: &str, postgres: &Postgres, options: &Options) -> Vec<Value> {
    let mut settings =
        vec![("TENANCY__ISOLATION", isolation.to_owned()), ("LOG__LEVEL", options.log.clone())];
    if engine == "postgres" {
        let url = postgres.database(&format!("door_{isolation}"));
        settings.extend([("STORE__URL", url.clone()), ("CLUSTERS__MAIN__URL", url)]);
    }
    let program = Program::start(&settings);
    let all = tenants::settle(&program, 0, TENANTS);
    if engine == "postgres" {
        postgres.lift_connection_limits();
    }
    let mut uuids = Vec::new();
    for tenant in &all {
        let mut http = Http::connect(program.address, Some(&tenant.key));
        http.json("POST", "/v1/query", Some(&json!({ "sql": fill(engine) })), 200);
        let asked = json!({ "sql": "SELECT CAST(tenant_id AS text) FROM notebooks LIMIT 1" });
        let own = http.json("POST", "/v1/query", Some(&asked), 200);
        uuids.push(own["rows"][0][0].as_str().unwrap().to_owned());
    }
    let service = tenants::service_key(&program, &["routes:read", "routes:credentials"]);
    let mut routes = Http::connect(program.address, Some(&service));
    let homes = all.iter().zip(&uuids).map(|(tenant, uuid)| {
        let route = routes.json("GET", &format!("/v1/routes/{}", tenant.slug), None, 200);
        let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
        Home { url: text(&route["url"]), schema: text(&route["schema"]), tenant: uuid.clone() }
    });
    let given = Given { sqlite: engine == "sqlite", sql: SQL.to_owned(), homes: homes.collect() };
    let floor = Floor::start(&given);

    let body = |at: usize, number: usize| json!({ "sql": SQL, "params": [uuids[at], format!("book-{}", 100 + number * 100)] });
    let seen =
        Http::connect(program.address, Some(&all[0].key)).json("POST", "/v1/query", Some(&body(0, 0)), 200);
    let bare = Http::connect(floor.address, None).json("POST", "/v1/query/0", Some(&body(0, 0)), 200);
    assert_eq!(seen["rows"][0][1], "book-100", "{seen}");
    assert_eq!(seen["rows"][0].as_array().map(Vec::len), bare["rows"][0].as_array().map(Vec::len), "{bare}");

    // Each connection of the load is one tenant's.
    let requests = |path: &dyn Fn(usize) -> String, key: &dyn Fn(usize) -> Option<String>| {
        let one = |at: usize| {
            encode(
                "POST",
                &path(at % TENANTS),
                key(at % TENANTS).as_deref(),
                Some(&body(at % TENANTS, at / TENANTS)),
            )
        };
        Arc::new((0..TENANTS * 8).map(one).collect::<Vec<_>>())
    };
    let ours = Load {
        address: program.address,
        process: program.process(),
        stride: TENANTS,
        requests: requests(&|_| "/v1/query".to_owned(), &|at| Some(all[at].key.clone())),
    };
    let actix = Load {
        address: floor.address,
        process: floor.process(),
        stride: TENANTS,
        requests: requests(&|at| format!("/v1/query/{at}"), &|_| None),
    };
    CONNECTIONS
        .iter()
        .map(|connections| {
            compare(name, &Sides { ours: &ours, actix: &actix, driver: &given }, *connections, options)
        })
        .collect()
}

struct Sides<'a> {
    ours: &'a Load,
    actix: &'a Load,
    driver: &'a Given,
}

fn compare(name: &str, sides: &Sides<'_>, connections: usize, options: &Options) -> Value {
    let (warm, lasting) = if options.quick {
        (Duration::from_millis(100), Duration::from_millis(300))
    } else {
        (Duration::from_millis(500), Duration::from_secs(2))
    };
    let (mut ours, mut actix, mut driver) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds(5) {
        ours.push(sides.ours.run(connections, warm, lasting));
        actix.push(sides.actix.run(connections, warm, lasting));
        driver.push(bare_driver::run(sides.driver, connections, warm, lasting));
    }
    let each = |side: &[Measured], figure: fn(&Measured) -> f64| side.iter().map(figure).collect::<Vec<_>>();
    let rate = |side: &[Measured]| each(side, |one| one.per_second);
    let late = |side: &[Measured]| Spread::of(each(side, |one| one.p99));
    let half = |side: &[Measured]| Spread::of(each(side, |one| one.p50));
    let (to_actix, to_driver) =
        (Spread::ratio(&rate(&ours), &rate(&actix)), Spread::ratio(&rate(&ours), &rate(&driver)));
    let lates = Spread::ratio(&each(&ours, |one| one.p99), &each(&actix, |one| one.p99));
    let middle = |side: &[Measured]| Spread::of(rate(side)).median;
    let spread = |of: Spread| format!("{:.2} ({:.2}..{:.2})", of.median, of.least, of.most);
    println!(
        "{name:18} {connections:>5} {:>9.0} {:>9.0} {:>9.0} {:>20} {:>20} {:>8.2} {:>8.2} {:>8.2}",
        middle(&ours),
        middle(&actix),
        middle(&driver),
        spread(to_actix),
        spread(to_driver),
        late(&ours).median,
        late(&actix).median,
        late(&driver).median,
    );
    let side = |side: &[Measured]| json!({ "per_second": Spread::of(rate(side)).json(), "p50_ms": half(side).json(), "p99_ms": late(side).json() });
    json!({
        "place": name, "connections": connections,
        "ours": side(&ours), "actix": side(&actix), "driver": side(&driver),
        "ratio": { "to_actix": to_actix.json(), "to_driver": to_driver.json(), "p99_to_actix": lates.json() },
    })
}
