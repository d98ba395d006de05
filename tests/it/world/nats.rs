//! A NATS server of a test's own, with JetStream, that can be killed and comes back with what it had.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::server::{eventually, wait_for};

/// A NATS server.
pub struct Nats {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    arguments: Vec<String>,
}

/// A message as it stands in the stream.
#[derive(Debug, Clone)]
pub struct Told {
    /// Its subject.
    pub subject: String,
    /// What the broker dedupes by.
    pub message_id: String,
    /// The CloudEvent.
    pub event: Value,
}

fn program() -> &'static PathBuf {
    static FETCHED: OnceLock<PathBuf> = OnceLock::new();
    FETCHED.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/nats");
        let got = Command::new(script).stderr(Stdio::inherit()).output().unwrap();
        assert!(got.status.success(), "scripts/nats gets a NATS server; it says what it lacks");
        PathBuf::from(String::from_utf8(got.stdout).unwrap().trim())
    })
}

impl Nats {
    /// A running one.
    pub fn start() -> Self {
        let mut nats = Self::stopped(&[]);
        nats.again();
        nats
    }

    /// One that is not started yet, with these arguments besides.
    pub fn stopped(arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("tenantry-it-nats-").tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let arguments = arguments.iter().map(|&one| one.to_owned()).collect();
        Self { folder, port, child: None, arguments }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it (again), with all it had.
    pub fn again(&mut self) {
        let log = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log).unwrap();
        let child = Command::new(program())
            .args(["-js", "-a", "127.0.0.1", "-p", &self.port.to_string(), "-sd"])
            .arg(self.folder.path().join("store"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_for(Duration::from_secs(30), "NATS to listen", || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()
        });
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// A client of it.
    pub async fn jetstream(&self) -> async_nats::jetstream::Context {
        eventually("NATS to answer", || async {
            let client = async_nats::connect(self.url()).await.ok()?;
            Some(async_nats::jetstream::new(client))
        })
        .await
    }

    /// All that is in the stream, in its order.
    pub async fn told(&self) -> Vec<Told> {
        let jetstream = self.jetstream().await;
        let Ok(stream) = jetstream.get_stream("TENANTRY").await else { return Vec::new() };
        let state = stream.cached_info().state.clone();
        let mut all = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            let raw = stream.get_raw_message(sequence).await.unwrap();
            all.push(Told {
                subject: raw.subject.to_string(),
                message_id: raw.headers.get("Nats-Msg-Id").unwrap().to_string(),
                event: serde_json::from_slice(&raw.payload).unwrap(),
            });
        }
        all
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}
