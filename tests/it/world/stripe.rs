//! A server that answers like Stripe and keeps a record. Each request's shape is held against what Stripe's OpenAPI
//! document says (`stripe_params.json`); a test tells it when to be slow, to fail, or to hang up.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::server::Starting;
use super::wire::{Request, request};

/// The secret key that calls must bring.
pub const KEY: &str = "sk_test_only_for_this_test_4eC39HqLyjWDarjtT1zdp7dc";
/// What notifications are signed with.
pub const SECRET: &str = "whsec_only_for_this_test_8fQ2";
/// The version that requests are held against.
const VERSION: &str = "2026-10-28.endive";
/// What is sold: signups begin free of charge, and buy.
const PLANS: &str =
    "[plans.free]\nname = \"Free\"\n[plans.pro]\nname = \"Pro\"\nprice = 4_900\ncurrency = \"EUR\"\n";
const PARAMETERS: &str = include_str!("stripe_params.json");

/// How one call is answered.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Manner {
    /// 500, with nothing done and nothing kept.
    Fails,
    /// 500, with nothing done; the answer is kept for this idempotency key.
    FailsForGood,
    /// It is done, and the connection is cut in the middle of the answer.
    CutsOff,
    /// The connection is cut before anything is done.
    HangsUp,
    /// It is done, and the answer takes this long.
    Slow(Duration),
    /// 429 with this Retry-After.
    TooMany(u64),
    /// 400 with words that quote the caller's key.
    Tells,
    /// 401.
    BadKey,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `POST /v1/customers`.
    pub call: String,
    /// Its fields as they were sent: `items[0][id]`.
    pub fields: BTreeMap<String, String>,
    /// Its idempotency key.
    pub once: Option<String>,
}

#[derive(Default)]
struct State {
    next: VecDeque<(String, Manner)>,
    seen: Vec<Seen>,
    faults: Vec<String>,
    kept: HashMap<String, (BTreeMap<String, String>, u16, Value)>,
    things: BTreeMap<&'static str, Vec<Value>>,
    minted: u32,
}

/// The server.
pub struct Stripe {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Stripe {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(talk(&stream, &state)));
            }
        });
        Self { port, state }
    }

    /// Settings of a server that collects here.
    pub fn collects_for(&self, starting: Starting) -> Starting {
        starting
            .set("BILLING__PROVIDER", "stripe")
            .set("BILLING__STRIPE__SECRET_KEY", KEY)
            .set("BILLING__STRIPE__WEBHOOK_SECRET", SECRET)
            .set("BILLING__STRIPE__TIMEOUT_S", 2)
            .set("BILLING__STRIPE__API_URL", format!("http://127.0.0.1:{}", self.port))
            .file("stripe-plans.toml", PLANS)
            .set("PLANS__FILE", "stripe-plans.toml")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The next calls of this kind (`POST /v1/customers`) are answered in these ways, one each.
    pub fn next(&self, call: &str, manners: &[Manner]) {
        self.state().next.extend(manners.iter().map(|manner| (call.to_owned(), *manner)));
    }

    /// All that came, when each was as Stripe takes it and every manner was seen.
    pub fn seen(&self) -> Vec<Seen> {
        let state = self.state();
        assert_eq!(state.faults, Vec::<String>::new());
        assert_eq!(state.next, VecDeque::new(), "these were never called");
        state.seen.clone()
    }

    /// What was made of this kind: `customers`, `products`, `subscriptions`, `invoiceitems`, `invoices`.
    pub fn things(&self, kind: &str) -> Vec<Value> {
        self.state().things.get(kind).cloned().unwrap_or_default()
    }

    /// Ends a subscription there, as its own people do.
    pub fn ends(&self, subscription: &str) {
        for one in self.state().things.get_mut("subscriptions").unwrap() {
            if one["id"] == subscription {
                one["status"] = json!("canceled");
            }
        }
    }
}

/// The header that goes with `body`, signed at this second with this secret.
pub fn signed(secret: &str, second: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{second}.{body}").as_bytes());
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={second},v1={hex},v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39")
}

fn talk(stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let Some(Request { method, target, headers, body }) = request(&mut reader)? else { return Ok(()) };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let sent = if method == "POST" { body } else { query.to_owned() };
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(sent.as_bytes()).into_owned().collect();
    let fields: BTreeMap<String, String> = pairs.iter().cloned().collect();

    let mut held = state.lock().unwrap();
    let call = format!("{method} {path}");
    let once = headers.get("idempotency-key").cloned();
    held.seen.push(Seen { call: call.clone(), fields: fields.clone(), once: once.clone() });
    let mut faults = faults(&method, path, &fields, &headers);
    if pairs.len() != fields.len() {
        faults.push("a field was sent twice".to_owned());
    }
    held.faults.extend(faults.iter().map(|fault| format!("{call}: {fault}")));
    let manner = match held.next.front() {
        Some((wanted, manner)) if call.starts_with(wanted.as_str()) => {
            let manner = *manner;
            held.next.pop_front();
            Some(manner)
        }
        _ => None,
    };
    let (status, extra, answer) = match manner {
        Some(Manner::HangsUp) => return Ok(()),
        Some(Manner::Fails) => (500, String::new(), error("api_error", "", "An error occurred")),
        Some(Manner::TooMany(seconds)) => (
            429,
            format!("Retry-After: {seconds}\r\n"),
            error("invalid_request_error", "rate_limit", "Slow down"),
        ),
        Some(Manner::Tells) => (
            400,
            String::new(),
            error("invalid_request_error", "parameter_invalid", &format!("No such {KEY}")),
        ),
        Some(Manner::BadKey) => (
            401,
            String::new(),
            error("invalid_request_error", "", &format!("Invalid API Key provided: {KEY}")),
        ),
        _ if !faults.is_empty() => {
            (400, String::new(), error("invalid_request_error", "", &faults.join("; ")))
        }
        _ => held.kept_or(&once, &fields, |state| match manner {
            Some(Manner::FailsForGood) => (500, error("api_error", "", "An error occurred")),
            _ => state.act(&method, path, &fields),
        }),
    };
    drop(held);
    if let Some(Manner::Slow(time)) = manner {
        std::thread::sleep(time);
    }
    let text = answer.to_string();
    let whole = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{extra}\r\n{text}",
        text.len()
    );
    let end = if manner == Some(Manner::CutsOff) { whole.len() - text.len() / 2 } else { whole.len() };
    (&*stream).write_all(&whole.as_bytes()[..end])
}

fn error(kind: &str, code: &str, message: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": message } })
}

impl State {
    /// What was answered before under the same key, as Stripe keeps it; else what `work` answers.
    fn kept_or(
        &mut self,
        once: &Option<String>,
        fields: &BTreeMap<String, String>,
        work: impl FnOnce(&mut Self) -> (u16, Value),
    ) -> (u16, String, Value) {
        if let Some((before, status, answer)) = once.as_ref().and_then(|key| self.kept.get(key)) {
            if before != fields {
                return (
                    400,
                    String::new(),
                    error(
                        "idempotency_error",
                        "",
                        "Keys for idempotent requests can only be used with the same parameters",
                    ),
                );
            }
            return (*status, "Idempotent-Replayed: true\r\n".to_owned(), answer.clone());
        }
        let (status, answer) = work(self);
        if let Some(key) = once {
            self.kept.insert(key.clone(), (fields.clone(), status, answer.clone()));
        }
        (status, String::new(), answer)
    }

    fn mint(&mut self, prefix: &str) -> String {
        self.minted += 1;
        format!("{prefix}_test{:04}", self.minted)
    }

    fn act(&mut self, method: &str, path: &str, fields: &BTreeMap<String, String>) -> (u16, Value) {
        let missing = |what: &str| {
            (404, error("invalid_request_error", "resource_missing", &format!("No such {what}")))
        };
        let mut thing = nested(fields);
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", [kind]) => {
                let all = self.things.get(*kind).cloned().unwrap_or_default();
                let mut fitting: Vec<Value> = all
                    .into_iter()
                    .filter(|one| {
                        fields.get("customer").is_none_or(|wanted| one["customer"] == json!(wanted))
                    })
                    .rev()
                    .collect();
                if let Some(after) = fields.get("starting_after") {
                    let at = fitting.iter().position(|one| one["id"] == json!(after)).unwrap();
                    fitting.drain(..=at);
                }
                // Small pages, so that more than one is read.
                let more = fitting.len() > 2;
                fitting.truncate(2);
                (200, json!({ "object": "list", "data": fitting, "has_more": more }))
            }
            ("POST", ["customers"]) => self.keep("customers", "cus", thing),
            ("POST", ["invoiceitems"]) => self.keep("invoiceitems", "ii", thing),
            ("POST", ["invoices"]) => self.keep("invoices", "in", thing),
            ("POST", ["products"]) => {
                if self
                    .things
                    .get("products")
                    .is_some_and(|all| all.iter().any(|one| one["id"] == thing["id"]))
                {
                    return (
                        400,
                        error("invalid_request_error", "resource_already_exists", "Product already exists."),
                    );
                }
                self.keep("products", "prod", thing)
            }
            ("POST", ["subscriptions"]) => {
                let known = |kind: &str, id: &Value| {
                    self.things.get(kind).is_some_and(|all| all.iter().any(|one| one["id"] == *id))
                };
                let item = thing["items"]["0"].clone();
                if !known("customers", &thing["customer"])
                    || !known("products", &item["price_data"]["product"])
                {
                    return missing("customer or product");
                }
                let id = self.mint("si");
                thing["items"] =
                    json!({ "object": "list", "data": [{ "id": id, "price": item["price_data"] }] });
                thing["status"] = json!(if thing.get("trial_end").is_some() { "trialing" } else { "active" });
                thing["pause_collection"] = Value::Null;
                self.keep("subscriptions", "sub", thing)
            }
            (_, ["subscriptions", id]) => {
                let all = self.things.entry("subscriptions").or_default();
                let found = all.iter_mut().find(|one| one["id"] == json!(id) && one["status"] != "canceled");
                let Some(found) = found else { return missing("subscription") };
                if method == "DELETE" {
                    found["status"] = json!("canceled");
                } else {
                    if thing["items"]["0"]["id"] != found["items"]["data"][0]["id"] {
                        return missing("subscription item");
                    }
                    found["items"]["data"][0]["price"] = thing["items"]["0"]["price_data"].clone();
                    found["cancel_at_period_end"] = thing["cancel_at_period_end"].clone();
                    found["pause_collection"] = match &thing["pause_collection"] {
                        Value::Object(pause) => json!(pause),
                        _ => Value::Null,
                    };
                }
                (200, found.clone())
            }
            _ => missing("route"),
        }
    }

    fn keep(&mut self, kind: &'static str, prefix: &str, mut thing: Value) -> (u16, Value) {
        if thing.get("id").is_none() {
            thing["id"] = json!(self.mint(prefix));
        }
        self.things.entry(kind).or_default().push(thing.clone());
        (200, thing)
    }
}

/// `a[b][0]=c` as objects within objects.
fn nested(fields: &BTreeMap<String, String>) -> Value {
    let mut out = json!({});
    for (name, value) in fields {
        let mut at = &mut out;
        for part in name.split('[').map(|part| part.trim_end_matches(']')) {
            if !at.is_object() {
                *at = Value::Object(Map::new());
            }
            at = &mut at[part];
        }
        *at = json!(value);
    }
    out
}

fn faults(
    method: &str,
    path: &str,
    fields: &BTreeMap<String, String>,
    headers: &BTreeMap<String, String>,
) -> Vec<String> {
    let document: Value = serde_json::from_str(PARAMETERS).unwrap();
    assert!(document["about"].as_str().unwrap().contains(VERSION));
    let parts: Vec<&str> = path.split('/').collect();
    let template = if parts.len() == 4 { format!("/v1/{}/{{id}}", parts[2]) } else { path.to_owned() };
    let mut out = Vec::new();
    match document["operations"].get(format!("{method} {template}")) {
        Some(shape) => misfits(shape, &nested(fields), "", &mut out),
        None => out.push("Stripe has no such call among those we hold".to_owned()),
    }
    let header = |name: &str| headers.get(name).map_or("", String::as_str);
    for (name, wanted) in [("authorization", format!("Bearer {KEY}")), ("stripe-version", VERSION.to_owned())]
    {
        if header(name) != wanted {
            out.push(format!("{name} is not as it must be"));
        }
    }
    if method == "POST" {
        if header("content-type") != "application/x-www-form-urlencoded" {
            out.push("the body is no form".to_owned());
        }
        if !(1..=255).contains(&header("idempotency-key").len()) {
            out.push("there is no idempotency key".to_owned());
        }
    }
    out
}

/// Where a value does not fit what Stripe takes.
fn misfits(shape: &Value, value: &Value, at: &str, out: &mut Vec<String>) {
    let emptied = value == "";
    match (shape, value) {
        (Value::String(kind), Value::String(_)) if kind == "scalar" => {}
        (Value::String(kind), Value::Object(range)) if kind == "scalar" && at.ends_with("/created") => {
            let known = |name: &String| ["gt", "gte", "lt", "lte"].contains(&name.as_str());
            if !range.keys().all(known) {
                out.push(format!("{at} is no range"));
            }
        }
        (Value::String(kind), Value::Object(marks)) if kind == "map" => {
            if !marks.values().all(Value::is_string) {
                out.push(format!("{at} is no map of texts"));
            }
        }
        (Value::Object(shape), _) if shape.contains_key("one of") => {
            if !shape["one of"].as_array().unwrap().contains(value) {
                out.push(format!("{at} is none of the words"));
            }
        }
        (Value::Object(shape), Value::Object(items)) if shape.contains_key("[]") => {
            for (index, item) in items {
                if index.parse::<usize>().is_err() {
                    out.push(format!("{at} is a list"));
                }
                misfits(&shape["[]"], item, &format!("{at}/{index}"), out);
            }
        }
        (Value::Object(shape), Value::Object(fields)) => {
            for (name, value) in fields {
                match shape.get(name).or_else(|| shape.get(&format!("{name}!"))) {
                    Some(inner) => misfits(inner, value, &format!("{at}/{name}"), out),
                    None => out.push(format!("{at}/{name} is unknown")),
                }
            }
            let needed = shape.keys().filter_map(|name| name.strip_suffix('!'));
            out.extend(
                needed
                    .filter(|name| !fields.contains_key(*name))
                    .map(|name| format!("{at}/{name} is missing")),
            );
        }
        _ if emptied => {}
        _ => out.push(format!("{at} has the wrong shape")),
    }
}

#[test]
fn a_request_that_stripe_would_refuse_is_seen() {
    let shape: Value = serde_json::from_str(PARAMETERS).unwrap();
    let shape = &shape["operations"]["POST /v1/subscriptions"];
    let found = |pairs: &[(&str, &str)]| {
        let fields = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut out = Vec::new();
        misfits(shape, &nested(&fields), "", &mut out);
        out
    };
    let good = [
        ("customer", "cus_1"),
        ("items[0][price]", "price_1"),
        ("metadata[a]", "b"),
        ("proration_behavior", "none"),
    ];
    assert_eq!(found(&good), Vec::<String>::new());
    assert_eq!(found(&[("custmer", "cus_1")]), ["/custmer is unknown"]);
    assert_eq!(found(&[("proration_behavior", "never")]), ["/proration_behavior is none of the words"]);
    assert_eq!(
        found(&[("items[0][price_data][currency]", "eur")]).len(),
        2,
        "product and recurring are missing"
    );
    assert_eq!(found(&[("customer[id]", "x")]), ["/customer has the wrong shape"]);
}
