//! Events to tenants' own endpoints over HTTP, signed as Standard Webhooks has it, at least once.
//!
//! [`model`] has the rules (pure), `store` the only SQL, [`commands`] what callers change, [`queries`] what they read.
//! [`fan`] follows the log and queues each event for each endpoint that takes it; [`dispatch`] takes what is due and
//! writes what came of it; [`sender`] makes one attempt; [`notice`] tells of an endpoint that was switched off.

pub mod commands;
pub mod dispatch;
pub mod events;
pub mod fan;
pub mod http;
pub mod model;
mod notice;
pub mod queries;
pub mod sender;
mod store;

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::log::follower;

pub use store::remove_of_tenant as remove_of_tenant_in;

/// What wakes the sender of this process.
#[derive(Default)]
pub struct Outbox {
    pub(crate) due: Notify,
}

/// Starts the work in the background.
pub fn start(app: &App, tasks: &TaskTracker) {
    let fan = Arc::new(fan::Fan::new(app.clone()));
    tasks.spawn(follower::keep(app.db.clone(), app.clock.clone(), fan, app.stopping.clone()));
    tasks.spawn(dispatch::serve(app.clone()));
    tasks.spawn(dispatch::tidy(app.clone()));
}
