//! What happens to those who follow the log.

use crate::facts;

facts! {
    /// A projection is being built anew, beside the one that answers.
    ProjectionRebuildStarted = "projection.rebuild_started", Operator {
        /// The projection.
        #[schema(example = "usage_rollups")]
        pub name: String,
        /// Which building of it this is.
        pub generation: i64,
    }

    /// A follower of the log was told to stand still.
    ProjectionPaused = "projection.paused", Operator {
        /// The follower.
        #[schema(example = "tenant_directory")]
        pub name: String,
    }

    /// A follower that stood still was told to go on.
    ProjectionResumed = "projection.resumed", Operator {
        /// The follower.
        #[schema(example = "tenant_directory")]
        pub name: String,
    }
}
