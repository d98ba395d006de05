//! The log as the audit trail: who did what, for tenants and for operators; out as a file; and sealed, so that a row
//! that was changed, removed, moved or added afterwards is found and named.
//!
//! [`model`] has the chain and the rules (pure), `store` the only SQL on the seals, [`sealer`] follows the log and
//! seals it, [`verify`] walks both again, [`queries`] reads pages and [`export`] whole ranges. What the log says is
//! the business of whoever appended it; what happens too often to be appended one by one goes through `log::aside`.

pub mod export;
pub mod http;
pub mod model;
pub mod queries;
pub mod sealer;
mod store;
pub mod verify;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::log::follower;

/// Exports that a replica writes at once: each takes a connection of the store now and then.
const EXPORTS: usize = 8;

/// What this process gives out at once.
pub struct Desk {
    pub(crate) exports: Arc<Semaphore>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { exports: Arc::new(Semaphore::new(EXPORTS)) }
    }
}

/// Starts the work in the background.
pub fn start(app: &App, tasks: &TaskTracker) {
    let sealer = Arc::new(sealer::Sealer);
    tasks.spawn(follower::keep(app.db.clone(), app.clock.clone(), sealer, app.stopping.clone()));
    tasks.spawn(app.aside.clone().keep(app.db.clone(), app.clock.clone(), app.stopping.clone()));
}
