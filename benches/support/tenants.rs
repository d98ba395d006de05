//! Tenants to measure with.

use serde_json::{Value, json};

use super::http::Http;
use super::program::Program;

/// The password of every owner.
pub const PASSWORD: &str = "correct horse battery";

/// A tenant that is ready, and a key of it that may read and write data.
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// Its slug.
    pub slug: String,
    /// The key.
    pub key: String,
}

/// The body of a signup that no other uses.
pub fn signup(number: usize) -> Value {
    json!({
        "organization": format!("Bench {number}"), "slug": format!("bench-{number}"),
        "email": format!("owner@bench-{number}.example"), "password": PASSWORD,
    })
}

/// Signs up; the answer.
pub fn sign_up(nobody: &mut Http, number: usize) -> Value {
    nobody.json("POST", "/v1/signups", Some(&signup(number)), 202)
}

/// Waits until the operation in `signed`, a signup's answer, has succeeded, asking every half millisecond.
pub fn until_ready(nobody: &mut Http, signed: &Value) {
    let path = format!("/v1/operations/{}", signed["operation"]["id"].as_str().unwrap());
    let mut operation = signed["operation"].clone();
    while operation["state"] != "succeeded" {
        assert_ne!(operation["state"], "failed", "{operation:#}");
        std::thread::sleep(std::time::Duration::from_micros(500));
        operation = nobody.json("GET", &path, None, 200);
    }
}

/// Makes this many ready tenants, numbered from `first`.
pub fn settle(program: &Program, first: usize, many: usize) -> Vec<Tenant> {
    let mut nobody = program.nobody();
    let settle = |number| {
        let signed = sign_up(&mut nobody, number);
        until_ready(&mut nobody, &signed);
        let email = format!("owner@bench-{number}.example");
        let sign_in = json!({ "email": email, "password": PASSWORD });
        let session = nobody.json("POST", "/v1/sessions", Some(&sign_in), 200);
        let mut owner = Http::connect(program.address, session["access_token"].as_str());
        let wanted = json!({ "name": "bench", "scopes": ["data:read", "data:write"] });
        let key = owner.json("POST", "/v1/tenant/api-keys", Some(&wanted), 201);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Tenant { id: text(&signed["tenant_id"]), slug: text(&signed["slug"]), key: text(&key["key"]) }
    };
    (first..first + many).map(settle).collect()
}

/// A service key with these scopes.
pub fn service_key(program: &Program, scopes: &[&str]) -> String {
    let wanted = json!({ "name": "bench", "scopes": scopes });
    let made = program.operator().json("POST", "/admin/v1/service-keys", Some(&wanted), 201);
    made["key"].as_str().unwrap().to_owned()
}
