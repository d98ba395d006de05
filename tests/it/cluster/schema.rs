//! The application's schema and queries in every model, and what the catalog refuses.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_applications_queries_run_alike_everywhere() {
    let app = notes();
    let text = std::fs::read_to_string("examples/notes/queries.sql").unwrap();
    let queries: Vec<&str> = text
        .split("\n-- name: ")
        .skip(1)
        .map(|part| part.split_once('\n').unwrap().1.trim().trim_end_matches(';'))
        .collect();
    assert!(queries.len() > 10);
    let dir = tempfile::tempdir().unwrap();
    let mut shapes = Vec::new();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let tenant = world.tenant(&home, &secret).await.unwrap();
            let mut rows = Vec::new();
            for query in &queries {
                rows.push(
                    tenant
                        .query(*query, &[])
                        .await
                        .unwrap_or_else(|e| panic!("{isolation}: {query}: {e:?}"))
                        .len(),
                );
            }
            shapes.push(rows);
            drop(tenant);
            remove(&world.cluster, &home).await;
        }
    }
    let cluster =
        Cluster::new("files", &format!("sqlite://{}", dir.path().display()).into(), Limits::default())
            .unwrap();
    cluster.prepare(&app, &[Isolation::Database]).await.unwrap();
    let home = cluster.home(TenantId::mint(), Isolation::Database).unwrap();
    build(&cluster, &home, &password(), &app).await;
    let file = open_for_tenant(&dir.path().join(&home.database), home.tenant).unwrap();
    let mut rows = Vec::new();
    for query in &queries {
        let mut statement = file.prepare(query).unwrap();
        let mut found = statement.query([]).unwrap();
        let mut n = 0;
        while found.next().unwrap_or_else(|e| panic!("{query}: {e}")).is_some() {
            n += 1;
        }
        rows.push(n);
    }
    shapes.push(rows);
    assert!(shapes.windows(2).all(|pair| pair[0] == pair[1]), "{shapes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_migration_reaches_every_model_and_a_bad_one_leaves_no_trace() {
    let good = "CREATE TABLE a (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));";
    for world in World::all().await {
        let dir = tempfile::tempdir().unwrap();
        let first = folder(&dir, &[("0001_a", good)]);
        world.cluster.prepare(&first, &Isolation::ALL).await.unwrap();
        let mut homes = Vec::new();
        for isolation in Isolation::ALL {
            homes.push(world.built(isolation, &first).await);
        }
        let more = good.replace("TABLE a", "TABLE b");
        let bad = folder(&dir, &[("0002_b", &format!("{more}\n\nUPDATE b SET nothing = 1;\n"))]);
        for (home, _) in &homes {
            let error = world.cluster.migrate(home, &bad).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                "0002_b/up.sql line 3: column \"nothing\" of relation \"b\" does not exist"
            );
            assert_eq!(world.cluster.applied(home).await.unwrap(), 1);
        }
        let second = folder(&dir, &[("0002_b", &more)]);
        for (home, secret) in &homes {
            let shared = home.isolation == Isolation::Shared;
            assert_eq!(world.cluster.migrate(home, &second).await.unwrap(), [2]);
            assert_eq!(world.cluster.migrate(home, &second).await.unwrap(), Vec::<i32>::new());
            let tenant = world.tenant(home, secret).await.unwrap();
            tenant.batch_execute("INSERT INTO b (id) VALUES (1)").await.unwrap();
            if shared {
                assert_eq!(count(&tenant, "SELECT count(*) FROM b").await, 1);
            }
        }
        // A home begun before the new version and finished after it.
        world.cluster.prepare(&second, &Isolation::ALL).await.unwrap();
        let home = world.cluster.home(TenantId::mint(), Isolation::Database).unwrap();
        let secret = password();
        for step in [BuildStep::Register, BuildStep::CreateRole, BuildStep::CreateDatabase] {
            world.cluster.run_build_step(step, &home, &secret, &first).await.unwrap();
        }
        build(&world.cluster, &home, &secret, &second).await;
        assert_eq!(world.cluster.applied(&home).await.unwrap(), 2);
        homes.push((home, secret));
        let edited = folder(&dir, &[("0001_a", &good.replace("bigint", "integer"))]);
        let error = world.cluster.migrate(&homes[0].0, &edited).await.unwrap_err();
        assert_eq!(code(&error), "migration_changed");
        for (home, _) in &homes {
            remove(&world.cluster, home).await;
        }
        world.cluster.prepare(&second, &Isolation::ALL).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_catalog_refuses_what_the_lint_cannot_see() {
    // Each slips past a reader of single statements, through a function's text.
    let sneaky = [
        ("ALTER TABLE a ALTER tenant_id DROP DEFAULT", "without DEFAULT"),
        ("ALTER TABLE a ALTER tenant_id SET DEFAULT gen_random_uuid()", "without DEFAULT"),
        ("CREATE TABLE b (x int)", "has no column tenant_id"),
        ("CREATE UNIQUE INDEX i ON a (id)", "does not start with tenant_id"),
        ("CREATE VIEW v AS SELECT * FROM a", "security_invoker"),
        ("CREATE MATERIALIZED VIEW v AS SELECT * FROM a", "materialized"),
        (
            "CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY DEFINER AS $x$SELECT 1$x$",
            "SECURITY DEFINER",
        ),
        ("CREATE POLICY p ON a USING (true)", "policy p of table a"),
        ("GRANT SELECT ON a TO PUBLIC", "gives rights to PUBLIC"),
        ("CREATE RULE r AS ON DELETE TO a DO INSTEAD NOTHING", "has rules"),
        (
            "CREATE TABLE c (tenant_id uuid NOT NULL DEFAULT current_tenant(), x bigint, y uuid, PRIMARY KEY (tenant_id, x), FOREIGN KEY (y, x) REFERENCES a (tenant_id, id))",
            "without tenant_id on both sides",
        ),
        ("CREATE UNLOGGED TABLE u (tenant_id uuid NOT NULL DEFAULT current_tenant())", "unlogged"),
        ("CREATE TABLE k () INHERITS (a)", "inherits"),
    ];
    for world in World::all().await {
        for (sql, words) in sneaky {
            let dir = tempfile::tempdir().unwrap();
            let app = folder(
                &dir,
                &[(
                    "0001_a",
                    &format!(
                        "CREATE TABLE a (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));\n\
                         CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $body$ BEGIN {sql}; END $body$;\nSELECT f();"
                    ),
                )],
            );
            for models in [[Isolation::Shared], [Isolation::Database]] {
                let error = world.cluster.prepare(&app, &models).await.unwrap_err();
                assert_eq!(code(&error), "migration_failed", "{sql}: {error}");
                assert!(error.to_string().contains(words), "{sql}: {error}");
            }
        }
        assert_eq!(count(&world.owner().await, "SELECT count(*) FROM tenantry.migrations").await, 0);
        assert_eq!(world.cluster.inventory().await.unwrap().all().count(), 0);
        // The scaffolds that refused to become templates are cleared by the next that succeeds.
        world.cluster.prepare(&notes(), &Isolation::ALL).await.unwrap();
        assert!(world.cluster.inventory().await.unwrap().is_empty());
    }
}
