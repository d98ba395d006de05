//! Killed anywhere, it goes on as if nothing had been: SIGKILL at every step of every operation, between a
//! commit and what follows it, and at random moments under load.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use serde_json::{Value, json};
use tenantry::kernel::id::TenantId;
use tenantry::placement::steps::Inventory;

use crate::world::doctor::{all_is_well, inventory, parts};
use crate::world::server::{Answer, PASSWORD, Server, eventually};
use crate::world::{Scene, own_migrations};
use crate::{in_every_model, on_each_engine, once_in_every_model};

/// A place to kill at: in which step, counted from 0, and where in it.
#[derive(Clone)]
struct Kill {
    name: String,
    /// The step that the next process begins with.
    resumes: usize,
    step: usize,
}

/// Every place of an operation, in an order in which one that goes on seldom comes by the next place.
fn kills(kind: &str, steps: &[String]) -> Vec<Kill> {
    let places = ["recorded", "after", "before"];
    let all = places.iter().flat_map(|place| {
        steps.iter().enumerate().rev().map(move |(step, name)| Kill {
            name: format!("{kind}/{name}/{place}"),
            resumes: step + usize::from(*place == "recorded"),
            step,
        })
    });
    all.collect()
}

/// Whether an operation killed at `before` comes by `next` when it goes on.
fn comes_by(before: Option<&Kill>, next: Option<&Kill>) -> bool {
    matches!((before, next), (Some(before), Some(next)) if next.step >= before.resumes)
}

fn step_names(operation: &Value) -> Vec<String> {
    let steps = operation["steps"].as_array().unwrap();
    steps.iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

/// A tenant whose operation is under way.
struct Begun {
    id: String,
    email: String,
    operation: String,
}

async fn sign_up(server: &Server, name: &str) -> Begun {
    let email = format!("owner@{}.example", name.to_lowercase());
    let body = json!({ "organization": name, "email": email, "password": PASSWORD });
    let signed = server.nobody().post("/v1/signups", body).await.expect(202);
    Begun {
        id: signed["tenant_id"].as_str().unwrap().to_owned(),
        email,
        operation: signed["operation"]["id"].as_str().unwrap().to_owned(),
    }
}

async fn delete(server: &Server, id: &str) -> Begun {
    let deletion = server.operator().delete(&format!("/admin/v1/tenants/{id}")).await.expect(202);
    let operation = deletion["operation"]["id"].as_str().unwrap().to_owned();
    Begun { id: id.to_owned(), email: String::new(), operation }
}

async fn state(server: &Server, id: &str) -> String {
    let tenant = server.operator().get(&format!("/admin/v1/tenants/{id}")).await.expect(200);
    tenant["state"].as_str().unwrap().to_owned()
}

/// A key of the tenant's for a program that reads and writes data, made by its owner just now.
async fn key(server: &Server, email: &str) -> String {
    let body = json!({ "email": email, "password": PASSWORD });
    let token = server.nobody().post("/v1/sessions", body).await.expect(200);
    let owner = server.with(token["access_token"].as_str().unwrap());
    let body = json!({ "name": "program", "scopes": ["data:read", "data:write"] });
    let made = owner.post("/v1/tenant/api-keys", body).await.expect(201);
    made["key"].as_str().unwrap().to_owned()
}

/// The tenant came to be: active, whole, and of use to its owner; every step is recorded as done.
async fn is_usable(server: &Server, tenant: &Begun) {
    let operation = server.until_done(&tenant.operation).await;
    for step in operation["steps"].as_array().unwrap() {
        assert_eq!(step["state"], "succeeded", "{operation:#}");
    }
    assert_eq!(operation["error"], Value::Null);
    assert_eq!(state(server, &tenant.id).await, "active");
    let program = server.with(&key(server, &tenant.email).await);
    program.query("INSERT INTO notebooks (name) VALUES ($1)", json!(["Ideas"])).await.expect(200);
    let seen = program.query("SELECT name FROM notebooks", json!([])).await.expect(200);
    assert_eq!(seen["rows"], json!([["Ideas"]]));
}

/// The tenant is gone, and nothing works on it any more.
async fn is_deleted(server: &Server, tenant: &Begun) {
    server.until_done(&tenant.operation).await;
    assert_eq!(state(server, &tenant.id).await, "deleted");
    let path = format!("/admin/v1/operations?tenant={}", tenant.id);
    for operation in server.operator().get(&path).await.expect(200)["data"].as_array().unwrap() {
        let reason = operation["error"].as_str().unwrap_or_default();
        let settled = operation["state"] == "succeeded" || reason.starts_with("canceled");
        assert!(settled, "{operation:#}");
    }
}

once_in_every_model! {
    async fn killed_at_every_step_of_a_tenants_life_it_goes_on(scene) {
        let (starting, _database) = scene.starting();
        let mut server = starting.without_stock().start();
        let app = parts(&server).await;
        let first = sign_up(&server, "First").await;
        let builds = kills("tenant.onboard", &step_names(&server.until_done(&first.operation).await));
        let gone = delete(&server, &first.id).await;
        let removals = kills("tenant.delete", &step_names(&server.until_done(&gone.operation).await));
        let mut ready = vec![sign_up(&server, "Second").await];
        is_usable(&server, &ready[0]).await;
        let (mut coming, mut going): (Option<Begun>, Option<Begun>) = (None, None);
        for round in 0..=builds.len().max(removals.len()) {
            let earlier = round.checked_sub(1);
            let (build, removal) = (builds.get(round), removals.get(round));
            let before = |all: &[Kill]| earlier.and_then(|round| all.get(round).cloned());
            server.kill();
            if comes_by(before(&builds).as_ref(), build) || comes_by(before(&removals).as_ref(), removal) {
                server.disarm();
                server.start();
                for one in coming.iter().chain(&going) {
                    server.until_done(&one.operation).await;
                }
                server.kill();
            }
            let names: Vec<&str> = build.iter().chain(&removal).map(|kill| kill.name.as_str()).collect();
            server.arm(&names.join(","));
            server.start();
            if let Some(came) = coming.take() {
                is_usable(&server, &came).await;
                ready.push(came);
            }
            if let Some(went) = going.take() {
                is_deleted(&server, &went).await;
            }
            all_is_well(&app, ready.iter().map(|tenant| tenant.id.as_str())).await;
            if let Some(kill) = removal {
                if ready.is_empty() {
                    ready.push(sign_up(&server, &format!("Spare{round}")).await);
                    is_usable(&server, &ready[0]).await;
                }
                let tenant = ready.remove(0);
                going = Some(delete(&server, &tenant.id).await);
                server.wait_until_held(&kill.name);
            }
            if let Some(kill) = build {
                coming = Some(sign_up(&server, &format!("Tenant{round}")).await);
                server.wait_until_held(&kill.name);
            }
        }
    }
}

once_in_every_model! {
    async fn killed_at_every_step_of_building_the_stock_it_goes_on(scene) {
        let (starting, _database) = scene.starting();
        let key = format!("TENANCY__STOCK__{}", scene.isolation.to_uppercase());
        let mut server = starting.without_stock().set(&key, 1).start();
        let app = parts(&server).await;
        let places = kills("placement.stock", &step_names(&built(&server, 1).await[0]));
        for (round, kill) in places.iter().enumerate() {
            server.kill();
            if comes_by(round.checked_sub(1).and_then(|earlier| places.get(earlier)), Some(kill)) {
                server.disarm();
                server.start();
                built(&server, round + 1).await;
                server.kill();
            }
            server.set(&key, round + 2);
            server.arm(&kill.name);
            server.start();
            // The one killed before gets finished; the one that is missing now is held.
            built(&server, round + 1).await;
            server.wait_for_failpoint();
        }
        server.kill();
        server.disarm();
        server.start();
        built(&server, places.len() + 1).await;
        let made = inventory(&app).await;
        assert_eq!(tenants_of(&made).len(), places.len() + 1, "each was built once: {made:#?}");
        all_is_well(&app, tenants_of(&made).iter().map(String::as_str)).await;
        let taken = sign_up(&server, "Taker").await;
        is_usable(&server, &taken).await;
        assert!(tenants_of(&made).contains(&taken.id), "it was taken from stock");
    }
}

fn tenants_of(inventory: &Inventory) -> BTreeSet<String> {
    inventory.all().map(|found| found.tenant.to_string()).collect()
}

/// Waits until this many placements were built for the stock; answers their operations.
async fn built(server: &Server, number: usize) -> Vec<Value> {
    let operator = server.operator();
    eventually("the stock to be built", || async {
        let path = "/admin/v1/operations?kind=placement.stock&state=succeeded&limit=200";
        let done = operator.get(path).await.expect(200)["data"].as_array().unwrap().clone();
        assert!(done.len() <= number, "{} were built instead of {number}", done.len());
        (done.len() == number).then_some(done)
    })
    .await
}

once_in_every_model! {
    async fn killed_while_a_tenant_is_suspended_it_is_locked_out_all_the_same(scene) {
        let (starting, database) = scene.starting();
        let mut server = starting.without_stock().start();
        let app = parts(&server).await;
        let tenant = sign_up(&server, "Acme").await;
        is_usable(&server, &tenant).await;
        let key = key(&server, &tenant.email).await;
        let path = format!("/admin/v1/tenants/{}", tenant.id);
        let role = format!("t_{}_{}", tenant.id.strip_prefix("tenant_").unwrap(), scene.isolation);
        let sql = format!("SELECT rolcanlogin FROM pg_roles WHERE rolname = '{role}'");
        for place in ["committed", "applied"] {
            for (verb, expected, login) in [("suspend", "suspended", "f"), ("resume", "active", "t")] {
                server.kill();
                server.arm(&format!("access/{place}"));
                server.start();
                let call = server.operator().request("POST", &format!("{path}/{verb}")).json(&json!({}));
                let asking = tokio::spawn(ask(call));
                server.wait_for_failpoint();
                server.kill();
                assert!(asking.await.unwrap().is_none(), "killed before it answered");
                server.disarm();
                server.start();
                until_idle(&server).await;
                assert_eq!(state(&server, &tenant.id).await, expected);
                if let Some(database) = &database {
                    assert_eq!(database.ask(&sql), [login], "{verb} killed {place}");
                }
                let answer = server.with(&key).query("SELECT name FROM notebooks", json!([])).await;
                assert_eq!(answer.status, if verb == "suspend" { 403 } else { 200 }, "{}", answer.text);
                all_is_well(&app, [tenant.id.as_str()]).await;
            }
        }
    }
}

/// Waits until no operation waits or is at work.
async fn until_idle(server: &Server) {
    let operator = server.operator();
    eventually("all operations to end", || async {
        for state in ["pending", "running"] {
            let path = format!("/admin/v1/operations?state={state}");
            let left = operator.get(&path).await.expect(200);
            if !left["data"].as_array().unwrap().is_empty() {
                return None;
            }
        }
        Some(())
    })
    .await;
}

in_every_model! {
    async fn a_home_begun_before_an_update_of_the_schema_is_finished_with_the_update(scene) {
        let folder = own_migrations();
        let key = format!("TENANCY__STOCK__{}", scene.isolation.to_uppercase());
        let (starting, _database) = scene.starting();
        let starting = starting.without_stock().set("APPLICATION__MIGRATIONS_DIR", folder.path().display());
        let mut server = starting.failpoint("tenant.onboard/activate/before,placement.stock/shelve/before").start();
        let begun = sign_up(&server, "Acme").await;
        server.wait_until_held("tenant.onboard/activate/before");
        server.kill();
        server.set(&key, 1);
        server.start();
        server.wait_for_failpoint();
        server.kill();
        let update = folder.path().join("0003_color");
        std::fs::create_dir(&update).unwrap();
        std::fs::write(update.join("up.sql"), "ALTER TABLE notebooks ADD COLUMN color text;\n").unwrap();
        server.disarm();
        server.start();
        built(&server, 1).await;
        let stocked = sign_up(&server, "Globex").await;
        for tenant in [begun, stocked] {
            is_usable(&server, &tenant).await;
            let program = server.with(&self::key(&server, &tenant.email).await);
            program.query("SELECT color FROM notebooks", json!([])).await.expect(200);
        }
    }
}

on_each_engine! {
    async fn a_signup_whose_answer_was_cut_off_is_whole_and_answered_again(scene) {
        let (starting, _database) = scene.starting();
        let mut server = starting.without_stock().failpoint("signup/committed").start();
        let nobody = server.nobody();
        let body = json!({ "organization": "Acme", "email": "ada@acme.example", "password": PASSWORD });
        let request = nobody.request("POST", "/v1/signups").header("idempotency-key", "once").json(&body);
        let cut_off = tokio::spawn(request.send());
        server.wait_for_failpoint();
        server.kill();
        assert!(cut_off.await.unwrap().is_err(), "nobody answered");
        server.disarm();
        server.start();
        let again = server.nobody().post_once("/v1/signups", "once", body).await.expect(202);
        let tenant = Begun {
            id: again["tenant_id"].as_str().unwrap().to_owned(),
            email: "ada@acme.example".to_owned(),
            operation: again["operation"]["id"].as_str().unwrap().to_owned(),
        };
        is_usable(&server, &tenant).await;
        let all = server.operator().get("/admin/v1/tenants").await.expect(200);
        assert_eq!(all["data"].as_array().unwrap().len(), 1, "{all:#}");
        all_is_well(&parts(&server).await, [tenant.id.as_str()]).await;
    }
}

/// Numbers that look random and are the same in every run (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(limit).unwrap()).unwrap()
    }
}

/// Asks, and answers nothing when the server is gone before its answer is whole.
async fn ask(request: reqwest::RequestBuilder) -> Option<Answer> {
    let response = request.send().await.ok()?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Some(Answer { status, headers, text: response.text().await.ok()? })
}

async fn killed_at_random_moments(scene: Scene, seed: u64) {
    let (starting, _database) = scene.starting();
    let key = format!("TENANCY__STOCK__{}", scene.isolation.to_uppercase());
    let mut server = starting.without_stock().set(&key, 2).start();
    let app = parts(&server).await;
    let mut dice = Dice(seed);
    let mut living: BTreeMap<String, String> = BTreeMap::new();
    for round in 0..4 {
        let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
        let mut asked = 0;
        let (nobody, operator) = (server.nobody(), server.operator());
        let mut go = |what: String, request: reqwest::RequestBuilder| {
            let sender = sender.clone();
            asked += 1;
            tokio::spawn(async move { drop(sender.send((what, ask(request).await))) });
        };
        for number in 0..20 {
            let email = format!("owner{number}@round{round}.example");
            let body = json!({ "organization": format!("Org {round} {number}"), "email": email, "password": PASSWORD });
            go(email, nobody.request("POST", "/v1/signups").json(&body));
        }
        let leaving: Vec<String> = living.keys().filter(|_| dice.below(2) == 0).cloned().collect();
        for id in &leaving {
            go(id.clone(), operator.request("DELETE", &format!("/admin/v1/tenants/{id}")));
        }
        drop(sender);
        let moment = dice.below(asked);
        let (mut seen, mut accepted, mut unsure) = (0, Vec::new(), BTreeSet::new());
        while let Some((what, answer)) = answers.recv().await {
            match answer {
                Some(answer) => accepted.push((what, answer.expect(202))),
                None => drop(unsure.insert(what)),
            }
            if seen == moment {
                server.kill();
            }
            seen += 1;
        }
        assert_eq!(seen, asked, "seed {seed}, round {round}");
        server.start();
        until_idle(&server).await;
        for (what, answer) in accepted {
            if let Some(id) = answer["tenant_id"].as_str() {
                living.insert(id.to_owned(), what);
            } else {
                living.remove(&what);
            }
        }
        let all = server.operator().get("/admin/v1/tenants?limit=200").await.expect(200);
        let there: BTreeMap<&str, &Value> =
            all["data"].as_array().unwrap().iter().map(|one| (one["id"].as_str().unwrap(), one)).collect();
        for id in living.keys().filter(|id| !there.contains_key(id.as_str())) {
            assert!(unsure.contains(id), "seed {seed}, round {round}: {id} was promised and is gone");
        }
        for (id, tenant) in &there {
            assert_eq!(tenant["state"], "active", "seed {seed}, round {round}: {tenant:#}");
            let known = living.contains_key(*id);
            assert!(known || !unsure.is_empty(), "seed {seed}, round {round}: {id} was deleted and is here");
        }
        // Those whose answer was cut off may have come or gone; each whole.
        let email_of = living.clone();
        living = there
            .keys()
            .map(|id| ((*id).to_owned(), email_of.get(*id).cloned().unwrap_or_default()))
            .collect();
        if let Some(email) = living.values().find(|email| !email.is_empty()) {
            let program = server.with(&self::key(&server, email).await);
            program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
        }
        let stock = eventually("the stock to be full", || async {
            let mut stock = tenants_of(&inventory(&app).await);
            stock.retain(|id| !living.contains_key(id));
            (stock.len() == 2).then_some(stock)
        })
        .await;
        until_idle(&server).await;
        all_is_well(&app, living.keys().chain(&stock).map(String::as_str)).await;
    }
}

on_each_engine! {
    async fn killed_at_any_moment_under_load_it_keeps_what_it_promised(scene) {
        killed_at_random_moments(scene, 20_261_123).await;
    }
}

in_every_model! {
    async fn each_step_done_twice_equals_once(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.without_stock().start();
        let app = parts(&server).await;
        let cluster = &app.clusters.get("main").unwrap().cluster;
        let schema = app.clusters.schema();
        let password = SecretString::from("a password of this test's");
        let isolation = scene.isolation.parse().unwrap();
        cluster.prepare(schema, &[isolation]).await.unwrap();
        cluster.prepare(schema, &[isolation]).await.unwrap();
        let homes = [(); 2].map(|()| cluster.home(TenantId::mint(), isolation).unwrap());
        for home in &homes {
            for step in cluster.build_steps(home) {
                cluster.run_build_step(step, home, &password, schema).await.unwrap();
                let once = inventory(&app).await;
                cluster.run_build_step(step, home, &password, schema).await.unwrap();
                assert_eq!(inventory(&app).await, once, "{}", step.name());
            }
        }
        let [first, second] = &homes;
        // All steps once more, over a finished home.
        let whole = inventory(&app).await;
        for step in cluster.build_steps(first) {
            cluster.run_build_step(step, first, &password, schema).await.unwrap();
        }
        assert_eq!(inventory(&app).await, whole);
        for step in cluster.removal_steps(first) {
            cluster.run_removal_step(step, first).await.unwrap();
            let once = inventory(&app).await;
            cluster.run_removal_step(step, first).await.unwrap();
            assert_eq!(inventory(&app).await, once, "{}", step.name());
        }
        assert_eq!(tenants_of(&inventory(&app).await), BTreeSet::from([second.tenant.to_string()]));
        for home in [first, second] {
            for step in cluster.removal_steps(home) {
                cluster.run_removal_step(step, home).await.unwrap();
            }
        }
        assert!(inventory(&app).await.is_empty());
    }
}
