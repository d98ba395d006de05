//! Services of other people, in other languages, that check our access tokens and verify our webhooks with their own
//! libraries.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Once;

use serde_json::{Value, json};

/// A running service, asked and answering in lines of JSON.
struct Service {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

/// A running service that answers whether a token is good.
pub struct Stranger(Service);

/// A running service that answers whether a webhook is ours.
pub struct Verifier(Service);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where the libraries are, fetched if need be.
fn libraries() -> PathBuf {
    static FETCHED: Once = Once::new();
    FETCHED.call_once(|| {
        let status = Command::new(root().join("scripts/strangers")).status().unwrap();
        assert!(status.success(), "scripts/strangers fetches the libraries; it says what it lacks");
    });
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("strangers")
}

impl Service {
    fn start(mut command: Command, script: &str, args: &[&str]) -> Self {
        command.arg(root().join("tests/strangers").join(script)).args(args).arg(libraries());
        let mut child = command
            .env("NO_PROXY", "*")
            .env("no_proxy", "*")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, told) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, ask, told: BufReader::new(told) }
    }

    /// What it says of `asked` under `good`, or why it refuses it.
    fn answer(&mut self, asked: &Value, good: &str) -> Result<Value, String> {
        writeln!(self.ask, "{asked}").unwrap();
        let mut line = String::new();
        assert!(self.told.read_line(&mut line).unwrap() > 0, "the stranger fell silent");
        let answer: Value = serde_json::from_str(&line).unwrap();
        match answer.get(good) {
            Some(said) => Ok(said.clone()),
            None => Err(answer["refused"].as_str().unwrap().to_owned()),
        }
    }
}

fn python() -> Command {
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", libraries().join("python"));
    command
}

impl Stranger {
    fn start(command: Command, script: &str, issuer: &str) -> Self {
        Self(Service::start(command, script, &[issuer, &format!("{issuer}/.well-known/jwks.json")]))
    }

    /// A Python service with PyJWT.
    pub fn python(issuer: &str) -> Self {
        Self::start(python(), "check.py", issuer)
    }

    /// A Node service with jose.
    pub fn node(issuer: &str) -> Self {
        Self::start(Command::new("node"), "check.mjs", issuer)
    }

    /// What the token says, or why it is refused.
    pub fn check(&mut self, token: &str, audience: &str) -> Result<Value, String> {
        self.0.answer(&json!({ "token": token, "audience": audience }), "claims")
    }
}

impl Verifier {
    /// A Python service with standardwebhooks.
    pub fn python() -> Self {
        Self(Service::start(python(), "hook.py", &[]))
    }

    /// A Node service with standardwebhooks.
    pub fn node() -> Self {
        Self(Service::start(Command::new("node"), "hook.mjs", &[]))
    }

    /// The event that a call brought, or why it is refused.
    pub fn verify(
        &mut self,
        secret: &str,
        headers: &BTreeMap<String, String>,
        body: &str,
    ) -> Result<Value, String> {
        self.0.answer(&json!({ "secret": secret, "headers": headers, "body": body }), "event")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
