//! What a tenant with any SQL at hand can reach.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_cannot_reach_each_other_in_any_model() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home_a, secret_a) = world.built(isolation, &app).await;
            let (home_b, secret_b) = world.built(isolation, &app).await;
            let a = world.tenant(&home_a, &secret_a).await.unwrap();
            let b = world.tenant(&home_b, &secret_b).await.unwrap();
            b.batch_execute("INSERT INTO notebooks (name) VALUES ('same')").await.unwrap();
            a.batch_execute("INSERT INTO notebooks (name) VALUES ('same')").await.unwrap();
            assert_eq!(count(&a, "SELECT count(*) FROM notebooks").await, 1, "{isolation}");
            attack(&a, &home_a, &home_b).await;
            assert_eq!(
                count(&b, "SELECT count(*) FROM notebooks WHERE name = 'same'").await,
                1,
                "{isolation}"
            );
            // A moved-in tenant with the other's password, or in the other's database, gets nowhere.
            assert!(world.tenant(&home_b, &secret_a).await.is_err());
            if isolation == Isolation::Database {
                let crossed = Home { database: home_b.database.clone(), ..home_a.clone() };
                assert!(world.tenant(&crossed, &secret_a).await.is_err());
                let planes = Home { database: world.database.name.clone(), ..home_a.clone() };
                assert!(world.tenant(&planes, &secret_a).await.is_err());
            }
            drop((a, b));
            remove(&world.cluster, &home_a).await;
            remove(&world.cluster, &home_b).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
    }
}

/// What tenant `a` tries; `b` is the neighbour.
async fn attack(a: &Client, home_a: &Home, home_b: &Home) {
    let (role_a, role_b) = (home_a.role.clone().unwrap(), home_b.role.clone().unwrap());
    let (id_b, schema_a) = (home_b.tenant.uuid(), &home_a.schema);
    let mut tries = vec![
        format!("INSERT INTO notebooks (tenant_id, name) VALUES ('{id_b}', 'planted')"),
        format!("UPDATE notebooks SET tenant_id = '{id_b}'"),
        format!("SET ROLE {role_b}"),
        format!("SET SESSION AUTHORIZATION {role_b}"),
        format!("GRANT {role_b} TO {role_a}"),
        format!("ALTER ROLE {role_b} PASSWORD 'mine'"),
        format!("ALTER ROLE {role_a} SUPERUSER"),
        format!("ALTER ROLE {role_a} BYPASSRLS"),
        format!("ALTER ROLE {role_a} CONNECTION LIMIT 1000"),
        "CREATE ROLE friend".to_owned(),
        "CREATE DATABASE mine".to_owned(),
        "CREATE SCHEMA mine".to_owned(),
        "CREATE TABLE mine (x int)".to_owned(),
        format!("CREATE TABLE {schema_a}.mine (x int)"),
        "CREATE TABLE public.mine (x int)".to_owned(),
        "CREATE TABLE tenantry.mine (x int)".to_owned(),
        "CREATE TEMP TABLE mine (x int)".to_owned(),
        format!("CREATE FUNCTION {schema_a}.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        "CREATE EXTENSION plpgsql".to_owned(),
        "SELECT * FROM tenantry.tenant_role".to_owned(),
        "INSERT INTO tenantry.tenant_role VALUES ('x', gen_random_uuid(), 'shared')".to_owned(),
        "SELECT * FROM tenantry.migrations".to_owned(),
        "CREATE OR REPLACE FUNCTION tenantry.current_tenant() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'".to_owned(),
        "TRUNCATE notebooks CASCADE".to_owned(),
        "TRUNCATE note_tags".to_owned(),
        "DROP TABLE note_tags".to_owned(),
        "ALTER TABLE notebooks DISABLE ROW LEVEL SECURITY".to_owned(),
        "ALTER TABLE notebooks NO FORCE ROW LEVEL SECURITY".to_owned(),
        "CREATE POLICY mine ON notebooks USING (true)".to_owned(),
        "DROP POLICY tenantry_tenant ON notebooks".to_owned(),
        "CREATE INDEX mine ON notebooks (name)".to_owned(),
        "ALTER TABLE notebooks OWNER TO CURRENT_USER".to_owned(),
        "CREATE RULE r AS ON SELECT TO notebooks DO INSTEAD SELECT 1".to_owned(),
        "SELECT pg_read_file('/etc/passwd')".to_owned(),
        "COPY notebooks TO PROGRAM 'cat'".to_owned(),
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role_b}'"),
        format!("DROP SCHEMA {schema_a} CASCADE"),
    ];
    match home_a.isolation {
        Isolation::Schema => tries.push(format!("SELECT * FROM {}.notebooks", home_b.schema)),
        Isolation::Shared => tries.push("SET row_security = off; SELECT * FROM notebooks".to_owned()),
        Isolation::Database => {}
    }
    for sql in tries {
        let state = refused(a, &sql).await;
        assert!(
            ["42501", "23514", "22023", "42710", "42704", "2BP01", "0LP01", "3D000", "42P13"]
                .contains(&state.as_str()),
            "{sql}: {state}"
        );
        a.batch_execute("RESET row_security").await.unwrap();
    }
    // Becoming the group changes who acts, not who signed in.
    let group: String = a
        .query_one(
            "SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid \
             JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = session_user",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    a.batch_execute(&format!("SET ROLE {group}")).await.unwrap();
    if home_a.isolation == Isolation::Shared {
        assert_eq!(count(a, "SELECT count(*) FROM app.notebooks").await, 1);
    }
    let me: uuid::Uuid = a.query_one("SELECT tenantry.current_tenant()", &[]).await.unwrap().get(0);
    assert_eq!(me, home_a.tenant.uuid());
    a.batch_execute("RESET ROLE").await.unwrap();
    assert_eq!(a.execute("DELETE FROM notebooks WHERE name = 'same'", &[]).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_tenant_can_stand_in_the_way_of_its_suspension() {
    let app = notes();
    for world in World::all().await {
        world.cluster.prepare(&app, &Isolation::ALL).await.unwrap();
        for isolation in Isolation::ALL {
            let (home, secret) = world.built(isolation, &app).await;
            let role = home.role.clone().unwrap();
            let mut held = Vec::new();
            for sql in [
                format!("BEGIN; ALTER ROLE {role} PASSWORD 'held'"),
                format!("BEGIN; ALTER ROLE {role} SET work_mem = '1MB'"),
                "BEGIN; LOCK TABLE notes IN ACCESS EXCLUSIVE MODE".to_owned(),
                "SELECT pg_advisory_lock(n) FROM generate_series(1, 500) n".to_owned(),
            ] {
                let client = world.tenant(&home, &secret).await.unwrap();
                let _ = client.batch_execute(&sql).await;
                held.push(client);
            }
            let begun = std::time::Instant::now();
            world.cluster.lock_out(&home).await.unwrap();
            println!("{isolation}: locked out in {:?}", begun.elapsed());
            for session in held {
                assert!(session.batch_execute("SELECT 1").await.is_err());
            }
            assert!(world.tenant(&home, &secret).await.is_err());
            remove(&world.cluster, &home).await;
        }
        assert!(world.cluster.inventory().await.unwrap().is_empty());
    }
}
