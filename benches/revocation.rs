//! How long a revoked key is still good on other replicas: three servers over one PostgreSQL, with the
//! notification channel and without it. Goals: p99 of 50 ms with it, 1 s at most without.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::Http;
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::quantile;
use support::{machine, tenants};

const REPLICAS: usize = 3;

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let postgres = Postgres::start();
    println!("control store: PostgreSQL {}, {REPLICAS} replicas", postgres.version);
    println!("{:24} {:>5} {:>9} {:>9} {:>9}", "from answer to refusal", "n", "p50 ms", "p99 ms", "max ms");
    let rounds = options.rounds(100);
    let mut figures = Vec::new();
    for (name, database, suffix) in [
        ("with notification", "revoke_told", ""),
        // A parameter that PostgreSQL's own library knows and the channel's driver does not: nobody listens.
        ("channel cut", "revoke_cut", "?fallback_application_name=bench"),
    ] {
        if !options.wants(name) {
            continue;
        }
        let url = postgres.database(database);
        let mut times = measure(&format!("{url}{suffix}"), &url, rounds);
        times.sort_by(f64::total_cmp);
        let (half, late, most) = (quantile(&times, 0.5), quantile(&times, 0.99), times[times.len() - 1]);
        println!("{name:24} {:>5} {half:>9.1} {late:>9.1} {most:>9.1}", times.len());
        figures.push(
            json!({ "channel": name, "n": times.len(), "p50_ms": half, "p99_ms": late, "max_ms": most }),
        );
    }
    if options.json {
        println!("{}", json!({ "bench": "revocation", "machine": machine, "figures": figures }));
    }
}

fn code(service: &mut Http, key: &str) -> String {
    let answer = service.json("POST", "/v1/api-keys/verify", Some(&json!({ "key": key })), 200);
    answer["code"].as_str().unwrap().to_owned()
}

fn measure(store: &str, cluster: &str, rounds: usize) -> Vec<f64> {
    let settings = [
        ("STORE__URL", store.to_owned()),
        ("CLUSTERS__MAIN__URL", cluster.to_owned()),
        ("TENANCY__ISOLATION", "schema".to_owned()),
        ("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=".to_owned()),
        ("SERVER__PUBLIC_URL", "https://tenantry.example.com".to_owned()),
        ("TENANCY__STOCK__SCHEMA", "0".to_owned()),
    ];
    let replicas: Vec<_> = (0..REPLICAS).map(|_| Program::start(&settings)).collect();
    let service = tenants::service_key(&replicas[0], &["keys:verify"]);
    let tenant = &tenants::settle(&replicas[0], 0, 1)[0];
    let sign_in =
        json!({ "email": "owner@bench-0.example", "password": tenants::PASSWORD, "tenant": tenant.id });
    let session: Value = replicas[0].nobody().json("POST", "/v1/sessions", Some(&sign_in), 200);
    let mut owner = Http::connect(replicas[0].address, session["access_token"].as_str());
    let mut services: Vec<_> =
        replicas.iter().map(|replica| Http::connect(replica.address, Some(&service))).collect();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let wanted = json!({ "name": "short", "scopes": ["data:read"] });
        let made = owner.json("POST", "/v1/tenant/api-keys", Some(&wanted), 201);
        let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
        for service in &mut services {
            assert_eq!(code(service, key), "VALID");
        }
        owner.json("DELETE", &format!("/v1/tenant/api-keys/{id}"), None, 200);
        let answered = Instant::now();
        assert_eq!(code(&mut services[0], key), "REVOKED", "on the replica that revoked it");
        let mut waiting: Vec<_> = (1..REPLICAS).collect();
        while !waiting.is_empty() {
            waiting.retain(|at| {
                if code(&mut services[*at], key) == "VALID" {
                    return true;
                }
                times.push(answered.elapsed().as_secs_f64() * 1e3);
                false
            });
            assert!(answered.elapsed() < Duration::from_secs(10), "it is still good");
        }
    }
    times
}
