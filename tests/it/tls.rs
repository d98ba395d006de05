//! TLS to PostgreSQL, in a build that has it (`scripts/test --tls`): a server that takes nobody in the
//! clear, certificates of an authority of this test's own.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::postgres::{OwnCluster, Pg};
use crate::world::server::{PASSWORD, Server, Starting, eventually};

/// An authority, and a certificate of it for the host `localhost`.
struct Papers(tempfile::TempDir);

impl Papers {
    fn new() -> Self {
        let papers = Self(tempfile::tempdir().unwrap());
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let ca = ["-x509", "-days", "2", "-subj", "/CN=an authority", "-keyout", "ca.key", "-out", "ca.pem"];
        papers.openssl(&[&["req"][..], &key, &ca].concat());
        let asked = ["-subj", "/CN=localhost", "-keyout", "server.key", "-out", "server.csr"];
        papers.openssl(&[&["req"][..], &key, &asked].concat());
        std::fs::write(papers.path("names"), "subjectAltName = DNS:localhost\n").unwrap();
        papers.openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.crt",
        ]);
        papers
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let done = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("openssl runs");
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Gives a file to whom the server runs as, for its eyes only.
fn hand_over(data: &Path, name: &str, text: &[u8]) {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (path, owner) = (data.join(name), std::fs::metadata(data).unwrap());
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
}

/// A PostgreSQL that shows these papers and takes connections over TLS alone.
fn sealed(papers: &Papers) -> OwnCluster {
    let cluster = Pg::fifteen().alone();
    let data = cluster.dir().join("data");
    for name in ["server.crt", "server.key"] {
        hand_over(&data, name, &std::fs::read(papers.path(name)).unwrap());
    }
    let settings = std::fs::read_to_string(data.join("postgresql.conf")).unwrap() + "\nssl = on\n";
    hand_over(&data, "postgresql.conf", settings.as_bytes());
    hand_over(&data, "pg_hba.conf", b"hostssl all all 127.0.0.1/32 scram-sha-256\n");
    cluster.restart();
    cluster
}

/// The owner's URL by this host name, with these words on TLS.
fn url(cluster: &OwnCluster, host: &str, words: &str) -> String {
    let mut url = url::Url::parse(cluster.owner_url()).unwrap();
    url.set_host(Some(host)).unwrap();
    format!("{url}?{words}")
}

fn full(papers: &Papers) -> String {
    format!("sslmode=verify-full&sslrootcert={}", papers.path("ca.pem").display())
}

async fn sign_up(server: &Server) -> String {
    let body = json!({ "organization": "Acme", "email": "ada@example.com", "password": PASSWORD });
    let signed = server.nobody().post("/v1/signups", body).await.expect(202);
    signed["operation"]["id"].as_str().unwrap().to_owned()
}

/// Waits until an operation says why it cannot go on.
async fn reason(server: &Server, operation: &str) -> String {
    let path = format!("/admin/v1/operations/{operation}");
    let failed = eventually("the operation to fail", || async {
        let found = server.operator().get(&path).await.expect(200);
        found["error"].is_string().then(|| found["error"].clone())
    })
    .await;
    failed.as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_cluster_and_data_door_work_over_tls_alone() {
    let papers = Papers::new();
    let cluster = sealed(&papers);
    let roots = papers.path("ca.pem").display().to_string();
    let with = |mode: &str| url(&cluster, "localhost", &format!("sslmode={mode}&sslrootcert={roots}"));
    let mut server = Starting::new().on_postgres(&with("verify-full"), "schema").stopped();
    for (mode, isolation) in [("verify-full", "schema"), ("require", "database"), ("verify-ca", "shared")] {
        server.set("STORE__URL", with(mode));
        server.set("CLUSTERS__MAIN__URL", with(mode));
        server.set("TENANCY__ISOLATION", isolation);
        server.start();
        let acme = server.settle(isolation).await;
        acme.program.query("INSERT INTO notebooks (name) VALUES ('sealed')", json!([])).await.expect(200);
        let sealed = "SELECT name, (SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()) FROM notebooks";
        let seen = acme.program.query(sealed, json!([])).await.expect(200);
        assert_eq!(seen["rows"], json!([["sealed", true]]), "{mode}");
        let service = server.service(&["routes:read", "routes:credentials"]).await;
        let route: Value = service.get(&format!("/v1/routes/{}", acme.id)).await.expect(200);
        assert!(route["url"].as_str().unwrap().ends_with("?sslmode=require"), "{mode}");
        let deletion = server.operator().delete(&acme.admin()).await.expect(202);
        server.until_done(deletion["operation"]["id"].as_str().unwrap()).await;
        assert!(server.stop(), "it ended well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_not_who_it_should_be_is_refused_in_plain_words() {
    let (papers, others) = (Papers::new(), Papers::new());
    let cluster = sealed(&papers);
    let password = url::Url::parse(cluster.owner_url()).unwrap().password().unwrap().to_owned();
    for (host, words, told) in [
        ("localhost", full(&others), "certificate verify failed"),
        ("127.0.0.1", full(&papers), "does not match host name"),
        ("localhost", "sslmode=disable".to_owned(), "no encryption"),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), "/nowhere.pem"),
    ] {
        let starting = Starting::new().set("STORE__URL", url(&cluster, host, &words));
        let said = starting.stopped().start_refused();
        assert!(said.contains(told), "{words}: {said}");
        assert!(!said.contains(&password), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_not_who_it_should_be_is_refused_in_plain_words() {
    let (papers, others) = (Papers::new(), Papers::new());
    let cluster = sealed(&papers);
    for (host, words, told) in [
        ("localhost", full(&others), "not of an authority that we trust"),
        ("localhost", "sslmode=verify-full".to_owned(), "not of an authority that we trust"),
        ("127.0.0.1", full(&papers), "for another host than the URL names"),
        ("localhost", "sslmode=disable".to_owned(), "no encryption"),
    ] {
        let url = url(&cluster, host, &words);
        let server = Starting::new().without_stock().set("CLUSTERS__MAIN__URL", url).start();
        let operation = sign_up(&server).await;
        let reason = reason(&server, &operation).await;
        assert!(reason.contains("cluster `main`") && reason.contains(told), "{words}: {reason}");
    }
    // A server without TLS is no place for a URL that insists on it.
    let open = Pg::fifteen().alone();
    let url = url(&open, "localhost", &full(&papers));
    let server = Starting::new().without_stock().set("CLUSTERS__MAIN__URL", url).start();
    let operation = sign_up(&server).await;
    let reason = reason(&server, &operation).await;
    assert!(reason.contains("it offers no TLS"), "{reason}");
}

#[test]
fn a_file_of_certificates_that_is_none_is_named_at_the_start() {
    let papers = Papers::new();
    std::fs::write(papers.path("empty.pem"), "nothing\n").unwrap();
    for (file, told) in [("empty.pem", "holds no certificate"), ("absent.pem", "cannot be read")] {
        let words = format!("sslmode=verify-full&sslrootcert={}", papers.path(file).display());
        let url = format!("postgres://owner:secret@localhost:1/tenants?{words}");
        let said = Starting::new().set("CLUSTERS__MAIN__URL", url).stopped().start_refused();
        assert!(said.contains(told) && said.contains(file) && !said.contains("secret"), "{said}");
    }
}
