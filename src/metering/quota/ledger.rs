//! What was taken from quotas, as usage: written in the transaction that counts it, so that what is billed and what
//! is held against a quota are one account. It was counted, so it is not counted again.

use super::model::sheet::{Act, Deed, Done};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::metering::counted::{self, Counted};
use crate::metering::ingest::NewUsage;

/// The usage that these deeds are, now that they are decided.
///
/// # Errors
/// As [`counted::write`].
pub fn usage(deeds: &[Deed], done: &[Done], now: Ts) -> Result<Vec<NewUsage>> {
    let mut all = Vec::new();
    for (deed, done) in deeds.iter().zip(done) {
        let Some(bound) = deed.of.first() else { continue };
        let (source, id, value) = match (&deed.act, done, &deed.spent) {
            // A key may be used again when it is kept no longer.
            (Act::Take { amount, key }, Done::Took(outcome, false), _) if outcome.taken => {
                ("tenantry:check", format!("{key}@{now}"), *amount)
            }
            (_, _, Some((id, spent))) => ("tenantry:verify", id.to_string(), *spent),
            _ => continue,
        };
        let counted =
            Counted { meter: bound.counter.meter.to_string(), value, group: String::new(), unique: None };
        all.push(NewUsage {
            tenant: bound.counter.tenant,
            source: source.to_owned(),
            id,
            kind: "tenantry.quota.taken".to_owned(),
            at: now,
            received_at: now,
            counts: counted::write(&[counted])?,
            added: Vec::new(),
        });
    }
    Ok(all)
}
