//! The config as an operator meets it: files, environment, mistakes, and where values came from.

use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::master_key::MasterKeySource;
use crate::config::report;
use crate::kernel::isolation::Isolation;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Loads `tenantry.toml` with this text and this environment, in a directory of its own.
pub fn load(toml: &str, env: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tenantry.toml"), toml).unwrap();
    super::load(&inputs(dir.path().to_path_buf(), env))
}

fn inputs(dir: PathBuf, env: &[(&str, &str)]) -> Inputs {
    Inputs { dir, files: None, env: Environment::new(env.iter().copied()) }
}

/// The problems, one per line.
fn refused(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    load(toml, env).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn without_a_file_the_defaults_serve() {
    let loaded = load("", &[]).unwrap();
    let it = &loaded.settings;
    assert_eq!(it.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(it.server.public_url("127.0.0.1:4711".parse().unwrap()), "http://127.0.0.1:4711");
    assert_eq!(it.store.url.sqlite_path(), Some(PathBuf::from("data/control.db")));
    assert_eq!(it.tenancy.isolation, Isolation::Database);
    assert_eq!(it.tenancy.delete_grace, Duration::from_secs(7 * 86_400));
    assert_eq!(it.tenancy.region, None);
    assert_eq!(it.tenancy.stock.of(Isolation::Schema), 4);
    assert_eq!(it.clusters.keys().collect::<Vec<_>>(), ["main"]);
    assert_eq!(it.clusters["main"].connect_timeout, Duration::from_secs(5));
    assert_eq!(it.data_door.max_bytes, 4 * 1024 * 1024);
    assert!(it.server.worker_count() >= 1);
    assert!(
        matches!(&it.secrets.master_key, MasterKeySource::Made(path) if path == &PathBuf::from("data/master.key"))
    );
    assert!(loaded.entries.iter().all(|entry| !entry.source.is_operators()));
}

#[test]
fn what_lives_in_the_data_dir_follows_it_unless_set() {
    let loaded = load("data_dir = \"/srv/x\"\n[store]\nurl = \"sqlite://elsewhere.db\"", &[]).unwrap();
    let it = &loaded.settings;
    assert_eq!(it.store.url.expose(), "sqlite://elsewhere.db");
    assert_eq!(it.clusters["main"].url.expose(), "sqlite:///srv/x/tenants");
    assert!(
        matches!(&it.secrets.master_key, MasterKeySource::Made(path) if path == &PathBuf::from("/srv/x/master.key"))
    );
    assert_eq!(loaded.origin("clusters.main.url").to_string(), "default, follows data_dir");
}

#[test]
fn later_layers_win_and_every_value_knows_its_source() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.toml"), "[server]\nbind = \"127.0.0.1:1\"\nworkers = 2\n").unwrap();
    std::fs::write(dir.path().join("b.toml"), "server.workers = 3\n").unwrap();
    std::fs::write(dir.path().join("tenantry.toml"), "nonsense").unwrap();
    let env = [
        ("TENANTRY_SERVER__BIND", "127.0.0.1:2"),
        ("TENANTRY_TENANCY__RESERVED_SLUGS", "shop, blog"),
        ("TENANTRY_SIGNUP__ENABLED", "false"),
        ("TENANTRY_BOOTSTRAP_OPERATOR_KEY", "x"),
        ("TENANTRY_FAILPOINT", "y"),
        ("TENANTRY_SERVER_URL", "http://127.0.0.1:1"),
        ("TENANTRY_OPERATOR_KEY", "z"),
        ("PATH", "/bin"),
    ];
    let files = Some(vec![PathBuf::from("a.toml"), PathBuf::from("b.toml")]);
    let loaded = super::load(&Inputs { files, ..inputs(dir.path().to_path_buf(), &env) }).unwrap();
    let it = &loaded.settings;
    assert_eq!((it.server.bind.port(), it.server.workers, it.signup.enabled), (2, 3, false));
    assert_eq!(it.tenancy.reserved_slugs, ["shop", "blog"]);
    assert_eq!(loaded.origin("server.workers").to_string(), "b.toml:1:18");
    assert_eq!(loaded.origin("server.bind").to_string(), "environment TENANTRY_SERVER__BIND");
    assert_eq!(loaded.origin("log.level"), Origin::Default);
}

#[test]
fn clusters_come_from_files_and_environment() {
    let toml =
        "[clusters.eu-1]\nurl = \"postgres://o@h/d\"\nregion = \"eu\"\n[tenancy]\ndefault_cluster = \"eu-1\"";
    let env = [("TENANTRY_CLUSTERS__EU_1__WEIGHT", "7"), ("TENANTRY_CLUSTERS__US__URL", "sqlite://us")];
    let it = load(toml, &env).unwrap().settings;
    assert_eq!(it.clusters.keys().collect::<Vec<_>>(), ["eu-1", "us"], "an unused main goes away");
    assert_eq!((it.clusters["eu-1"].weight, it.clusters["us"].max_connections), (7, 50));
    let it = load("", &[("TENANTRY_CLUSTERS__US__URL", "sqlite://us")]).unwrap().settings;
    assert_eq!(it.clusters.keys().collect::<Vec<_>>(), ["main", "us"]);
}

#[test]
fn all_mistakes_come_in_one_go() {
    let toml = r#"[tenancy]
isolaton = "database"
default_cluster = 3
[server]
bind = "localhost"
workers = 9_999
public_url = "ftp://x"
[store]
url = "postgress://u:geheim@h/d"
[signup]
verify_email = 1
[nonsense]
a = 1
[log]
format = "jsn"
[clusters]
"#;
    let env = [
        ("TENANTRY_STORE_URL", "x"),
        ("TENANTRY_AUTH__ACCESS_TOKEN_TTL_S", "1_000"),
        ("TENANTRY_AUTH__PASSWORD_MIN_LENGTH", "ten"),
        ("TENANTRY_SERVER", "x"),
        ("TENANTRY_SERVICE_HOST", "10.0.0.1"),
    ];
    let found = refused(toml, &env);
    let expected = [
        "tenantry.toml:2:1: tenancy.isolaton: unknown key; did you mean tenancy.isolation?",
        "tenantry.toml:3:19: tenancy.default_cluster: is a whole number; give a string that is not empty",
        "tenantry.toml:5:8: server.bind: `localhost` is not an address and a port; give a numeric address and a port, for instance 127.0.0.1:8080",
        "tenantry.toml:6:11: server.workers: 9_999 is out of range; allowed is 0 to 1_024",
        "tenantry.toml:7:14: server.public_url: `ftp` is not http or https; give an http or https URL, for instance https://tenantry.example.com",
        "tenantry.toml:9:7: store.url: `postgress` is no engine of ours; did you mean postgres://?",
        "tenantry.toml:11:16: signup.verify_email: is a whole number; give true or false",
        "tenantry.toml:12:2: nonsense: unknown key; `tenantry config show` lists every key",
        "tenantry.toml:15:10: log.format: `jsn` is not one of the allowed words; did you mean json? Allowed are auto, pretty or json",
        "environment TENANTRY_AUTH__ACCESS_TOKEN_TTL_S: auth.access_token_ttl_s: 1_000 is out of range; allowed is 60 to 900",
        "environment TENANTRY_AUTH__PASSWORD_MIN_LENGTH: auth.password_min_length: `ten` is not a whole number; give a whole number from 8 to 128",
        "environment TENANTRY_SERVER: server: unknown key; name one of its keys: TENANTRY_SERVER__…",
        "environment TENANTRY_SERVICE_HOST: service_host: unknown key; unset it: every variable that begins with TENANTRY_ must be a key",
        "environment TENANTRY_STORE_URL: store_url: unknown key; did you mean TENANTRY_STORE__URL?",
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_missing_file_and_a_broken_one_are_told_together() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("broken.toml"), "[server\nbind = 1").unwrap();
    std::fs::write(dir.path().join("latin.toml"), b"a = 1\nb = \"\xe9\"").unwrap();
    let files = ["absent.toml", "broken.toml", "latin.toml"].map(PathBuf::from).to_vec();
    let inputs = Inputs { files: Some(files), ..inputs(dir.path().to_path_buf(), &[("TENANTRY_X", "1")]) };
    let found: Vec<String> = super::load(&inputs).unwrap_err().0.iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].starts_with("absent.toml: cannot be read: no such file"), "{}", found[0]);
    assert!(found[1].starts_with("broken.toml:1:8: not valid TOML: "), "{}", found[1]);
    assert_eq!(found[2], "latin.toml:2:6: not UTF-8 text; save the file as UTF-8");
}

#[test]
fn a_model_that_sqlite_cannot_keep_is_refused_with_the_way_out() {
    for model in ["shared", "schema"] {
        let found = refused(&format!("[tenancy]\nisolation = \"{model}\""), &[]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with(&format!("tenantry.toml:2:13: tenancy.isolation: the model {model} cannot"))
        );
        assert!(found[0].contains("SQLite has no roles") && found[0].contains("use database, or give"));
        let env =
            [("TENANTRY_CLUSTERS__MAIN__URL", "postgres://o@h/d"), ("TENANTRY_TENANCY__ISOLATION", model)];
        assert_eq!(load("", &env).unwrap().settings.tenancy.isolation.word(), model);
    }
}

#[test]
fn clusters_are_checked() {
    for (toml, expected) in [
        ("[clusters.eu]\nweight = 1", "1:11: clusters.eu.url: is missing"),
        (
            "[tenancy]\ndefault_cluster = \"mian\"\n[clusters.main]\nweight = 1",
            "2:19: tenancy.default_cluster: there is no cluster mian; did you mean main?",
        ),
        (
            "[tenancy]\ndefault_cluster = \"eu\"",
            "2:19: tenancy.default_cluster: there is no cluster eu; add a section [clusters.eu]",
        ),
        ("[clusters.\"E U\"]\nurl = \"x\"", "clusters.E U: cannot be a cluster's name"),
        (
            "[clusters.a-b]\nurl = \"sqlite://x\"\n[clusters.a_b]\nurl = \"sqlite://y\"",
            "clusters.a_b: cannot be told from the cluster a-b",
        ),
        (
            "clusters.main = \"sqlite://x\"",
            "1:17: clusters.main: is a section, not a value; write its keys under [clusters.main]",
        ),
        (
            "[clusters.eu]\nurl = \"x\"\n[tenancy]\ndefault_cluster = \"eu\"",
            "2:7: clusters.eu.url: is not a database URL",
        ),
        ("\"server.bind\" = \"x\"", "1:1: server.bind: unknown key"),
        (
            "[operations]\nbackoff_initial_ms = 60_000\nbackoff_max_s = 1",
            "2:22: operations.backoff_initial_ms: the first wait",
        ),
        (
            "[application]\nmigrations_dir = \"absent\"",
            "2:18: application.migrations_dir: there is no directory absent",
        ),
        ("[tenancy]\nreserved_slugs = [\"Ab\"]", "2:18: tenancy.reserved_slugs: `Ab` can never be a slug"),
        ("[tenancy]\nreserved_slugs = [\"ab\", 1]", "2:25: tenancy.reserved_slugs: holds a whole number"),
        ("[server]\nbind = 1979-05-27", "2:8: server.bind: is a date or time"),
        ("data_dir = \"\"", "1:12: data_dir: is empty"),
    ] {
        let found = refused(toml, &[]);
        assert_eq!(found.len(), 1, "{toml}: {found:#?}");
        assert!(found[0].contains(expected), "{toml}: {found:#?}");
    }
}

#[test]
fn secrets_are_taken_by_reference_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("old.key");
    std::fs::write(&key_file, format!("{KEY}\n")).unwrap();
    let toml = format!(
        "[store]\nurl = \"env:STORE\"\n[secrets]\nmaster_key = \"env:TENANTRY_MK\"\nprevious_master_keys = [\"file:{}\"]",
        key_file.display()
    );
    let env = [
        ("STORE", "postgres://u:geheim@h/d"),
        ("TENANTRY_MK", KEY),
        ("TENANTRY_CLUSTERS__MAIN__URL", "postgres://o:geheim@h/d"),
    ];
    let loaded = load(&toml, &env).unwrap();
    assert_eq!(loaded.settings.store.url.expose(), "postgres://u:geheim@h/d");
    assert!(
        matches!(&loaded.settings.secrets.master_key, MasterKeySource::Given(key) if key.expose()[1] == 1)
    );
    assert_eq!(loaded.settings.secrets.previous_master_keys.len(), 1);
    let entry = loaded.entry("store.url").unwrap();
    assert_eq!(
        (entry.value.as_str(), entry.via.as_deref()),
        (Some("postgres://u:***@h/d"), Some("env:STORE"))
    );
    let shown = format!("{loaded:?}{}{}", report::show(&loaded, false), report::show(&loaded, true));
    assert!(!shown.contains("geheim") && !shown.contains("AAECAwQ"), "{shown}");
}

#[test]
fn bad_secrets_are_named_but_not_quoted() {
    let toml = "[secrets]\nmaster_key = \"geheim\"\nprevious_master_keys = [\"env:ABSENT\"]\n[store]\nurl = \"file:absent\"\n[clusters.main]\nurl = \"env:BAD\"";
    let found =
        refused(toml, &[("BAD", "geheim"), ("TENANTRY_CLUSTERS__US__URL", "postgres://u:geheim@h:x/d")]);
    assert_eq!(found.len(), 5, "{found:#?}");
    assert!(found[0].contains("secrets.master_key: is not base64") || found[0].contains("instead of 32"));
    assert!(found[1].contains("the environment variable ABSENT is not set"));
    assert!(found[2].contains("the file absent cannot be read: no such file"));
    assert!(found[3].contains("what env:BAD holds: is not a database URL"));
    assert!(found.iter().all(|line| !line.contains("geheim")), "{found:#?}");
}

#[test]
fn check_warns_of_unverified_mail_and_says_ok() {
    let loaded = load("", &[]).unwrap();
    let check = report::check(Ok(&loaded));
    assert!(check.ok && check.text(false).ends_with("ok"));
    assert!(check.warnings.iter().any(|it| it.key == "signup.verify_email"), "{:?}", check.warnings);
    let problems = load("x = 1\ny = 2", &[]).unwrap_err();
    let check = report::check(Err(&problems));
    assert!(!check.ok && check.text(false).contains("error: tenantry.toml:1:1: x: unknown key"));
    let json: serde_json::Value = serde_json::from_str(&check.text(true)).unwrap();
    assert_eq!(json["problems"][1]["origin"]["line"], 2);
}

#[test]
fn show_lists_every_key_with_its_source() {
    let loaded = load("[server]\nworkers = 2", &[]).unwrap();
    let table = report::show(&loaded, false);
    let row = table.lines().find(|line| line.starts_with("server.workers")).unwrap();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["server.workers", "2", "tenantry.toml:2"]);
    assert_eq!(loaded.entries.len(), keys::KEYS.len());
    let json: serde_json::Value = serde_json::from_str(&report::show(&loaded, true)).unwrap();
    assert_eq!(json["data"][0]["key"], "data_dir");
    assert_eq!(json["data"][0]["source"]["kind"], "default");
}

#[test]
fn diff_tells_what_an_edit_would_change() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("a.toml", "[store]\nurl = \"postgres://u:one@h/d\"\n[server]\nworkers = 1");
    write("b.toml", "[store]\nurl = \"postgres://u:two@h/d\"\n[clusters.eu]\nurl = \"sqlite://eu\"");
    let inputs = inputs(dir.path().to_path_buf(), &[("TENANTRY_SERVER__WORKERS", "9")]);
    let changes = report::diff(&inputs, Some("a.toml".into()), "b.toml".into()).unwrap();
    let keys: Vec<&str> = changes.iter().map(|change| change.key.as_str()).collect();
    assert_eq!(keys.first(), Some(&"clusters.eu.accepts_new"));
    assert!(keys.contains(&"server.workers") && keys.contains(&"store.url"));
    let text = report::changes_text(&changes, false);
    assert!(text.contains("another secret") && !text.contains("one") && !text.contains("two@"), "{text}");
    let same = report::diff(&inputs, Some("a.toml".into()), "a.toml".into()).unwrap();
    assert_eq!(report::changes_text(&same, false), "no difference");
    assert_eq!(report::diff(&inputs, None, "a.toml".into()).unwrap().len(), 2);
    assert!(report::diff(&inputs, None, "absent.toml".into()).is_err());
}

#[test]
fn the_example_for_production_is_good() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("migrations")).unwrap();
    std::fs::write(dir.path().join("plans.toml"), crate::catalog::plans_file::DEFAULT_PLANS).unwrap();
    std::fs::write(dir.path().join("tenantry.toml"), include_str!("../../config/production.toml")).unwrap();
    let env = [
        ("MASTER_KEY", KEY),
        ("STORE_URL", "postgres://tenantry:pw@store.internal/tenantry"),
        ("SMTP_URL", "smtps://tenantry:pw@smtp.internal"),
        ("TENANTS_URL", "postgres://owner:pw@tenants.internal/postgres"),
    ];
    let opened = crate::catalog::open(&inputs(dir.path().to_path_buf(), &env)).unwrap();
    assert_eq!(opened.loaded.settings.store.url.engine(), Engine::Postgres);
    assert_eq!(opened.loaded.settings.server.public_url.as_deref(), Some("https://tenantry.example.com"));
    let missing = crate::catalog::open(&inputs(dir.path().to_path_buf(), &[])).unwrap_err();
    assert_eq!(missing.0.len(), 4, "{missing}");
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]
    #[test]
    fn no_text_and_no_environment_panics(
        toml in r#"((\[(server|clusters|clusters\.[a-z-]{1,3}|tenancy\.stock|store)\]|(bind|url|weight|shared|workers|data_dir)( = |\.)("[a-z:/@.]{0,12}"|[0-9-]{1,4}|\[\]|\{ \}|true))\n){0,6}"#,
        name in "TENANTRY_[A-Z_a-z]{0,20}",
        value in ".{0,20}",
    ) {
        let env = [(name.as_str(), value.as_str()), ("TENANTRY_STORE__URL", value.as_str()), ("TENANTRY_TENANCY__RESERVED_SLUGS", value.as_str())];
        let shown = load(&toml, &env).map(|loaded| report::show(&loaded, false));
        let _ = shown.map_err(|problems| problems.to_string());
    }
}
