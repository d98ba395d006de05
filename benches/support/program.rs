//! Our own program, as it is released, on a free port in a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::WORKERS;
use super::http::Http;

/// The operator key that it is started with.
const OPERATOR_KEY: &str = "an-operator-key-for-the-benches-only-0123456789";

/// No rate and no quota that the load can meet: what is measured is answering, not refusing.
const PLANS: &str = r#"
[meters.usage]
aggregation = "sum"
value = "value"
group_by = ["model"]
[plans.free]
name = "Free"
limits = { requests_per_s = 1_000_000, burst = 1_000_000 }
[plans.free.features]
projects = 3
custom_domain = false
api_calls = { meter = "api_calls", limit = 1_000_000_000_000, per = "year", overage = "deny" }
usage = { meter = "usage", limit = 1_000_000_000_000, per = "month", overage = "allow" }
credits = { meter = "credits", limit = 1_000_000_000, per = "year", overage = "deny" }
"#;

/// A running server; killed on drop.
pub struct Program {
    child: Child,
    folder: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// Starts it with these settings on top of its defaults, written as in the environment without their
    /// prefix. Its log is written and thrown away.
    pub fn start(settings: &[(&str, String)]) -> Self {
        Self::start_in(Self::folder_for_one(), settings)
    }

    /// An empty folder that a program can be started in.
    pub fn folder_for_one() -> tempfile::TempDir {
        tempfile::Builder::new().prefix("tenantry-bench-").tempdir().unwrap()
    }

    /// Starts it in this folder, with whatever is there.
    pub fn start_in(folder: tempfile::TempDir, settings: &[(&str, String)]) -> Self {
        std::fs::write(folder.path().join("plans.toml"), PLANS).unwrap();
        let migrations = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/notes/migrations");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.arg("serve").current_dir(folder.path()).env_clear();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.env("TENANTRY_DATA_DIR", folder.path().join("data"));
        command.env("TENANTRY_SERVER__BIND", "127.0.0.1:0");
        command.env("TENANTRY_SERVER__WORKERS", WORKERS.to_string());
        command.env("TENANTRY_APPLICATION__MIGRATIONS_DIR", migrations);
        command.env("TENANTRY_LOG__FORMAT", "json");
        // Every bench signs up from one address.
        command.env("TENANTRY_THROTTLE__SIGNUPS_PER_ADDRESS", "1000000");
        command.env("TENANTRY_PLANS__FILE", folder.path().join("plans.toml"));
        command.env("TENANTRY_BOOTSTRAP_OPERATOR_KEY", OPERATOR_KEY);
        for (key, value) in settings {
            command.env(format!("TENANTRY_{key}"), value);
        }
        let told = folder.path().join("data/server.addr");
        // One that was killed before leaves its address.
        drop(std::fs::remove_file(&told));
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        let address = loop {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status} instead of listening");
            }
            match std::fs::read_to_string(&told).ok().and_then(|text| text.parse().ok()) {
                Some(address) => break address,
                None => assert!(began.elapsed() < Duration::from_secs(60), "the server does not listen"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        Self { child, folder, address }
    }

    /// A connection of the operator's.
    pub fn operator(&self) -> Http {
        Http::connect(self.address, Some(OPERATOR_KEY))
    }

    /// A connection of nobody's.
    pub fn nobody(&self) -> Http {
        Http::connect(self.address, None)
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Ends it and answers the folder.
    pub fn stop(mut self) -> tempfile::TempDir {
        drop(self.child.kill());
        drop(self.child.wait());
        std::mem::replace(&mut self.folder, Self::folder_for_one())
    }

    /// The folder it was started in.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
