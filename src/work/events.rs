//! What happens to operations.

use crate::facts;
use crate::kernel::id::OperationId;

facts! {
    /// An operation that had failed, or waited, was told to go on.
    OperationRetried = "operation.retried", Operator {
        /// The operation.
        pub operation_id: OperationId,
        /// What kind of operation.
        #[schema(example = "tenant.onboard")]
        pub kind: String,
    }
}
