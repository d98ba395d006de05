//! The follower of the log that seals it, in the transaction that moves its place: each event once, in the order of
//! the log, however many replicas follow and whenever one dies.

use super::model::chain::Reach;
use super::store;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::log::follower::{Begin, Follows};
use crate::log::{self, Entry, Place};

/// Its name among followers.
pub const NAME: &str = "audit";

/// The follower.
pub struct Sealer;

impl Follows for Sealer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn begin(&self) -> Begin {
        Begin::First
    }

    fn take_in(&self, conn: &mut Conn, entries: &[Entry], _: Ts) -> Result<()> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        // Sealed is what is kept, never a newer shape of it.
        let before = Place { seq: first.place.seq.saturating_sub(1), ..first.place };
        let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let kept = log::kept_in(conn, before, last.place, count)?;
        if kept.len() != entries.len() {
            return Err(Error::internal("the log changed while it was sealed"));
        }
        let (mut reach, mut seals) = (store::head_in(conn)?, Vec::with_capacity(kept.len()));
        for entry in &kept {
            let seal = reach.seal(entry);
            reach = Reach::from(seal);
            seals.push(seal);
        }
        store::add_in(conn, &seals, &reach)?;
        metrics::counter!("tenantry_audit_sealed_total").increment(u64::try_from(seals.len()).unwrap_or(0));
        Ok(())
    }
}
