//! Building both projections of the log anew over a million events of a thousand tenants, beside a bare scan of the
//! same rows in the same order and in as many parts, in turns. No HTTP in either.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use support::machine;
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::Spread;
use tenantry::db::{Db, Engine, Options as StoreOptions};
use tenantry::kernel::clock::Clock;
use tenantry::log::follower::{self, Begin};
use tenantry::log::projection::{self, Built, Projects, STEP};
use tenantry::{directory, log};

const TENANTS: i64 = 1_000;

/// Writes so many events: first each tenant's beginning, then what happens in them by turns.
async fn fill(db: &Db, events: i64) {
    let kind = format!(
        "CASE WHEN i < {TENANTS} THEN 'tenant.created' ELSE CASE i % 8 WHEN 0 THEN 'tenant.updated' \
         WHEN 1 THEN 'api_key.created' WHEN 2 THEN 'api_key.revoked' WHEN 3 THEN 'member.joined' \
         WHEN 4 THEN 'member.left' WHEN 5 THEN 'session.created' WHEN 6 THEN 'subscription.renewed' \
         ELSE 'invoice.paid' END END"
    );
    let data = format!(
        "CASE WHEN i < {TENANTS} THEN '{{\"slug\":\"tenant-' || i || '\",\"name\":\"Tenant ' || i || '\",\"plan\":\"free\",\
         \"isolation\":\"shared\",\"cluster\":\"main\",\"region\":null}}' \
         ELSE '{{\"key_id\":\"key_' || i || '\",\"user_id\":\"user_' || i || '\",\"name\":\"thing ' || i || '\",\"role\":\"viewer\",\
         \"number\":\"2026-' || i || '\",\"after\":{{\"plan\":\"free\",\"plan_version\":1}}}}' END"
    );
    let sql = match db.engine() {
        Engine::Sqlite => format!(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {events} - 1) \
             INSERT INTO events (id, type, version, tenant_id, actor_kind, actor_id, at, data) \
             SELECT randomblob(16), {kind}, 1, unhex(printf('%032x', i % {TENANTS} + 1)), 'user', 'user_of_bench', \
             1790000000000000 + i * 1000, {data} FROM n; ANALYZE events"
        ),
        Engine::Postgres => format!(
            "INSERT INTO events (id, type, version, tenant_id, actor_kind, actor_id, at, data) \
             SELECT gen_random_uuid(), {kind}, 1, lpad(to_hex(i % {TENANTS} + 1), 32, '0')::uuid, 'user', 'user_of_bench', \
             to_timestamp(1790000000 + i / 1000.0), ({data})::jsonb FROM generate_series(0, {events} - 1) AS n (i); \
             ANALYZE events"
        ),
    };
    db.write_held(move |conn| conn.execute_batch(&sql)).await.unwrap();
}

/// Builds one anew and answers events per second; what was there before is removed afterwards.
async fn rebuilt(db: &Db, one: &Arc<dyn Projects>, events: i64) -> f64 {
    let (name, now) = (one.name(), Clock::system().now());
    db.write_held(move |conn| {
        let follower = follower::open_in(conn, name, Begin::First, now)?;
        let end = log::end_in(conn)?;
        follower::advance_in(conn, name, follower.place, end, now)
    })
    .await
    .unwrap();
    db.write(move |conn| projection::start_in(conn, name, now).map(drop)).await.unwrap();
    let began = Instant::now();
    while !matches!(projection::build(db, one, STEP).await.unwrap(), Built::Answers(_)) {}
    let took = began.elapsed().as_secs_f64();
    while projection::build(db, one, STEP).await.unwrap() != Built::Nothing {}
    events as f64 / took
}

/// Events per second of a bare scan of a SQLite store, all columns taken.
fn scan_sqlite(store: &Path, events: i64) -> f64 {
    let store = rusqlite::Connection::open(store).unwrap();
    let mut select = store
        .prepare(
            "SELECT txid, seq, id, type, version, tenant_id, actor_kind, actor_id, address, request_id, at, data \
             FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
        )
        .unwrap();
    let (began, mut last, mut read, mut bytes) = (Instant::now(), 0i64, 0i64, 0usize);
    loop {
        let mut rows = select.query([last, STEP]).unwrap();
        let before = read;
        while let Some(row) = rows.next().unwrap() {
            last = row.get(1).unwrap();
            for column in 0..12 {
                if let rusqlite::types::ValueRef::Text(text) = row.get_ref(column).unwrap() {
                    bytes += text.len();
                }
            }
            read += 1;
        }
        if read == before {
            break;
        }
    }
    assert!(read == events && bytes > 0);
    events as f64 / began.elapsed().as_secs_f64()
}

/// Events per second of a bare scan of a PostgreSQL store.
async fn scan_postgres(url: &str, events: i64) -> f64 {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let select = client
        .prepare(
            "SELECT txid, seq, id, type, version, tenant_id, actor_kind, actor_id, address, request_id, at, data \
             FROM events WHERE (txid, seq) > ($1, $2) ORDER BY txid, seq LIMIT $3",
        )
        .await
        .unwrap();
    let (began, mut last, mut read) = (Instant::now(), (0i64, 0i64), 0i64);
    loop {
        let rows = client.query(&select, &[&last.0, &last.1, &STEP]).await.unwrap();
        let Some(row) = rows.last() else { break };
        last = (row.get(0), row.get(1));
        read += rows.len() as i64;
    }
    assert_eq!(read, events);
    events as f64 / began.elapsed().as_secs_f64()
}

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    log::catalogue::install(tenantry::app::facts());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let events = if options.quick { 20_000 } else { 1_000_000 };
    let mut figures = Vec::new();
    println!(
        "{:>9} {:>17} {:>12} {:>12} {:>22}",
        "engine", "projection", "rebuilt/s", "scanned/s", "rebuilt/scanned"
    );
    for engine in ["sqlite", "postgres"].into_iter().filter(|engine| options.wants(engine)) {
        let postgres = (engine == "postgres").then(Postgres::start);
        let folder = Program::folder_for_one();
        let store = folder.path().join("control.db");
        let url = match &postgres {
            Some(postgres) => postgres.database("rebuild"),
            None => format!("sqlite://{}", store.display()),
        };
        runtime.block_on(async {
            let db = Db::open(&url, &StoreOptions::default()).await.unwrap();
            db.migrate().await.unwrap();
            fill(&db, events).await;
            for one in directory::projections() {
                let (mut ours, mut floor) = (Vec::new(), Vec::new());
                for _ in 0..options.rounds(3) {
                    ours.push(rebuilt(&db, &one, events).await);
                    floor.push(match engine {
                        "postgres" => scan_postgres(&url, events).await,
                        _ => scan_sqlite(&store, events),
                    });
                }
                let ratio = Spread::ratio(&ours, &floor);
                let spread = format!("{:.3} ({:.3}..{:.3})", ratio.median, ratio.least, ratio.most);
                let (ours, floor) = (Spread::of(ours), Spread::of(floor));
                let name = one.name();
                println!("{engine:>9} {name:>17} {:>12.0} {:>12.0} {spread:>22}", ours.median, floor.median);
                figures.push(json!({
                    "engine": engine, "projection": name, "ours": ours.json(), "floor": floor.json(),
                    "ratio": ratio.json(),
                }));
            }
        });
    }
    if options.json {
        println!("{}", json!({ "bench": "rebuild", "machine": machine, "cases": figures }));
    }
}
