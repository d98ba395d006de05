//! The chain: a seal's hash is SHA-256 over the hash before it and all of an event's row.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::kernel::id::EventId;
use crate::log::{Entry, Place};

/// A hash, in JSON as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first seal has before it.
    pub const START: Self = Self([0; 32]);

    /// From 32 bytes; `None` of any other length.
    #[must_use]
    pub fn of_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a hash is 64 hexadecimal digits in lower case";
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (to, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| WRONG)?;
            *to = u8::from_str_radix(pair, 16).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Hash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A seal: the so-and-so-many-th event of the log, where it stands, and the hash that covers it and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal {
    /// Counted from 1, without a gap.
    pub position: i64,
    /// Where its event stands.
    pub place: Place,
    /// Which event.
    pub event: EventId,
    /// The hash.
    pub hash: Hash,
}

/// How far the chain reaches, or was walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The last seal's position; 0 before the first.
    pub position: i64,
    /// Where its event stands.
    pub place: Place,
    /// Its hash.
    pub hash: Hash,
}

impl Reach {
    /// Before the first seal.
    pub const START: Self = Self { position: 0, place: Place { txid: 0, seq: 0 }, hash: Hash::START };

    /// After which place events are still to be looked at.
    #[must_use]
    pub fn after(&self) -> Place {
        // Before the first seal nothing may stand, wherever somebody put it.
        if self.position == 0 { Place { txid: i64::MIN, seq: i64::MIN } } else { self.place }
    }

    /// The seal of `entry`, which comes next.
    #[must_use]
    pub fn seal(&self, entry: &Entry) -> Seal {
        let position = self.position.saturating_add(1);
        let hash = link(self.hash, position, entry);
        Seal { position, place: entry.place, event: entry.id, hash }
    }
}

impl From<Seal> for Reach {
    fn from(seal: Seal) -> Self {
        Self { position: seal.position, place: seal.place, hash: seal.hash }
    }
}

/// The hash of `entry` at `position`, after the seal whose hash is `before`.
///
/// Hashed are, in this order: `before`; the position, the transaction and the number, each as 8 bytes with the
/// highest first; then each other column as a byte 1, its length as 8 bytes and its bytes, or as a byte 0 where
/// there is none: id, type, version, tenant, kind and id of the actor, address, request, moment in microseconds
/// since 1970, and the data as [`canonical`] JSON.
#[must_use]
pub fn link(before: Hash, position: i64, entry: &Entry) -> Hash {
    let mut form = Form(Sha256::new());
    form.0.update(before.0);
    for number in [position, entry.place.txid, entry.place.seq] {
        form.0.update(number.to_be_bytes());
    }
    form.column(Some(entry.id.uuid().as_bytes()));
    form.column(Some(entry.kind.as_bytes()));
    form.column(Some(&entry.version.to_be_bytes()));
    form.column(entry.tenant.map(|tenant| tenant.uuid()).as_ref().map(|id| id.as_bytes().as_slice()));
    form.column(Some(entry.actor_kind.as_bytes()));
    form.column(Some(entry.actor_id.as_bytes()));
    form.column(entry.address.as_deref().map(str::as_bytes));
    form.column(entry.request_id.as_deref().map(str::as_bytes));
    form.column(Some(&entry.at.micros().to_be_bytes()));
    form.column(Some(canonical(&entry.data).as_bytes()));
    Hash(form.0.finalize().into())
}

struct Form(Sha256);

impl Form {
    fn column(&mut self, value: Option<&[u8]>) {
        let Some(bytes) = value else { return self.0.update([0]) };
        self.0.update([1]);
        self.0.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(bytes);
    }
}

/// JSON without blanks and with the names of each object in the order of their bytes: the same text for the same
/// value, however an engine keeps it.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(one, _), (other, _)| one.as_bytes().cmp(other.as_bytes()));
            out.push('{');
            for (at, (name, field)) in fields.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write(field, out);
            }
            out.push('}');
        }
        // What serde_json writes of these has one form.
        plain => out.push_str(&plain.to_string()),
    }
}
