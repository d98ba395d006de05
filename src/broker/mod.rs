//! The broker: what happened, as CloudEvents in a stream of NATS JetStream, for services that react to it.
//!
//! One replica at a time publishes, in the order of the log, under a fenced lease ([`relay`]). Every message
//! says after which one of the stream it belongs, and the stream takes it there or not at all ([`nats`]).
//! Without `broker.nats.url` none of this runs.

mod model;
mod nats;
mod relay;

use tokio_util::task::TaskTracker;

use crate::app::App;

/// What the relay is called among followers of the log.
pub const NAME: &str = "nats";

/// Begins to publish, where a broker is named.
pub fn start(app: &App, tasks: &TaskTracker) {
    if app.settings.broker.nats.url.is_some() {
        tasks.spawn(relay::keep(app.clone()));
    }
}
