//! The floors of the data door: the same query on the bare driver, prepared, signed in as the tenant; once
//! behind an actix-web handler and once alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use tokio_postgres::NoTls;

use crate::support::load::Measured;

/// Where the tenants live, and what is asked there.
#[derive(Serialize, Deserialize)]
pub struct Given {
    /// Whether the homes are SQLite files.
    pub sqlite: bool,
    /// The query.
    pub sql: String,
    /// For each tenant where it lives.
    pub homes: Vec<Home>,
}

/// Where a tenant lives.
#[derive(Serialize, Deserialize)]
pub struct Home {
    /// With its credentials.
    pub url: String,
    /// Empty on SQLite.
    pub schema: String,
    /// Its id as its own tables hold it.
    pub tenant: String,
}

/// The statement as clients send it; the floor has prepared its own.
#[derive(Deserialize)]
pub struct Asked {
    sql: String,
    params: Vec<String>,
}

#[derive(Serialize)]
struct Column {
    name: &'static str,
    #[serde(rename = "type")]
    type_name: &'static str,
}

#[derive(Serialize)]
struct Answer {
    columns: [Column; 4],
    rows: [Row; 1],
    row_count: u64,
    truncated: bool,
}

type Row = (String, String, bool, String);

fn answer(row: Row) -> Answer {
    let column = |name, type_name| Column { name, type_name };
    Answer {
        columns: [
            column("id", "text"),
            column("name", "text"),
            column("archived", "bool"),
            column("created_at", "text"),
        ],
        rows: [row],
        row_count: 1,
        truncated: false,
    }
}

struct Session {
    client: tokio_postgres::Client,
    statement: tokio_postgres::Statement,
    tenant: uuid::Uuid,
}

impl Session {
    async fn open(given: &Given, at: usize) -> Self {
        let Home { url, schema, tenant } = &given.homes[at];
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(&format!("SET search_path = \"{schema}\"")).await.unwrap();
        let statement = client.prepare(&given.sql).await.unwrap();
        Self { client, statement, tenant: tenant.parse().unwrap() }
    }

    async fn read(&self, name: &str) -> Row {
        let row = self.client.query_one(&self.statement, &[&self.tenant, &name]).await.unwrap();
        (row.get(0), row.get(1), row.get(2), row.get(3))
    }
}

fn open_file(given: &Given, at: usize) -> rusqlite::Connection {
    rusqlite::Connection::open(given.homes[at].url.strip_prefix("sqlite://").unwrap()).unwrap()
}

fn read_file(file: &rusqlite::Connection, given: &Given, at: usize, name: &str) -> Row {
    let mut statement = file.prepare_cached(&given.sql).unwrap();
    let tenant = given.homes[at].tenant.as_str();
    statement
        .query_row([tenant, name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .unwrap()
}

thread_local! {
    static IDLE_SESSIONS: RefCell<HashMap<usize, Vec<Session>>> = RefCell::default();
}
static IDLE_FILES: Mutex<Vec<Vec<rusqlite::Connection>>> = Mutex::new(Vec::new());

fn take_file(at: usize) -> Option<rusqlite::Connection> {
    let mut idle = IDLE_FILES.lock().unwrap();
    if idle.len() <= at {
        idle.resize_with(at + 1, Vec::new);
    }
    idle[at].pop()
}

/// `POST /v1/query/{tenant}` as it would be without a control plane.
pub async fn query(
    given: web::Data<Given>,
    tenant: web::Path<usize>,
    asked: web::Json<Asked>,
) -> HttpResponse {
    let at = *tenant;
    std::hint::black_box(&asked.sql);
    let row = if given.sqlite {
        web::block(move || {
            let file = take_file(at).unwrap_or_else(|| open_file(&given, at));
            let row = read_file(&file, &given, at, &asked.params[1]);
            IDLE_FILES.lock().unwrap()[at].push(file);
            row
        })
        .await
        .unwrap()
    } else {
        let idle = IDLE_SESSIONS.with_borrow_mut(|idle| idle.entry(at).or_default().pop());
        let session = match idle {
            Some(session) => session,
            None => Session::open(&given, at).await,
        };
        let row = session.read(&asked.params[1]).await;
        IDLE_SESSIONS.with_borrow_mut(|idle| idle.entry(at).or_default().push(session));
        row
    };
    HttpResponse::Ok().json(answer(row))
}

/// The driver alone, with so many sessions at once, spread over the tenants.
pub fn run(given: &Given, connections: usize, warm: Duration, lasting: Duration) -> Measured {
    let from = Instant::now() + warm;
    let until = from + lasting;
    let name = |turn: usize| format!("book-{}", 100 + turn % 8 * 100);
    let times = if given.sqlite {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections)
                .map(|at| {
                    scope.spawn(move || {
                        let at = at % given.homes.len();
                        let file = open_file(given, at);
                        let (mut times, mut turn) = (Vec::with_capacity(1 << 16), 0);
                        loop {
                            let began = Instant::now();
                            if began >= until && !times.is_empty() {
                                return times;
                            }
                            std::hint::black_box(read_file(&file, given, at, &name(turn)));
                            if began >= from {
                                times.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
                            }
                            turn += 1;
                        }
                    })
                })
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        })
    } else {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let one = async |at: usize| {
                let session = Session::open(given, at % given.homes.len()).await;
                let (mut times, mut turn) = (Vec::with_capacity(1 << 16), 0);
                loop {
                    let began = Instant::now();
                    if began >= until && !times.is_empty() {
                        return times;
                    }
                    std::hint::black_box(session.read(&name(turn)).await);
                    if began >= from {
                        times.push(u64::try_from(began.elapsed().as_nanos()).unwrap());
                    }
                    turn += 1;
                }
            };
            futures_util::future::join_all((0..connections).map(one)).await.concat()
        })
    };
    Measured::of(times, from)
}
