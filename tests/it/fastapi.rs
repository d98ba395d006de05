//! The example service in FastAPI, by its own tests: against the real program, PostgreSQL and NATS.

use std::process::{Command, Stdio};

use crate::world::nats::Nats;
use crate::world::postgres::Pg;
use crate::world::server::{OPERATOR_KEY, Starting, roomy_plans};

const SERVICE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/fastapi-service");

/// What the service counts.
const METER: &str = "\n[meters.note_requests]\naggregation = \"count\"\nevent_type = \"api.request\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_service_keeps_what_it_promises() {
    let got = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fastapi"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(got.status.success(), "scripts/fastapi gets what the service runs with; it says what it lacks");
    let python = format!("{}/python", String::from_utf8(got.stdout).unwrap().trim());
    let nats = Nats::start();
    let database = Pg::newest().fresh_database();
    let shipped = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/plans.toml")).unwrap();
    let server = Starting::new()
        .on_postgres(&database.url, "shared")
        .file("notes-plans.toml", &(roomy_plans(&shipped) + METER))
        .set("PLANS__FILE", "notes-plans.toml")
        .set("BROKER__NATS__URL", nats.url())
        .start();
    let told = tokio::process::Command::new("python3")
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider"])
        .current_dir(SERVICE)
        .env("PYTHONPATH", format!("{python}:{SERVICE}"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .env("NOTES_TEST_CONTROL_URL", &server.url)
        .env("NOTES_TEST_OPERATOR_KEY", OPERATOR_KEY)
        .env("NOTES_TEST_NATS_URL", nats.url())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success(), "{said}\n{}", String::from_utf8_lossy(&told.stderr));
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}
