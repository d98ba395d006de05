//! Carries out what the provider has to do outside.

use crate::app::App;
use crate::work::Operation;
use crate::work::runner::{Running, Worker};

/// Does the operations of one kind, by the provider.
pub struct Collector {
    /// The parts.
    pub app: App,
    /// The kind.
    pub kind: &'static str,
}

impl Worker for Collector {
    fn kind(&self) -> &'static str {
        self.kind
    }

    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a> {
        self.app.billing.run(&self.app, operation, step)
    }
}
