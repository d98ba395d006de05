//! How long until what one replica committed is visible on another: to a follower of the feed, as a server-sent event,
//! and in memory, where the verify call refuses a key that was revoked. Two servers over one PostgreSQL. The time is
//! counted from the answer of the command.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::print_stdout,
    reason = "a bench that fails stops at once, and it prints what it measured"
)]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::Http;
use support::options::Options;
use support::postgres::Postgres;
use support::program::Program;
use support::stats::quantile;
use support::{machine, tenants};

/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds of so many rounds.
type Measure = fn(&World, usize) -> Vec<f64>;

fn main() {
    let Some(options) = Options::parse() else { return };
    let machine = machine::describe();
    machine::print(&machine);
    let postgres = Postgres::start();
    println!(
        "control store: PostgreSQL {}, two replicas; from the answer on one to its sight on the other",
        postgres.version
    );
    println!("{:24} {:>5} {:>9} {:>9} {:>9}", "seen", "n", "p50 ms", "p99 ms", "max ms");
    let rounds = options.rounds(300);
    let world = World::start(&postgres.database("visible"));
    let mut figures = Vec::new();
    let measures: [(&str, Measure); 2] = [("in the feed", in_the_feed), ("in memory", in_memory)];
    for (name, measure) in measures {
        if !options.wants(name) {
            continue;
        }
        let mut times = measure(&world, rounds);
        times.sort_by(f64::total_cmp);
        let (half, late, most) = (quantile(&times, 0.5), quantile(&times, 0.99), times[times.len() - 1]);
        println!("{name:24} {:>5} {half:>9.2} {late:>9.2} {most:>9.2}", times.len());
        figures
            .push(json!({ "seen": name, "n": times.len(), "p50_ms": half, "p99_ms": late, "max_ms": most }));
    }
    if options.json {
        println!("{}", json!({ "bench": "visible", "machine": machine, "figures": figures }));
    }
}

/// Two replicas, a tenant, and its owner's token.
struct World {
    here: Program,
    there: Program,
    token: String,
    service: String,
}

impl World {
    fn start(store: &str) -> Self {
        let settings = [
            ("STORE__URL", store.to_owned()),
            ("CLUSTERS__MAIN__URL", store.to_owned()),
            ("TENANCY__ISOLATION", "schema".to_owned()),
            ("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=".to_owned()),
            ("SERVER__PUBLIC_URL", "https://tenantry.example.com".to_owned()),
            ("TENANCY__STOCK__SCHEMA", "0".to_owned()),
        ];
        let (here, there) = (Program::start(&settings), Program::start(&settings));
        let service = tenants::service_key(&here, &["keys:verify"]);
        let tenant = &tenants::settle(&here, 0, 1)[0];
        let sign_in =
            json!({ "email": "owner@bench-0.example", "password": tenants::PASSWORD, "tenant": tenant.id });
        let session: Value = here.nobody().json("POST", "/v1/sessions", Some(&sign_in), 200);
        let token = session["access_token"].as_str().unwrap().to_owned();
        Self { here, there, token, service }
    }

    fn owner(&self) -> Http {
        Http::connect(self.here.address, Some(&self.token))
    }
}

/// The names that the events of a stream carry, each with the moment when it was read.
fn follow(address: SocketAddr, token: &str) -> mpsc::Receiver<(String, Instant)> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let head =
        "GET /v1/tenant/events?types=tenant.updated HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream";
    stream.write_all(format!("{head}\r\nauthorization: Bearer {token}\r\n\r\n").as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines();
    // Its first comment says that it follows.
    let began = lines.by_ref().map(Result::unwrap).find(|line| line.contains("here it begins"));
    began.expect("the stream begins");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines {
            let (Ok(line), read) = (line, Instant::now()) else { return };
            // Chunks begin with their length on a line of its own; the event's data is a line as well.
            let Some(data) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(data).unwrap();
            let name = event["data"]["name"].as_str().unwrap_or_default().to_owned();
            if tell.send((name, read)).is_err() {
                return;
            }
        }
    });
    told
}

fn in_the_feed(world: &World, rounds: usize) -> Vec<f64> {
    let told = follow(world.there.address, &world.token);
    let mut owner = world.owner();
    (0..rounds)
        .map(|round| {
            let name = format!("Bench {round}");
            owner.json("PATCH", "/v1/tenant", Some(&json!({ "name": name })), 200);
            let answered = Instant::now();
            let (seen, read) = told.recv_timeout(PATIENCE).expect("the event comes");
            assert_eq!(seen, name);
            // It may be seen before the answer was read.
            read.saturating_duration_since(answered).as_secs_f64() * 1e3
        })
        .collect()
}

fn in_memory(world: &World, rounds: usize) -> Vec<f64> {
    let mut owner = world.owner();
    let mut service = Http::connect(world.there.address, Some(&world.service));
    let mut code = |key: &str| {
        let answer = service.json("POST", "/v1/api-keys/verify", Some(&json!({ "key": key })), 200);
        answer["code"].as_str().unwrap().to_owned()
    };
    (0..rounds)
        .map(|_| {
            let wanted = json!({ "name": "short", "scopes": ["data:read"] });
            let made = owner.json("POST", "/v1/tenant/api-keys", Some(&wanted), 201);
            let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
            assert_eq!(code(key), "VALID");
            owner.json("DELETE", &format!("/v1/tenant/api-keys/{id}"), None, 200);
            let answered = Instant::now();
            while code(key) == "VALID" {
                assert!(answered.elapsed() < PATIENCE, "it is still good");
            }
            answered.elapsed().as_secs_f64() * 1e3
        })
        .collect()
}
