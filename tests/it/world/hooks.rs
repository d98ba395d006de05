//! A receiver of webhooks: it keeps what comes, and a test tells it, path by path, how to answer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::Value;

use super::server::{Starting, eventually};
use super::wire::{Request, request};

/// How one call is answered.
#[derive(Clone, PartialEq, Debug)]
pub enum Manner {
    /// With this status.
    Status(u16),
    /// 429 with this Retry-After.
    TooMany(u64),
    /// 302 to there.
    Elsewhere(String),
    /// Not at all, until [`Receiver::release`].
    Hangs,
    /// The connection is cut.
    HangsUp,
    /// 200 with this body.
    Says(String),
}

/// A call that came.
#[derive(Debug, Clone)]
pub struct Got {
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub text: String,
}

impl Got {
    /// The event.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The event's id.
    pub fn id(&self) -> String {
        self.headers["webhook-id"].clone()
    }
}

#[derive(Default)]
struct State {
    next: HashMap<String, VecDeque<Manner>>,
    always: HashMap<String, Manner>,
    got: HashMap<String, Vec<Got>>,
    at_once: HashMap<String, (usize, usize)>,
    released: bool,
}

/// The receiver.
pub struct Receiver {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Receiver {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(talk(&stream, &state)));
            }
        });
        Self { port, state }
    }

    /// Settings of a server that may call it, and tries again soon.
    pub fn called_by(starting: Starting) -> Starting {
        starting
            .set("WEBHOOKS__ALLOW_HTTP", true)
            .set("WEBHOOKS__ALLOW_PRIVATE", "127.0.0.0/8")
            .set("WEBHOOKS__TIMEOUT_S", 2)
            .set("WEBHOOKS__LEASE_S", 1)
            .set("WEBHOOKS__RETRY_SCHEDULE_S", "0,0,0,0")
            .set("WEBHOOKS__BREAKER_FAILURES", 1_000)
            .set("WEBHOOKS__BREAKER_INITIAL_MS", 50)
    }

    /// The URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }

    /// The next calls of a path are answered in these ways, one each.
    pub fn next(&self, path: &str, manners: &[Manner]) {
        self.state().next.entry(path.to_owned()).or_default().extend(manners.iter().cloned());
    }

    /// All other calls of a path are answered in this way.
    pub fn always(&self, path: &str, manner: Manner) {
        self.state().always.insert(path.to_owned(), manner);
    }

    /// Lets go of the calls that hang.
    pub fn release(&self) {
        self.state().released = true;
        self.state.1.notify_all();
    }

    /// What came to a path.
    pub fn got(&self, path: &str) -> Vec<Got> {
        self.state().got.get(path).cloned().unwrap_or_default()
    }

    /// The most calls of a path that were there at once.
    pub fn at_once(&self, path: &str) -> usize {
        self.state().at_once.get(path).map_or(0, |(_, most)| *most)
    }

    /// Waits until so many calls have come to a path.
    pub async fn until(&self, path: &str, count: usize) -> Vec<Got> {
        eventually(&format!("{count} calls of {path}"), || async {
            let got = self.got(path);
            (got.len() >= count).then_some(got)
        })
        .await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.release();
    }
}

fn talk(stream: &TcpStream, shared: &(Mutex<State>, Condvar)) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(Request { target: path, headers, body: text, .. }) = request(&mut reader)? {
        let mut held = shared.0.lock().unwrap();
        held.got.entry(path.clone()).or_default().push(Got { headers, text });
        let (now, most) = held.at_once.entry(path.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        let queued = held.next.get_mut(&path).and_then(VecDeque::pop_front);
        let manner = queued.or_else(|| held.always.get(&path).cloned()).unwrap_or(Manner::Status(200));
        if manner == Manner::Hangs {
            held = shared.1.wait_while(held, |state| !state.released).unwrap();
        }
        held.at_once.get_mut(&path).unwrap().0 -= 1;
        drop(held);
        let (status, extra, body) = match manner {
            Manner::HangsUp => return Ok(()),
            Manner::Status(status) => (status, String::new(), String::new()),
            Manner::Hangs => (200, String::new(), String::new()),
            Manner::TooMany(seconds) => (429, format!("Retry-After: {seconds}\r\n"), String::new()),
            Manner::Elsewhere(url) => (302, format!("Location: {url}\r\n"), String::new()),
            Manner::Says(text) => (200, String::new(), text),
        };
        let answer = format!("HTTP/1.1 {status} X\r\n{extra}Content-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = stream;
        stream.write_all(answer.as_bytes())?;
    }
    Ok(())
}
