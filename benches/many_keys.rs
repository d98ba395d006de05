//! A million keys of a hundred thousand tenants, on the embedded store: what each costs when it is first asked
//! for (one indexed read for a key, and the reads of a tenant once), how much memory all of them take, and whether
//! answering is slower then than with ten. Goals: at least 95 % of the answers per second, at most 300 MB.
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
use std::time::{Duration, Instant};

use serde_json::json;
use support::load::Load;
use support::options::Options;
use support::program::Program;
use support::stats::Spread;
use support::{machine, seed, tenants};

/// Requests that the load generator holds at once.
const CHUNK: usize = 50_000;
const FEW: usize = 10;
const CONNECTIONS: [usize; 3] = [1, 16, 64];

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let (many_tenants, many_keys) = if options.quick { (1_000, 10_000) } else { (100_000, 1_000_000) };

    // The server makes its store; then it is filled while nobody is at work on it.
    let first = Program::start(&[("LOG__LEVEL", options.log.clone())]);
    let service = tenants::service_key(&first, &["keys:verify"]);
    let folder = first.stop();
    let began = Instant::now();
    seed::fill(&folder.path().join("data/control.db"), many_tenants, many_keys);
    println!("{many_keys} keys of {many_tenants} tenants written in {:.1} s", began.elapsed().as_secs_f64());
    let program = Program::start_in(folder, &[("LOG__LEVEL", options.log.clone())]);
    let empty = machine::resident_mb(program.process());

    let load = |requests: Vec<Vec<u8>>, stride| Load {
        address: program.address,
        process: program.process(),
        stride,
        requests: Arc::new(requests),
    };
    // Ten keys of ten tenants first: they are measured against, in turns with the many.
    let few = load((0..FEW).map(|number| seed::verify(&service, number)).collect(), 1);
    few.each_once(1);
    let with_few = machine::resident_mb(program.process());

    let (mut colds, mut times, began) = (Vec::new(), Vec::new(), Instant::now());
    for from in (0..many_keys).step_by(CHUNK) {
        let chunk = (from..(from + CHUNK).min(many_keys)).map(|number| seed::verify(&service, number));
        let cold = load(chunk.collect(), 1).each_once(16);
        colds.push(cold.cpu);
        times.push((cold.p50, cold.p99, cold.per_second));
    }
    let lasting = began.elapsed().as_secs_f64();
    let with_all = machine::resident_mb(program.process());
    let spread = |of: Spread| format!("{:.3} ({:.3}..{:.3})", of.median, of.least, of.most);
    let cold = |figure: fn(&(f64, f64, f64)) -> f64| Spread::of(times.iter().map(figure));
    println!("cold, 16 connections: each of {many_keys} keys once in {lasting:.1} s");
    println!(
        "  answers/s {:.0}, p50 {} ms, p99 {} ms, CPU {:.1} us",
        cold(|one| one.2).median,
        spread(cold(|one| one.0)),
        spread(cold(|one| one.1)),
        Spread::of(colds.clone()).median
    );
    println!(
        "memory: {empty:.0} MB at the start, {with_few:.0} MB with {FEW} keys, {with_all:.0} MB with all"
    );

    // Keys from all over, in an order that has nothing to do with the one they were loaded in.
    let picked = CHUNK.min(many_keys);
    let far = |at: usize| (at * 7_919 + 104_729) % many_keys;
    let many = load((0..picked).map(|at| seed::verify(&service, far(at))).collect(), 1_031);
    let (warm, lasting) = if options.quick { (100, 300) } else { (300, 2_000) };
    let (warm, lasting) = (Duration::from_millis(warm), Duration::from_millis(lasting));
    println!(
        "{:>5} {:>12} {:>12} {:>22} {:>10} {:>8}",
        "conns", "many/s", "few/s", "many/few", "CPU us", "few"
    );
    let mut figures = Vec::new();
    for connections in CONNECTIONS {
        let (mut of_many, mut of_few) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds(5) {
            of_many.push(many.run(connections, warm, lasting));
            of_few.push(few.run(connections, warm, lasting));
        }
        let rates =
            |all: &[support::load::Measured]| all.iter().map(|one| one.per_second).collect::<Vec<_>>();
        let cpu = |all: &[support::load::Measured]| Spread::of(all.iter().map(|one| one.cpu)).median;
        let ratio = Spread::ratio(&rates(&of_many), &rates(&of_few));
        println!(
            "{connections:>5} {:>12.0} {:>12.0} {:>22} {:>10.1} {:>8.1}",
            Spread::of(rates(&of_many)).median,
            Spread::of(rates(&of_few)).median,
            spread(ratio),
            cpu(&of_many),
            cpu(&of_few),
        );
        figures.push(json!({ "connections": connections, "ratio": ratio.json(), "cpu_us": [cpu(&of_many), cpu(&of_few)] }));
    }
    let at_last = machine::resident_mb(program.process());
    println!("memory at the end: {at_last:.0} MB");
    if options.json {
        let memory = json!({ "start": empty, "few": with_few, "all": with_all, "end": at_last });
        let cold = json!({ "p50_ms": cold(|one| one.0).json(), "p99_ms": cold(|one| one.1).json(), "cpu_us": Spread::of(colds).json() });
        println!(
            "{}",
            json!({ "bench": "many_keys", "machine": machine, "keys": many_keys, "tenants": many_tenants, "memory_mb": memory, "cold": cold, "warm": figures })
        );
    }
}
