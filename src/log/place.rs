//! A place in the log.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where an event stands: by its transaction, then by its number. This is the order in which followers see
/// the log: no event ever comes to stand before one that is settled, and what a transaction did because of
/// another's work stands after it. Written `txid.seq`; on SQLite, which has one writer, `txid` is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// The transaction's number; 0 on SQLite.
    pub txid: i64,
    /// The event's number.
    pub seq: i64,
}

impl Place {
    /// After all that there ever is.
    pub const END: Self = Self { txid: i64::MAX, seq: i64::MAX };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.txid, self.seq)
    }
}

/// Not a place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place in the log is written as two numbers with a dot between them, like 0.42")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse::<i64>().ok()).flatten().ok_or(NoPlace)
        };
        let (txid, seq) = text.split_once('.').ok_or(NoPlace)?;
        Ok(Self { txid: number(txid)?, seq: number(seq)? })
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(txid in 0..=i64::MAX, seq in 0..=i64::MAX) {
            let place = Place { txid, seq };
            prop_assert_eq!(place.to_string().parse(), Ok(place));
        }

        #[test]
        fn anything_else_is_refused_without_a_panic(text in "\\PC{0,40}") {
            if let Ok(place) = text.parse::<Place>() {
                prop_assert!(place.txid >= 0 && place.seq >= 0);
            }
        }
    }

    #[test]
    fn signs_and_blanks_are_none() {
        for text in ["", ".", "1", "1.", ".1", "+1.2", "1.-2", " 1.2", "1.2.3", "9223372036854775808.1"] {
            assert_eq!(text.parse::<Place>(), Err(NoPlace), "{text:?}");
        }
    }
}
