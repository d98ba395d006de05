//! Durable operations: outside work (building a database, removing a tenant) that survives crashes.
//!
//! A command opens an operation in its own transaction; the runner takes it under a lease and walks its
//! steps. Every step is idempotent, so a crash anywhere is only an early wake-up: the next runner
//! begins again at the first step that is not recorded as done. A failing step is retried with backoff
//! and jitter; past its budget the operation stands failed, says why, and can be retried by call.

pub mod events;
pub mod failpoint;
pub mod runner;
pub mod store;

use serde::Serialize;

use crate::kernel::clock::Ts;
use crate::kernel::id::{OperationId, TenantId};
use crate::words;

/// What the error of an operation begins with that ended because nobody wants its outcome any more.
pub const CANCELED: &str = "canceled: ";

/// Code of the error by which a step says that trying again is of no use: its operation stands failed at once.
/// A step that waits for a moment answers [`Error::Limited`](crate::kernel::error::Error::Limited) instead,
/// and is tried again then, whatever its budget.
pub const GIVEN_UP: &str = "given_up";

words! {
    /// Where an operation or one of its steps stands.
    State as "OperationState", "state" {
        /// Waiting for its turn; with an error, for its next try.
        Pending = "pending",
        /// At work.
        Running = "running",
        /// Done.
        Succeeded = "succeeded",
        /// Given up after its budget of tries; can be retried by call.
        Failed = "failed",
    }
}

impl State {
    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// An operation that a command opens.
#[derive(Debug, Clone)]
pub struct NewOperation {
    /// Which worker runs it, for instance `tenant.onboard`.
    pub kind: &'static str,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// What the worker needs to know. Never a secret.
    pub input: serde_json::Value,
    /// The steps' names in order.
    pub steps: Vec<String>,
    /// When to begin.
    pub begin: Ts,
    /// Whether the command's own transaction did it all: the operation is recorded as succeeded.
    pub done: bool,
}

/// One step of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Step {
    /// What it does.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// How often it was tried.
    pub attempt: i32,
    /// Why its last try failed.
    pub error: Option<String>,
    /// When its last try began.
    pub started_at: Option<Ts>,
    /// When its last try ended.
    pub finished_at: Option<Ts>,
}

/// A durable piece of work with steps.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Operation {
    /// Its id.
    pub id: OperationId,
    /// What it does, for instance `tenant.onboard`.
    pub kind: String,
    /// Whose it is.
    pub tenant_id: Option<TenantId>,
    /// Where it stands.
    pub state: State,
    /// How often it has failed since it was last started by call.
    pub attempt: i32,
    /// Why it is not done yet, in words for people.
    pub error: Option<String>,
    /// When the next try begins, while it waits for one.
    pub next_attempt_at: Option<Ts>,
    /// Its steps in order.
    pub steps: Vec<Step>,
    /// When it was opened.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
    /// When it ended.
    pub finished_at: Option<Ts>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) input: serde_json::Value,
}

impl Operation {
    /// The same without the words meant for operators: for a reader without a credential.
    #[must_use]
    pub fn without_reasons(mut self) -> Self {
        const DELAYED: &str = "delayed; it is retried automatically";
        self.error = self.error.map(|_| DELAYED.to_owned());
        for step in &mut self.steps {
            step.error = step.error.take().map(|_| DELAYED.to_owned());
        }
        self
    }
}
