//! What happens to those who follow the log, and at the door of everything.

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

    /// Somebody who is known asked for what they may not do. What repeats is folded.
    AccessDenied = "access.denied", Tenant {
        /// The right that lacked, where it was one.
        #[schema(example = "ManageKeys")]
        pub verb: Option<String>,
        /// The method of the request.
        #[schema(example = "POST")]
        pub method: String,
        /// The route, with names for what varies.
        #[schema(example = "/v1/tenant/api-keys")]
        pub route: String,
        /// The code of the answer.
        #[schema(example = "insufficient_scope")]
        pub code: String,
        /// How often, since the last such event.
        pub count: u64,
    }
}
