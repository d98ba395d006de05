//! What one tenant's statements can take of the machine when its data is in a file of the server's own
//! process: not more memory than they may, and not more disk.

use serde_json::{Value, json};

use crate::world::server::{Answer, Client, PASSWORD, Server, Starting};

const MIB: u64 = 1 << 20;

/// A figure of the process in bytes, from what the kernel keeps of it; none where it keeps nothing.
fn figure(server: &Server, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024)
}

/// Waits longer than the client does by itself: the machine may be busy with other tests.
async fn patiently(program: &Client, sql: &str) -> Answer {
    let asked = json!({ "sql": sql, "params": [] });
    let request = program.request("POST", "/v1/query").timeout(std::time::Duration::from_secs(600));
    program.send(request.json(&asked)).await
}

/// A counted run of rows, then the statement that makes something large of each.
fn rows(statement: &str) -> String {
    format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) {statement}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_that_gathers_memory_is_stopped_and_nobody_else_feels_it() {
    // Long enough that time alone stops none of them.
    let starting = Starting::new().set("DATA_DOOR__SQLITE_MAX_MEMORY_BYTES", 32 * MIB);
    let server = starting.set("DATA_DOOR__STATEMENT_TIMEOUT_MS", 600_000).start();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    let before = figure(&server, "VmRSS");
    let large = "printf('%.*c', 2000000, 'x')";
    let many = vec![large; 900].join(", ");
    let nested = vec!["printf('%.*c', 3000000, char(1))"; 100].join(", ");
    for (sql, sqlstate) in [
        (rows(&format!("SELECT json_group_array({large}) FROM n")), "53200"),
        (rows(&format!("SELECT json_group_object(i, {large}) FROM n")), "53200"),
        (rows(&format!("SELECT jsonb_group_array({large}) FROM n")), "53200"),
        (format!("SELECT json_array({nested})"), "53200"),
        (format!("SELECT {many}"), "53200"),
        (rows(&format!("SELECT {large} || i AS t FROM n ORDER BY t LIMIT 1000 OFFSET 99999")), "53200"),
        (rows(&format!("SELECT count(DISTINCT {large} || i) FROM n")), "53200"),
        (rows("SELECT count(*) FROM (SELECT DISTINCT randomblob(1000000) FROM n)"), "53200"),
        (rows(&format!("SELECT i, max({large} || i) FROM n GROUP BY i % 50000 ORDER BY 2")), "53200"),
        (
            rows(&format!(
                ", c AS MATERIALIZED (SELECT {large} || i AS t FROM n) SELECT count(*) FROM c, c AS d"
            )),
            "53200",
        ),
        (
            rows(&format!(
                "SELECT last_value({large} || i) OVER (ORDER BY i ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) FROM n"
            )),
            "53200",
        ),
        (
            format!(
                "WITH RECURSIVE c(t) AS (SELECT {large} UNION SELECT t || 'y' FROM c) SELECT count(*) FROM c"
            ),
            "53200",
        ),
        (rows(&format!("SELECT group_concat({large}) FROM n")), "54000"),
        (rows(&format!("SELECT replace(hex(zeroblob(1000000)), '0', {large}) FROM n")), "54000"),
        ("SELECT zeroblob(2000000000)".to_owned(), "54000"),
        ("SELECT printf('%*c', 2000000000, 'x')".to_owned(), "54000"),
    ] {
        let short = sql.get(..160).unwrap_or(&sql);
        let answer = patiently(&acme.program, &sql).await;
        let told = answer.json();
        assert_eq!(told["sql"]["sqlstate"], sqlstate, "{short}: {told:#}");
        let expected =
            if sqlstate == "53200" { (503, "statement_out_of_memory") } else { (400, "sql_error") };
        assert_eq!(answer.problem(expected.0), expected.1, "{short}");
        // The same connection goes on, and so do others.
        acme.program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
        globex.program.query("SELECT count(*) FROM notebooks", json!([])).await.expect(200);
    }
    if let (Some(before), Some(peak)) = (before, figure(&server, "VmHWM")) {
        assert!(peak < before + 400 * MIB, "from {} to {} MiB", before / MIB, peak / MIB);
    }
    // All at once, while the control plane works on the same engine in the same process.
    let sql = rows(&format!("SELECT json_group_array({large}) FROM n"));
    let hungry: Vec<_> = (0..8)
        .map(|_| {
            let (program, sql) = (acme.program.clone(), sql.clone());
            tokio::spawn(async move { patiently(&program, &sql).await })
        })
        .collect();
    for at in 0..5 {
        let body =
            json!({ "organization": "New", "email": format!("new{at}@example.com"), "password": PASSWORD });
        server.nobody().post("/v1/signups", body).await.expect(202);
    }
    for one in hungry {
        assert_eq!(one.await.unwrap().problem(503), "statement_out_of_memory");
    }
    if let (Some(before), Some(peak)) = (before, figure(&server, "VmHWM")) {
        assert!(peak < before + 600 * MIB, "from {} to {} MiB", before / MIB, peak / MIB);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_file_grows_to_its_limit_and_no_further() {
    let mut server = Starting::new().set("DATA_DOOR__SQLITE_MAX_FILE_BYTES", 2 * MIB).start();
    let (acme, globex) = (server.settle("Acme").await, server.settle("Globex").await);
    for who in [&acme, &globex] {
        who.program.query("INSERT INTO notebooks (name) VALUES ('Large')", json!([])).await.expect(200);
    }
    let insert = "INSERT INTO notes (notebook_id, title, body) SELECT notebooks.id, i, hex(randomblob(50000)) FROM notebooks, \
         (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5) SELECT i FROM n)";
    let mut full = None;
    for _ in 0..20 {
        let answer = acme.program.query(insert, json!([])).await;
        if answer.status != 200 {
            full = Some(answer);
            break;
        }
    }
    let full = full.expect("20 MB do not fit into 2");
    assert_eq!(full.problem(507), "database_full", "{}", full.text);
    assert!(full.text.contains("2097152") && full.text.contains("53100"), "{}", full.text);
    let file = server.data_dir().join("tenants");
    let sizes = || {
        let files = std::fs::read_dir(&file).unwrap().map(|entry| entry.unwrap());
        files
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "db"))
            .map(|entry| entry.metadata().unwrap().len())
            .max()
    };
    assert!(sizes().unwrap() <= 2 * MIB, "{:?}", sizes());
    // Nothing of the refused statement is there; what was there can be read, and room can be made.
    let count = async |program: &Client| -> Value {
        program.query("SELECT count(*) FROM notes", json!([])).await.expect(200)["rows"][0][0].clone()
    };
    let kept = count(&acme.program).await.as_i64().unwrap();
    assert!(kept > 0 && kept % 5 == 0, "{kept}");
    globex.program.query(insert, json!([])).await.expect(200);
    acme.program.query("DELETE FROM notes", json!([])).await.expect(200);
    acme.program.query(insert, json!([])).await.expect(200);
    assert!(server.stop(), "it ended well");
    server.set("DATA_DOOR__SQLITE_MAX_FILE_BYTES", 20 * MIB);
    server.start();
    let program = server.with(&acme.key);
    for _ in 0..4 {
        program.query(insert, json!([])).await.expect(200);
    }
    assert_eq!(count(&program).await, json!(25));
}
