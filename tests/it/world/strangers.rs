//! Services of other people, in other languages, that check our access tokens with their own libraries.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Once;

use serde_json::{Value, json};

/// A running service that answers whether a token is good.
pub struct Stranger {
    child: Child,
    ask: ChildStdin,
    told: BufReader<ChildStdout>,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where the libraries are, fetched if need be.
fn libraries() -> PathBuf {
    static FETCHED: Once = Once::new();
    FETCHED.call_once(|| {
        let status = Command::new(root().join("scripts/strangers")).status().unwrap();
        assert!(status.success(), "scripts/strangers fetches the token libraries; it says what it lacks");
    });
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("strangers")
}

impl Stranger {
    fn start(mut command: Command, script: &str, issuer: &str) -> Self {
        command.arg(root().join("tests/strangers").join(script));
        command.args([issuer, &format!("{issuer}/.well-known/jwks.json")]).arg(libraries());
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

    /// A Python service with PyJWT.
    pub fn python(issuer: &str) -> Self {
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", libraries().join("python"));
        Self::start(command, "check.py", issuer)
    }

    /// A Node service with jose.
    pub fn node(issuer: &str) -> Self {
        Self::start(Command::new("node"), "check.mjs", issuer)
    }

    /// What the token says, or why it is refused.
    pub fn check(&mut self, token: &str, audience: &str) -> Result<Value, String> {
        writeln!(self.ask, "{}", json!({ "token": token, "audience": audience })).unwrap();
        let mut line = String::new();
        assert!(self.told.read_line(&mut line).unwrap() > 0, "the stranger fell silent");
        let answer: Value = serde_json::from_str(&line).unwrap();
        match answer.get("claims") {
            Some(claims) => Ok(claims.clone()),
            None => Err(answer["refused"].as_str().unwrap().to_owned()),
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
