//! Attacks on the data door: one tenant holds keys that may send any SQL, and tries to reach another.
//!
//! A victim has marked rows: texts, ids, numbers and times that occur nowhere else. After everything that
//! `postgres`, `sqlite` and `variants` come up with, sent with a key that may read and one that may write:
//! no answer held a mark, every failure was a problem in plain words, the victim's data is what it was byte
//! for byte, and nothing new exists on the cluster.
//!
//! What an owner who is no superuser cannot close, and what therefore counts as no escape: names of roles,
//! databases, schemas, tables and columns in the catalogs; who is signed in where; numbers of rows per table of
//! the shared schema in statistics and plans; large objects of the tenant's own, which go with it; advisory locks
//! and notifications, which tenants of one database share.

mod postgres;
mod proof;
mod sqlite;
pub mod variants;

use std::sync::Mutex;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::world::Scene;
use crate::world::postgres::TestDatabase;
use crate::world::server::eventually;
use crate::world::server::{Answer, Client, Server, Settler};
use crate::{in_every_model, once_in_every_model};
use proof::Proof;
use variants::Dice;

/// Attacks made by chance, per key and scene.
const BY_CHANCE: usize = 600;
/// At once; as many as a tenant may have under way.
const AT_ONCE: usize = 8;

/// A victim and an attacker on a server of their own.
struct Stage {
    scene: Scene,
    server: Server,
    database: Option<TestDatabase>,
    victim: Settler,
    mallory: Settler,
    /// A key of the attacker's that may only read.
    reader: Client,
    marks: Vec<String>,
    homes: Homes,
}

/// Where both live, as the operator sees it.
pub struct Homes {
    pub victim: Home,
    pub own: Home,
}

/// One tenant's place.
pub struct Home {
    /// The bare UUID, as rows hold it.
    pub tenant: String,
    pub database: String,
    pub schema: String,
    pub role: String,
}

impl Stage {
    async fn set(scene: Scene) -> Self {
        let (starting, database) = scene.starting();
        // Stock is built in the background, and would look like something that an attack made.
        let server = starting.without_stock().start();
        let chance = tenantry::kernel::entropy::base62(14).to_lowercase();
        // Also in the control store: the victim's name, slug and address carry the mark.
        let mark = format!("mk{chance}");
        let victim = server.settle(&format!("V{mark}")).await;
        let mallory = server.settle("Mallory").await;
        let key = json!({ "name": "reader", "scopes": ["data:read"] });
        let reader = mallory.owner.post("/v1/tenant/api-keys", key).await.expect(201);
        let reader = server.with(reader["key"].as_str().unwrap());
        let ids = [0, 1].map(|_| uuid::Uuid::from_bytes(tenantry::kernel::entropy::bytes()).to_string());
        furnish(&victim.program, &mark, &ids, "1987-06-05T04:03:02Z", 7_654_321_987_654).await;
        let own = [0, 1].map(|_| uuid::Uuid::from_bytes(tenantry::kernel::entropy::bytes()).to_string());
        furnish(&mallory.program, "mine", &own, "2020-01-01T00:00:00Z", 5).await;
        let [notebook, note] = ids;
        let marks = vec![mark, notebook, note, "1987-06-05".into(), "7654321987654".into()];
        let homes =
            Homes { victim: Home::of(&server, &victim).await, own: Home::of(&server, &mallory).await };
        Self { scene, server, database, victim, mallory, reader, marks, homes }
    }

    /// What the attacker says, besides what it makes up.
    fn arsenal(&self) -> variants::Arsenal {
        match &self.database {
            Some(database) => postgres::arsenal(&self.homes, database),
            None => sqlite::arsenal(&self.homes, &self.server.data_dir()),
        }
    }

    /// The victim's data in its own eyes.
    async fn as_the_victim_sees_it(&self) -> String {
        everything(&self.victim.program).await
    }

    /// Sends them all, some at a time.
    async fn send(&self, by: &Client, attacks: &[String], tally: &Mutex<Tally>) {
        futures_util::stream::iter(attacks)
            .for_each_concurrent(AT_ONCE, |sql| async {
                let answer = by.query(sql, json!([])).await;
                self.judge(sql, &answer);
                tally.lock().unwrap().count(&answer);
            })
            .await;
    }

    #[track_caller]
    fn judge(&self, sql: &str, answer: &Answer) {
        let told = answer.text.to_lowercase();
        // A mark that stands in the question tells nobody anything.
        let asked = sql.to_lowercase();
        for mark in &self.marks {
            assert!(asked.contains(mark) || !told.contains(mark), "{mark} in the answer to {sql:?}: {told}");
        }
        match answer.status {
            200 => {}
            400..=499 => {
                answer.problem(answer.status);
            }
            // The database ended the session or the statement: told as such, and meant.
            503 => {
                let code = answer.problem(503);
                assert!(
                    ["database_unavailable", "database_busy"].contains(&code.as_str()),
                    "{sql:?}: {told}"
                );
            }
            504 => assert_eq!(answer.problem(504), "statement_timeout", "{sql:?}"),
            _ => panic!("{sql:?} was answered {}: {}", answer.status, answer.text),
        }
    }
}

impl Home {
    async fn of(server: &Server, of: &Settler) -> Self {
        let path = format!("/admin/v1/tenants/{}/placement", of.id);
        let place = server.operator().get(&path).await.expect(200);
        let text = |key: &str| place[key].as_str().unwrap_or("").to_owned();
        let id: tenantry::kernel::id::TenantId = of.id.parse().unwrap();
        Self {
            tenant: id.uuid().to_string(),
            database: text("database"),
            schema: text("schema"),
            role: text("role"),
        }
    }
}

/// How the attacks were met.
#[derive(Default)]
struct Tally {
    sent: usize,
    let_through: usize,
    unavailable: usize,
}

impl Tally {
    fn count(&mut self, answer: &Answer) {
        self.sent += 1;
        self.let_through += usize::from(answer.status == 200);
        self.unavailable += usize::from(answer.status >= 500);
    }
}

/// A notebook, a note and a tag, with the mark in every column that takes one.
async fn furnish(by: &Client, mark: &str, ids: &[String; 2], at: &str, number: i64) {
    let [notebook, note] = ids;
    for (sql, params) in [
        (
            "INSERT INTO notebooks (id, name, created_at) VALUES ($1, $2, $3)",
            json!([notebook, format!("{mark} notebook"), at]),
        ),
        (
            "INSERT INTO notes (id, notebook_id, title, body, revision, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $6)",
            json!([note, notebook, format!("{mark} title"), format!("{mark} body"), number, at]),
        ),
        ("INSERT INTO note_tags (note_id, tag) VALUES ($1, $2)", json!([note, format!("{mark} tag")])),
    ] {
        by.query(sql, params).await.expect(200);
    }
}

/// All rows of a tenant, in its own eyes.
async fn everything(by: &Client) -> String {
    let mut all = String::new();
    for table in ["notebooks", "notes", "note_tags"] {
        let answer = by.query(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"), json!([])).await;
        let body = answer.expect(200);
        assert_eq!(body["truncated"], false, "{table} has grown beyond what one answer holds");
        all.push_str(&body["rows"].to_string());
    }
    all
}

once_in_every_model! {
    async fn no_statement_reaches_another_tenant(scene) {
        let stage = Stage::set(scene).await;
        let (arsenal, seed) = (stage.arsenal(), variants::seed());
        eprintln!("{:?}: chance begins at {} {seed}", stage.scene, variants::SEED);
        let before = stage.as_the_victim_sees_it().await;
        let proof = Proof::take(&stage);
        let tally = Mutex::new(Tally::default());

        // One who may only read changes nothing, not even of its own.
        let own = everything(&stage.mallory.program).await;
        let mut dice = Dice::new(seed);
        let mut attacks = arsenal.written.clone();
        attacks.extend((0..BY_CHANCE).map(|_| arsenal.by_chance(&mut dice)));
        stage.send(&stage.reader, &attacks, &tally).await;
        assert_eq!(everything(&stage.mallory.program).await, own, "a reader has changed its tenant's data");
        proof.holds(&stage, false);
        assert_eq!(stage.as_the_victim_sees_it().await, before);

        // One who may write reaches all of its own, and no more.
        let mut attacks = arsenal.written.clone();
        attacks.extend((0..BY_CHANCE).map(|_| arsenal.by_chance(&mut dice)));
        stage.send(&stage.mallory.program, &attacks, &tally).await;
        stage.send(&stage.mallory.program, &arsenal.sweeping, &tally).await;
        proof.holds(&stage, true);
        assert_eq!(stage.as_the_victim_sees_it().await, before);
        let mine = everything(&stage.mallory.program).await;
        for mark in &stage.marks {
            assert!(!mine.contains(mark), "{mark} found its way into the attacker's tables: {mine}");
        }

        let tally = tally.into_inner().unwrap();
        eprintln!("{:?}: {} attacks, {} run, {} unavailable", stage.scene, tally.sent, tally.let_through, tally.unavailable);
        assert!(tally.sent > 2 * BY_CHANCE && tally.let_through > tally.sent / 50, "the attacks are no SQL");
        assert!(tally.unavailable < tally.sent / 10, "the attacker is mostly refused for want of a database");
    }
}

in_every_model! {
    async fn keys_and_references_tell_nothing_of_others(scene) {
        let stage = Stage::set(scene).await;
        let [mark, notebook, note] = [&stage.marks[0], &stage.marks[1], &stage.marks[2]];
        let nobody = uuid::Uuid::from_bytes(tenantry::kernel::entropy::bytes()).to_string();
        let by = &stage.mallory.program;
        let before = stage.as_the_victim_sees_it().await;
        let proof = Proof::take(&stage);

        // A name, an id and a tag that are the victim's too are as free as any.
        let name = format!("{mark} notebook");
        for sql in [
            "INSERT INTO notebooks (id, name) VALUES ($1, $2)",
            "INSERT INTO notebooks (id, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            "INSERT INTO notebooks (id, name) VALUES ($1, $2) ON CONFLICT (tenant_id, name) DO UPDATE SET archived = true",
        ] {
            let made = by.query(sql, json!([notebook, name])).await.expect(200);
            assert_eq!(made["row_count"], 1, "{sql}");
            assert_eq!(by.query("DELETE FROM notebooks WHERE id = $1", json!([notebook])).await.expect(200)["row_count"], 1);
        }
        // What refers to the victim's row is told the same as what refers to nothing.
        for sql in [
            "INSERT INTO notes (notebook_id, title) VALUES ($1, 'x')",
            "INSERT INTO note_tags (note_id, tag) VALUES ($1, 'x')",
            "UPDATE notes SET notebook_id = $1",
            "UPDATE note_tags SET note_id = $1",
            "DELETE FROM notes WHERE id = $1",
            "SELECT * FROM notes WHERE id = $1 OR notebook_id = $1",
            "SELECT count(*) FROM note_tags WHERE note_id = $1",
        ] {
            let told = |answer: Answer, id: &str| (answer.status, without_ids(&answer.text, id));
            for theirs in [notebook, note] {
                let of_theirs = told(by.query(sql, json!([theirs])).await, theirs);
                let of_none = told(by.query(sql, json!([nobody])).await, &nobody);
                assert_eq!(of_theirs, of_none, "{sql}");
            }
        }
        // Another's tenant_id is refused whether or not it exists.
        for tenant in [&stage.homes.victim.tenant, &nobody] {
            for sql in [
                "INSERT INTO notebooks (tenant_id, name) VALUES ($1, 'planted')",
                "INSERT INTO notebooks (tenant_id, name) VALUES ($1, 'planted') ON CONFLICT (tenant_id, name) DO NOTHING",
                "UPDATE notebooks SET tenant_id = $1",
                "UPDATE note_tags SET tenant_id = $1",
            ] {
                let answer = by.query(sql, json!([tenant])).await;
                assert!([403, 409].contains(&answer.status), "{sql}: {} {}", answer.status, answer.text);
                answer.problem(answer.status);
            }
        }
        assert_eq!(stage.as_the_victim_sees_it().await, before);
        proof.holds(&stage, true);
    }
}

/// An answer without the id that was asked for and the request's own.
fn without_ids(text: &str, id: &str) -> String {
    let mut body: Value = serde_json::from_str(text).unwrap();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("request_id");
    }
    body.to_string().replace(id, "ID")
}

in_every_model! {
    async fn ending_ones_own_sessions_leaves_others_served(scene) {
        let stage = Stage::set(scene).await;
        let tally = Mutex::new(Tally::default());
        let attacks: Vec<String> = stage.arsenal().noisy.iter().cycle().take(40).cloned().collect();
        let before = stage.as_the_victim_sees_it().await;
        let noise = stage.send(&stage.mallory.program, &attacks, &tally);
        let service = async {
            for _ in 0..20 {
                assert_eq!(stage.as_the_victim_sees_it().await, before);
            }
        };
        tokio::join!(noise, service);
        let served = eventually("the attacker to be served again", || async {
            let answer = stage.mallory.program.query("SELECT count(*) FROM notebooks", json!([])).await;
            (answer.status == 200).then(|| answer.json())
        });
        assert_eq!(served.await["rows"], json!([[1]]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_apis_of_a_tenant_know_no_other_tenants_ids() {
    let server = Server::embedded();
    let victim = server.settle("Victim").await;
    let mallory = server.settle("Mallory").await;
    let made = json!({ "name": "theirs", "scopes": ["data:read"] });
    let key = victim.owner.post("/v1/tenant/api-keys", made).await.expect(201);
    let id = key["id"].as_str().unwrap();
    let all = json!({ "name": "all", "scopes": ["keys:manage", "tenant:read", "tenant:manage"] });
    let program = mallory.owner.post("/v1/tenant/api-keys", all).await.expect(201);
    let program = server.with(program["key"].as_str().unwrap());
    for stranger in [&mallory.owner, &program] {
        for path in [
            format!("/v1/tenant/api-keys/{id}"),
            format!("/v1/tenant/api-keys/{id}?tenant_id={}", victim.id),
            format!("/v1/operations/{}", victim.operation),
            format!("/v1/operations/{}/events", victim.operation),
        ] {
            let answer = stranger.get(&path).await;
            assert!([400, 404, 422].contains(&answer.status), "{path}: {} {}", answer.status, answer.text);
            answer.problem(answer.status);
        }
        let refused = stranger.delete(&format!("/v1/tenant/api-keys/{id}")).await;
        assert_eq!(refused.problem(404), "not_found");
        let listed = stranger.get("/v1/tenant/api-keys").await;
        assert!(!listed.text.contains(id) && listed.status == 200);
        for (method, path) in [
            ("GET", format!("/v1/routes/{}", victim.id)),
            ("GET", format!("/admin/v1/tenants/{}", victim.id)),
            ("GET", format!("/admin/v1/tenants/{}/placement", victim.slug)),
            ("POST", format!("/admin/v1/tenants/{}/suspend", victim.id)),
            ("DELETE", format!("/admin/v1/tenants/{}", victim.id)),
            ("PATCH", format!("/admin/v1/tenants/{}", victim.id)),
            ("GET", "/admin/v1/tenants".to_owned()),
        ] {
            let answer = stranger.send(stranger.request(method, &path).json(&json!({}))).await;
            assert!([401, 403, 404].contains(&answer.status), "{method} {path}: {}", answer.text);
            answer.problem(answer.status);
            assert!(!answer.text.contains(&victim.slug));
        }
        for header in ["x-tenant-id", "x-tenant", "tenant", "x-forwarded-host", "x-original-url"] {
            let asked = stranger.request("GET", "/v1/tenant").header(header, &victim.id);
            assert_eq!(stranger.send(asked).await.expect(200)["id"], mallory.id.as_str(), "{header}");
        }
    }
    let theirs = server.with(key["key"].as_str().unwrap());
    theirs.query("SELECT 1", json!([])).await.expect(200);
}
