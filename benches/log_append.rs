//! What the log costs a command: a transaction that reads a row and changes it, with an event appended, beside the
//! same transaction without one, through the same store in the same process, in turns. No HTTP in either.
#![expect(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::time::Instant;

use diesel::prelude::*;
use serde_json::json;
use support::machine;
use support::options::Options;
use support::postgres::Postgres;
use support::stats::{Spread, ms, quantile};
use tenantry::auth::Caller;
use tenantry::db::{Conn, Db, Engine, Options as StoreOptions};
use tenantry::kernel::clock::Clock;
use tenantry::kernel::error::Result;
use tenantry::kernel::id::TenantId;
use tenantry::log::{self, NewEvent};
use tenantry::tenants::events::TenantUpdated;

/// Writers at once.
const WRITERS: [i64; 2] = [1, 16];
/// Rows from one writer's to the next one's: on other pages, so that writers do not meet.
const APART: i64 = 1_000;

diesel::table! {
    bench_things (id) {
        id -> BigInt,
        name -> Text,
        rev -> BigInt,
    }
}

/// A table like those that commands change.
async fn furnish(db: &Db) {
    db.migrate().await.unwrap();
    let rows = APART * WRITERS[WRITERS.len() - 1];
    let sql = match db.engine() {
        Engine::Sqlite => format!(
            "CREATE TABLE bench_things (id INTEGER PRIMARY KEY, name TEXT NOT NULL, rev INTEGER NOT NULL) STRICT; \
             WITH RECURSIVE n (id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < {rows}) \
             INSERT INTO bench_things SELECT id, 'a thing with a name', 1 FROM n; ANALYZE bench_things"
        ),
        Engine::Postgres => format!(
            "CREATE TABLE bench_things (id bigint PRIMARY KEY, name text NOT NULL, rev bigint NOT NULL); \
             INSERT INTO bench_things SELECT id, 'a thing with a name', 1 FROM generate_series(0, {rows}) AS n (id); \
             ANALYZE bench_things"
        ),
    };
    db.write(move |conn| conn.execute_batch(&sql)).await.unwrap();
}

fn change(conn: &mut Conn, id: i64) -> Result<i64> {
    let rev: i64 = bench_things::table.find(id).select(bench_things::rev).first(conn)?;
    diesel::update(bench_things::table.find(id))
        .set((bench_things::name.eq(format!("thing {rev}")), bench_things::rev.eq(rev + 1)))
        .execute(conn)?;
    Ok(rev)
}

/// Transactions a second, and the milliseconds that each took.
struct Turn {
    per_second: f64,
    took: Vec<f64>,
}

async fn turn(db: &Db, writers: i64, each: usize, appends: bool) -> Turn {
    let (began, clock) = (Instant::now(), Clock::system());
    let work: Vec<_> = (0..writers)
        .map(|at| {
            let (db, clock, id) = (db.clone(), clock.clone(), at * APART);
            let (by, tenant) = (Caller::system("bench"), TenantId::mint());
            tokio::spawn(async move {
                let mut took = Vec::with_capacity(each);
                for _ in 0..each {
                    let (by, now, began) = (by.clone(), clock.now(), Instant::now());
                    let write = db.write(move |conn| {
                        let rev = change(conn, id)?;
                        if appends {
                            let fact = TenantUpdated { slug: "thing".into(), name: format!("thing {rev}") };
                            log::append_in(conn, &by, now, NewEvent::of(tenant, fact))?;
                        }
                        Ok(())
                    });
                    write.await.unwrap();
                    took.push(ms(began.elapsed()));
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for one in work {
        took.extend(one.await.unwrap());
    }
    let per_second = took.len() as f64 / began.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    Turn { per_second, took }
}

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let many = if options.quick { 160 } else { 8_000 };
    let mut figures = Vec::new();
    println!(
        "{:>9} {:>8} {:>12} {:>12} {:>22} {:>9} {:>9} {:>9} {:>9}",
        "engine", "writers", "with/s", "without/s", "with/without", "p50 ms", "without", "p99 ms", "without"
    );
    for engine in ["sqlite", "postgres"].into_iter().filter(|engine| options.wants(engine)) {
        let postgres = (engine == "postgres").then(Postgres::start);
        let folder = tempfile::tempdir().unwrap();
        let url = match &postgres {
            Some(postgres) => postgres.database("bench"),
            None => format!("sqlite://{}", folder.path().join("control.db").display()),
        };
        let db = runtime.block_on(async {
            let db = Db::open(&url, &StoreOptions::default()).await.unwrap();
            furnish(&db).await;
            db
        });
        for writers in WRITERS {
            let each = many / writers as usize;
            let once = |appends| runtime.block_on(turn(&db, writers, each, appends));
            // The first of both are for warming up.
            drop((once(true), once(false)));
            let (mut with, mut without) = (Vec::new(), Vec::new());
            for _ in 0..options.rounds(7) {
                with.push(once(true));
                without.push(once(false));
            }
            let rates = |turns: &[Turn]| turns.iter().map(|turn| turn.per_second).collect::<Vec<_>>();
            let at = |turns: &[Turn], share| Spread::of(turns.iter().map(|turn| quantile(&turn.took, share)));
            let ratio = Spread::ratio(&rates(&with), &rates(&without));
            let spread = format!("{:.3} ({:.3}..{:.3})", ratio.median, ratio.least, ratio.most);
            let (ours, bare) = (Spread::of(rates(&with)), Spread::of(rates(&without)));
            let [p50, p50_without, p99, p99_without] =
                [at(&with, 0.5), at(&without, 0.5), at(&with, 0.99), at(&without, 0.99)];
            println!(
                "{engine:>9} {writers:>8} {:>12.0} {:>12.0} {spread:>22} {:>9.2} {:>9.2} {:>9.2} {:>9.2}",
                ours.median, bare.median, p50.median, p50_without.median, p99.median, p99_without.median
            );
            figures.push(json!({
                "engine": engine, "writers": writers, "with": ours.json(), "without": bare.json(),
                "ratio": ratio.json(), "p50_ms": p50.json(), "p50_ms_without": p50_without.json(),
                "p99_ms": p99.json(), "p99_ms_without": p99_without.json(),
            }));
        }
    }
    if options.json {
        println!("{}", json!({ "bench": "log_append", "machine": machine, "cases": figures }));
    }
}
