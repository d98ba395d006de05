//! The directory, the feed of activity, and projections as such: they say what the log says, also when they are
//! built anew while it grows, by several at once, and killed in the middle.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use tenantry::db::{Db, Options};
use tenantry::directory;
use tenantry::log::projection::{self, Built};

use crate::min_seq::{seeing, seq};
use crate::on_each_engine;
use crate::world::server::{Client, Server, Settler, eventually};

const DIRECTORY: &str = "/admin/v1/directory";
const PROJECTIONS: &str = "/admin/v1/projections";
const BOTH: [&str; 2] = ["tenant_directory", "activity"];
/// Where a rebuilding is held before it ends.
const HELD: &str = "rebuild/tenant_directory/swap,rebuild/activity/swap";

fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// All pages of a list, one item each.
async fn walk(client: &Client, path: &str) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let glue = if path.contains('?') { '&' } else { '?' };
        let page = client.get(&format!("{path}{glue}limit=1{cursor}")).await.expect(200);
        all.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

async fn status(server: &Server, name: &str) -> Value {
    let all = server.operator().get(PROJECTIONS).await.expect(200);
    all["data"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
}

async fn rebuild(server: &Server, name: &str) -> Value {
    server.operator().post(&format!("{PROJECTIONS}/{name}/rebuild"), json!({})).await.expect(202)
}

/// Waits until this generation of both answers and nothing is left of others.
async fn until_built(server: &Server, generation: i64) {
    let app = store(server).await;
    for name in BOTH {
        eventually("the new one to answer alone", || async {
            let one = status(server, name).await;
            let known = app.read(move |conn| projection::all_in(conn, name)).await.unwrap();
            (one["generation"] == generation && one["state"] == "following" && known.len() == 1).then_some(())
        })
        .await;
    }
}

async fn store(server: &Server) -> Db {
    let settings = tenantry::config::gather(&server.inputs()).loaded.unwrap().settings;
    let options = Options { max_connections: 4, ..Options::default() };
    Db::open(settings.store.url.expose(), &options).await.unwrap()
}

/// What both say, once they have taken everything in.
async fn said(server: &Server, tenants: &[&str]) -> (Value, Vec<Value>) {
    for name in BOTH {
        eventually("it to have caught up", || async {
            (status(server, name).await["lag_events"] == 0).then_some(())
        })
        .await;
    }
    let operator = server.operator();
    let listed = operator.get(&format!("{DIRECTORY}?sort=name")).await.expect(200);
    let mut lines = Vec::new();
    for tenant in tenants {
        lines.push(operator.get(&format!("/admin/v1/tenants/{tenant}/activity?limit=200")).await.expect(200));
    }
    (listed, lines)
}

on_each_engine! {
    async fn the_directory_tells_how_each_tenant_stands(scene) {
        let (starting, _database) = scene.starting();
        let server = starting.set("TENANCY__REGION", "eu-north").start();
        let (acme, operator) = (server.settle("Acme").await, server.operator());
        let globex = server.create(json!({ "name": "globex_100% Söhne", "slug": "globex", "plan": "pro" })).await;
        let key = acme.owner.post("/v1/tenant/api-keys", json!({ "name": "second", "scopes": ["data:read"] })).await.expect(201);
        let rotate = format!("/v1/tenant/api-keys/{}/rotate", key["id"].as_str().unwrap());
        acme.owner.post(&rotate, json!({ "overlap_s": 600 })).await.expect(201);
        let last = acme.owner.patch("/v1/tenant", json!({ "name": "Acme One" })).await;
        last.expect(200);
        let page = seeing(&operator, &format!("{DIRECTORY}?search=acme"), seq(&last)).await;
        let one = &page["data"][0];
        let told = operator.get(&acme.admin()).await.expect(200);
        for field in ["id", "slug", "name", "state", "plan", "isolation", "cluster", "region", "created_at"] {
            assert_eq!(one[field], told[field], "{field}: {page}");
        }
        assert_eq!((&one["members"], &one["keys"], &one["plan_version"]), (&json!(1), &json!(2), &json!(1)), "{one}");
        assert_eq!((&one["region"], &one["deleted_at"]), (&json!("eu-north"), &Value::Null));
        assert!(one["last_activity_at"].as_str() > one["created_at"].as_str(), "{one}");

        // The replaced key counts no more, whether it is revoked early or not.
        acme.owner.delete(&format!("/v1/tenant/api-keys/{}", key["id"].as_str().unwrap())).await.expect(200);
        let id = globex["id"].as_str().unwrap();
        let suspended = operator.post(&format!("/admin/v1/tenants/{id}/suspend"), json!({ "reason": "unpaid" })).await;
        suspended.expect(200);
        let page = seeing(&operator, &format!("{DIRECTORY}?state=suspended"), seq(&suspended)).await;
        assert_eq!((names(&page), &page["data"][0]["plan"]), (vec!["globex_100% Söhne"], &json!("pro")));
        let all = async |query: &str| operator.get(&format!("{DIRECTORY}{query}")).await.expect(200);
        assert_eq!(all("?search=acme").await["data"][0]["keys"], 2);

        // Search takes what is typed as it is, and filters hold together.
        let both = ["Acme One", "globex_100% Söhne"];
        for (query, found) in [
            ("?search=ONE", &both[..1]), ("?search=_100%25", &both[1..]), ("?search=x_1%25", &both[..0]),
            ("?search=s%C3%B6h", &both[1..]), ("?plan=pro&state=suspended", &both[1..]), ("?plan=pro&state=active", &both[..0]),
            ("?cluster=main&sort=name", &both[..]), ("?cluster=other", &both[..0]), ("?region=eu-north&sort=name", &both[..]),
            ("?state=deleted", &both[..0]), ("?sort=created_at&order=asc", &both[..]), ("?sort=keys&plan=free", &both[..1]),
        ] {
            assert_eq!(names(&all(query).await), found, "{query}");
        }
        assert_eq!(names(&all(&format!("?search={id}")).await), both[1..]);
        for sort in ["created_at", "name", "last_activity_at", "members", "keys"] {
            for order in ["asc", "desc"] {
                let path = format!("{DIRECTORY}?sort={sort}&order={order}");
                let whole = operator.get(&path).await.expect(200);
                assert_eq!(json!(walk(&operator, &path).await), whole["data"], "{path}");
                let next = operator.get(&format!("{path}&limit=1")).await.expect(200)["next_cursor"].as_str().unwrap().to_owned();
                let turned = if order == "asc" { "desc" } else { "asc" };
                let wrong = operator.get(&format!("{DIRECTORY}?sort={sort}&order={turned}&cursor={next}")).await;
                assert_eq!(wrong.pointers(), ["?cursor"]);
            }
        }
        assert_eq!(operator.get(&format!("{DIRECTORY}?limit=201")).await.pointers(), ["?limit"]);
        assert_eq!(operator.get(&format!("{DIRECTORY}?min_seq=now")).await.pointers(), ["?"]);
        assert_eq!(acme.owner.get(DIRECTORY).await.problem(403), "wrong_credential");

        // A tenant that is gone is listed for who asks for it, with nobody in it.
        let operation = acme.owner.delete("/v1/tenant").await.expect(202)["operation"]["id"].as_str().unwrap().to_owned();
        server.until_done(&operation).await;
        let gone = eventually("the directory to know", || async {
            let page = all("?state=deleted").await;
            (page["data"].as_array().unwrap().len() == 1).then(|| page["data"][0].clone())
        }).await;
        assert_eq!((&gone["id"], &gone["members"], &gone["keys"]), (&json!(acme.id), &json!(0), &json!(0)));
        assert!(gone["deleted_at"].is_string());
        assert_eq!(names(&all("").await), both[1..]);
    }
}

on_each_engine! {
    async fn a_tenant_reads_back_who_did_what_in_it_and_nobody_elses(scene) {
        let (server, _database) = scene.server();
        let (acme, globex): (Settler, Settler) = (server.settle("Acme").await, server.settle("Globex").await);
        let operator = server.operator();
        operator.post(&format!("{}/suspend", acme.admin()), json!({ "reason": "an invoice\nis unpaid" })).await.expect(200);
        operator.send(operator.request("POST", &format!("{}/resume", acme.admin()))).await.expect(200);
        let renamed = acme.owner.patch("/v1/tenant", json!({ "name": "Acme One" })).await;
        renamed.expect(200);
        let own = "/v1/tenant/activity";
        let page = seeing(&acme.owner, own, seq(&renamed)).await;
        let lines = page["data"].as_array().unwrap();
        let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(texts[0], "A member named the tenant Acme One, slug acme.");
        assert_eq!(texts[1..3], ["An operator let the tenant go on.", "An operator suspended the tenant: an invoice is unpaid."]);
        assert!(texts.contains(&"Somebody created the tenant Acme.") && !page.to_string().contains("127.0.0.1"), "{texts:#?}");
        assert_eq!((&lines[0]["type"], &lines[0]["actor"]["kind"]), (&json!("tenant.updated"), &json!("user")));
        let events = operator.get(&format!("{}/events?order=desc&types=tenant.updated", acme.admin())).await.expect(200);
        assert_eq!((&lines[0]["event_id"], &lines[0]["at"]), (&events["data"][0]["id"], &events["data"][0]["time"]));
        assert_eq!(json!(walk(&acme.owner, own).await), page["data"]);
        assert_eq!(acme.owner.get(&format!("{own}?cursor=7")).await.pointers(), ["?cursor"]);

        // The operator sees at least that; another tenant nothing of it, and no key without the scope.
        let seen = operator.get(&format!("{}/activity?limit=200", acme.admin())).await.expect(200);
        assert!(lines.iter().all(|line| seen["data"].as_array().unwrap().contains(line)));
        assert!(!globex.owner.get(own).await.expect(200).to_string().contains("Acme"));
        assert_eq!(acme.program.get(own).await.problem(403), "insufficient_scope");
        let reader = acme.key(&["events:read"]).await;
        assert_eq!(reader.get(&format!("{own}?limit=1")).await.expect(200)["data"].as_array().unwrap().len(), 1);
        assert_eq!(globex.owner.get(&format!("{}/activity", acme.admin())).await.problem(403), "wrong_credential");
        assert_eq!(operator.get("/admin/v1/tenants/nobody/activity").await.problem(404), "not_found");

        // Nothing of what its people did outlasts the tenant, nor in one that is built anew.
        let operation = acme.owner.delete("/v1/tenant").await.expect(202)["operation"]["id"].as_str().unwrap().to_owned();
        server.until_done(&operation).await;
        for generation in [1, 2] {
            if generation == 2 {
                rebuild(&server, "activity").await;
                rebuild(&server, "tenant_directory").await;
                until_built(&server, 2).await;
            }
            eventually("its activity to be gone", || async {
                let left = operator.get(&format!("{}/activity", acme.admin())).await.expect(200);
                let texts: Vec<_> = left["data"].as_array().unwrap().iter().map(|line| line["text"].clone()).collect();
                (texts == ["The system removed the tenant."]).then_some(())
            }).await;
        }
        assert!(!globex.owner.get(own).await.expect(200)["data"].as_array().unwrap().is_empty());
    }
}

on_each_engine! {
    async fn building_anew_while_it_serves_and_grows_makes_what_following_made(scene) {
        let (starting, _database) = scene.starting();
        let mut server = starting.failpoint(HELD).start();
        let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
        acme.key(&["data:read"]).await;
        let tenants = [acme.id.as_str(), globex.id.as_str()];
        let followed = said(&server, &tenants).await;
        for name in BOTH {
            let begun = rebuild(&server, name).await;
            assert_eq!((&begun["state"], &begun["generation"]), (&json!("rebuilding"), &json!(1)), "{begun}");
            assert_eq!(rebuild(&server, name).await["rebuilding_since"], begun["rebuilding_since"], "once");
        }
        server.wait_for_failpoint();

        // The server's own stands still before its end. What answers goes on and follows.
        let renamed = globex.owner.patch("/v1/tenant", json!({ "name": "Globex One" })).await;
        renamed.expect(200);
        let page = seeing(&server.operator(), &format!("{DIRECTORY}?sort=name"), seq(&renamed)).await;
        assert_eq!(names(&page), ["Acme", "Globex One"]);

        // Two others build, event after event, while there are more; readers never see a part.
        // They know as the server does which events are for tenants.
        tenantry::log::catalogue::install(tenantry::app::facts());
        let db = store(&server).await;
        let (ready, swaps) = (AtomicBool::new(false), AtomicUsize::new(0));
        let build = async || {
            for one in directory::projections() {
                loop {
                    match projection::build(&db, &one, 3).await.unwrap() {
                        Built::Answers(2) => { swaps.fetch_add(1, Ordering::SeqCst); }
                        Built::Answers(other) => panic!("{other} answers"),
                        Built::Nothing => break,
                        Built::Some | Built::Elsewhere => {}
                    }
                }
            }
        };
        let grow = async {
            let mut round = 0;
            while !ready.load(Ordering::SeqCst) {
                round += 1;
                globex.owner.patch("/v1/tenant", json!({ "name": format!("Globex {round}") })).await.expect(200);
            }
        };
        let look = async {
            while !ready.load(Ordering::SeqCst) {
                let (listed, lines) = (server.operator().get(DIRECTORY).await.expect(200), acme.owner.get("/v1/tenant/activity").await.expect(200));
                assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
                assert_eq!(lines, acme_lines(&followed), "a part of them, or some twice");
            }
        };
        let both = async {
            futures_util::future::join(build(), build()).await;
            ready.store(true, Ordering::SeqCst);
        };
        futures_util::join!(both, grow, look);
        assert_eq!(swaps.load(Ordering::SeqCst), 2, "each once, whoever did");
        let now = said(&server, &tenants).await;
        assert_eq!((&now.0["data"][0], &now.1[0]), (&followed.0["data"][0], &followed.1[0]), "nothing happened in this one");

        // Again, with what answers spoilt, and killed in the middle and before the end.
        let spoil = "UPDATE directory_tenants SET members = 99; UPDATE activity_lines SET line = 'spoilt'";
        db.write_held(move |conn| conn.execute_batch(spoil)).await.unwrap();
        assert_eq!(said(&server, &tenants).await.0["data"][0]["members"], 99);
        server.kill();
        server.start();
        for name in BOTH {
            rebuild(&server, name).await;
        }
        server.wait_for_failpoint();
        for one in directory::projections() {
            for _ in 0..2 {
                assert_eq!(projection::build(&db, &one, 3).await.unwrap(), Built::Some);
            }
            let half = status(&server, one.name()).await;
            assert!(half["generation"] == 2 && half["rebuilt"].as_f64() > Some(0.0) && half["rebuilt"].as_f64() < Some(1.0), "{half}");
        }
        assert_eq!(said(&server, &tenants).await.0["data"][0]["members"], 99, "no part of the new one");
        server.kill();
        server.disarm();
        server.start();
        until_built(&server, 3).await;
        assert_eq!(said(&server, &tenants).await, now);
    }
}

/// The lines of the first tenant, as the tenant itself sees them: all are meant for it.
fn acme_lines(said: &(Value, Vec<Value>)) -> Value {
    said.1[0].clone()
}

on_each_engine! {
    async fn who_follows_is_listed_and_stands_still_when_told(scene) {
        let (server, _database) = scene.server();
        let (acme, operator) = (server.settle("Acme").await, server.operator());
        let viewer = server.operator_as("viewer").await;
        let act = async |name: &str, verb: &str| operator.post(&format!("{PROJECTIONS}/{name}/{verb}"), json!({})).await;
        eventually("all to have begun", || async {
            let all = viewer.get(PROJECTIONS).await.expect(200);
            let found: Vec<_> = names(&all).into_iter().map(str::to_owned).collect();
            let known = |name: &str| found.iter().any(|one| one == name);
            (found[..3] == ["usage_rollups", "tenant_directory", "activity"] && known("webhooks") && known("memory")).then_some(())
        }).await;

        for name in ["tenant_directory", "usage_rollups", "webhooks"] {
            let paused = act(name, "pause").await.expect(200);
            assert_eq!((&paused["state"], paused["paused_at"].is_string()), (&json!("paused"), true), "{paused}");
            assert_eq!(act(name, "pause").await.expect(200)["paused_at"], paused["paused_at"], "since when");
        }
        let renamed = acme.owner.patch("/v1/tenant", json!({ "name": "Acme One" })).await;
        renamed.expect(200);
        let behind = operator.get(&format!("{DIRECTORY}?min_seq={}", seq(&renamed))).await;
        assert_eq!(behind.problem(503), "projection_behind");
        assert_eq!(names(&operator.get(DIRECTORY).await.expect(200)), ["Acme"], "it answers as it is");
        for name in ["tenant_directory", "webhooks"] {
            let one = status(&server, name).await;
            assert!(one["lag_events"].as_i64() >= Some(1) && one["behind_since"].is_string(), "{one}");
        }
        seeing(&acme.owner, "/v1/tenant/activity", seq(&renamed)).await;
        let told = eventually("the lag to be measured", || async {
            let metrics = server.nobody().get("/metrics").await.text;
            let lag = |name: &str, follower: &str| -> Option<f64> {
                let start = format!("{name}{{follower=\"{follower}\"}} ");
                metrics.lines().find_map(|line| line.strip_prefix(&start)?.trim().parse().ok())
            };
            lag("tenantry_follower_lag_events", "tenant_directory").filter(|lag| *lag >= 1.0)?;
            Some((lag("tenantry_follower_lag_seconds", "tenant_directory")?, lag("tenantry_follower_lag_seconds", "memory")?))
        }).await;
        assert!(told.0 > 0.0 && told.1 < 60.0, "{told:?}");

        // What is paused can be built anew, and is paused still.
        rebuild(&server, "tenant_directory").await;
        let one = eventually("the new one to answer", || async {
            let one = status(&server, "tenant_directory").await;
            (one["generation"] == 2 && one["rebuilding_since"].is_null()).then_some(one)
        }).await;
        assert_eq!(one["state"], "paused");
        for name in ["tenant_directory", "usage_rollups", "webhooks"] {
            let going = act(name, "resume").await.expect(200);
            assert_eq!((&going["state"], &going["paused_at"]), (&json!("following"), &Value::Null));
        }
        let page = seeing(&operator, DIRECTORY, seq(&renamed)).await;
        assert_eq!(names(&page), ["Acme One"]);
        let types = "?types=projection.*&limit=200";
        let told = operator.get(&format!("/admin/v1/events{types}")).await.expect(200);
        let count = |kind: &str| told["data"].as_array().unwrap().iter().filter(|event| event["type"] == kind).count();
        assert_eq!([count("projection.paused"), count("projection.resumed"), count("projection.rebuild_started")], [3, 3, 1]);

        assert_eq!(act("webhooks", "rebuild").await.problem(409), "not_rebuildable");
        assert_eq!(act("memory", "rebuild").await.problem(409), "not_rebuildable");
        assert_eq!(act("memory", "pause").await.problem(409), "not_pausable");
        for verb in ["pause", "resume", "rebuild"] {
            assert_eq!(act("others", verb).await.problem(404), "not_found");
            let path = format!("{PROJECTIONS}/tenant_directory/{verb}");
            assert_eq!(viewer.post(&path, json!({})).await.problem(403), "insufficient_role");
        }
    }
}
