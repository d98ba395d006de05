//! Usage events, a hundred a call, every tenth of them sent before: beside a bare insert of the same rows, a hundred
//! in a durable transaction each, into the same table on the same engine. Goal: 60 % of its events per second.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use support::http::encode;
use support::load::Load;
use support::machine;
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::Spread;
use support::tenants;

/// Events of a call.
const BATCH: usize = 100;
/// Every so manieth event was sent before.
const REPEATS: usize = 10;
const CONNECTIONS: [usize; 2] = [1, 16];

/// An event's number: every tenth is the one before it.
fn number(call: usize, at: usize) -> usize {
    let number = call * BATCH + at;
    if number % REPEATS == REPEATS - 1 { number - 1 } else { number }
}

fn call(key: &str, round: usize, call: usize) -> Vec<u8> {
    let one = |at: usize| {
        json!({
            "specversion": "1.0", "id": format!("{round}-{}", number(call, at)), "source": "/bench", "type": "usage",
            "data": { "value": at, "model": format!("model-{}", at % 4) },
        })
    };
    encode("POST", "/v1/usage/events", Some(key), Some(&(0..BATCH).map(one).collect()))
}

/// A row as the product writes it.
struct Row {
    tenant: [u8; 16],
    key: Vec<u8>,
    id: String,
    counts: String,
}

fn row(round: usize, call: usize, at: usize) -> Row {
    let id = format!("floor-{round}-{}", number(call, at));
    let key = Sha256::digest(id.as_bytes())[..16].to_vec();
    let counts =
        format!("[{{\"m\":\"usage\",\"v\":{at},\"g\":\"{{\\\"model\\\":\\\"model-{}\\\"}}\"}}]", at % 4);
    Row { tenant: [7; 16], key, id, counts }
}

/// Events per second of the bare insert into a SQLite store.
fn floor_sqlite(store: &Path, round: usize, calls: usize) -> f64 {
    let mut store = rusqlite::Connection::open(store).unwrap();
    store
        .execute_batch("PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000")
        .unwrap();
    let values = vec!["(?, ?, '/bench', ?, 'usage', ?, ?, ?)"; BATCH].join(", ");
    let sql = format!(
        "INSERT INTO usage_events (tenant_id, key, source, id, type, at, received_at, counts) VALUES {values} \
         ON CONFLICT DO NOTHING"
    );
    let rows: Vec<Vec<Row>> =
        (0..calls).map(|call| (0..BATCH).map(|at| row(round, call, at)).collect()).collect();
    let began = Instant::now();
    for batch in &rows {
        let all = store.transaction().unwrap();
        {
            let mut insert = all.prepare_cached(&sql).unwrap();
            let params = batch.iter().flat_map(|row| {
                let moment: &dyn rusqlite::ToSql = &1_790_000_000_000_000i64;
                let out: [&dyn rusqlite::ToSql; 6] =
                    [&row.tenant, &row.key, &row.id, moment, moment, &row.counts];
                out
            });
            insert.execute(rusqlite::params_from_iter(params)).unwrap();
        }
        all.commit().unwrap();
    }
    (calls * BATCH) as f64 / began.elapsed().as_secs_f64()
}

/// Events per second of the bare insert into a PostgreSQL store.
fn floor_postgres(url: &str, round: usize, calls: usize, connections: usize) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows: Vec<Vec<Row>> =
        (0..calls).map(|call| (0..BATCH).map(|at| row(round, call, at)).collect()).collect();
    let rows = Arc::new(rows);
    runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..connections {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            let insert = client
                .prepare(
                    "INSERT INTO usage_events (tenant_id, key, source, id, type, at, received_at, counts) \
                     SELECT $1::uuid, k, '/bench', i, 'usage', now(), now(), c \
                     FROM unnest($2::bytea[], $3::text[], $4::text[]) AS w (k, i, c) ON CONFLICT DO NOTHING",
                )
                .await
                .unwrap();
            clients.push((client, insert));
        }
        let began = Instant::now();
        let work = clients.into_iter().enumerate().map(|(first, (client, insert))| {
            let rows = Arc::clone(&rows);
            tokio::spawn(async move {
                for batch in rows.iter().skip(first).step_by(connections) {
                    let tenant = uuid::Uuid::from_bytes(batch[0].tenant);
                    let keys: Vec<&[u8]> = batch.iter().map(|row| row.key.as_slice()).collect();
                    let ids: Vec<&str> = batch.iter().map(|row| row.id.as_str()).collect();
                    let counts: Vec<&str> = batch.iter().map(|row| row.counts.as_str()).collect();
                    client.execute(&insert, &[&tenant, &keys, &ids, &counts]).await.unwrap();
                }
            })
        });
        for one in work.collect::<Vec<_>>() {
            one.await.unwrap();
        }
        (calls * BATCH) as f64 / began.elapsed().as_secs_f64()
    })
}

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let calls = if options.quick { 40 } else { 2_000 };
    let mut figures = Vec::new();
    println!(
        "{:>9} {:>6} {:>12} {:>12} {:>22} {:>10}",
        "engine", "conns", "ours ev/s", "floor ev/s", "ratio", "CPU us/ev"
    );
    for engine in ["sqlite", "postgres"].into_iter().filter(|engine| options.wants(engine)) {
        let postgres = (engine == "postgres").then(Postgres::start);
        let url = postgres.as_ref().map(|postgres| postgres.database("bench"));
        let mut settings = vec![("LOG__LEVEL", options.log.clone())];
        settings.extend(url.iter().map(|url| ("STORE__URL", url.clone())));
        let program = Program::start(&settings);
        let tenant = tenants::settle(&program, 1, 1).remove(0);
        let wanted = json!({ "name": "bench", "scopes": ["usage:write"] });
        let path = format!("/admin/v1/tenants/{}/api-keys", tenant.id);
        let made = program.operator().json("POST", &path, Some(&wanted), 201);
        let key = made["key"].as_str().unwrap().to_owned();
        let mut round = 0;
        for connections in CONNECTIONS {
            let (mut ours, mut floor, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..options.rounds(5) {
                round += 1;
                let requests = (0..calls).map(|at| call(&key, round, at)).collect();
                let load = Load {
                    address: program.address,
                    process: program.process(),
                    stride: 1,
                    requests: Arc::new(requests),
                };
                let measured = load.each_once(connections);
                ours.push(measured.per_second * BATCH as f64);
                cpu.push(measured.cpu / BATCH as f64);
                floor.push(match &url {
                    Some(url) => floor_postgres(url, round, calls, connections),
                    None => floor_sqlite(&program.folder().join("data/control.db"), round, calls),
                });
            }
            let ratio = Spread::ratio(&ours, &floor);
            let spread = format!("{:.3} ({:.3}..{:.3})", ratio.median, ratio.least, ratio.most);
            let (ours, floor, cpu) = (Spread::of(ours), Spread::of(floor), Spread::of(cpu));
            println!(
                "{engine:>9} {connections:>6} {:>12.0} {:>12.0} {spread:>22} {:>10.2}",
                ours.median, floor.median, cpu.median
            );
            figures.push(json!({
                "engine": engine, "connections": connections, "ours": ours.json(), "floor": floor.json(),
                "ratio": ratio.json(), "cpu_us": cpu.json(),
            }));
        }
    }
    if options.json {
        println!("{}", json!({ "bench": "usage_ingest", "machine": machine, "cases": figures }));
    }
}
