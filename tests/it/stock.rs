//! The shelf of ready placements fills by itself, whatever stood in its way, and leaves nothing half-built.

use serde_json::{Value, json};
use tenantry::app::App;
use tenantry::placement::{self, place::PlaceState};
use tenantry::server::doctor;

use crate::once_in_every_model;
use crate::world::broken_migrations;
use crate::world::doctor::{all_is_well, parts};
use crate::world::postgres::Pg;
use crate::world::server::{PASSWORD, Server, Starting, eventually};

fn one_in_stock(starting: Starting, isolation: &str) -> Starting {
    let key = format!("TENANCY__STOCK__{}", isolation.to_uppercase());
    starting.without_stock().set(&key, 1).set("OPERATIONS__MAX_ATTEMPTS", 2)
}

/// Waits until at least this many operations of this kind stand like this; answers them, newest first.
async fn operations(server: &Server, kind: &str, state: &str, least: usize) -> Vec<Value> {
    let path = format!("/admin/v1/operations?kind={kind}&state={state}&limit=200");
    eventually(&format!("{least} {kind} {state}"), || async {
        let found = server.operator().get(&path).await.expect(200)["data"].as_array().unwrap().clone();
        (found.len() >= least).then_some(found)
    })
    .await
}

/// Waits until one placement lies ready, and nothing else is there; answers whose home it is.
async fn until_full(app: &App) -> String {
    let tenant = eventually("the shelf to be full", || async {
        let placements = app.db.read(placement::all_in).await.unwrap();
        let one = placements.first().filter(|one| placements.len() == 1 && one.state == PlaceState::Stocked);
        one.map(|one| one.home.tenant)
    })
    .await
    .to_string();
    all_is_well(app, [tenant.as_str()]).await;
    tenant
}

async fn sign_up(server: &Server, name: &str) -> Value {
    let email = format!("owner@{}.example", name.to_lowercase());
    let body = json!({ "organization": name, "email": email, "password": PASSWORD });
    server.nobody().post("/v1/signups", body).await.expect(202)
}

once_in_every_model! {
    async fn what_cannot_be_built_is_removed_and_another_one_is_begun_until_the_shelf_is_full(scene) {
        let (folder, up) = broken_migrations();
        let (starting, _database) = scene.starting();
        let starting = one_in_stock(starting, scene.isolation)
            .set("APPLICATION__MIGRATIONS_DIR", folder.path().display());
        let mut server = starting.start();
        let app = parts(&server).await;
        // Nobody retries anything.
        let failed = operations(&server, "placement.stock", "failed", 2).await;
        assert!(failed[0]["error"].as_str().unwrap().contains("0003_broken/up.sql"), "{failed:#?}");
        operations(&server, "placement.retire", "succeeded", 2).await;
        let waiting = operations(&server, "placement.stock", "pending", 1).await;
        assert_eq!(waiting.len(), 1, "one is to come, no more: {waiting:#?}");
        assert!(waiting[0]["next_attempt_at"].is_string(), "and the operator sees when: {waiting:#?}");

        assert!(server.stop(), "it ended well");
        std::fs::write(&up, "CREATE INDEX sorted ON notebooks (tenant_id, archived);\n").unwrap();
        server.start();
        drop(app);
        let app = parts(&server).await;
        let ready = until_full(&app).await;

        // Retried by call, a building that was given up builds nothing: its placement is gone.
        let path = format!("/admin/v1/operations/{}/retry", failed[1]["id"].as_str().unwrap());
        server.operator().post(&path, json!({})).await.expect(202);
        server.until_done(failed[1]["id"].as_str().unwrap()).await;
        all_is_well(&app, [ready.as_str()]).await;

        let signed = sign_up(&server, "Acme").await;
        assert_eq!((&signed["operation"]["state"], &signed["tenant_id"]), (&json!("succeeded"), &json!(ready)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_leaves_no_more_half_built_homes_than_the_shelf_has_room_for_and_they_go_by_themselves() {
    for isolation in ["schema", "database"] {
        let cluster = Pg::newest().alone();
        let (store, place) = (Pg::newest().fresh_database(), cluster.fresh_database());
        let starting = one_in_stock(Starting::new(), isolation)
            .set("STORE__URL", &store.url)
            .set("CLUSTERS__MAIN__URL", &place.url)
            .set("CLUSTERS__MAIN__CONNECT_TIMEOUT_MS", 1_000)
            .set("TENANCY__ISOLATION", isolation)
            .failpoint("placement.stock/create_role/recorded");
        let mut server = starting.start();
        server.wait_for_failpoint();
        server.kill();
        server.disarm();
        cluster.stop();
        server.start();
        // What was begun is given up; so is its removal, which is tried again; so is the next one.
        operations(&server, "placement.retire", "failed", 1).await;
        let app = parts(&server).await;
        let retried = "SELECT count(*) FROM events WHERE type = 'operation.retried' AND data->>'kind' = ";
        for kind in ["placement.retire", "placement.stock"] {
            eventually(&format!("{kind} to be taken up again"), || async {
                (store.ask(&format!("{retried}'{kind}'"))[0] != "0").then_some(())
            })
            .await;
        }
        let report = doctor::examine(&app).await.unwrap();
        assert!(report.placements <= 2, "one to remove, one to build: {report:#?}");
        cluster.restart();
        let ready = until_full(&app).await;
        let signed = sign_up(&server, "Acme").await;
        assert_eq!(signed["tenant_id"], json!(ready), "{isolation}");
    }
}
