//! How signups go.

use crate::facts;
use crate::kernel::id::{SignupId, UserId};

facts! {
    /// Somebody asked for a tenant and has yet to confirm their address.
    SignupRequested = "signup.requested", Tenant {
        /// The signup.
        pub signup_id: SignupId,
        /// The tenant's slug.
        #[schema(example = "acme")]
        pub slug: String,
        /// The plan that was chosen, by key.
        #[schema(example = "free")]
        pub plan: String,
    }

    /// Somebody signed up: the tenant has its first owner.
    SignupCompleted = "signup.completed", Tenant {
        /// The signup.
        pub signup_id: SignupId,
        /// The owner.
        pub user_id: UserId,
        /// The tenant's slug.
        #[schema(example = "acme")]
        pub slug: String,
        /// The plan that was chosen, by key.
        #[schema(example = "free")]
        pub plan: String,
    }

    /// A signup was given up because its address was not confirmed in time.
    SignupExpired = "signup.expired", Tenant {
        /// The signup.
        pub signup_id: SignupId,
        /// The slug that is free again.
        #[schema(example = "acme")]
        pub slug: String,
    }
}
