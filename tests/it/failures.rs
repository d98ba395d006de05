//! What it stands on fails: clusters and stores go away and come back, migrations are wrong, files and keys
//! are not what they should be. It says so in plain words, waits, and goes on by itself.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tenantry::placement::{self, steps_run};
use tenantry::server::doctor;

use crate::world::broken_migrations;
use crate::world::doctor::{all_is_well, inventory, parts};
use crate::world::postgres::{OwnCluster, Pg, TestDatabase};
use crate::world::server::{Answer, OPERATOR_KEY, PASSWORD, Server, Starting, eventually, wait_for};
use crate::{in_every_model, on_each_engine};

/// A server whose tenants are on a cluster that the test may stop; its store is elsewhere.
struct Apart {
    server: Server,
    _store: TestDatabase,
    place: TestDatabase,
    cluster: OwnCluster,
}

fn apart(isolation: &str, settings: impl FnOnce(Starting) -> Starting) -> Apart {
    let cluster = Pg::newest().alone();
    let (store, place) = (Pg::newest().fresh_database(), cluster.fresh_database());
    let starting = Starting::new()
        .without_stock()
        .set("STORE__URL", &store.url)
        .set("CLUSTERS__MAIN__URL", &place.url)
        .set("CLUSTERS__MAIN__CONNECT_TIMEOUT_MS", 1_000)
        .set("TENANCY__ISOLATION", isolation);
    Apart { server: settings(starting).start(), _store: store, place, cluster }
}

async fn sign_up(server: &Server, name: &str) -> (String, String) {
    let email = format!("owner@{}.example", name.to_lowercase());
    let body = json!({ "organization": name, "email": email, "password": PASSWORD });
    let signed = server.nobody().post("/v1/signups", body).await.expect(202);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&signed["tenant_id"]), text(&signed["operation"]["id"]))
}

async fn operation(server: &Server, id: &str) -> Value {
    server.operator().get(&format!("/admin/v1/operations/{id}")).await.expect(200)
}

async fn state(server: &Server, id: &str) -> Value {
    server.operator().get(&format!("/admin/v1/tenants/{id}")).await.expect(200)["state"].clone()
}

/// Waits until an operation waits for its next try, or stands failed; answers it.
async fn until_it_fails(server: &Server, id: &str, as_what: &str) -> Value {
    eventually("the operation to fail", || async {
        let found = operation(server, id).await;
        (found["state"] == as_what && found["error"].is_string()).then_some(found)
    })
    .await
}

async fn delete(server: &Server, id: &str) {
    let deletion = server.operator().delete(&format!("/admin/v1/tenants/{id}")).await.expect(202);
    server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    assert_eq!(state(server, id).await, "deleted");
}

async fn retry(server: &Server, id: &str) -> Answer {
    server.operator().post(&format!("/admin/v1/operations/{id}/retry"), json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signup_while_the_tenants_cluster_is_down_waits_and_completes_by_itself() {
    let world = apart("schema", |starting| starting);
    let (server, cluster) = (&world.server, &world.cluster);
    cluster.stop();
    let (tenant, onboarding) = sign_up(server, "Acme").await;
    let waiting = until_it_fails(server, &onboarding, "pending").await;
    let reason = waiting["error"].as_str().unwrap();
    assert!(reason.contains("cluster `main` cannot be reached"), "{reason}");
    assert!(waiting["next_attempt_at"].is_string(), "{waiting:#}");
    assert_eq!(state(server, &tenant).await, "provisioning");
    let seen = server.nobody().get(&format!("/v1/operations/{onboarding}")).await.expect(200);
    assert!(!seen["error"].as_str().unwrap_or_default().contains("main"), "{seen:#}");
    // Nobody has to wait for the cluster to change one's mind.
    let (unwanted, _) = sign_up(server, "Unwanted").await;
    let path = format!("/admin/v1/tenants/{unwanted}");
    let deletion = server.operator().delete(&path).await.expect(202);
    cluster.restart();
    server.until_done(&onboarding).await;
    assert_eq!(state(server, &tenant).await, "active");
    server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
    server.settle("Globex").await.program.query("SELECT 1", json!([])).await.expect(200);
    assert!(doctor::examine(&parts(server).await).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_is_deleted_from_a_cluster_that_never_saw_it() {
    for isolation in ["shared", "schema", "database"] {
        let world = apart(isolation, |starting| starting);
        world.cluster.stop();
        let (tenant, onboarding) = sign_up(&world.server, "Acme").await;
        until_it_fails(&world.server, &onboarding, "pending").await;
        let path = format!("/admin/v1/tenants/{tenant}");
        let deletion = world.server.operator().delete(&path).await.expect(202);
        // From here on nobody builds, so the cluster comes back as bare as it was.
        world.cluster.restart();
        world.server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
        assert_eq!(state(&world.server, &tenant).await, "deleted");
        all_is_well(&parts(&world.server).await, []).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_makes_a_waiting_operation_go_on_at_once() {
    let world = apart("shared", |starting| {
        starting.set("OPERATIONS__BACKOFF_INITIAL_MS", 60_000).set("OPERATIONS__BACKOFF_MAX_S", 600)
    });
    world.cluster.stop();
    let (tenant, onboarding) = sign_up(&world.server, "Acme").await;
    until_it_fails(&world.server, &onboarding, "pending").await;
    world.cluster.restart();
    assert_eq!(retry(&world.server, &onboarding).await.expect(202)["state"], "pending");
    world.server.until_done(&onboarding).await;
    assert_eq!(state(&world.server, &tenant).await, "active");
    assert_eq!(retry(&world.server, &onboarding).await.problem(409), "operation_succeeded");
}

fn mend(up: &Path) {
    std::fs::write(up, "CREATE INDEX sorted ON notebooks (tenant_id, archived);\n").unwrap();
}

in_every_model! {
    async fn a_migration_that_fails_is_named_to_the_operator_and_mended_by_a_restart(scene) {
        let (folder, up) = broken_migrations();
        let (starting, _database) = scene.starting();
        let directory = folder.path().display().to_string();
        let mut server = starting.without_stock().set("APPLICATION__MIGRATIONS_DIR", directory).start();
        let (tenant, onboarding) = sign_up(&server, "Acme").await;
        let (unwanted, _) = sign_up(&server, "Unwanted").await;
        let waiting = until_it_fails(&server, &onboarding, "pending").await;
        let reason = waiting["error"].as_str().unwrap();
        assert!(reason.contains("0003_broken/up.sql line 3"), "{reason}");
        assert!(reason.contains("no_such_column"), "{reason}");
        assert_eq!(state(&server, &tenant).await, "provisioning");
        let seen = server.nobody().get(&format!("/v1/operations/{onboarding}")).await;
        seen.expect(200);
        assert!(!seen.text.contains("0003_broken") && !seen.text.contains("no_such_column"), "{}", seen.text);
        delete(&server, &unwanted).await;
        mend(&up);
        assert!(server.stop(), "it ended well");
        server.start();
        server.until_done(&onboarding).await;
        assert_eq!(state(&server, &tenant).await, "active");
        all_is_well(&parts(&server).await, [tenant.as_str()]).await;
        server.settle("Globex").await.program.query("SELECT archived FROM notebooks", json!([])).await.expect(200);
    }
}

in_every_model! {
    async fn past_its_budget_an_operation_says_why_and_a_call_makes_it_go_on(scene) {
        let (folder, up) = broken_migrations();
        let (starting, _database) = scene.starting();
        let directory = folder.path().display().to_string();
        let starting = starting.without_stock().set("APPLICATION__MIGRATIONS_DIR", directory);
        let mut server = starting.set("OPERATIONS__MAX_ATTEMPTS", 2).start();
        let (tenant, onboarding) = sign_up(&server, "Acme").await;
        for _ in 0..2 {
            let failed = until_it_fails(&server, &onboarding, "failed").await;
            let reason = failed["error"].as_str().unwrap();
            assert!(reason.contains("0003_broken/up.sql line 3"), "{reason}");
            assert_eq!(failed["attempt"], 2, "{failed:#}");
            assert!(failed["finished_at"].is_string() && failed["next_attempt_at"].is_null(), "{failed:#}");
            let found = doctor::examine(&parts(&server).await).await.unwrap();
            let words = serde_json::to_value(&found).unwrap();
            // Besides it there may be the template that could not be filled.
            let all = words["findings"].as_array().unwrap();
            let told = all.iter().find(|one| one["what"].as_str().unwrap().contains("0003_broken"));
            assert_eq!(told.unwrap()["repairable"], true, "{words:#}");
            assert!(told.unwrap()["where"].as_str().unwrap().contains(&onboarding), "{words:#}");
            retry(&server, &onboarding).await.expect(202);
        }
        until_it_fails(&server, &onboarding, "failed").await;
        mend(&up);
        assert!(server.stop(), "it ended well");
        server.start();
        let app = parts(&server).await;
        let report = doctor::examine(&app).await.unwrap();
        for mended in doctor::repair(&app, &report).await {
            assert_eq!(mended.error, None, "{mended:?}");
        }
        server.until_done(&onboarding).await;
        assert_eq!(state(&server, &tenant).await, "active");
        all_is_well(&app, [tenant.as_str()]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_cut_off_by_its_clusters_end_is_a_clear_problem_and_the_next_one_works() {
    let world = apart("database", |starting| starting.set("DATA_DOOR__STATEMENT_TIMEOUT_MS", 60_000));
    let acme = world.server.settle("Acme").await;
    acme.program.query("INSERT INTO notebooks (name) VALUES ('kept')", json!([])).await.expect(200);
    let program = acme.program.clone();
    let running = tokio::spawn(async move { program.query("SELECT pg_sleep(50)", json!([])).await });
    until_busy(&world.place);
    world.cluster.crash();
    let cut = running.await.unwrap();
    assert_eq!(cut.problem(503), "database_unavailable", "{}", cut.text);
    assert!(cut.header("retry-after").is_some());
    let down = acme.program.query("SELECT name FROM notebooks", json!([])).await;
    assert_eq!(down.problem(503), "database_unavailable", "{}", down.text);
    world.cluster.restart();
    let back = acme.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
    assert_eq!(back["rows"], json!([["kept"]]));
}

/// Waits until a tenant's statement is at work: it alone holds a lock, which everybody may see.
fn until_busy(place: &TestDatabase) {
    let sql = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) \
         WHERE a.usename ^@ 't_' AND l.locktype = 'virtualxid'";
    wait_for(Duration::from_secs(30), "the statement to run", || (place.ask(sql)[0] != "0").then_some(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_restarts_under_load_is_a_clear_problem_and_then_none() {
    let own = Pg::newest().alone();
    let database = own.fresh_database();
    let server = Starting::new().without_stock().on_postgres(&database.url, "schema").start();
    server.settle("Acme").await;
    let stop = tokio_util::sync::CancellationToken::new();
    let load: Vec<_> = (0..8)
        .map(|number: usize| {
            let (operator, nobody, stop) = (server.operator(), server.nobody(), stop.clone());
            tokio::spawn(async move {
                let (mut answers, mut count) = (Vec::new(), 0);
                while !stop.is_cancelled() {
                    count += 1;
                    let answer = if number == 0 {
                        let email = format!("owner{count}@load.example");
                        let body = json!({ "organization": "Load", "email": email, "password": PASSWORD });
                        nobody.post("/v1/signups", body).await
                    } else {
                        operator.get("/admin/v1/tenants?limit=1").await
                    };
                    answers.push((number, answer));
                }
                answers
            })
        })
        .collect();
    own.crash();
    let operator = server.operator();
    let away = eventually("a request to feel it", || async {
        let answer = operator.get("/admin/v1/tenants?limit=1").await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(away.problem(503), "store_unavailable");
    own.restart();
    eventually("the store to be used again", || async {
        (operator.get("/admin/v1/tenants?limit=1").await.status == 200).then_some(())
    })
    .await;
    stop.cancel();
    for task in load {
        for (number, answer) in task.await.unwrap() {
            let right = if number == 0 { 202 } else { 200 };
            if answer.status != right {
                assert!(
                    ["store_unavailable", "store_contended"].contains(&answer.problem(503).as_str()),
                    "{}",
                    answer.text
                );
            }
        }
    }
    eventually("all operations to end", || async {
        let app = server.operator().get("/admin/v1/tenants?state=provisioning").await;
        (app.status == 200 && app.json()["data"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    assert!(doctor::examine(&parts(&server).await).await.unwrap().is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_requests_end_and_background_work_go_on_at_the_next_start() {
    let database = Pg::newest().fresh_database();
    let mut server = Starting::new().without_stock().on_postgres(&database.url, "database").start();
    let acme = server.settle("Acme").await;
    let program = acme.program.clone();
    let slow = tokio::spawn(async move { program.query("SELECT 'whole' FROM pg_sleep(2)", json!([])).await });
    until_busy(&database);
    let mut begun = Vec::new();
    for name in ["One", "Two", "Three", "Four", "Five", "Six"] {
        begun.push(sign_up(&server, name).await);
    }
    assert!(server.stop(), "it ended well");
    assert_eq!(slow.await.unwrap().expect(200)["rows"], json!([["whole"]]));
    assert!(!server.data_dir().join("server.addr").exists());
    server.start();
    let mut all = vec![acme.id];
    for (tenant, onboarding) in begun {
        server.until_done(&onboarding).await;
        assert_eq!(state(&server, &tenant).await, "active");
        all.push(tenant);
    }
    all_is_well(&parts(&server).await, all.iter().map(String::as_str)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_changed_behind_our_back_is_put_back_and_the_query_answered() {
    for pg in [Pg::fifteen(), Pg::newest()] {
        for isolation in ["shared", "schema", "database"] {
            let database = pg.fresh_database();
            let mut server = Starting::new().without_stock().on_postgres(&database.url, isolation).start();
            let acme = server.settle("Acme").await;
            let role = format!("t_{}_{isolation}", acme.id.strip_prefix("tenant_").unwrap());
            database.run(&[
                &format!("ALTER ROLE {role} PASSWORD 'another one'"),
                &format!("ALTER ROLE {role} SET search_path = pg_catalog"),
            ]);
            server.kill();
            server.start();
            let program = server.with(&acme.key);
            program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
            assert!(server.log().contains("refused its credentials"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_an_embedded_store_is_refused_in_plain_words() {
    let first = Server::embedded();
    let mut second = Starting::new().set("DATA_DIR", first.data_dir().display()).stopped();
    let said = second.start_refused();
    assert!(said.contains("another tenantry serves the store"), "{said}");
    assert!(said.contains("use PostgreSQL for several"), "{said}");
    first.nobody().get("/healthz").await.expect(200);
}

on_each_engine! {
    async fn a_store_of_a_newer_version_is_refused_and_left_alone(scene) {
        let (mut server, database) = scene.server();
        server.kill();
        let sql = "INSERT INTO __diesel_schema_migrations (version) VALUES ('9999')";
        match &database {
            Some(database) => database.run(&[sql]),
            None => {
                let store = rusqlite::Connection::open(server.data_dir().join("control.db")).unwrap();
                store.execute(sql, []).unwrap();
            }
        }
        let said = server.start_refused();
        assert!(said.contains("migrated by a newer version of tenantry (it has 9999)"), "{said}");
    }
}

on_each_engine! {
    async fn another_master_key_is_refused_in_plain_words(scene) {
        let (mut server, _database) = scene.server();
        server.kill();
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        server.set("SECRETS__MASTER_KEY", key);
        let said = server.start_refused();
        assert!(said.contains("the master key does not fit the control store"), "{said}");
        assert!(said.contains("secrets.previous_master_keys"), "{said}");
        assert!(!said.contains(key));
    }
}

in_every_model! {
    async fn no_secret_reaches_the_log(scene) {
        let (starting, database) = scene.starting();
        let mut server = starting.set("LOG__LEVEL", "trace").start();
        let password = "what nobody else would think of";
        let person = json!({ "email": "ada@acme.example", "password": password });
        let signup = json!({ "organization": "Acme", "email": "ada@acme.example", "password": password });
        let signed = server.nobody().post("/v1/signups", signup).await.expect(202);
        let acme = signed["tenant_id"].as_str().unwrap().to_owned();
        server.until_done(signed["operation"]["id"].as_str().unwrap()).await;
        let token = server.nobody().post("/v1/sessions", person).await.expect(200)["access_token"].clone();
        let owner = server.with(token.as_str().unwrap());
        let wanted = json!({ "name": "program", "scopes": ["data:read", "data:write"] });
        let key = owner.post("/v1/tenant/api-keys", wanted).await.expect(201)["key"].clone();
        let program = server.with(key.as_str().unwrap());
        program.query("INSERT INTO notebooks (name) VALUES ($1)", json!(["words of a tenant"])).await.expect(200);
        program.query("INSERT INTO notebooks (name) VALUES ('more words of a tenant')", json!([])).await.expect(200);
        program.query("SELECT * FROM no_such_table", json!([])).await.problem(400);
        let wrong = json!({ "email": "ada@acme.example", "password": "not it, but close" });
        server.nobody().post("/v1/sessions", wrong).await.problem(401);
        server.with("tk_wrong_but_secret_0123456789").get("/v1/tenant").await.problem(401);
        let app = parts(&server).await;
        let id = acme.parse().unwrap();
        let placement = app.db.read(move |conn| placement::get_in(conn, id)).await.unwrap();
        let of_role = steps_run::password(&app.vault, &placement).unwrap();
        let path = format!("/admin/v1/tenants/{acme}");
        server.operator().post(&format!("{path}/suspend"), json!({})).await.expect(200);
        server.operator().post(&format!("{path}/resume"), json!({})).await.expect(200);
        delete(&server, &acme).await;
        assert!(server.stop());
        server.start();
        server.kill();
        let log = server.log();
        let mut secrets = vec![
            ("the operator's key", OPERATOR_KEY.to_owned()),
            ("a password", password.to_owned()),
            ("a wrong password", "not it, but close".to_owned()),
            ("a wrong key", "tk_wrong_but_secret_0123456789".to_owned()),
            ("a key", key.as_str().unwrap().to_owned()),
            ("an access token", token.as_str().unwrap().to_owned()),
            ("a role's password", of_role.expose_secret().to_owned()),
            ("a tenant's data", "words of a tenant".to_owned()),
        ];
        let master = std::fs::read_to_string(server.data_dir().join("master.key")).unwrap();
        secrets.push(("the master key", master.trim().to_owned()));
        if let Some(database) = &database {
            let url = url::Url::parse(&database.url).unwrap();
            secrets.push(("the owner's password", format!(":{}@", url.password().unwrap())));
        }
        assert!(log.lines().count() > 20, "there is a log to look at");
        for (what, secret) in secrets.iter().filter(|(_, secret)| !secret.is_empty()) {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{what} is in the log");
        }
    }
}

in_every_model! {
    async fn the_doctor_finds_and_removes_what_is_left_over_and_leaves_the_rest(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let app = parts(&server).await;
        let (kept, gone) = (server.settle("Kept").await, server.settle("Gone").await);
        delete(&server, &gone.id).await;
        all_is_well(&app, [kept.id.as_str()]).await;
        // A home of a tenant that is deleted, and one of a tenant that nobody knows.
        let cluster = &app.clusters.get("main").unwrap().cluster;
        let isolation = scene.isolation.parse().unwrap();
        let stranger = tenantry::kernel::id::TenantId::mint();
        for tenant in [gone.id.parse().unwrap(), stranger] {
            let home = cluster.home(tenant, isolation).unwrap();
            for step in cluster.build_steps(&home) {
                let password = secrecy::SecretString::from("a password of this test's");
                cluster.run_build_step(step, &home, &password, app.clusters.schema()).await.unwrap();
            }
        }
        let report = doctor::examine(&app).await.unwrap();
        assert_eq!(report.findings.len(), 2, "{report:#?}");
        assert_eq!((report.tenants, report.placements), (1, 1));
        let mended = doctor::repair(&app, &report).await;
        assert_eq!(mended.len(), 1, "what it does not know it leaves: {mended:?}");
        assert_eq!(mended[0].error, None);
        let report = doctor::examine(&app).await.unwrap();
        assert_eq!(report.findings.len(), 1, "{report:#?}");
        assert!(report.findings[0].what.contains("knows nothing"), "{report:#?}");
        assert_eq!(inventory(&app).await.of(gone.id.parse().unwrap()).len(), 0);
        doctor::remove_unknown(&app, &report).await;
        all_is_well(&app, [kept.id.as_str()]).await;
        kept.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
    }
}

on_each_engine! {
    async fn the_doctor_never_puts_an_empty_home_in_place_of_a_lost_one(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let app = parts(&server).await;
        let acme = server.settle("Acme").await;
        let cluster = &app.clusters.get("main").unwrap().cluster;
        let home = cluster.home(acme.id.parse().unwrap(), scene.isolation.parse().unwrap()).unwrap();
        for step in cluster.removal_steps(&home) {
            cluster.run_removal_step(step, &home).await.unwrap();
        }
        let report = doctor::examine(&app).await.unwrap();
        assert_eq!(report.findings.len(), 1, "{report:#?}");
        assert!(report.findings[0].what.contains("is gone"), "{report:#?}");
        assert!(report.findings[0].remedy.contains("backup"), "{report:#?}");
        assert!(doctor::repair(&app, &report).await.is_empty());
        assert!(inventory(&app).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_makes_a_lost_login_anew_and_the_data_is_still_there() {
    for isolation in ["shared", "schema", "database"] {
        let database = Pg::newest().fresh_database();
        let server = Starting::new().without_stock().on_postgres(&database.url, isolation).start();
        let app = parts(&server).await;
        let acme = server.settle("Acme").await;
        acme.program.query("INSERT INTO notebooks (name) VALUES ('kept')", json!([])).await.expect(200);
        let home = app
            .clusters
            .get("main")
            .unwrap()
            .cluster
            .home(acme.id.parse().unwrap(), isolation.parse().unwrap());
        let home = home.unwrap();
        let cluster = &app.clusters.get("main").unwrap().cluster;
        for step in [
            tenantry::placement::steps::RemovalStep::LockOut,
            tenantry::placement::steps::RemovalStep::DropRole,
        ] {
            cluster.run_removal_step(step, &home).await.unwrap();
        }
        let report = doctor::examine(&app).await.unwrap();
        assert!(report.findings[0].what.contains("login"), "{report:#?}");
        for mended in doctor::repair(&app, &report).await {
            assert_eq!(mended.error, None, "{isolation}: {mended:?}");
        }
        let seen = acme.program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
        assert_eq!(seen["rows"], json!([["kept"]]), "{isolation}");
        eventually("the doctor to be content", || async {
            doctor::examine(&app).await.unwrap().is_clean().then_some(())
        })
        .await;
    }
}
