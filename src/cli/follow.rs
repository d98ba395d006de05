//! Watching an operation until it ends: redrawn lines on a terminal, a line per change elsewhere.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Outcome;
use super::client::Api;
use super::failure::{FAILED, Failure};
use super::out::{Look, Out, Paint, look_of};
use super::views::{self, Operation};
use super::words;
use crate::kernel::clock::{Clock, Ts};

/// First wait between two looks; grows to [`SLOWEST`].
const FIRST: Duration = Duration::from_millis(100);
/// Longest wait between two looks.
const SLOWEST: Duration = Duration::from_secs(1);
/// How long a server that does not answer is waited for: long enough for a restart.
const ABSENCE: Duration = Duration::from_secs(60);

/// Watches the operation `id` until nothing more happens by itself, and gives its last state.
///
/// # Errors
/// As [`Api::get`]; that the server is away, only when it stays so for a minute. That the
/// operation failed is no error here: see [`verdict`].
pub async fn until_done(api: &Api, out: &Out, id: &str) -> Outcome<Value> {
    let clock = Clock::system();
    let mut screen = Screen::default();
    let mut pause = FIRST;
    let mut away_since: Option<Instant> = None;
    loop {
        match api.get(&["admin", "v1", "operations", id], &[]).await {
            Ok(value) => {
                away_since = None;
                let operation: Operation = views::read(&value)?;
                screen.show(out, &operation, clock.now());
                if operation.is_final() {
                    return Ok(value);
                }
            }
            Err(failure) if is_away(&failure) => {
                if away_since.is_none() {
                    screen.above(out, "the server does not answer; the operation goes on when it is back");
                }
                if away_since.get_or_insert_with(Instant::now).elapsed() > ABSENCE {
                    return Err(failure);
                }
            }
            Err(other) => return Err(other),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(SLOWEST);
    }
}

/// Whether the server may come back by itself.
fn is_away(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) => true,
        Failure::Refused(refusal) => refusal.status == 503,
        _ => false,
    }
}

/// Good when the operation succeeded; else its reason, told in words unless the answer was JSON.
///
/// # Errors
/// The operation failed.
pub fn verdict(out: &Out, operation: &Operation) -> Outcome {
    if operation.state != "failed" {
        return Ok(());
    }
    if out.json {
        return Err(Failure::Told(FAILED));
    }
    let reason = operation.error.as_deref().unwrap_or("no reason was recorded");
    Err(Failure::failed(format!(
        "{} did not succeed: {}\nwhen the cause is mended: tenantry operation retry {}",
        operation.kind,
        words::safe(reason),
        operation.id
    )))
}

/// What of an operation is on the screen.
#[derive(Default)]
struct Screen {
    drawn: usize,
    told: Vec<String>,
}

impl Screen {
    fn show(&mut self, out: &Out, operation: &Operation, now: Ts) {
        if out.json {
            return;
        }
        let wait = waiting(operation, now);
        if !out.live {
            // Lines that stay must not differ by the seconds that are left.
            for line in
                lines(operation, None, Paint::NONE).into_iter().filter(|line| !line.starts_with("  ·"))
            {
                if !self.told.contains(&line) {
                    out.note(&line);
                    self.told.push(line);
                }
            }
            return;
        }
        // While lines are redrawn they must not wrap, or the count would be wrong.
        let (before, after) = if operation.is_final() { ("", "") } else { ("\x1b[?7l", "\x1b[?7h") };
        let mut frame = self.back();
        frame.push_str(before);
        let lines = lines(operation, wait, out.err);
        for line in &lines {
            frame.push_str(line);
            frame.push('\n');
        }
        frame.push_str(after);
        self.drawn = lines.len();
        out.draw(&frame);
    }

    /// Writes a line that stays above what is redrawn.
    fn above(&mut self, out: &Out, line: &str) {
        if out.json {
            return;
        }
        let back = if out.live { self.back() } else { String::new() };
        self.drawn = 0;
        out.draw(&format!("{back}{line}\n"));
    }

    /// To the first drawn line, everything below it cleared.
    fn back(&self) -> String {
        if self.drawn == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.drawn) }
    }
}

fn waiting(operation: &Operation, now: Ts) -> Option<Duration> {
    let at: Ts = operation.next_attempt_at.as_deref()?.parse().ok()?;
    Some(at.since(now)).filter(|wait| !wait.is_zero())
}

/// The operation and a line per step; `wait` is the time to its next try, while it waits for one.
pub(super) fn lines(operation: &Operation, wait: Option<Duration>, paint: Paint) -> Vec<String> {
    let state = paint.paint(look_of(&operation.state), &operation.state);
    let mut head = format!("{} {}: {state}", operation.kind, paint.paint(Look::Faint, &operation.id));
    let failing = operation.steps.iter().any(|step| step.state == "failed");
    if operation.state == "pending" && !failing {
        if let Some(error) = &operation.error {
            head.push_str(&format!(" after: {}", words::safe(error)));
        }
        match (wait, &operation.next_attempt_at) {
            (Some(wait), _) => head.push_str(&format!(", begins in {}", words::wait(wait))),
            (None, Some(at)) => head.push_str(&format!(", begins at {}", words::moment(at))),
            (None, None) => {}
        }
    }
    let steps = operation.steps.iter().map(|step| {
        let (mark, look) = match step.state.as_str() {
            "succeeded" => ("✓", Look::Good),
            "failed" => ("✗", Look::Bad),
            "running" => ("…", Look::Waiting),
            _ => ("·", Look::Faint),
        };
        let mut line = format!("  {} {}", paint.paint(look, mark), words::safe(&step.name));
        match (step.state.as_str(), &step.error) {
            ("failed", error) => {
                let reason = error.as_deref().unwrap_or("no reason was recorded");
                line.push_str(&format!(": {}", words::safe(reason)));
                line.push_str(&match (operation.is_final(), wait) {
                    (true, _) => format!(" (given up after attempt {})", step.attempt),
                    (false, Some(wait)) => {
                        format!(" (attempt {}, next in {})", step.attempt, words::wait(wait))
                    }
                    (false, None) => format!(" (attempt {}, will be tried again)", step.attempt),
                });
            }
            ("running", _) if step.attempt > 1 => line.push_str(&format!(" (attempt {})", step.attempt)),
            _ => {}
        }
        line
    });
    std::iter::once(head).chain(steps).collect()
}
