//! The real program, started on a free port in a folder of its own, and a client that speaks to it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::sqlite::Folder;

/// The operator key that every server of the tests is started with.
pub const OPERATOR_KEY: &str = "an-operator-key-for-the-tests-only-0123456789";

/// The catalogue as it is shipped, with rates that no story meets by accident.
pub fn roomy_plans(shipped: &str) -> String {
    let roomy = |line: &str| match line.split_once(" = ") {
        Some((key @ ("requests_per_s" | "burst"), _)) => format!("{key} = 1_000_000\n"),
        _ => format!("{line}\n"),
    };
    shipped.lines().map(roomy).collect()
}

/// A running server.
pub struct Server {
    folder: Folder,
    settings: BTreeMap<String, String>,
    child: Option<Child>,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    failpoint: Option<String>,
    /// Where the present process's log begins.
    since: usize,
}

/// How to start a [`Server`].
pub struct Starting {
    settings: BTreeMap<String, String>,
    failpoint: Option<String>,
    folder: Folder,
}

impl Starting {
    /// The embedded default, on a free port, quiet.
    pub fn new() -> Self {
        let folder = Folder::new();
        let root = env!("CARGO_MANIFEST_DIR");
        let mut settings = BTreeMap::new();
        let shipped = std::fs::read_to_string(format!("{root}/config/plans.toml")).unwrap();
        std::fs::write(folder.path().join("roomy-plans.toml"), roomy_plans(&shipped)).unwrap();
        for (key, value) in [
            ("PLANS__FILE", "roomy-plans.toml".to_owned()),
            ("DATA_DIR", folder.path().join("data").display().to_string()),
            ("SERVER__BIND", "127.0.0.1:0".to_owned()),
            ("SERVER__WORKERS", "2".to_owned()),
            ("APPLICATION__MIGRATIONS_DIR", format!("{root}/examples/notes/migrations")),
            ("LOG__FORMAT", "json".to_owned()),
            ("OPERATIONS__LEASE_S", "2".to_owned()),
            ("OPERATIONS__BACKOFF_INITIAL_MS", "50".to_owned()),
            ("OPERATIONS__BACKOFF_MAX_S", "1".to_owned()),
            ("TENANCY__DELETE_GRACE_S", "0".to_owned()),
            // All tests come from one address; those about these bounds set their own.
            ("THROTTLE__SIGNUPS_PER_ADDRESS", "1000000".to_owned()),
            ("THROTTLE__TRIES_PER_ADDRESS", "1000000".to_owned()),
            ("THROTTLE__TRIES_PER_ACCOUNT_AND_ADDRESS", "1000000".to_owned()),
            ("THROTTLE__TRIES_PER_ACCOUNT", "1000000".to_owned()),
        ] {
            settings.insert(key.to_owned(), value);
        }
        Self { settings, failpoint: None, folder }
    }

    /// Sets a key, written as in the environment without its prefix: `TENANCY__STOCK__DATABASE`.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.insert(key.to_owned(), value.to_string());
        self
    }

    /// Writes a file into the folder that the process works in.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    /// Makes a folder in the one that the process works in.
    pub fn folder(self, name: &str) -> Self {
        std::fs::create_dir_all(self.folder.path().join(name)).unwrap();
        self
    }

    /// No placements in stock: every signup builds its home.
    pub fn without_stock(self) -> Self {
        self.set("TENANCY__STOCK__SHARED", 0)
            .set("TENANCY__STOCK__SCHEMA", 0)
            .set("TENANCY__STOCK__DATABASE", 0)
    }

    /// Store and cluster on this PostgreSQL database, in this model.
    pub fn on_postgres(self, url: &str, isolation: &str) -> Self {
        self.set("STORE__URL", url).set("CLUSTERS__MAIN__URL", url).set("TENANCY__ISOLATION", isolation)
    }

    /// Holds the process at this place (`kind/step/before|after|recorded`).
    pub fn failpoint(mut self, name: &str) -> Self {
        self.failpoint = Some(name.to_owned());
        self
    }

    /// Starts the server and waits until it listens.
    pub fn start(self) -> Server {
        let mut server = self.stopped();
        server.start();
        server
    }

    /// The server, not started yet.
    pub fn stopped(self) -> Server {
        Server {
            folder: self.folder,
            settings: self.settings,
            child: None,
            url: String::new(),
            failpoint: self.failpoint,
            since: 0,
        }
    }
}

impl Server {
    /// The embedded default.
    pub fn embedded() -> Self {
        Starting::new().start()
    }

    fn spawn(&self) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.folder.path()).env_clear().stdin(Stdio::null());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        for (key, value) in &self.settings {
            command.env(format!("TENANTRY_{key}"), value);
        }
        command.env("TENANTRY_BOOTSTRAP_OPERATOR_KEY", OPERATOR_KEY);
        if let Some(name) = &self.failpoint {
            command.env("TENANTRY_FAILPOINT", name);
        }
        command.spawn().unwrap()
    }

    /// Starts the process (again) and waits until it listens.
    pub fn start(&mut self) {
        let address = self.data_dir().join("server.addr");
        drop(std::fs::remove_file(&address));
        self.since = self.log().len();
        let mut child = self.spawn();
        let bound = wait_for(Duration::from_secs(60), "the server to listen", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status} instead of listening:\n{}", self.log());
            }
            std::fs::read_to_string(&address).ok().filter(|text| !text.is_empty())
        });
        self.url = format!("http://{bound}");
        self.child = Some(child);
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Asks the process to end with SIGTERM and waits for it; true when it ended well.
    pub fn stop(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return true };
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let status = wait_for(Duration::from_secs(60), "the server to end", || child.try_wait().unwrap());
        status.success()
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Disarms the failpoint for the next start.
    pub fn disarm(&mut self) {
        self.failpoint = None;
    }

    /// Arms a failpoint for the next start.
    pub fn arm(&mut self, name: &str) {
        self.failpoint = Some(name.to_owned());
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, key: &str, value: impl ToString) {
        self.settings.insert(key.to_owned(), value.to_string());
    }

    /// Writes a file into the folder that the process works in.
    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(&self.settings["DATA_DIR"])
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Everything it has printed and logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits until all armed failpoints hold the process.
    pub fn wait_for_failpoint(&self) {
        for name in self.failpoint.as_deref().expect("an armed failpoint").split(',') {
            self.wait_until_held(name);
        }
    }

    /// Waits until this failpoint holds the process.
    pub fn wait_until_held(&self, name: &str) {
        let place = format!("\"{name}\"");
        let held = |line: &str| line.contains("failpoint reached") && line.contains(&place);
        wait_for(Duration::from_secs(60), &format!("the failpoint {name}"), || {
            self.log().get(self.since..)?.lines().any(held).then_some(())
        });
    }

    /// Starts the process, which must refuse to serve; answers what it said, without what it said before.
    pub fn start_refused(&mut self) -> String {
        let before = self.log().len();
        let mut child = self.spawn();
        let status = wait_for(Duration::from_secs(60), "the server to refuse", || child.try_wait().unwrap());
        assert!(!status.success(), "it ended as if all were well");
        self.log().split_off(before)
    }

    /// What the process is told, and where it runs: for a look from outside.
    pub fn inputs(&self) -> tenantry::config::Inputs {
        let env = self.settings.iter().map(|(key, value)| (format!("TENANTRY_{key}"), value));
        tenantry::config::Inputs {
            dir: self.folder.path().to_path_buf(),
            files: Some(Vec::new()),
            env: tenantry::config::Environment::new(env),
        }
    }

    /// A client without a credential.
    pub fn nobody(&self) -> Client {
        Client { url: self.url.clone(), bearer: None, http: http() }
    }

    /// A client with this credential.
    pub fn with(&self, credential: &str) -> Client {
        Client { bearer: Some(credential.to_owned()), ..self.nobody() }
    }

    /// An operator with the role admin.
    pub fn operator(&self) -> Client {
        self.with(OPERATOR_KEY)
    }
}

impl Drop for Server {
    #[expect(clippy::print_stderr, reason = "cargo shows it with the test that failed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            eprintln!("--- the server's last lines ---");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
        self.kill();
    }
}

fn http() -> reqwest::Client {
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

/// Asks `probe` again and again until it answers something.
pub fn wait_for<T>(longest: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(began.elapsed() < longest, "waited {longest:?} for {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Asks `probe` again and again until it answers something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let (began, longest) = (Instant::now(), Duration::from_secs(60));
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < longest, "waited {longest:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Someone who calls the server.
#[derive(Clone)]
pub struct Client {
    /// The server.
    pub url: String,
    bearer: Option<String>,
    http: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body as JSON, when the status is this one.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The problem's code, when the status is this one and the body is a problem.
    #[track_caller]
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text);
        let body = self.json();
        assert_eq!(body["status"], json!(status));
        body["code"].as_str().unwrap().to_owned()
    }

    /// Where the invalid fields are, in order, when the answer is a validation error.
    #[track_caller]
    pub fn pointers(&self) -> Vec<String> {
        assert_eq!(self.problem(422), "validation_failed", "{}", self.text);
        let errors = self.json()["errors"].clone();
        let mut all: Vec<String> = errors
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["pointer"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl Client {
    /// A request that this client's credential goes with.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.url));
        match &self.bearer {
            Some(bearer) => request.bearer_auth(bearer),
            None => request,
        }
    }

    /// The same with another credential.
    pub fn with(&self, credential: &str) -> Self {
        Self { bearer: Some(credential.to_owned()), ..self.clone() }
    }

    /// The same at another server.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).json(&body)).await
    }

    /// POST with a JSON body and an idempotency key.
    pub async fn post_once(&self, path: &str, key: &str, body: Value) -> Answer {
        self.send(self.request("POST", path).header("idempotency-key", key).json(&body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("PATCH", path).json(&body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// Runs a statement through the data door.
    pub async fn query(&self, sql: &str, params: Value) -> Answer {
        self.post("/v1/query", json!({ "sql": sql, "params": params })).await
    }
}

/// A tenant that signed itself up, with its owner signed in and a key that may read and write data.
pub struct Settler {
    /// The tenant's id.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// Its owner, by access token.
    pub owner: Client,
    /// A program of it, by API key with data:read and data:write.
    pub program: Client,
    /// That key's text.
    pub key: String,
    /// The operation that onboarded it.
    pub operation: String,
}

impl Settler {
    /// A program of it, by a new key with these scopes.
    pub async fn key(&self, scopes: &[&str]) -> Client {
        let made = self.owner.post("/v1/tenant/api-keys", json!({ "name": "key", "scopes": scopes })).await;
        self.owner.with(made.expect(201)["key"].as_str().unwrap())
    }

    /// The path of it in the admin API.
    pub fn admin(&self) -> String {
        format!("/admin/v1/tenants/{}", self.id)
    }
}

/// The password of every owner in the tests.
pub const PASSWORD: &str = "correct horse battery";

impl Server {
    /// Signs an organisation up, waits until it is active, signs its owner in and makes a key.
    pub async fn settle(&self, name: &str) -> Settler {
        let nobody = self.nobody();
        let email = format!("owner@{}.example", name.to_lowercase());
        let body = json!({ "organization": name, "email": email, "password": PASSWORD });
        let signed = nobody.post("/v1/signups", body).await.expect(202);
        let (id, slug) = (signed["tenant_id"].as_str().unwrap(), signed["slug"].as_str().unwrap());
        let operation = signed["operation"]["id"].as_str().unwrap();
        self.until_done(operation).await;
        let token =
            nobody.post("/v1/sessions", json!({ "email": email, "password": PASSWORD })).await.expect(200);
        let owner = self.with(token["access_token"].as_str().unwrap());
        let made = owner
            .post("/v1/tenant/api-keys", json!({ "name": "program", "scopes": ["data:read", "data:write"] }))
            .await;
        let key = made.expect(201)["key"].as_str().unwrap().to_owned();
        Settler {
            id: id.to_owned(),
            slug: slug.to_owned(),
            owner,
            program: self.with(&key),
            key,
            operation: operation.to_owned(),
        }
    }

    /// Signs the owner of `settle`'s tenant of this name in; what sign-in answers.
    pub async fn sign_in(&self, name: &str) -> Value {
        let email = format!("owner@{}.example", name.to_lowercase());
        let body = json!({ "email": email, "password": PASSWORD });
        self.nobody().post("/v1/sessions", body).await.expect(200)
    }

    /// An operator who is a person with this address and role, set up with [`PASSWORD`]; what sign-in answers.
    pub async fn officer(&self, email: &str, role: &str) -> Value {
        let body = json!({ "email": email, "role": role });
        let made = self.operator().post("/admin/v1/operator-users", body).await.expect(201);
        let body = json!({ "token": made["setup_token"], "password": PASSWORD });
        self.nobody().post("/admin/v1/operator-setup", body).await.expect(200);
        let body = json!({ "email": email, "password": PASSWORD });
        self.nobody().post("/admin/v1/sessions", body).await.expect(200)
    }

    /// A client with the access token of what a sign-in answered.
    pub fn with_token_of(&self, session: &Value) -> Client {
        self.with(session["access_token"].as_str().unwrap())
    }

    /// Creates a tenant as an operator and waits until it is active.
    pub async fn create(&self, body: Value) -> Value {
        let made = self.operator().post("/admin/v1/tenants", body).await.expect(202);
        self.until_done(made["operation"]["id"].as_str().unwrap()).await;
        let path = format!("/admin/v1/tenants/{}", made["tenant"]["id"].as_str().unwrap());
        self.operator().get(&path).await.expect(200)
    }

    /// A service of the application plane, by a new service key with these scopes.
    pub async fn service(&self, scopes: &[&str]) -> Client {
        let body = json!({ "name": "service", "scopes": scopes });
        let made = self.operator().post("/admin/v1/service-keys", body).await.expect(201);
        self.with(made["key"].as_str().unwrap())
    }

    /// An operator with this role, by a new operator key.
    pub async fn operator_as(&self, role: &str) -> Client {
        let made = self
            .operator()
            .post("/admin/v1/operators", json!({ "name": role, "role": role }))
            .await
            .expect(201);
        self.with(made["key"].as_str().unwrap())
    }

    /// Waits until an operation has succeeded.
    pub async fn until_done(&self, operation: &str) -> Value {
        let (operator, path) = (self.operator(), format!("/admin/v1/operations/{operation}"));
        eventually("the operation to succeed", || async {
            let found = operator.get(&path).await.expect(200);
            assert_ne!(found["state"], "failed", "{found:#}");
            (found["state"] == "succeeded").then_some(found)
        })
        .await
    }
}
