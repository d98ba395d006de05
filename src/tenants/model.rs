//! The tenant and the moves its life allows. No I/O.

use std::time::Duration;

use serde::Serialize;

use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::words;

words! {
    /// Where a tenant stands.
    State as "TenantState", "state" {
        /// Its database is being made.
        Provisioning = "provisioning",
        /// In use.
        Active = "active",
        /// Stopped by an operator; its data stays.
        Suspended = "suspended",
        /// Stopped; removed when its grace is over, unless restored.
        Deleting = "deleting",
        /// Gone; only this record is left.
        Deleted = "deleted",
    }
}

/// A customer organisation.
#[derive(Clone, PartialEq, Debug, Serialize, utoipa::ToSchema)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its short name, unique among tenants that are not deleted.
    pub slug: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: State,
    /// The key of its plan.
    pub plan: String,
    /// How its data is kept apart.
    pub isolation: Isolation,
    /// The cluster its data is on.
    pub cluster: String,
    /// The region it asked for, or its cluster's.
    pub region: Option<String>,
    /// When it was made.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
    /// Since when it is suspended.
    pub suspended_at: Option<Ts>,
    /// Why, in the operator's words.
    pub suspend_reason: Option<String>,
    /// When it will be removed.
    pub delete_at: Option<Ts>,
    /// When it was removed.
    pub deleted_at: Option<Ts>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

impl Tenant {
    /// The revision that its ETag shows.
    #[must_use]
    pub fn rev(&self) -> i64 {
        self.rev
    }

    /// Its owner's address was not confirmed in time: nothing but this record was made of it.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is provisioning.
    pub fn give_up(mut self, at: Ts) -> Result<Self> {
        self.only_from(&[State::Provisioning], "given up")?;
        self.state = State::Deleted;
        self.updated_at = at;
        self.deleted_at = Some(at);
        Ok(self)
    }

    /// Its database is ready.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is provisioning.
    pub fn activate(mut self, at: Ts) -> Result<Self> {
        self.only_from(&[State::Provisioning], "activated")?;
        self.state = State::Active;
        self.updated_at = at;
        Ok(self)
    }

    /// Stops it.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is active.
    pub fn suspend(mut self, at: Ts, reason: Option<String>) -> Result<Self> {
        self.only_from(&[State::Active], "suspended")?;
        self.state = State::Suspended;
        self.suspended_at = Some(at);
        self.suspend_reason = reason;
        self.updated_at = at;
        Ok(self)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is suspended.
    pub fn resume(mut self, at: Ts) -> Result<Self> {
        self.only_from(&[State::Suspended], "resumed")?;
        self.state = State::Active;
        self.suspended_at = None;
        self.suspend_reason = None;
        self.updated_at = at;
        Ok(self)
    }

    /// Stops it and sets the day of its removal. One that never became ready has nothing to keep, so
    /// it gets no grace.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is deleting or deleted.
    pub fn delete(mut self, at: Ts, grace: Duration) -> Result<Self> {
        self.only_from(&[State::Provisioning, State::Active, State::Suspended], "deleted")?;
        let grace = if self.state == State::Provisioning { Duration::ZERO } else { grace };
        self.state = State::Deleting;
        self.delete_at = Some(at.plus(grace));
        self.updated_at = at;
        Ok(self)
    }

    /// Takes a deletion back within its grace; a tenant that was suspended is suspended again.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is deleting and its grace is not over.
    pub fn restore(mut self, at: Ts) -> Result<Self> {
        self.only_from(&[State::Deleting], "restored")?;
        if self.delete_at.is_none_or(|due| due <= at) {
            return Err(Error::conflict("grace_over", "the tenant's grace is over: its removal has begun"));
        }
        self.state = if self.suspended_at.is_some() { State::Suspended } else { State::Active };
        self.delete_at = None;
        self.updated_at = at;
        Ok(self)
    }

    /// Everything of it is gone.
    ///
    /// # Errors
    /// [`Error::Conflict`] unless it is deleting.
    pub fn bury(mut self, at: Ts) -> Result<Self> {
        self.only_from(&[State::Deleting], "buried")?;
        self.state = State::Deleted;
        self.deleted_at = Some(at);
        self.updated_at = at;
        Ok(self)
    }

    fn only_from(&self, states: &[State], done: &str) -> Result<()> {
        if states.contains(&self.state) {
            return Ok(());
        }
        Err(Error::conflict(
            "wrong_state",
            format!("the tenant is {}, so it cannot be {done}", self.state.word()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Ts {
        Ts::from_micros(second * 1_000_000).unwrap()
    }

    fn fresh() -> Tenant {
        Tenant {
            id: TenantId::mint(),
            slug: "acme".into(),
            name: "Acme".into(),
            state: State::Provisioning,
            plan: "free".into(),
            isolation: Isolation::Database,
            cluster: "main".into(),
            region: None,
            created_at: at(0),
            updated_at: at(0),
            suspended_at: None,
            suspend_reason: None,
            delete_at: None,
            deleted_at: None,
            rev: 1,
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_record_stays_whole(moves in prop::collection::vec(0u8..6, 0..40)) {
            let mut tenant = fresh();
            for (second, wanted) in (1..).zip(moves) {
                let now = at(second);
                let before = tenant.clone();
                let after = match wanted {
                    0 => tenant.clone().activate(now),
                    1 => tenant.clone().suspend(now, Some("unpaid".into())),
                    2 => tenant.clone().resume(now),
                    3 => tenant.clone().delete(now, Duration::from_secs(5)),
                    4 => tenant.clone().restore(now),
                    _ => tenant.clone().bury(now),
                };
                if let Ok(after) = after { tenant = after } else { prop_assert_eq!(&tenant, &before) }
                prop_assert_eq!(tenant.state == State::Deleted, tenant.deleted_at.is_some());
                prop_assert!(tenant.state != State::Suspended || tenant.suspended_at.is_some());
                prop_assert!(tenant.state != State::Active || (tenant.suspended_at.is_none() && tenant.delete_at.is_none()));
                prop_assert!(tenant.state != State::Deleting || tenant.delete_at.is_some());
                prop_assert!(before.state != State::Deleted || tenant.state == State::Deleted);
            }
        }
    }
}
