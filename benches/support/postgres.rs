//! A throw-away PostgreSQL that keeps what it promises: unlike the tests' clusters it waits for the disk.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A running cluster; removed on drop.
pub struct Postgres {
    dir: PathBuf,
    url: String,
    /// Its version, in its own words.
    pub version: String,
}

fn script(arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres");
    let output = Command::new(path).args(arguments).stdin(Stdio::null()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "scripts/postgres {arguments:?} failed:\n{complaint}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Postgres {
    /// Starts one with `fsync`, `full_page_writes` and autovacuum on.
    pub fn start() -> Self {
        let me = std::process::id().to_string();
        let dir = std::env::temp_dir().join(format!("tenantry-bench-pg-{me}"));
        let text = dir.to_str().unwrap();
        let url = script(&["start", text, "--pid", &me]);
        for setting in ["fsync = on", "full_page_writes = on", "autovacuum = on", "synchronous_commit = on"] {
            script(&["psql", "--superuser", text, "-qc", &format!("ALTER SYSTEM SET {setting}")]);
        }
        script(&["psql", "--superuser", text, "-qc", "SELECT pg_reload_conf()"]);
        std::thread::sleep(std::time::Duration::from_millis(500));
        let durable = script(&["psql", text, "-Atc", "SHOW fsync"]);
        assert_eq!(durable, "on");
        let version = script(&["psql", text, "-Atc", "SHOW server_version"]);
        Self { dir, url, version }
    }

    /// Makes a database; the URL of its owner, who may make roles and databases.
    pub fn database(&self, name: &str) -> String {
        let dir = self.dir.to_str().unwrap();
        script(&["psql", dir, "-qc", &format!("CREATE DATABASE {name}")]);
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }

    /// Lets roles have any number of sessions: floors sign in as tenants beside our own server.
    pub fn lift_connection_limits(&self) {
        let lift = "DO $$ DECLARE held name; BEGIN \
                    FOR held IN SELECT rolname FROM pg_roles WHERE rolconnlimit >= 0 LOOP \
                    EXECUTE format('ALTER ROLE %I CONNECTION LIMIT -1', held); END LOOP; END $$";
        script(&["psql", "--superuser", self.dir.to_str().unwrap(), "-qc", lift]);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres"))
                .args(["remove", self.dir.to_str().unwrap()])
                .status(),
        );
    }
}
