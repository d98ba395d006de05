//! The bare server that ours is held against: actix-web alone, in a process of its own with the same
//! number of workers and the same timeouts. It is this very bench, started again with `--floor`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WORKERS;

const ROLE: &str = "--floor";

/// A running floor; killed on drop.
pub struct Floor {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Floor {
    /// Starts this bench again as a floor, and hands it what it needs.
    pub fn start(given: &impl Serialize) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(ROLE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(&serde_json::to_vec(given).unwrap()).unwrap();
        drop(input);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().expect("the floor tells its address") }
    }
}

impl Floor {
    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What the floor was given, when this process is to be one.
pub fn given<T: DeserializeOwned>() -> Option<T> {
    (std::env::args().nth(1).as_deref() == Some(ROLE)).then(|| {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    })
}

/// Serves these routes until the process is killed.
pub fn serve(routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static) {
    actix_web::rt::System::new().block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = HttpServer::new(move || App::new().configure(routes.clone()))
            .workers(WORKERS)
            .client_request_timeout(Duration::from_secs(10))
            .keep_alive(Duration::from_secs(75))
            .listen(listener)
            .unwrap()
            .run();
        println!("{address}");
        server.await.unwrap();
    });
}
