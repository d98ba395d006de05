//! A home from its first step to its last trace, on PostgreSQL.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_taken_twice_equals_once_and_removal_leaves_nothing() {
    let app = notes();
    for world in World::all().await {
        let cluster = &world.cluster;
        assert!(cluster.inventory().await.unwrap().is_empty());
        for _ in 0..2 {
            cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        }
        for isolation in Isolation::ALL {
            let home = cluster.home(TenantId::mint(), isolation).unwrap();
            let secret = password();
            for step in cluster.build_steps(&home) {
                for _ in 0..2 {
                    cluster.run_build_step(step, &home, &secret, &app).await.unwrap();
                }
            }
            build(cluster, &home, &secret, &app).await;
            assert_eq!(cluster.applied(&home).await.unwrap(), 2);
            let found = cluster.inventory().await.unwrap();
            assert!(found.of(home.tenant).len() >= 2 && found.all().all(|one| one.tenant == home.tenant));
            let tenant = world.tenant(&home, &secret).await.unwrap();
            tenant.batch_execute("INSERT INTO notebooks (name) VALUES ('one'), ('two')").await.unwrap();
            for step in cluster.removal_steps(&home) {
                for _ in 0..2 {
                    cluster.run_removal_step(step, &home).await.unwrap();
                }
            }
            remove(cluster, &home).await;
            let left = cluster.inventory().await.unwrap();
            assert!(left.is_empty(), "{isolation}: {left:?}");
            assert!(world.tenant(&home, &secret).await.is_err());
        }
        let owner = world.owner().await;
        assert_eq!(count(&owner, "SELECT count(*) FROM app.notebooks").await, 0);
        assert_eq!(count(&owner, "SELECT count(*) FROM tenantry.migrations WHERE schema <> 'app'").await, 0);
        drop(owner);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removal_takes_what_a_tenant_left_elsewhere() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let tenant = world.tenant(&home, &secret).await.unwrap();
            tenant
                .batch_execute(
                    "SELECT lo_create(0); ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
                )
                .await
                .unwrap();
            let mut config = world.pg().tenant_config(&home, &secret).unwrap();
            let elsewhere =
                connect(config.dbname("postgres"), world.pg().tls(), std::time::Duration::from_secs(5)).await;
            if let Ok(elsewhere) = elsewhere {
                elsewhere.batch_execute("SELECT lo_create(0)").await.unwrap();
            }
            remove(&world.cluster, &home).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_tenants_at_once_from_two_processes() {
    let app = notes();
    for world in World::all().await {
        let other = Arc::new(
            Cluster::new("main", &world.url.clone().into(), Limits { connections: 6, ..Limits::default() })
                .unwrap(),
        );
        let (one, two) =
            tokio::join!(world.cluster.prepare(&app, &Isolation::ALL), other.prepare(&app, &Isolation::ALL));
        one.unwrap();
        two.unwrap();
        for isolation in Isolation::ALL {
            let mut work = tokio::task::JoinSet::new();
            let mut homes = Vec::new();
            for _ in 0..8 {
                let home = world.cluster.home(TenantId::mint(), isolation).unwrap();
                let secret = password();
                homes.push(home.clone());
                // The same home from both processes at the same time.
                for cluster in [Arc::clone(&world.cluster), Arc::clone(&other)] {
                    let (home, secret, app) = (home.clone(), secret.clone(), app.clone());
                    work.spawn(async move { build(&cluster, &home, &secret, &app).await });
                }
            }
            while let Some(done) = work.join_next().await {
                done.unwrap();
            }
            assert_eq!(world.cluster.inventory().await.unwrap().roles.len(), 8);
            for home in homes {
                for cluster in [Arc::clone(&world.cluster), Arc::clone(&other)] {
                    let home = home.clone();
                    work.spawn(async move { remove(&cluster, &home).await });
                }
            }
            while let Some(done) = work.join_next().await {
                done.unwrap();
            }
            let left = world.cluster.inventory().await.unwrap();
            assert!(left.is_empty(), "{isolation}: {left:?}");
        }
        drop(other);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_out_tenant_is_gone_and_comes_back() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let tenant = world.tenant(&home, &secret).await.unwrap();
            for _ in 0..2 {
                world.cluster.lock_out(&home).await.unwrap();
            }
            assert!(tenant.batch_execute("SELECT 1").await.is_err());
            assert!(world.tenant(&home, &secret).await.is_err());
            let new = password();
            world.cluster.reset_credentials(&home, &new).await.unwrap();
            assert!(world.tenant(&home, &new).await.is_err(), "new credentials do not open a locked home");
            for _ in 0..2 {
                world.cluster.let_in(&home).await.unwrap();
            }
            assert!(world.tenant(&home, &secret).await.is_err());
            let tenant = world.tenant(&home, &new).await.unwrap();
            let role = home.role.clone().unwrap();
            tenant
                .batch_execute(&format!(
                    "ALTER ROLE {role} PASSWORD 'stolen'; ALTER ROLE {role} SET search_path = public; \
                     ALTER ROLE {role} IN DATABASE {} SET default_transaction_read_only = on",
                    home.database
                ))
                .await
                .unwrap();
            drop(tenant);
            assert!(world.tenant(&home, &new).await.is_err());
            world.cluster.reset_credentials(&home, &secret).await.unwrap();
            let tenant = world.tenant(&home, &secret).await.unwrap();
            tenant.batch_execute("INSERT INTO notebooks (name) VALUES ('again')").await.unwrap();
            assert!(world.tenant(&home, &"stolen".to_owned().into()).await.is_err());
            drop(tenant);
            remove(&world.cluster, &home).await;
            assert_eq!(code(&world.cluster.let_in(&home).await.unwrap_err()), "role_missing");
            world.cluster.lock_out(&home).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_without_rights_is_told_which() {
    for world in World::all().await {
        let (home, secret) = {
            world.cluster.prepare(&notes(), &[Isolation::Shared]).await.unwrap();
            world.built(Isolation::Shared, &notes()).await
        };
        // A tenant's role is an owner without any right.
        let mut url = url::Url::parse(&world.url).unwrap();
        url.set_username(home.role.as_deref().unwrap()).unwrap();
        url.set_password(Some(secrecy::ExposeSecret::expose_secret(&secret))).unwrap();
        let poor = Cluster::new("poor", &url.to_string().into(), Limits::default()).unwrap();
        let error = poor.prepare(&notes(), &Isolation::ALL).await.unwrap_err();
        assert_eq!(code(&error), "cluster_rights_missing");
        for words in ["CREATEROLE", "CREATEDB", "does not own database"] {
            assert!(error.to_string().contains(words), "{error}");
        }
        url.set_password(Some("wrong")).unwrap();
        let wrong = Cluster::new("wrong", &url.to_string().into(), Limits::default()).unwrap();
        assert_eq!(code(&wrong.ping().await.unwrap_err()), "cluster_login_refused");
        drop(poor);
        remove(&world.cluster, &home).await;
    }
    let away =
        Cluster::new("away", &"postgres://u:hunter2@127.0.0.1:1/d".to_owned().into(), Limits::default())
            .unwrap();
    let error = away.ping().await.unwrap_err();
    assert_eq!(code(&error), "cluster_unavailable");
    assert!(error.to_string().contains("`away`") && !format!("{error:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_homes_are_removed_in_pieces() {
    let mut ddl = String::new();
    for n in 0..70 {
        ddl.push_str(&format!(
            "CREATE TABLE t{n} (tenant_id uuid NOT NULL DEFAULT (current_tenant()), id bigint NOT NULL, up bigint, PRIMARY KEY (tenant_id, id){});\n",
            if n == 0 { String::new() } else { format!(", FOREIGN KEY (tenant_id, up) REFERENCES t{} (tenant_id, id)", n - 1) }
        ));
    }
    ddl.push_str(
        "ALTER TABLE t0 ADD CONSTRAINT own FOREIGN KEY (tenant_id, up) REFERENCES t0 (tenant_id, id);",
    );
    let dir = tempfile::tempdir().unwrap();
    let app = folder(&dir, &[("0001_many", &ddl)]);
    for world in World::all().await {
        world.cluster.prepare(&app, &[Isolation::Shared]).await.unwrap();
        for isolation in [Isolation::Shared, Isolation::Schema] {
            let (home, secret) = world.built(isolation, &app).await;
            let (neighbour, other) = world.built(isolation, &app).await;
            for (home, secret) in [(&home, &secret), (&neighbour, &other)] {
                let tenant = world.tenant(home, secret).await.unwrap();
                // Rows that refer to each other across batches, and tables that refer to tables.
                tenant
                    .batch_execute(
                        "INSERT INTO t0 (id, up) SELECT n, 12001 - n FROM generate_series(1, 12000) n; \
                         INSERT INTO t1 (id, up) SELECT n, n FROM generate_series(1, 100) n",
                    )
                    .await
                    .unwrap();
            }
            remove(&world.cluster, &home).await;
            let tenant = world.tenant(&neighbour, &other).await.unwrap();
            assert_eq!(count(&tenant, "SELECT count(*) FROM t0").await, 12_000);
            drop(tenant);
            remove(&world.cluster, &neighbour).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
    }
}
