//! Questions of usage over ten million events of a hundred tenants, in an embedded store: p50 and p99 over HTTP, and
//! beside it the same sums by hand-written SQL on the same roll-ups.
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

use rusqlite::params;
use serde_json::json;
use support::load::Measured;
use support::machine;
use support::options::Options;
use support::program::Program;
use support::tenants;

/// 2026-10-01T00:00:00Z in microseconds.
const BEGIN: i64 = 1_790_812_800_000_000;
const HOUR: i64 = 3_600_000_000;
const DAYS: i64 = 30;
const MODELS: i64 = 4;

fn id(number: usize) -> [u8; 16] {
    (0x0190_0000_0000_7000_8000_0000_0000_0000_u128 + number as u128).to_be_bytes()
}

/// Writes so many events of each tenant, as they were sent, spread over a month.
fn fill(store: &std::path::Path, tenants: &[[u8; 16]], each: usize) {
    let mut store = rusqlite::Connection::open(store).unwrap();
    store.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000").unwrap();
    let all = store.transaction().unwrap();
    {
        let mut insert = all
            .prepare(
                "INSERT INTO usage_events (tenant_id, key, source, id, type, at, received_at, counts) \
                 VALUES (?, ?, '/bench', ?, 'usage', ?, ?, ?)",
            )
            .unwrap();
        let length = DAYS * 24 * HOUR;
        for (number, tenant) in tenants.iter().enumerate() {
            for event in 0..each {
                let at = BEGIN + length / each as i64 * event as i64;
                let model = event as i64 % MODELS;
                let counts = format!(
                    "[{{\"m\":\"usage\",\"v\":{},\"g\":\"{{\\\"model\\\":\\\"model-{model}\\\"}}\"}}]",
                    event % 100
                );
                insert
                    .execute(params![
                        tenant,
                        id(number * each + event),
                        event.to_string(),
                        at,
                        at + 1,
                        counts
                    ])
                    .unwrap();
            }
        }
    }
    all.commit().unwrap();
}

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let (others, each, asked) = if options.quick { (4, 500, 20) } else { (99, 100_000, 500) };
    let keep = ("METERING__RETAIN_RAW_S", "315360000".to_owned());
    let settings = [("LOG__LEVEL", options.log.clone()), keep];
    let first = Program::start(&settings);
    let tenant = tenants::settle(&first, 1, 1).remove(0);
    let uuid: tenantry::kernel::id::TenantId = tenant.id.parse().unwrap();
    let folder = first.stop();
    let store = folder.path().join("data/control.db");
    let mut all = vec![*uuid.uuid().as_bytes()];
    all.extend((0..others).map(|number| id(usize::MAX - number)));
    let began = Instant::now();
    fill(&store, &all, each);
    println!("{} events written in {:.1} s", all.len() * each, began.elapsed().as_secs_f64());
    let program = Program::start_in(folder, &settings);
    let store = program.folder().join("data/control.db");
    let mut operator = program.operator();
    let began = Instant::now();
    while !operator.json("GET", "/admin/v1/projections", None, 200)["data"][0]["behind_since"].is_null() {
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("rolled up in {:.1} s after the start", began.elapsed().as_secs_f64());

    let hand = rusqlite::Connection::open(&store).unwrap();
    let range = "from=2026-10-01T00:00:00Z&to=2026-10-31T00:00:00Z";
    let questions = [
        (
            "a month by days",
            format!("meter=usage&window=day&{range}"),
            "SELECT hour / 86400000000, sum(total), sum(events) FROM usage_rollups",
        ),
        (
            "a month by hours and models",
            format!("meter=usage&window=hour&group_by=model&{range}"),
            "SELECT hour, grp, sum(total), sum(events) FROM usage_rollups",
        ),
        (
            "a month at once",
            format!("meter=usage&{range}"),
            "SELECT 1, sum(total), sum(events) FROM usage_rollups",
        ),
    ];
    let mut figures = Vec::new();
    println!("{:>28} {:>10} {:>10} {:>10} {:>10}", "", "p50 ms", "p99 ms", "SQL p50", "SQL p99");
    for (name, query, select) in questions.into_iter().filter(|one| options.wants(one.0)) {
        let path = format!("/admin/v1/tenants/{}/usage?{query}", tenant.id);
        let group = if select.contains("grp") { "GROUP BY 1, 2" } else { "GROUP BY 1" };
        let sql = format!(
            "{select} WHERE generation = 1 AND tenant_id = ? AND meter = 'usage' AND hour >= ? AND hour < ? {group}"
        );
        let mut statement = hand.prepare(&sql).unwrap();
        let (mut ours, mut theirs, from) = (Vec::new(), Vec::new(), Instant::now());
        for _ in 0..asked {
            let began = Instant::now();
            let (status, _) = operator.text("GET", &path, None);
            ours.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
            assert_eq!(status, 200);
            let began = Instant::now();
            let mut rows =
                statement.query(params![uuid.uuid().as_bytes(), BEGIN, BEGIN + DAYS * 24 * HOUR]).unwrap();
            let mut many = 0;
            while rows.next().unwrap().is_some() {
                many += 1;
            }
            theirs.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
            assert!(many > 0, "the roll-ups are there");
        }
        let (ours, theirs) = (Measured::of(ours, from), Measured::of(theirs, from));
        println!(
            "{name:>28} {:>10.3} {:>10.3} {:>10.3} {:>10.3}",
            ours.p50, ours.p99, theirs.p50, theirs.p99
        );
        figures.push(json!({
            "question": name, "p50_ms": ours.p50, "p99_ms": ours.p99, "sql_p50_ms": theirs.p50, "sql_p99_ms": theirs.p99,
        }));
    }
    if options.json {
        println!("{}", json!({ "bench": "usage_query", "machine": machine, "questions": figures }));
    }
}
