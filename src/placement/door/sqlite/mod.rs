//! The SQLite side: a file of the tenant's own, opened for one tenant at a time.
//!
//! SQLite has no roles, so the connection itself is the fence: an authorizer that is asked about each
//! thing a statement would touch, hard limits, and a stop button that the progress of every statement
//! looks at. Calls block and belong on a thread for blocking work.
//!
//! `open` the connection · `rules` the authorizer · `run` one statement · `value` JSON both ways ·
//! `fault` errors · `text` functions of bounded time · `memory` what a statement may hold

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

mod fault;
mod memory;
mod open;
mod rules;
mod run;
mod text;
mod value;

pub(crate) use open::Link;

/// Stops a statement that runs on another thread. Dropping it stops the statement too, unless it was
/// [disarmed](Stop::disarm).
#[derive(Debug)]
pub(crate) struct Stop {
    flag: Arc<AtomicBool>,
    armed: bool,
}

impl Stop {
    /// A fresh one, and what the statement looks at.
    pub(crate) fn new() -> (Self, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self { flag: Arc::clone(&flag), armed: true }, flag)
    }

    /// Nothing is left to stop.
    pub(crate) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        if self.armed {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}
