//! Subscriptions, told over the API: two years of one, on a clock that the story moves; what two replicas and a
//! crash make of what is due; and what is refused.

use serde_json::{Value, json};
use tenantry::db::{Db, Options};

use crate::on_each_engine;
use crate::world::Scene;
use crate::world::postgres::{Pg, TestDatabase};
use crate::world::server::{Client, Server, Settler, Starting, eventually};

const PLANS: &str = r#"
[plans.basic]
name = "Basic"
price = 1_000
currency = "EUR"
trial_days = 14
[plans.pro]
name = "Pro"
price = 3_000
currency = "EUR"
[plans.free]
name = "Free"
[plans.hidden]
name = "Hidden"
price = 9_000
currency = "EUR"
public = false
[plans.dollars]
name = "Dollars"
price = 2_000
currency = "USD"
[plans.pages]
name = "Pages"
price = 500
currency = "EUR"
[plans.pages.features]
pages = { meter = "pages", limit = 10, per = "month", overage = "allow" }
"#;

fn sold(starting: Starting) -> Starting {
    let starting = starting.file("plans.toml", PLANS).set("PLANS__FILE", "plans.toml");
    starting.set("SIGNUP__DEFAULT_PLAN", "basic")
}

/// Under test: time stands still until the story moves it.
fn timeless(scene: Scene) -> (Server, Option<TestDatabase>) {
    let (starting, database) = scene.starting();
    let starting = sold(starting).set("CLOCK__MODE", "test").set("BILLING__TIME_ZONE", "Europe/Berlin");
    (starting.start(), database)
}

async fn until(server: &Server, moment: &str) -> Value {
    server.operator().post("/admin/v1/clock", json!({ "to": moment })).await.expect(200)
}

/// The first leap year that has not begun yet.
async fn leap_year(server: &Server) -> i64 {
    let now = server.operator().get("/admin/v1/clock").await.expect(200);
    let this: i64 = now["now"].as_str().unwrap()[..4].parse().unwrap();
    (this + 1..).find(|year| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0).unwrap()
}

async fn subscription(server: &Server, of: &Settler) -> Value {
    server.operator().get(&format!("{}/subscription", of.admin())).await.expect(200)
}

async fn invoices(server: &Server, of: &Settler, state: &str) -> Vec<Value> {
    let path = format!("{}/invoices?state={state}&limit=200", of.admin());
    server.operator().get(&path).await.expect(200)["data"].as_array().unwrap().clone()
}

/// Marks all that is open paid; the totals, newest first.
async fn pay(server: &Server, of: &Settler) -> Vec<i64> {
    let mut totals = Vec::new();
    for invoice in invoices(server, of, "open").await {
        let path = format!("/admin/v1/invoices/{}/mark-paid", invoice["id"].as_str().unwrap());
        server.operator().post(&path, json!({})).await.expect(200);
        totals.push(invoice["total"].as_i64().unwrap());
    }
    totals
}

/// State, plan, and the present period.
fn gist(of: &Value) -> (&str, &str, &str, &str) {
    let text = |name: &str| of[name].as_str().unwrap();
    (text("state"), text("plan"), text("current_period_start"), text("current_period_end"))
}

async fn command(who: &Client, path: &str, body: Value) -> Value {
    who.post(path, body).await.expect(200)
}

const INSERT: &str = "INSERT INTO notebooks (name) SELECT 'book ' || count(*) FROM notebooks";

on_each_engine! {
    async fn two_years_of_one_subscription(scene) {
        let (server, _database) = timeless(scene);
        let leap = leap_year(&server).await;
        let (next, last) = (leap + 1, leap + 2);
        until(&server, &format!("{leap}-01-17T09:00:00Z")).await;
        let acme = server.settle("Acme").await;
        let service = server.service(&["keys:verify"]).await;
        // Keys outlive access tokens, of which a story of years would need many.
        let program = acme.key(&["tenant:read", "tenant:manage", "data:read", "data:write"]).await;
        let own = "/v1/tenant/subscription";

        let trial = subscription(&server, &acme).await;
        let trial_end = format!("{leap}-01-31T09:00:00Z");
        assert_eq!(gist(&trial), ("trialing", "basic", &*format!("{leap}-01-17T09:00:00Z"), &*trial_end));
        assert_eq!((&trial["trial_ends_at"], &trial["price"], &trial["interval"]), (&json!(trial_end), &json!(1_000), &json!("month")));
        assert_eq!(program.get(own).await.expect(200), trial);
        assert!(invoices(&server, &acme, "open").await.is_empty());

        // From the 31st: by the calendar of Berlin, where the clock goes forward in March.
        until(&server, &trial_end).await;
        let february = format!("{leap}-02-29T09:00:00Z");
        assert_eq!(gist(&subscription(&server, &acme).await), ("active", "basic", &*trial_end, &*february));
        assert_eq!(pay(&server, &acme).await, [1_000]);
        until(&server, &format!("{leap}-03-01T00:00:00Z")).await;
        let march = format!("{leap}-03-31T08:00:00Z");
        assert_eq!(gist(&subscription(&server, &acme).await), ("active", "basic", &*february, &*march));
        assert_eq!(pay(&server, &acme).await, [1_000]);

        // In the middle of the next one, an upgrade: half of it is given back, half of the new one is charged.
        until(&server, &format!("{leap}-04-15T08:00:00Z")).await;
        assert_eq!(pay(&server, &acme).await, [1_000]);
        let upgraded = command(&program, &format!("{own}/change"), json!({ "plan": "pro" })).await;
        let april = format!("{leap}-04-30T08:00:00Z");
        assert_eq!(gist(&upgraded), ("active", "pro", &*march, &*april));
        let invoice = invoices(&server, &acme, "open").await.remove(0);
        let amounts: Vec<i64> = invoice["lines"].as_array().unwrap().iter().map(|line| line["amount"].as_i64().unwrap()).collect();
        assert_eq!((amounts, invoice["total"].as_i64()), (vec![-500, 1_500], Some(1_000)));
        assert_eq!(pay(&server, &acme).await, [1_000]);
        assert_eq!(program.get("/v1/tenant").await.expect(200)["plan"], "pro");
        let verified = service.post("/v1/api-keys/verify", json!({ "key": acme.key, "scopes": ["data:write"] })).await.expect(200);
        assert_eq!((&verified["code"], &verified["plan"]), (&json!("VALID"), &json!("pro")));
        assert_eq!(program.post(&format!("{own}/change"), json!({ "plan": "pro" })).await.problem(409), "same_plan");

        // The next invoice stays unpaid.
        until(&server, &format!("{leap}-05-01T00:00:00Z")).await;
        let open = subscription(&server, &acme).await;
        assert_eq!((&open["state"], &open["dunning"]["next_stage"]), (&json!("active"), &json!("past_due")));
        assert_eq!(open["dunning"]["next_at"], json!(format!("{leap}-05-07T08:00:00Z")));
        acme.program.query(INSERT, json!([])).await.expect(200);
        until(&server, &format!("{leap}-05-08T00:00:00Z")).await;
        assert_eq!(subscription(&server, &acme).await["state"], "past_due");
        let letter = server.letter("owner@acme.example", 1).await;
        assert_eq!(letter.subject(), "An invoice of acme is unpaid");
        assert!(letter.raw.contains("can be read, but not written"), "{}", letter.raw);
        acme.program.query(INSERT, json!([])).await.expect(200);
        let refused = program.post(&format!("{own}/change"), json!({ "plan": "hidden" })).await;
        assert_eq!(refused.pointers(), ["/plan"]);
        assert_eq!(program.post(&format!("{own}/change"), json!({ "plan": "dollars", "when": "now" })).await.problem(409), "unpaid");

        until(&server, &format!("{leap}-05-15T00:00:00Z")).await;
        assert_eq!(subscription(&server, &acme).await["state"], "restricted");
        assert_eq!(acme.program.query(INSERT, json!([])).await.problem(403), "tenant_read_only");
        let rows = acme.program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
        assert_eq!(rows["rows"][0][0], json!(2));
        let verified = service.post("/v1/api-keys/verify", json!({ "key": acme.key, "scopes": ["data:write"] })).await.expect(200);
        assert_eq!((&verified["code"], &verified["scopes"]), (&json!("INSUFFICIENT_SCOPE"), &json!(["data:read"])));

        until(&server, &format!("{leap}-05-22T00:00:00Z")).await;
        assert_eq!(subscription(&server, &acme).await["state"], "suspended");
        let tenant = server.operator().get(&acme.admin()).await.expect(200);
        assert_eq!((&tenant["state"], &tenant["suspend_reason"]), (&json!("suspended"), &json!("billing: an invoice is unpaid")));
        assert_eq!(acme.program.query("SELECT 1", json!([])).await.problem(403), "tenant_suspended");
        assert_eq!(pay(&server, &acme).await, [3_000]);
        let may = format!("{leap}-05-31T08:00:00Z");
        assert_eq!(gist(&subscription(&server, &acme).await), ("active", "pro", &*april, &*may));
        assert_eq!(server.operator().get(&acme.admin()).await.expect(200)["state"], "active");
        acme.program.query(INSERT, json!([])).await.expect(200);

        // A cheaper plan, from the next period on.
        until(&server, &format!("{leap}-06-10T00:00:00Z")).await;
        assert_eq!(pay(&server, &acme).await, [3_000]);
        let scheduled = command(&program, &format!("{own}/change"), json!({ "plan": "basic" })).await;
        let june = format!("{leap}-06-30T08:00:00Z");
        assert_eq!((&scheduled["plan"], &scheduled["pending_change"]), (&json!("pro"), &json!({ "plan": "basic", "at": june })));
        until(&server, &format!("{leap}-07-01T00:00:00Z")).await;
        let changed = subscription(&server, &acme).await;
        assert_eq!((&changed["plan"], &changed["pending_change"]), (&json!("basic"), &Value::Null));
        assert_eq!(pay(&server, &acme).await, [1_000]);

        // Month after month, over a February without its 29th.
        for (year, month) in (8..=12).map(|month| (leap, month)).chain((1..=3).map(|month| (next, month))) {
            until(&server, &format!("{year}-{month:02}-01T12:00:00Z")).await;
            assert_eq!(pay(&server, &acme).await, [1_000], "{year}-{month}");
        }
        let (short, long) = (format!("{next}-02-28T09:00:00Z"), format!("{next}-03-31T08:00:00Z"));
        assert_eq!(gist(&subscription(&server, &acme).await), ("active", "basic", &*short, &*long));
        for month in 4..=12 {
            until(&server, &format!("{next}-{month:02}-01T12:00:00Z")).await;
            assert_eq!(pay(&server, &acme).await, [1_000], "{next}-{month}");
        }

        // It is to end, then not, then it is; and begins anew.
        until(&server, &format!("{last}-01-10T00:00:00Z")).await;
        assert_eq!(pay(&server, &acme).await, [1_000]);
        let end = format!("{last}-01-31T09:00:00Z");
        assert_eq!(command(&program, &format!("{own}/cancel"), json!({})).await["cancel_at"], json!(end));
        assert_eq!(command(&program, &format!("{own}/resume"), json!({})).await["cancel_at"], Value::Null);
        command(&program, &format!("{own}/cancel"), json!({ "when": "period_end" })).await;
        until(&server, &format!("{last}-02-01T00:00:00Z")).await;
        let ended = subscription(&server, &acme).await;
        assert_eq!((&ended["state"], &ended["canceled_at"]), (&json!("canceled"), &json!(end)));
        assert_eq!(program.get(own).await.problem(403), "tenant_suspended");
        assert!(invoices(&server, &acme, "open").await.is_empty(), "nothing is due after the end");
        let owner = server.with_token_of(&server.sign_in("Acme").await);
        let again = command(&owner, &format!("{own}/resume"), json!({})).await;
        let start = format!("{last}-02-01T00:00:00Z");
        assert_eq!((&again["state"], &again["current_period_start"]), (&json!("active"), &json!(start)));
        // One month on the calendar of Berlin, where it was one o'clock.
        assert_eq!(again["current_period_end"], json!(format!("{last}-03-01T00:00:00Z")));
        program.get(own).await.expect(200);
        assert_eq!(pay(&server, &acme).await, [1_000]);
        assert_eq!(invoices(&server, &acme, "paid").await.len(), 26);
    }
}

on_each_engine! {
    async fn an_invoice_says_what_was_used_in_the_period_that_it_ends(scene) {
        let (server, _database) = timeless(scene);
        let now = server.operator().get("/admin/v1/clock").await.expect(200);
        let year: i64 = now["now"].as_str().unwrap()[..4].parse().unwrap();
        until(&server, &format!("{}-03-01T09:00:00Z", year + 1)).await;
        let acme = server.settle("Acme").await;
        command(&server.operator(), &format!("{}/subscription/change", acme.admin()), json!({ "plan": "pages" })).await;
        pay(&server, &acme).await;
        let meter = server.service(&["usage:write"]).await;
        let used = |id: &str, value: i64| {
            let data = json!({ "value": value });
            json!({ "specversion": "1.0", "id": id, "source": "/printer", "type": "pages", "subject": acme.id, "data": data })
        };
        let sent = json!([used("a", 7), used("b", 5), used("a", 7)]);
        let request = meter.request("POST", "/v1/usage/events");
        let request = request.header("content-type", "application/cloudevents-batch+json").body(sent.to_string());
        meter.send(request).await.expect(200);

        until(&server, &format!("{}-04-01T09:00:00Z", year + 1)).await;
        let invoice = invoices(&server, &acme, "open").await.remove(0);
        let line = |kind: &str| {
            let lines = invoice["lines"].as_array().unwrap();
            lines.iter().find(|line| line["kind"] == kind).cloned().unwrap_or_else(|| panic!("no {kind} in {invoice}"))
        };
        assert_eq!((&line("plan")["amount"], &invoice["total"]), (&json!(500), &json!(500)));
        assert_eq!((&line("usage")["quantity"], &line("usage")["amount"]), (&json!(12), &json!(0)), "{invoice}");
    }
}

on_each_engine! {
    async fn what_operators_do_with_subscriptions(scene) {
        let (server, _database) = timeless(scene);
        let leap = leap_year(&server).await;
        until(&server, &format!("{leap}-03-01T12:00:00Z")).await;
        let acme = server.settle("Acme").await;
        let (operator, path) = (server.operator(), format!("{}/subscription", acme.admin()));
        let until_when = json!({ "until": format!("{leap}-03-20T12:00:00Z") });
        let extended = command(&operator, &format!("{path}/extend-trial"), until_when).await;
        assert_eq!((&extended["state"], &extended["trial_ends_at"]), (&json!("trialing"), &json!(format!("{leap}-03-20T12:00:00Z"))));
        let past = operator.post(&format!("{path}/extend-trial"), json!({ "until": format!("{leap}-01-01T00:00:00Z") })).await;
        assert_eq!(past.pointers(), ["/until"]);
        // A plan that strangers do not see; within the trial nothing is charged.
        let hidden = command(&operator, &format!("{path}/change"), json!({ "plan": "hidden" })).await;
        assert_eq!((&hidden["plan"], &hidden["state"]), (&json!("hidden"), &json!("trialing")));
        until(&server, &format!("{leap}-03-20T12:00:00Z")).await;
        assert_eq!(operator.post(&format!("{path}/pause"), json!({})).await.problem(409), "unpaid");
        assert_eq!(pay(&server, &acme).await, [9_000]);
        // It rests for ten days: its period is longer by them.
        assert_eq!(command(&operator, &format!("{path}/pause"), json!({})).await["state"], "paused");
        until(&server, &format!("{leap}-03-30T12:00:00Z")).await;
        let rested = command(&operator, &format!("{path}/resume"), json!({})).await;
        assert_eq!(gist(&rested), ("active", "hidden", &*format!("{leap}-03-30T12:00:00Z"), &*format!("{leap}-04-30T11:00:00Z")));
        let zone = json!({ "time_zone": "America/New_York" });
        let elsewhere = operator.patch(&path, zone).await.expect(200);
        assert_eq!((&elsewhere["time_zone"], &elsewhere["current_period_end"]), (&json!("America/New_York"), &rested["current_period_end"]));
        assert_eq!(operator.patch(&path, json!({ "time_zone": "Mars/Base" })).await.pointers(), ["/time_zone"]);
        // What an operator stopped, a payment does not let go on.
        until(&server, &format!("{leap}-05-01T00:00:00Z")).await;
        command(&operator, &format!("{}/suspend", acme.admin()), json!({ "reason": "abuse" })).await;
        until(&server, &format!("{leap}-05-25T00:00:00Z")).await;
        assert_eq!(subscription(&server, &acme).await["state"], "suspended");
        assert_eq!(pay(&server, &acme).await, [9_000]);
        assert_eq!(subscription(&server, &acme).await["state"], "active");
        let tenant = operator.get(&acme.admin()).await.expect(200);
        assert_eq!((&tenant["state"], &tenant["suspend_reason"]), (&json!("suspended"), &json!("abuse")));
        // A stale revision is told so.
        let read = operator.get(&path).await;
        let body = json!({ "plan": "free", "when": "now" });
        let stale = operator.request("POST", &format!("{path}/change")).header("if-match", "\"1\"").json(&body);
        operator.send(stale).await.problem(412);
        let fresh = operator.request("POST", &format!("{path}/change")).header("if-match", read.header("etag").unwrap()).json(&body);
        assert_eq!(operator.send(fresh).await.expect(200)["plan"], "free");
        let support = server.operator_as("viewer").await;
        assert_eq!(support.post(&format!("{path}/cancel"), json!({})).await.problem(403), "insufficient_role");
        assert_eq!(acme.program.post("/v1/tenant/subscription/cancel", json!({})).await.problem(403), "tenant_suspended");
    }
}

on_each_engine! {
    async fn a_tenant_of_a_store_from_before_gets_a_subscription_that_is_not_charged_for_the_past(scene) {
        let (starting, _database) = scene.starting();
        let mut server = sold(starting).start();
        let acme = server.settle("Acme").await;
        assert!(server.stop());
        let settings = tenantry::config::load(&server.inputs()).unwrap().settings;
        let db = Db::open(settings.store.url.expose(), &Options::default()).await.unwrap();
        let id = acme.id.parse().unwrap();
        db.write(move |conn| tenantry::subscriptions::remove_of_tenant_in(conn, id)).await.unwrap();
        drop(db);
        server.start();
        let adopted = subscription(&server, &acme).await;
        assert_eq!((&adopted["state"], &adopted["plan"], &adopted["trial_ends_at"]), (&json!("active"), &json!("basic"), &Value::Null));
        assert!(invoices(&server, &acme, "open").await.is_empty());
    }
}

/// Lets the trials of these tenants end in a moment.
async fn end_trials(server: &Server, tenants: &[Settler]) {
    for tenant in tenants {
        let soon =
            tenantry::kernel::clock::Clock::system().now().plus(std::time::Duration::from_millis(1_500));
        let path = format!("{}/subscription/extend-trial", tenant.admin());
        command(&server.operator(), &path, json!({ "until": soon })).await;
    }
}

async fn is_charged_once(server: &Server, tenant: &Settler) {
    eventually("the trial to end", || async {
        (subscription(server, tenant).await["state"] == "active").then_some(())
    })
    .await;
    assert_eq!(invoices(server, tenant, "open").await.len(), 1);
}

on_each_engine! {
    async fn killed_right_after_a_step_it_takes_the_step_once(scene) {
        let (starting, _database) = scene.starting();
        let mut server = sold(starting).failpoint("subscription/advanced").start();
        let acme = [server.settle("Acme").await];
        end_trials(&server, &acme).await;
        server.wait_for_failpoint();
        server.kill();
        server.disarm();
        server.start();
        is_charged_once(&server, &acme[0]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_replicas_one_takes_each_step() {
    let database = Pg::newest().fresh_database();
    let replica = || {
        let starting = Starting::new().on_postgres(&database.url, "schema");
        let starting = starting.set("SECRETS__MASTER_KEY", "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=");
        sold(starting.set("SERVER__PUBLIC_URL", "https://tenantry.example.com")).start()
    };
    let (one, two) = (replica(), replica());
    let mut tenants = Vec::new();
    for name in ["Acme", "Globex", "Initech", "Hooli"] {
        tenants.push(one.settle(name).await);
    }
    end_trials(&one, &tenants).await;
    for tenant in &tenants {
        is_charged_once(&two, tenant).await;
        let program = two.with(&tenant.key);
        assert_eq!(program.query("SELECT 1", json!([])).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_is_nobodys_unless_it_is_under_test() {
    let server = Server::embedded();
    server.operator().get("/admin/v1/clock").await.problem(404);
    server.operator().post("/admin/v1/clock", json!({ "advance_s": 1 })).await.problem(404);
    let (server, _) = timeless(Scene { pg: None, isolation: "database" });
    let before = server.operator().get("/admin/v1/clock").await.expect(200);
    let moved = server.operator().post("/admin/v1/clock", json!({ "advance_s": 60 })).await.expect(200);
    assert!(moved["now"].as_str() > before["now"].as_str());
    let back = json!({ "to": before["now"] });
    assert_eq!(server.operator().post("/admin/v1/clock", back).await.pointers(), ["/to"]);
    assert_eq!(server.operator().post("/admin/v1/clock", json!({})).await.pointers(), ["/advance_s"]);
    assert_eq!(
        server.operator_as("support").await.get("/admin/v1/clock").await.problem(403),
        "insufficient_role"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_with_another_isolation_model_is_recorded_as_wanted() {
    let database = Pg::newest().fresh_database();
    let plans = format!(
        "{PLANS}[plans.silo]\nname = \"Silo\"\nprice = 90_000\ncurrency = \"EUR\"\nisolation = \"database\"\n"
    );
    let starting = sold(Starting::new().on_postgres(&database.url, "schema")).file("plans.toml", &plans);
    let server = starting.start();
    let acme = server.settle("Acme").await;
    let changed = command(&acme.owner, "/v1/tenant/subscription/change", json!({ "plan": "silo" })).await;
    assert_eq!((&changed["plan"], &changed["wanted_isolation"]), (&json!("silo"), &json!("database")));
    assert_eq!(server.operator().get(&acme.admin()).await.expect(200)["isolation"], "schema");
    let back = command(&acme.owner, "/v1/tenant/subscription/change", json!({ "plan": "pro" })).await;
    assert_eq!(back["wanted_isolation"], Value::Null);
}
