//! Homes that are files.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_homes_are_files() {
    let app = notes();
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("tenants");
    let cluster =
        Cluster::new("files", &format!("sqlite://{}", at.display()).into(), Limits::default()).unwrap();
    assert_eq!(code(&cluster.ping().await.unwrap_err()), "cluster_unavailable");
    for isolation in [Isolation::Shared, Isolation::Schema] {
        assert!(!cluster.supports(isolation));
        assert_eq!(code(&cluster.home(TenantId::mint(), isolation).unwrap_err()), "isolation_unsupported");
        assert_eq!(code(&cluster.prepare(&app, &[isolation]).await.unwrap_err()), "isolation_unsupported");
    }
    for _ in 0..2 {
        cluster.prepare(&app, &[Isolation::Database]).await.unwrap();
    }
    cluster.ping().await.unwrap();
    let homes: Vec<Home> =
        (0..8).map(|_| cluster.home(TenantId::mint(), Isolation::Database).unwrap()).collect();
    let secret = password();
    let both = homes.iter().chain(&homes).map(|home| build(&cluster, home, &secret, &app));
    futures_util::future::join_all(both).await;
    let found = cluster.inventory().await.unwrap();
    assert_eq!((found.databases.len(), found.debris.len()), (8, 0));
    let (a, b) = (&homes[0], &homes[1]);
    let file = open_for_tenant(&at.join(&a.database), a.tenant).unwrap();
    file.execute_batch("INSERT INTO notebooks (name) VALUES ('one')").unwrap();
    let (tenant, id): (String, String) = file
        .query_row("SELECT tenant_id, id FROM notebooks", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!(tenant, a.tenant.uuid().to_string());
    assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 4);
    let mode: String = file.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    assert!(file.execute_batch("INSERT INTO notes (notebook_id, title) VALUES ('none', 'x')").is_err());
    // A rebuild leaves the rows alone; another tenant's file is not opened.
    build(&cluster, a, &secret, &app).await;
    assert_eq!(file.query_row("SELECT count(*) FROM notebooks", [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert_eq!(code(&open_for_tenant(&at.join(&b.database), a.tenant).unwrap_err()), "home_unverified");
    drop(file);
    for home in homes.iter().chain(&homes) {
        remove(&cluster, home).await;
    }
    assert!(cluster.inventory().await.unwrap().is_empty());
    assert_eq!(code(&open_for_tenant(&at.join(&a.database), a.tenant).unwrap_err()), "home_missing");
}

#[test]
fn sqlite_checks_its_catalog_and_migrates_files() {
    let dir = tempfile::tempdir().unwrap();
    let good = "CREATE TABLE a (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));\n\
        CREATE VIEW v WITH (security_invoker = true) AS SELECT id FROM a;";
    let first = folder(&dir, &[("0001_a", good)]);
    let data = tempfile::tempdir().unwrap();
    let cluster = SqliteCluster::new("files", data.path());
    cluster.prepare(&first, &[Isolation::Database]).unwrap();
    let home = cluster.home(TenantId::mint(), Isolation::Database).unwrap();
    cluster.build(BuildStep::CreateDatabase, &home, &first).unwrap();
    let bad = folder(&dir, &[("0002_b", "DELETE FROM a;\nDELETE FROM missing;")]);
    let error = cluster.migrate(&home, &bad).unwrap_err();
    assert_eq!(code(&error), "migration_failed");
    assert!(error.to_string().starts_with("0002_b/up.sql line 2: no such table: missing"), "{error}");
    assert_eq!(cluster.applied(&home).unwrap(), 1);
    let second = folder(&dir, &[("0002_b", "ALTER TABLE a ADD COLUMN note text;")]);
    assert_eq!(cluster.migrate(&home, &second).unwrap(), [2]);
    assert_eq!(cluster.migrate(&home, &second).unwrap(), Vec::<i32>::new());
    cluster.prepare(&second, &[Isolation::Database]).unwrap();
    assert_eq!(std::fs::read_dir(data.path().join(".templates")).unwrap().count(), 1);
}

#[test]
fn a_table_rebuilt_on_sqlite_keeps_the_rows_that_refer_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let column = "tenant_id uuid NOT NULL DEFAULT (current_tenant())";
    let first = folder(
        &dir,
        &[(
            "0001_a",
            &format!(
                "CREATE TABLE a ({column}, id bigint NOT NULL, PRIMARY KEY (tenant_id, id));
                 CREATE TABLE b ({column}, id bigint NOT NULL, PRIMARY KEY (tenant_id, id),
                     FOREIGN KEY (tenant_id, id) REFERENCES a (tenant_id, id) ON DELETE CASCADE);"
            ),
        )],
    );
    let cluster = SqliteCluster::new("files", data.path());
    let home = cluster.home(TenantId::mint(), Isolation::Database).unwrap();
    cluster.build(BuildStep::CreateDatabase, &home, &first).unwrap();
    let open = || open_for_tenant(&cluster.path(&home), home.tenant).unwrap();
    open().execute_batch("INSERT INTO a (id) VALUES (1); INSERT INTO b (id) VALUES (1)").unwrap();
    let orphans = folder(&dir, &[("0002_b", "DELETE FROM a;")]);
    let error = cluster.migrate(&home, &orphans).unwrap_err();
    assert!(error.to_string().contains("table b has rows that refer to missing rows of a"), "{error}");
    let rebuild = format!(
        "CREATE TABLE a_new ({column}, id bigint NOT NULL, note text, PRIMARY KEY (tenant_id, id));
         INSERT INTO a_new (tenant_id, id) SELECT tenant_id, id FROM a;
         DROP TABLE a;
         ALTER TABLE a_new RENAME TO a;"
    );
    let second = folder(&dir, &[("0002_b", &rebuild)]);
    assert_eq!(cluster.migrate(&home, &second).unwrap(), [2]);
    let left: i64 = open().query_row("SELECT count(*) FROM b", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 1);
    assert!(open().execute_batch("INSERT INTO b (id) VALUES (2)").is_err());
}
