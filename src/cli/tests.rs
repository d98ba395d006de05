//! The command line as an operator meets it.

use std::path::Path;

use clap::{CommandFactory as _, Parser as _};
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::args::{Cli, Command, Remote};
use super::failure::Failure;
use super::out::{Out, Paint};
use super::table::{Table, facts};
use super::tenant::{TenantArgs, TenantCommand};
use super::views::{Operation, Refusal};
use super::{follow, serve, target, words};
use crate::config::{Environment, Inputs, load};

fn parsed(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("tenantry").chain(line.split_whitespace()))
}

fn inputs(dir: &Path, toml: &str, env: &[(&str, &str)]) -> Inputs {
    std::fs::write(dir.join("tenantry.toml"), toml).unwrap();
    Inputs { dir: dir.to_path_buf(), files: None, env: Environment::new(env.iter().copied()) }
}

#[test]
fn the_tree_of_commands_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_and_option_says_what_it_is_for() {
    fn check(command: &clap::Command, path: &str) {
        assert!(command.get_about().is_some(), "{path} has no purpose");
        for arg in command.get_arguments() {
            assert!(arg.get_help().is_some(), "{path} {} has no help", arg.get_id());
        }
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            check(inner, &format!("{path} {}", inner.get_name()));
        }
    }
    check(&Cli::command(), "tenantry");
}

#[test]
fn without_a_command_it_serves_and_options_of_every_command_stand_anywhere() {
    assert!(parsed("").unwrap().command.is_none());
    let cli = parsed("--config a.toml --config b.toml").unwrap();
    assert_eq!(cli.global.config.len(), 2);
    let cli = parsed("tenant list --json --server http://127.0.0.1:1 --limit 3").unwrap();
    assert!(cli.global.json);
    let Some(Command::Tenant(TenantArgs { command: TenantCommand::List(_), remote })) = cli.command else {
        panic!("another command");
    };
    assert_eq!(remote.server.as_deref(), Some("http://127.0.0.1:1"));
}

#[test]
fn a_wrong_command_line_is_refused_with_exit_code_2() {
    for line in [
        "tenant lst",
        "tenant list --state gone",
        "tenant list --limit 0",
        "tenant list --limit 5 --all",
        "tenant create",
        "operator create --name a --role king",
        "service-key create --name a",
        "service-key create --name a --scope data:read",
        "service-key create --name a --scope keys:verify --expires-at soon",
        "service-key rotate key_1",
        "service-key rotate key_1 --overlap-s 2592001",
        "service-key create --name a --scope keys:verify --burst 3",
        "service-key create --name a --scope keys:verify --note x",
        "operator change key_1",
        "api-key create --tenant a --name b --scope keys:verify",
        "tenant delete acme --grace-s 31536001",
        "tenant list --operator-key secret",
        "config diff",
        "config diff a b c",
    ] {
        assert_eq!(parsed(line).unwrap_err().exit_code(), 2, "{line}");
    }
    assert_eq!(parsed("--help").unwrap_err().exit_code(), 0);
}

#[test]
fn columns_line_up_and_names_cannot_steer_the_terminal() {
    let rows = [["a", "active", "x"], ["Österreich", "suspended", ""], ["\u{1b}[2J\n", "", "y"]];
    let table = Table::new(["NAME", "STATE", "ID"], rows.map(|row| row.map(str::to_owned)));
    assert_eq!(
        table.text(Paint::NONE),
        "NAME            STATE      ID\n\
         a               active     x\n\
         Österreich      suspended\n\
         \\u{1b}[2J\\u{a}             y"
    );
    let about = [("slug", Some("acme".to_owned())), ("reason", None), ("created", Some("x".to_owned()))];
    assert_eq!(facts(&about, Paint::NONE), "slug     acme\ncreated  x");
}

#[test]
fn moments_and_waits_read_well() {
    assert_eq!(words::moment("2026-11-23T07:43:12.123456Z"), "2026-11-23 07:43 UTC");
    assert_eq!(words::moment_or_dash(None), "-");
    let wait = |seconds| words::wait(std::time::Duration::from_secs(seconds));
    assert_eq!([wait(4), wait(720), wait(10_800), wait(604_800)], ["4 s", "12 min", "3 h", "7 d"]);
    assert_eq!(words::parse_moment("2027-01-31").unwrap(), "2027-01-31T00:00:00Z");
    assert_eq!(words::parse_moment("2027-01-31T09:00:00+01:00").unwrap(), "2027-01-31T08:00:00Z");
    assert!(words::parse_moment("soon").is_err());
}

#[test]
fn a_refusal_tells_every_bad_field_and_the_requests_id() {
    let raw = json!({
        "type": "/problems/validation_failed", "title": "Unprocessable Entity", "status": 422,
        "detail": "the request has 2 invalid field(s)", "code": "validation_failed", "request_id": "r-1",
        "errors": [
            { "pointer": "/slug", "detail": "must have at most 60 characters" },
            { "pointer": "/plan", "detail": "there is no plan `gold`" }
        ]
    });
    let refusal = Refusal { status: 422, raw, hint: String::new() };
    assert_eq!(
        refusal.text(),
        "the request has 2 invalid field(s)\n\
         422 Unprocessable Entity (validation_failed)\n\
         /slug: must have at most 60 characters\n\
         /plan: there is no plan `gold`\n\
         request id: r-1"
    );
}

#[test]
fn the_server_is_found_by_option_environment_announcement_and_config_in_this_order() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/operator.key"), "tnt_opr_x\n").unwrap();
    let found = |remote: &Remote, toml: &str, env: &[(&str, &str)]| {
        let target = target::find(remote, &inputs(dir.path(), toml, env)).unwrap();
        (target.server.value.to_string(), target.key.value.expose_secret().to_owned())
    };
    let here = Remote::default();
    let key = |url: &str| (url.to_owned(), "tnt_opr_x".to_owned());
    assert_eq!(found(&here, "server.bind = '0.0.0.0:81'", &[]), key("http://127.0.0.1:81/"));
    let public = "server.public_url = 'https://ops.example.com/t'";
    assert_eq!(found(&here, public, &[]), key("https://ops.example.com/t"));
    std::fs::write(dir.path().join("data/server.addr"), "[::]:4711\n").unwrap();
    assert_eq!(found(&here, public, &[]), key("http://[::1]:4711/"));
    let env = [("TENANTRY_SERVER_URL", "http://a:1"), ("TENANTRY_OPERATOR_KEY", "tnt_opr_y")];
    assert_eq!(found(&here, "this is never read", &env), ("http://a:1/".to_owned(), "tnt_opr_y".to_owned()));
    std::fs::write(dir.path().join("z"), "tnt_opr_z").unwrap();
    let named =
        Remote { server: Some("http://b:2".to_owned()), operator_key_file: Some(dir.path().join("z")) };
    assert_eq!(found(&named, "", &env), ("http://b:2/".to_owned(), "tnt_opr_z".to_owned()));
}

#[test]
fn without_a_key_or_with_a_bad_address_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let find = |toml: &str, env: &[(&str, &str)]| {
        target::find(&Remote::default(), &inputs(dir.path(), toml, env)).unwrap_err()
    };
    let Failure::Failed(text) = find("", &[]) else { panic!("another failure") };
    assert!(text.contains("operator.key: no such file") && text.contains("--operator-key-file"), "{text}");
    assert!(matches!(find("", &[("TENANTRY_OPERATOR_KEY", "two words")]), Failure::Failed(_)));
    let key = ("TENANTRY_OPERATOR_KEY", "x");
    for url in ["localhost:8080", "ftp://a", "http://u:p@a", "http://a?b", "nonsense"] {
        assert!(matches!(find("", &[key, ("TENANTRY_SERVER_URL", url)]), Failure::Usage(_)), "{url}");
    }
    assert!(matches!(find("servr.bind = 1", &[key]), Failure::Config(_)));
}

#[test]
fn the_first_operator_key_may_come_from_the_environment() {
    let first = |value: &str| {
        let key = serve::first_key(&Environment::new([("TENANTRY_BOOTSTRAP_OPERATOR_KEY", value)]));
        key.map(|key| key.map(|key| key.expose_secret().to_owned()))
    };
    assert_eq!(first(" s3cret\n").unwrap().as_deref(), Some("s3cret"));
    assert_eq!(first("").unwrap(), None);
    assert!(matches!(first("two words"), Err(Failure::Usage(_))));
}

#[test]
fn a_health_check_asks_the_own_server_never_the_public_one() {
    let dir = tempfile::tempdir().unwrap();
    let own = |toml: &str| {
        let inputs = inputs(dir.path(), toml, &[]);
        target::own_server(&load(&inputs).unwrap().settings, &inputs)
    };
    let public = "server.public_url = 'https://x.example'\nserver.bind = '[::]:82'";
    assert_eq!(own(public).unwrap().value.as_str(), "http://[::1]:82/");
    assert!(own("server.bind = '127.0.0.1:0'").is_err());
    std::fs::create_dir(dir.path().join("data")).unwrap();
    std::fs::write(dir.path().join("data/server.addr"), "0.0.0.0:4711").unwrap();
    assert_eq!(own("server.bind = '0.0.0.0:0'").unwrap().value.as_str(), "http://127.0.0.1:4711/");
}

#[test]
fn an_operation_shows_its_steps_their_reasons_and_the_next_try() {
    let operation = |state: &str| -> Operation {
        serde_json::from_value(json!({
            "id": "op_1", "kind": "tenant.onboard", "tenant_id": "tenant_1", "state": state, "attempt": 2,
            "error": "no route to host", "next_attempt_at": "2026-11-23T07:43:12Z", "input": 1,
            "created_at": "2026-11-23T07:43:00Z", "finished_at": null,
            "steps": [
                { "name": "choose a cluster", "state": "succeeded", "attempt": 1, "error": null },
                { "name": "make the database", "state": "failed", "attempt": 2, "error": "no route to host" },
                { "name": "apply migrations", "state": "pending", "attempt": 0, "error": null }
            ]
        }))
        .unwrap()
    };
    let wait = Some(std::time::Duration::from_secs(4));
    let lines = follow::lines(&operation("pending"), wait, Paint::NONE);
    assert_eq!(
        lines,
        [
            "tenant.onboard op_1: pending",
            "  ✓ choose a cluster",
            "  ✗ make the database: no route to host (attempt 2, next in 4 s)",
            "  · apply migrations",
        ]
    );
    let failed = operation("failed");
    assert!(follow::lines(&failed, None, Paint::NONE)[2].ends_with("(given up after attempt 2)"));
    let out = Out { json: false, out: Paint::NONE, err: Paint::NONE, live: false, asks: false };
    let Err(Failure::Failed(text)) = follow::verdict(&out, &failed) else { panic!("another verdict") };
    assert!(text.contains("no route to host") && text.contains("tenantry operation retry op_1"), "{text}");
    assert!(matches!(follow::verdict(&Out { json: true, ..out }, &failed), Err(Failure::Told(1))));
}
