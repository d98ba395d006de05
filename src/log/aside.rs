//! Events beside the requests that cause them, for what callers can make happen as often as they like: refusals. The
//! request hands a note over and goes on; one task folds the notes ([`super::fold`]) and appends what is left. Where
//! more comes than the queue holds, notes are dropped and counted: the log cannot be flooded, nor a request held up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fold::{Fate, Fold, Folded};
use super::{NewEvent, append_in};
use crate::auth::Caller;
use crate::db::Db;
use crate::kernel::clock::{Clock, Ts};

/// Notes that wait at most.
const QUEUE: usize = 1_000;
/// Notes that are taken together.
const TOGETHER: usize = 200;
/// How often it is looked for what has waited for its minute.
const PERIOD: Duration = Duration::from_secs(1);

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Note {
    /// What counts as the same.
    pub key: String,
    /// Who did it.
    pub caller: Caller,
    /// The event that it is, of a kind whose data has a `count`.
    pub event: NewEvent,
}

type Told = (Note, Ts);

/// Where notes are handed over. Cheap to clone.
#[derive(Clone)]
pub struct Aside {
    to: mpsc::Sender<Note>,
    from: Arc<Mutex<Option<mpsc::Receiver<Note>>>>,
}

impl Default for Aside {
    fn default() -> Self {
        let (to, from) = mpsc::channel(QUEUE);
        Self { to, from: Arc::new(Mutex::new(Some(from))) }
    }
}

fn lost(reason: &'static str, count: u64) {
    metrics::counter!("tenantry_audit_notes_lost_total", "reason" => reason).increment(count);
}

impl Aside {
    /// Hands over a note; it never waits.
    pub fn note(&self, note: Note) {
        if self.to.try_send(note).is_err() {
            lost("queue", 1);
        }
    }

    /// Appends what the notes come to, until `stop`; then what is left.
    pub async fn keep(self, db: Db, clock: Clock, stop: CancellationToken) {
        let Some(mut from) = self.from.lock().take() else { return };
        let mut fold = Fold::new(Instant::now());
        let mut beat = tokio::time::interval(PERIOD);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut notes = Vec::new();
        loop {
            let over = tokio::select! {
                _ = from.recv_many(&mut notes, TOGETHER) => false,
                _ = beat.tick() => false,
                () = stop.cancelled() => true,
            };
            while over && let Ok(note) = from.try_recv() {
                notes.push(note);
            }
            let (now, at) = (Instant::now(), clock.now());
            let mut due = fold.due(now);
            for note in notes.drain(..) {
                match fold.take(note.key.clone(), (note, at), now) {
                    Fate::Now(folded) => due.push(folded),
                    Fate::Later => {}
                    Fate::Lost => lost("keys", 1),
                }
            }
            if over {
                due.extend(fold.rest());
            }
            append(&db, due).await;
            if over {
                return;
            }
        }
    }
}

async fn append(db: &Db, due: Vec<Folded<Told>>) {
    if due.is_empty() {
        return;
    }
    let count = due.iter().map(|folded| folded.count).fold(0, u64::saturating_add);
    let done = db
        .write(move |conn| {
            for Folded { last: (note, at), count } in &due {
                append_in(conn, &note.caller, *at, note.event.clone().counted(*count))?;
            }
            Ok(())
        })
        .await;
    if let Err(error) = done {
        lost("store", count);
        tracing::warn!(error = %error, "refusals could not be noted in the log");
    }
}
