//! From `POST /v1/signups` to a tenant that is ready, one after another, on each engine and in each model,
//! with placements in stock and without; beside its floor, which no signup can go below: argon2id with the
//! product's parameters and one durable commit on that engine. Goal with stock: a p50 of 3 times the floor's.
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

use argon2::password_hash::PasswordHasher as _;
use argon2::{Algorithm, Argon2, Params, Version};
use serde_json::{Value, json};
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::{Spread, ms, quantile};
use support::{machine, tenants};
use tokio_postgres::NoTls;

/// Placements kept ready, and signups in a row between two waits for a full stock.
const STOCK: usize = 4;

/// A durable commit on the engine that the signup's own store is on.
enum Commit {
    Sqlite(rusqlite::Connection),
    Postgres(tokio::runtime::Runtime, tokio_postgres::Client, tokio_postgres::Statement),
}

impl Commit {
    fn sqlite(folder: &std::path::Path) -> Self {
        let conn = rusqlite::Connection::open(folder.join("floor.db")).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE floor (n INTEGER PRIMARY KEY, word TEXT NOT NULL)",
        )
        .unwrap();
        Self::Sqlite(conn)
    }

    fn postgres(url: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, insert) = runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            let table =
                "CREATE TABLE floor (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word text NOT NULL)";
            client.batch_execute(table).await.unwrap();
            let insert = client.prepare("INSERT INTO floor (word) VALUES ($1)").await.unwrap();
            (client, insert)
        });
        Self::Postgres(runtime, client, insert)
    }

    fn once(&self, word: &str) {
        match self {
            Self::Sqlite(conn) => {
                conn.prepare_cached("INSERT INTO floor (word) VALUES (?1)").unwrap().execute([word]).unwrap();
            }
            Self::Postgres(runtime, client, insert) => {
                runtime.block_on(client.execute(insert, &[&word])).unwrap();
            }
        }
    }
}

/// One hash and one commit, in milliseconds.
fn floor_once(commit: &Commit) -> (f64, f64) {
    // As src/auth/password.rs.
    let params = Params::new(19 * 1024, 2, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let began = Instant::now();
    let hash = argon2.hash_password(tenants::PASSWORD.as_bytes()).unwrap().to_string();
    let hashed = began.elapsed();
    commit.once(&hash);
    (ms(hashed), ms(began.elapsed()))
}

/// How many placements the stock has been given so far.
fn stocked(program: &Program) -> u64 {
    let text = program.nobody().text("GET", "/metrics", None).1;
    let wanted = |line: &&str| {
        line.starts_with("tenantry_operations_total{")
            && line.contains("kind=\"placement.stock\"")
            && line.contains("outcome=\"succeeded\"")
    };
    text.lines().find(wanted).map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

fn until_stocked(program: &Program, wanted: usize) {
    let began = Instant::now();
    while stocked(program) < wanted as u64 {
        assert!(began.elapsed() < Duration::from_secs(120), "the stock does not fill");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Let the last one's traces settle.
    std::thread::sleep(Duration::from_millis(20));
}

struct Place<'a> {
    engine: &'static str,
    isolation: &'static str,
    postgres: Option<&'a Postgres>,
}

fn measure(place: &Place<'_>, stock: bool, options: &Options) -> Option<Value> {
    let (engine, isolation) = (place.engine, place.isolation);
    let name = format!("{engine}/{isolation}{}", if stock { "" } else { ", no stock" });
    if !options.wants(&name) {
        return None;
    }
    let level = if stock { STOCK } else { 0 };
    let mut settings = vec![
        ("TENANCY__ISOLATION", isolation.to_owned()),
        ("LOG__LEVEL", options.log.clone()),
        ("TENANCY__STOCK__SHARED", level.to_string()),
        ("TENANCY__STOCK__SCHEMA", level.to_string()),
        ("TENANCY__STOCK__DATABASE", level.to_string()),
    ];
    let url = place.postgres.map(|postgres| postgres.database(&format!("signup_{isolation}_{level}")));
    if let Some(url) = &url {
        settings.extend([("STORE__URL", url.clone()), ("CLUSTERS__MAIN__URL", url.clone())]);
    }
    let program = Program::start(&settings);
    let commit = match &url {
        Some(url) => Commit::postgres(url),
        None => Commit::sqlite(program.folder()),
    };
    let mut nobody = program.nobody();
    let (mut signups, mut hashes, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    let mut missed = 0;
    let rounds = if options.quick { 3 } else { options.rounds(40) };
    for number in 0..=rounds {
        if stock {
            until_stocked(&program, level + number);
        }
        let began = Instant::now();
        let signed = tenants::sign_up(&mut nobody, number);
        missed += usize::from(signed["operation"]["state"] != "succeeded");
        tenants::until_ready(&mut nobody, &signed);
        let took = began.elapsed();
        if stock {
            until_stocked(&program, level + number + 1);
        }
        let (hash, floor) = floor_once(&commit);
        // The first is for warming up.
        if number > 0 {
            signups.push(ms(took));
            hashes.push(hash);
            floors.push(floor);
        }
    }
    let of = |figures: &[f64]| {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        (quantile(&sorted, 0.5), quantile(&sorted, 0.99))
    };
    let ((p50, p99), (floor50, floor99)) = (of(&signups), of(&floors));
    let pairs = Spread::ratio(&signups, &floors);
    println!(
        "{name:30} {p50:>8.1} {p99:>8.1} {:>8.1} {floor50:>8.1} {floor99:>8.1} {:>8.2} {:>18} {missed:>6}",
        of(&hashes).0,
        p50 / floor50,
        format!("{:.2} ({:.2}..{:.2})", pairs.median, pairs.least, pairs.most),
    );
    Some(json!({
        "engine": engine, "isolation": isolation, "stock": stock, "signups": signups.len(), "without_stock": missed,
        "p50_ms": p50, "p99_ms": p99, "hash_p50_ms": of(&hashes).0, "floor_p50_ms": floor50, "floor_p99_ms": floor99,
        "ratio_of_p50": p50 / floor50, "ratio_of_pairs": pairs.json(),
    }))
}

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let postgres = Postgres::start();
    println!("PostgreSQL {}, fsync on; SQLite {}, synchronous FULL", postgres.version, rusqlite::version());
    println!(
        "{:30} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>18} {:>6}",
        "signup to ready, ms", "p50", "p99", "argon2", "floor", "its p99", "p50/p50", "pairs", "missed"
    );
    let on = |isolation| Place { engine: "postgres", isolation, postgres: Some(&postgres) };
    let places = [
        Place { engine: "sqlite", isolation: "database", postgres: None },
        on("shared"),
        on("schema"),
        on("database"),
    ];
    let mut figures = Vec::new();
    for place in &places {
        for stock in [true, false] {
            figures.extend(measure(place, stock, &options));
        }
    }
    if options.json {
        println!(
            "{}",
            json!({ "bench": "signup", "machine": machine, "postgres": postgres.version, "figures": figures })
        );
    }
}
