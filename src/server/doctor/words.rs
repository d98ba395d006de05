//! The words of findings.

use super::{Finding, Mend};
use crate::work::Operation;

pub(super) fn by_hand(what: impl Into<String>, place: String, remedy: &str) -> Finding {
    Finding { what: what.into(), place, remedy: remedy.to_owned(), repairable: false, mend: Mend::ByHand }
}

pub(super) fn repairable(what: impl Into<String>, place: String, remedy: &str, mend: Mend) -> Finding {
    Finding { what: what.into(), place, remedy: remedy.to_owned(), repairable: true, mend }
}

pub(super) fn cluster_words(name: &str) -> String {
    format!("cluster `{name}`")
}

pub(super) fn operation_words(operation: &Operation) -> String {
    format!("operation {} ({})", operation.id, operation.kind)
}
