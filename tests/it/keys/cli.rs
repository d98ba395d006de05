//! Keys on the command line, from making one to its end.

use std::process::Command;

use serde_json::Value;

use crate::world::server::{OPERATOR_KEY, Server};

/// What a command says on stdout and on stderr, and whether it was done.
fn run(server: &Server, line: &str) -> (String, String, bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(line.split_whitespace()).env_clear().current_dir(server.data_dir());
    command.env("TENANTRY_SERVER_URL", &server.url).env("TENANTRY_OPERATOR_KEY", OPERATOR_KEY);
    let done = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(done.stdout), text(done.stderr), done.status.success())
}

#[track_caller]
fn json(server: &Server, line: &str) -> Value {
    let (out, err, done) = run(server, &format!("{line} --json"));
    assert!(done, "{line}: {err}");
    serde_json::from_str(&out).unwrap()
}

#[track_caller]
fn says(server: &Server, line: &str, parts: &[&str]) {
    let (out, err, done) = run(server, line);
    assert!(done, "{line}: {err}");
    parts.iter().for_each(|part| assert!(out.contains(part), "{line}: no {part} in\n{out}"));
}

fn id(key: &Value) -> String {
    key["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_made_looked_at_rotated_stopped_and_ended() {
    let server = Server::embedded();
    let acme = server.settle("Acme").await;

    let (key, told, done) =
        run(&server, "service-key create --name gateway --scope keys:verify,routes:read --note host=a");
    assert!(done && key.starts_with("tnt_svc_") && key.lines().count() == 1, "the key alone: {key}");
    assert!(
        told.contains("Made the service key gateway") && told.contains("keys:verify, routes:read"),
        "{told}"
    );
    let list = json(&server, "service-key list --state active --search gate");
    let gateway = id(&list["data"][0]);
    assert_eq!(list["data"][0]["metadata"]["host"], "a");
    says(&server, "service-key list", &["LAST USED", "gateway", "active", &gateway]);
    says(
        &server,
        &format!("service-key show {gateway}"),
        &["keys:verify, routes:read", "host=a", "last used"],
    );
    says(&server, &format!("service-key disable {gateway}"), &["Switched off", &gateway]);
    says(&server, "service-key list", &["disabled"]);
    says(&server, &format!("service-key enable {gateway}"), &["Switched on"]);
    let (next, told, done) = run(&server, &format!("service-key rotate {gateway} --overlap-s 60"));
    assert!(
        done && next.starts_with("tnt_svc_") && next != key && told.contains(&format!("{gateway} ends at")),
        "{told}"
    );
    let (_, told, done) = run(&server, &format!("service-key rotate {gateway} --overlap-s 60"));
    assert!(!done && told.contains("already_rotated"), "{told}");
    says(&server, &format!("service-key revoke {gateway}"), &["Revoked", "refused from now on"]);
    let who = server.with(next.trim());
    who.get("/v1/routes/acme").await.expect(200);

    let ada = json(&server, "operator create --name ada --role viewer");
    says(&server, &format!("operator change {} --role support", id(&ada)), &["Changed"]);
    says(&server, "operator list --search ada", &["ROLE", "support"]);
    let next = json(&server, &format!("operator rotate {} --overlap-s 0", id(&ada)));
    assert_eq!((&next["role"], &next["replaces"]), (&"support".into(), &ada["id"]));

    let made = json(
        &server,
        "api-key create --tenant acme --name importer --scope data:write --environment test --requests-per-s 5 --burst 9",
    );
    assert_eq!((&made["tenant_id"], &made["rate_limit"]["burst"]), (&acme.id.clone().into(), &9.into()));
    says(&server, &format!("api-key show --tenant acme {}", id(&made)), &["test", "5 a second, 9 at once"]);
    says(&server, &format!("api-key disable --tenant {} {}", acme.id, id(&made)), &["Switched off"]);
    assert_eq!(json(&server, "api-key list --tenant acme --state disabled")["data"][0]["id"], made["id"]);
    says(&server, &format!("api-key revoke --tenant acme {}", id(&made)), &["Revoked"]);
    let (_, told, done) = run(&server, "api-key list");
    assert!(!done && told.contains("--tenant"), "{told}");
    let (_, told, done) = run(&server, "api-key list --tenant nobody");
    assert!(!done && told.contains("not_found"), "{told}");
}
