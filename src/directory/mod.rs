//! What operators look up and people read back, kept ready: the directory of tenants, with what one wants to know of
//! each beside it, and what happened in each, a sentence an event. Both are projections: they are made of events
//! alone, so that building them anew makes the same.
//!
//! [`model`] has what an event means for them (pure), `store` the only SQL, [`follow`] the followers, [`queries`]
//! what callers read.

pub mod follow;
pub mod http;
pub mod model;
pub mod queries;
mod store;

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::log::projection::{self, Projects};

pub use store::lines::remove_of_tenant as remove_of_tenant_in;

/// What the directory is called among projections.
pub const DIRECTORY: &str = "tenant_directory";

/// What the feed of activity is called among projections.
pub const ACTIVITY: &str = "activity";

/// The projections of this capability.
#[must_use]
pub fn projections() -> [Arc<dyn Projects>; 2] {
    [Arc::new(follow::Directory), Arc::new(follow::Activity)]
}

/// Starts the work in the background.
pub fn start(app: &App, tasks: &TaskTracker) {
    for one in projections() {
        tasks.spawn(projection::keep(app.db.clone(), app.clock.clone(), one, app.stopping.clone()));
    }
}
