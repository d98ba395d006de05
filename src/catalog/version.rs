//! An edition of a plan. It never changes: whoever holds one may hold it for ever.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::Plan;
use crate::kernel::clock::Ts;
use crate::kernel::id::PlanVersionId;

/// An immutable edition of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanVersion {
    /// Its id.
    pub id: PlanVersionId,
    /// Counted from 1 within its plan's key.
    pub number: u32,
    /// When it was first loaded.
    pub created_at: Ts,
    /// What it grants.
    pub plan: Plan,
}
