//! The log line of a request. There is one for each, and some requests take hardly longer than a line took by
//! the common way, so as JSON it has a way of its own: written into a buffer of the worker's, and from there to
//! stderr by one thread, at most [`LATE`] later and many lines at once. Whoever reads stderr slowly delays no
//! request; what does not fit the buffers meanwhile is counted and told.

use std::cell::RefCell;
use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use parking_lot::Mutex;

use crate::config::LogFormat;
use crate::kernel::id::TenantId;

/// How long a line may wait for others to go with.
pub const LATE: Duration = Duration::from_millis(20);
/// Bytes that a worker's buffer holds at most: some ten thousand lines.
const MOST: usize = 4 << 20;

/// What is told of a request.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// The trace it belongs to.
    pub trace_id: Option<&'a str>,
    /// Its method.
    pub method: &'a str,
    /// The pattern that its path matched.
    pub route: &'a str,
    /// The status it was answered with.
    pub status: u16,
    /// How long that took.
    pub took: Duration,
    /// The kind of caller.
    pub caller: &'static str,
    /// The caller's tenant.
    pub tenant: Option<TenantId>,
}

#[derive(Default)]
struct Buffer {
    lines: Vec<u8>,
    dropped: u64,
}

struct Sink {
    buffers: Mutex<Vec<Arc<Mutex<Buffer>>>>,
    writer: Thread,
}

static SINK: OnceLock<Option<Sink>> = OnceLock::new();

/// The beginning of a line within a second, and which second.
struct Own {
    second: u64,
    head: String,
    buffer: Arc<Mutex<Buffer>>,
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// Begins: lines are told when `told`. For people they go the common way, in order with all else.
pub(super) fn start(json: bool, told: bool) {
    SINK.get_or_init(|| {
        if !(json && told) {
            return None;
        }
        let thread = std::thread::Builder::new().name("request log".to_owned()).spawn(|| {
            loop {
                std::thread::park();
                std::thread::sleep(LATE);
                flush();
            }
        });
        // Without the thread the lines go the common way.
        thread.ok().map(|handle| Sink { buffers: Mutex::default(), writer: handle.thread().clone() })
    });
}

/// Whether lines as JSON are what the log is made of.
#[must_use]
pub(super) fn is_json(format: LogFormat, terminal: bool) -> bool {
    match format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    }
}

/// Tells of a request.
pub fn log(line: &Line<'_>) {
    match SINK.get() {
        Some(Some(sink)) => sink.push(line),
        _ => tracing::info!(
            request_id = line.request_id,
            trace_id = line.trace_id,
            http.method = line.method,
            http.route = line.route,
            http.status = line.status,
            duration_ms = millis(line.took),
            caller = line.caller,
            tenant = line.tenant.map(tracing::field::display),
            "request"
        ),
    }
}

fn millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

impl Sink {
    fn push(&self, line: &Line<'_>) {
        OWN.with_borrow_mut(|own| {
            let own = own.get_or_insert_with(|| {
                let buffer = Arc::new(Mutex::new(Buffer::default()));
                self.buffers.lock().push(Arc::clone(&buffer));
                Own { second: u64::MAX, head: String::new(), buffer }
            });
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            if own.second != now.as_secs() {
                own.second = now.as_secs();
                let second = i64::try_from(own.second).unwrap_or(0);
                let text = Timestamp::from_second(second).unwrap_or_default().to_string();
                own.head = format!("{{\"timestamp\":\"{}.", text.trim_end_matches('Z'));
            }
            let mut buffer = own.buffer.lock();
            if buffer.lines.len() > MOST {
                buffer.dropped += 1;
                return;
            }
            let first = buffer.lines.is_empty();
            // Writing to memory cannot fail.
            let _ = write(&mut buffer.lines, &own.head, now.subsec_micros(), line);
            drop(buffer);
            if first {
                self.writer.unpark();
            }
        });
    }
}

fn write(out: &mut Vec<u8>, head: &str, micros: u32, line: &Line<'_>) -> std::io::Result<()> {
    out.write_all(head.as_bytes())?;
    write!(out, "{micros:06}Z\",\"level\":\"INFO\",\"message\":\"request\",\"request_id\":")?;
    // Some of what follows is the client's own: written as JSON, it cannot end the line or begin a field.
    serde_json::to_writer(&mut *out, line.request_id)?;
    if let Some(trace) = line.trace_id {
        out.write_all(b",\"trace_id\":")?;
        serde_json::to_writer(&mut *out, trace)?;
    }
    out.write_all(b",\"http.method\":")?;
    serde_json::to_writer(&mut *out, line.method)?;
    out.write_all(b",\"http.route\":")?;
    serde_json::to_writer(&mut *out, line.route)?;
    write!(
        out,
        ",\"http.status\":{},\"duration_ms\":{},\"caller\":\"{}\"",
        line.status,
        millis(line.took),
        line.caller
    )?;
    if let Some(tenant) = line.tenant {
        write!(out, ",\"tenant\":\"{tenant}\"")?;
    }
    out.write_all(b",\"target\":\"tenantry::http::request\"}\n")
}

/// Writes what the buffers hold. For the end of the process, too.
pub fn flush() {
    let Some(Some(sink)) = SINK.get() else { return };
    let mut dropped = 0;
    // One at a time: two who write would mix their lines.
    let buffers = sink.buffers.lock();
    for buffer in &*buffers {
        let lines = {
            let mut buffer = buffer.lock();
            dropped += std::mem::take(&mut buffer.dropped);
            let room = Vec::with_capacity(buffer.lines.len());
            std::mem::replace(&mut buffer.lines, room)
        };
        // Nobody may be reading; that is no reason not to serve.
        drop(std::io::stderr().lock().write_all(&lines));
    }
    drop(buffers);
    if dropped > 0 {
        tracing::warn!(dropped, "the log is read too slowly: lines of requests were left out");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_line_is_one_json_object_whatever_the_client_sent() {
        let tenant = TenantId::mint();
        let line = Line {
            request_id: "a\"b\\c",
            trace_id: Some("4bf9"),
            method: "G\"ET",
            route: "/v1/x/{y}",
            status: 204,
            took: Duration::from_millis(3),
            caller: "service",
            tenant: Some(tenant),
        };
        let mut out = Vec::new();
        write(&mut out, "{\"timestamp\":\"2026-11-24T20:00:00.", 42, &line).unwrap();
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let told: Value = serde_json::from_slice(&out).unwrap();
        let expected = json!({
            "timestamp": "2026-11-24T20:00:00.000042Z", "level": "INFO", "message": "request",
            "request_id": "a\"b\\c", "trace_id": "4bf9", "http.method": "G\"ET", "http.route": "/v1/x/{y}",
            "http.status": 204, "duration_ms": 3, "caller": "service", "tenant": tenant.to_string(),
            "target": "tenantry::http::request",
        });
        assert_eq!(told, expected);
    }
}
