//! Takes due operations and walks their steps. Woken when a command opens one, and by a timer as the net.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::store::{self, Lane, Outcome};
use super::{GIVEN_UP, Operation, State, failpoint};
use crate::db::{Db, Engine};
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::entropy;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::ReplicaId;

/// A step at work.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Someone who can do the steps of one kind of operation.
pub trait Worker: Send + Sync + 'static {
    /// The kind of operation it does.
    fn kind(&self) -> &'static str;

    /// Does one step. Doing it twice must equal doing it once; it may be cut off anywhere.
    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a>;

    /// One of its operations stands failed from now on.
    fn given_up(&self) {}
}

/// How operations are taken and retried.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How often an operation may fail before it stands failed.
    pub max_attempts: u32,
    /// The wait after the first failure; it doubles with each, give or take a fifth.
    pub backoff_initial: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How long an operation stays taken by a process that no longer answers.
    pub lease: Duration,
    /// How many operations run at once.
    pub concurrency: usize,
}

/// Wakes workers, and tells watchers that an operation moved. Cheap to clone.
#[derive(Clone)]
pub struct Wake {
    due: watch::Sender<u64>,
    moved: watch::Sender<u64>,
}

impl Default for Wake {
    fn default() -> Self {
        Self { due: watch::channel(0).0, moved: watch::channel(0).0 }
    }
}

impl Wake {
    /// Something may be due.
    pub fn work(&self) {
        self.due.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Sees every move of an operation on this replica.
    #[must_use]
    pub fn moves(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    fn moved(&self) {
        self.moved.send_modify(|count| *count = count.wrapping_add(1));
    }
}

/// Frees what a dead process left at work. One process alone may hold a SQLite store, so every lease found
/// there at the start is a dead one's. Call it before the first runner serves.
pub async fn free_leases(db: &Db) {
    if db.engine() == Engine::Sqlite
        && let Err(error) = db.write(store::release_all).await
    {
        tracing::warn!(error = %error, "leases could not be released");
    }
}

/// A runner of one process. Each has a lane of its own, so that slow work of one kind holds up no other.
pub struct Runner {
    lane: Lane,
    db: Db,
    clock: Clock,
    pace: Pace,
    wake: Wake,
    workers: HashMap<&'static str, Arc<dyn Worker>>,
}

/// An operation that this runner has taken. Each taking has an owner of its own: a process that was frozen until
/// its lease ended, and then takes the same operation again, is told apart from what it was at work on before.
struct Held {
    operation: Operation,
    owner: ReplicaId,
}

impl std::ops::Deref for Held {
    type Target = Operation;

    fn deref(&self) -> &Operation {
        &self.operation
    }
}

impl Runner {
    /// A runner for `workers`.
    #[must_use]
    pub fn new(
        db: Db,
        clock: Clock,
        pace: Pace,
        wake: Wake,
        workers: Vec<Arc<dyn Worker>>,
        lane: Lane,
    ) -> Arc<Self> {
        let workers = workers.into_iter().map(|worker| (worker.kind(), worker)).collect();
        Arc::new(Self { lane, db, clock, pace, wake, workers })
    }

    /// Runs until `stop`, then lets the steps at work end (their effects are theirs to finish; whatever
    /// is cut off is begun again by the next process).
    pub async fn serve(self: Arc<Self>, stop: CancellationToken) {
        let mut due = self.wake.due.subscribe();
        let slots = Arc::new(Semaphore::new(self.pace.concurrency.max(1)));
        let running = tokio_util::task::TaskTracker::new();
        while !stop.is_cancelled() {
            let wait = match self.take(&slots, &running).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(error = %error, "operations could not be taken");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                _ = due.changed() => {}
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
        running.close();
        running.wait().await;
    }

    async fn take(
        self: &Arc<Self>,
        slots: &Arc<Semaphore>,
        running: &tokio_util::task::TaskTracker,
    ) -> Result<Duration> {
        let free = slots.available_permits();
        if free == 0 {
            return Ok(Duration::from_secs(1));
        }
        let (owner, lease, lane) = (ReplicaId::mint(), self.pace.lease, self.lane);
        let now = self.clock.now();
        let due = self.db.read(move |conn| store::next_due(conn, now, lane)).await?;
        let Some(due) = due else { return Ok(Duration::from_secs(1)) };
        if due > now {
            return Ok(due.since(now).min(Duration::from_secs(1)));
        }
        let limit = i64::try_from(free).unwrap_or(1);
        let taken =
            self.db.write(move |conn| store::claim(conn, owner, now, now.plus(lease), limit, lane)).await?;
        if taken.is_empty() {
            // Due, but held by somebody else until its lease ends.
            return Ok(Duration::from_millis(250));
        }
        for operation in taken {
            let Ok(slot) = Arc::clone(slots).acquire_owned().await else { break };
            let runner = Arc::clone(self);
            running.spawn(async move {
                runner.walk(Held { operation, owner }).await;
                drop(slot);
                runner.wake.work();
            });
        }
        Ok(Duration::ZERO)
    }

    async fn walk(&self, operation: Held) {
        let id = operation.id;
        let lost = CancellationToken::new();
        let keep = self.keep_lease(&operation, lost.clone());
        tokio::select! {
            outcome = self.steps(&operation) => {
                if let Err(error) = outcome {
                    tracing::warn!(operation = %id, error = %error, cause = error.cause().map(tracing::field::display), "an operation's progress could not be recorded");
                }
            }
            () = keep => {}
            () = lost.cancelled() => {
                tracing::warn!(operation = %id, "another process has taken the operation over");
            }
        }
        self.wake.moved();
    }

    async fn keep_lease(&self, operation: &Held, lost: CancellationToken) {
        let (id, owner) = (operation.id, operation.owner);
        loop {
            tokio::time::sleep(self.pace.lease / 3).await;
            let until = self.clock.now().plus(self.pace.lease);
            match self.db.write(move |conn| store::renew(conn, id, owner, until)).await {
                Ok(true) => {}
                Ok(false) => lost.cancel(),
                Err(error) => tracing::warn!(operation = %id, error = %error, "a lease could not be renewed"),
            }
        }
    }

    async fn steps(&self, operation: &Held) -> Result<()> {
        let Some(worker) = self.workers.get(operation.kind.as_str()) else {
            let error = Error::internal(format!("no worker for {}", operation.kind));
            return self.fail(operation, None, &error).await.map(drop);
        };
        let mark = |step: &str, place: &str| format!("{}/{step}/{place}", operation.kind);
        for step in operation.steps.iter().filter(|step| step.state != State::Succeeded) {
            if !self.record(operation, Some(&step.name), RecordedOutcome::Started).await? {
                return Ok(());
            }
            failpoint::reach(|| mark(&step.name, "before")).await;
            let began = std::time::Instant::now();
            let outcome =
                std::panic::AssertUnwindSafe(worker.run(operation, &step.name)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_| Err(Error::internal("the step panicked")));
            metrics::histogram!("tenantry_operation_step_seconds", "kind" => operation.kind.clone(), "step" => step.name.clone())
                .record(began.elapsed().as_secs_f64());
            if let Err(error) = outcome {
                return self.fail(operation, Some(&step.name), &error).await.map(drop);
            }
            failpoint::reach(|| mark(&step.name, "after")).await;
            if !self.record(operation, Some(&step.name), RecordedOutcome::Succeeded).await? {
                return Ok(());
            }
            failpoint::reach(|| mark(&step.name, "recorded")).await;
        }
        self.record(operation, None, RecordedOutcome::AllDone).await?;
        metrics::counter!("tenantry_operations_total", "kind" => operation.kind.clone(), "outcome" => "succeeded").increment(1);
        Ok(())
    }

    async fn fail(&self, operation: &Held, step: Option<&str>, error: &Error) -> Result<bool> {
        let attempt = u32::try_from(operation.attempt).unwrap_or(0).saturating_add(1);
        let now = self.clock.now();
        let retry_at = match error {
            Error::Refused { code, .. } if *code == GIVEN_UP => None,
            Error::Limited { retry_after, .. } => Some(now.plus(*retry_after)),
            _ => (attempt < self.pace.max_attempts).then(|| now.plus(self.backoff(attempt))),
        };
        let told = told(error);
        let given_up = retry_at.is_none();
        tracing::warn!(
            operation = %operation.id, operation.kind = %operation.kind, operation.step = step, operation.attempt = attempt,
            error = %error, cause = error.cause().map(tracing::field::display), given_up, "a step failed"
        );
        metrics::counter!("tenantry_operations_total", "kind" => operation.kind.clone(), "outcome" => if given_up { "failed" } else { "retried" })
            .increment(1);
        let held = self.record(operation, step, RecordedOutcome::Failed { error: told, retry_at }).await?;
        if let Some(worker) = self.workers.get(operation.kind.as_str()).filter(|_| held && given_up) {
            worker.given_up();
        }
        Ok(held)
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let doubled =
            self.pace.backoff_initial.saturating_mul(2u32.saturating_pow(attempt.saturating_sub(1).min(20)));
        doubled.min(self.pace.backoff_max).mul_f64(entropy::jitter(0.2))
    }

    async fn record(&self, operation: &Held, step: Option<&str>, outcome: RecordedOutcome) -> Result<bool> {
        let (id, owner, now) = (operation.id, operation.owner, self.clock.now());
        let step = step.map(str::to_owned);
        let held = self
            .db
            .write(move |conn| store::record(conn, id, owner, now, step.as_deref(), &outcome.borrowed()))
            .await?;
        self.wake.moved();
        if !held {
            tracing::warn!(operation = %id, "the lease was lost; another process goes on");
        }
        Ok(held)
    }
}

enum RecordedOutcome {
    Started,
    Succeeded,
    Failed { error: String, retry_at: Option<Ts> },
    AllDone,
}

impl RecordedOutcome {
    fn borrowed(&self) -> Outcome<'_> {
        match self {
            Self::Started => Outcome::Started,
            Self::Succeeded => Outcome::Succeeded,
            Self::Failed { error, retry_at } => Outcome::Failed { error, retry_at: *retry_at },
            Self::AllDone => Outcome::AllDone,
        }
    }
}

/// What operators read on the step: the public half, which names the cause where that is theirs to mend.
fn told(error: &Error) -> String {
    match error {
        Error::Internal(_) => "internal error: the log has the details under this operation's id".to_owned(),
        other => other.to_string(),
    }
}
