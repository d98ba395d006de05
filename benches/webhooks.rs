//! Webhook deliveries per second to a local receiver, from the queue to the receiver, with what came of each written
//! down: beside a bare HTTP client that posts the same bodies to the same receiver and forgets them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use support::http::Http;
use support::machine;
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::Spread;
use support::tenants;

/// Attempts at one endpoint at the same time.
const AT_ONCE: usize = 8;
const ENDPOINTS: [usize; 2] = [1, 8];

#[derive(Default)]
struct Seen {
    count: usize,
    first: Option<Instant>,
    last: Option<Instant>,
    body: Vec<u8>,
}

/// Answers 200 to whatever comes, and knows when.
struct Receiver {
    port: u16,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new((Mutex::new(Seen::default()), Condvar::new()));
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                std::thread::spawn(move || drop(talk(&stream, &seen)));
            }
        });
        Self { port, seen }
    }

    /// Waits for so many calls: how many came a second, from the first to the last.
    fn rate(&self, count: usize) -> f64 {
        let held = self.seen.0.lock().unwrap();
        let wait = Duration::from_secs(300);
        let (mut seen, late) = self.seen.1.wait_timeout_while(held, wait, |seen| seen.count < count).unwrap();
        assert!(!late.timed_out(), "{} of {count} came", seen.count);
        let took = seen.last.unwrap() - seen.first.unwrap();
        let body = std::mem::take(&mut seen.body);
        *seen = Seen { body, ..Seen::default() };
        (count - 1) as f64 / took.as_secs_f64()
    }
}

fn talk(stream: &TcpStream, seen: &(Mutex<Seen>, Condvar)) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mut writer = stream;
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        let mut held = seen.0.lock().unwrap();
        let now = Instant::now();
        held.count += 1;
        held.first.get_or_insert(now);
        held.last = Some(now);
        held.body = body;
        drop(held);
        seen.1.notify_all();
    }
}

/// Posts `count` times, so many at once.
fn floor(url: &str, body: &[u8], count: usize, at_once: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let work = (0..at_once).map(|first| {
            let (client, url, body) = (client.clone(), url.to_owned(), body.to_vec());
            tokio::spawn(async move {
                for _ in (first..count).step_by(at_once) {
                    let answer = client.post(&url).body(body.clone()).send().await.unwrap();
                    assert_eq!(answer.status(), 200);
                    answer.bytes().await.unwrap();
                }
            })
        });
        for one in work.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    });
}

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let events = if options.quick { 100 } else { 2_000 };
    let mut figures = Vec::new();
    println!(
        "{:>9} {:>10} {:>12} {:>12} {:>22} {:>10}",
        "engine", "endpoints", "ours/s", "floor/s", "ratio", "CPU us"
    );
    for engine in ["sqlite", "postgres"].into_iter().filter(|engine| options.wants(engine)) {
        let postgres = (engine == "postgres").then(Postgres::start);
        let url = postgres.as_ref().map(|postgres| postgres.database("bench"));
        let mut settings: Vec<(&str, String)> = [
            ("LOG__LEVEL", options.log.as_str()),
            ("WEBHOOKS__ALLOW_HTTP", "true"),
            ("WEBHOOKS__ALLOW_PRIVATE", "127.0.0.0/8"),
            ("WEBHOOKS__MAX_ENDPOINTS_PER_TENANT", "1000"),
            ("WEBHOOKS__MAX_IN_FLIGHT_PER_TENANT", "64"),
        ]
        .map(|(key, value)| (key, value.to_owned()))
        .to_vec();
        settings.push(("WEBHOOKS__MAX_IN_FLIGHT_PER_ENDPOINT", AT_ONCE.to_string()));
        settings.extend(url.iter().map(|url| ("STORE__URL", url.clone())));
        let program = Program::start(&settings);
        let tenant = tenants::settle(&program, 1, 1).remove(0);
        let wanted = json!({ "name": "bench", "scopes": ["tenant:manage", "webhooks:manage"] });
        let path = format!("/admin/v1/tenants/{}/api-keys", tenant.id);
        let key = program.operator().json("POST", &path, Some(&wanted), 201);
        let mut owner = Http::connect(program.address, key["key"].as_str());
        let receiver = Receiver::start();
        let to = format!("http://127.0.0.1:{}/", receiver.port);
        let endpoint = |owner: &mut Http, enabled: bool| {
            let wanted = json!({ "url": to, "types": ["tenant.updated"], "enabled": enabled });
            let made = owner.json("POST", "/v1/tenant/webhook-endpoints", Some(&wanted), 201);
            made["id"].as_str().unwrap().to_owned()
        };
        // Its events are kept for whoever asks for a replay.
        endpoint(&mut owner, false);
        for at in 0..events {
            owner.json("PATCH", "/v1/tenant", Some(&json!({ "name": format!("Bench {at}") })), 200);
        }
        let last = endpoint(&mut owner, true);
        owner.json("PATCH", "/v1/tenant", Some(&json!({ "name": "Last" })), 200);
        receiver.rate(1);
        owner.json(
            "PATCH",
            &format!("/v1/tenant/webhook-endpoints/{last}"),
            Some(&json!({ "enabled": false })),
            200,
        );
        for endpoints in ENDPOINTS {
            let (mut ours, mut bare, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..options.rounds(5) {
                let all: Vec<String> = (0..endpoints).map(|_| endpoint(&mut owner, true)).collect();
                let (count, spent) = (endpoints * (events + 1), machine::cpu_seconds(program.process()));
                for one in &all {
                    let path = format!("/v1/tenant/webhook-endpoints/{one}/replay");
                    owner.json("POST", &path, Some(&json!({ "since": "2026-01-01T00:00:00Z" })), 202);
                }
                ours.push(receiver.rate(count));
                let spent = machine::cpu_seconds(program.process()) - spent;
                cpu.push(spent * 1e6 / count as f64);
                let body = receiver.seen.0.lock().unwrap().body.clone();
                floor(&to, &body, count, AT_ONCE * endpoints);
                bare.push(receiver.rate(count));
            }
            let ratio = Spread::ratio(&ours, &bare);
            let spread = format!("{:.3} ({:.3}..{:.3})", ratio.median, ratio.least, ratio.most);
            let (ours, bare, cpu) = (Spread::of(ours), Spread::of(bare), Spread::of(cpu));
            println!(
                "{engine:>9} {endpoints:>10} {:>12.0} {:>12.0} {spread:>22} {:>10.2}",
                ours.median, bare.median, cpu.median
            );
            figures.push(json!({
                "engine": engine, "endpoints": endpoints, "ours": ours.json(), "floor": bare.json(),
                "ratio": ratio.json(), "cpu_us": cpu.json(),
            }));
        }
    }
    if options.json {
        println!("{}", json!({ "bench": "webhooks", "machine": machine, "cases": figures }));
    }
}
