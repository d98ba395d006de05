//! Idempotency keys: the row, the effect and the answer are one transaction, so that a repeated request
//! finds either all of it or nothing. The answer is kept encrypted (it may show a key that is shown once)
//! and the body only as a keyed fingerprint (it may hold a password).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use diesel::prelude::*;
use parking_lot::Mutex;
use serde::Serialize;

use super::problem::Problem;
use crate::auth::Caller;
use crate::db::schema::idempotency_keys as keys;
use crate::db::{Conn, news};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::vault::Vault;
use crate::log::Place;

const PURPOSE: &str = "idempotency_keys.answer";
const LONGEST: usize = 255;

/// Fingerprint, status and sealed answer of an earlier request, and the place of what it appended.
type Kept = (Vec<u8>, i32, Vec<u8>, Option<i64>, Option<i64>);

/// The `Idempotency-Key` header of a request, if it was sent.
#[derive(Debug, Clone, Default)]
pub struct Key {
    key: Option<String>,
    route: String,
}

impl FromRequest for Key {
    type Error = Problem;
    type Future = std::future::Ready<std::result::Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let route = format!("{} {}", request.method(), request.path());
        let key = match request.headers().get("idempotency-key").map(|value| value.to_str().map(str::trim)) {
            None => None,
            Some(Ok(text)) if (1..=LONGEST).contains(&text.len()) => Some(text.to_owned()),
            Some(_) => {
                return std::future::ready(Err(Problem(Error::Malformed {
                    code: "bad_idempotency_key",
                    detail: format!("Idempotency-Key must be 1 to {LONGEST} visible ASCII characters"),
                })));
            }
        };
        std::future::ready(Ok(Self { key, route }))
    }
}

/// The requests with a key that this process is answering right now.
#[derive(Clone, Default)]
pub struct InProgress(Arc<Mutex<HashSet<(String, String, String)>>>);

/// One attempt at a request that creates something.
pub struct Attempt {
    entry: Option<(String, String, String)>,
    fingerprint: [u8; 32],
    vault: Vault,
    keep: Duration,
    running: InProgress,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Some(entry) = &self.entry {
            self.running.0.lock().remove(entry);
        }
    }
}

impl Attempt {
    /// Begins an attempt.
    ///
    /// # Errors
    /// [`Error::Conflict`] while the same caller's request with the same key is still at work here.
    pub fn begin(
        running: &InProgress,
        vault: &Vault,
        keep: Duration,
        caller: &Caller,
        key: Key,
        body: &[u8],
    ) -> Result<Arc<Self>> {
        let entry = key.key.map(|text| (caller.scope(), key.route, text));
        if let Some(entry) = &entry
            && !running.0.lock().insert(entry.clone())
        {
            return Err(Error::conflict(
                "idempotency_in_progress",
                "a request with this Idempotency-Key is still at work; retry shortly",
            ));
        }
        Ok(Arc::new(Self {
            entry,
            fingerprint: vault.fingerprint(body),
            vault: vault.clone(),
            keep,
            running: running.clone(),
        }))
    }

    /// The answer that an earlier request with the same key got, for commands that do costly work before
    /// their transaction.
    ///
    /// # Errors
    /// [`Error::Refused`] when the key was used with another body.
    pub fn earlier<T>(&self, conn: &mut Conn, now: Ts) -> Result<Option<Answer<T>>> {
        let Some((caller, route, key)) = &self.entry else { return Ok(None) };
        let found: Option<Kept> = keys::table
            .find((caller, route, key))
            .filter(keys::expires_at.gt(now))
            .select((keys::fingerprint, keys::status, keys::answer, keys::txid, keys::seq))
            .first(conn)
            .optional()?;
        let Some((fingerprint, status, sealed, txid, seq)) = found else { return Ok(None) };
        if fingerprint != self.fingerprint {
            return Err(Error::refused(
                "idempotency_key_reused",
                "this Idempotency-Key was used with another request body; use a fresh key for a new request",
            ));
        }
        if let (Some(txid), Some(seq)) = (txid, seq) {
            news::repeats(Place { txid, seq });
        }
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.ok_or_else(|| Error::internal("a stored status is out of range"))?;
        Ok(Some(Answer::Replayed { status, body: self.vault.open(PURPOSE, &sealed)?.to_vec() }))
    }

    /// Runs `work` in the caller's transaction unless it was done before, and keeps its answer.
    ///
    /// # Errors
    /// What `work` answers; as [`Attempt::earlier`].
    pub fn once<T: Serialize>(
        &self,
        conn: &mut Conn,
        now: Ts,
        outcome: Outcome,
        work: impl FnOnce(&mut Conn) -> Result<T>,
    ) -> Result<Answer<T>> {
        if let Some(earlier) = self.earlier(conn, now)? {
            return Ok(earlier);
        }
        let (answer, status) = (work(conn)?, outcome.status());
        if let Some((caller, route, key)) = &self.entry {
            let body = serde_json::to_vec(&answer).map_err(Error::internal)?;
            let place = news::place();
            diesel::delete(keys::table.find((caller, route, key))).execute(conn)?;
            diesel::insert_into(keys::table)
                .values((
                    keys::caller.eq(caller),
                    keys::route.eq(route),
                    keys::key.eq(key),
                    keys::fingerprint.eq(self.fingerprint.to_vec()),
                    keys::status.eq(i32::from(status.as_u16())),
                    keys::answer.eq(self.vault.seal(PURPOSE, &body)?),
                    keys::expires_at.eq(now.plus(self.keep)),
                    keys::txid.eq(place.map(|place| place.txid)),
                    keys::seq.eq(place.map(|place| place.seq)),
                ))
                .execute(conn)
                // Somebody else on another replica was first: run again and replay theirs.
                .map_err(|error| match Error::from(error) {
                    Error::Conflict { detail, .. } => Error::contended(detail),
                    other => other,
                })?;
        }
        Ok(Answer::Fresh { status, body: answer })
    }
}

/// What a request that creates something is answered with when it is done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// 201: it exists.
    Created,
    /// 202: it exists, and work on it goes on.
    Accepted,
}

impl Outcome {
    fn status(self) -> StatusCode {
        match self {
            Self::Created => StatusCode::CREATED,
            Self::Accepted => StatusCode::ACCEPTED,
        }
    }
}

/// A fresh answer, or the one that was given before.
pub enum Answer<T> {
    /// The work was done now.
    Fresh {
        /// The status to answer with.
        status: StatusCode,
        /// The body.
        body: T,
    },
    /// It had been done; this is what was answered.
    Replayed {
        /// The status that was answered.
        status: StatusCode,
        /// The body's bytes.
        body: Vec<u8>,
    },
}

impl<T: Serialize> Answer<T> {
    /// The HTTP answer, marked when it is a replay.
    pub fn respond(self) -> HttpResponse {
        match self {
            Self::Fresh { status, body } => HttpResponse::build(status).json(body),
            Self::Replayed { status, body } => HttpResponse::build(status)
                .insert_header(("Idempotent-Replayed", "true"))
                .content_type("application/json")
                .body(body),
        }
    }
}

/// Forgets up to a thousand answers whose time is over.
///
/// # Errors
/// The store's.
pub fn forget_expired(conn: &mut Conn, now: Ts) -> Result<usize> {
    diesel::delete(keys::table.filter(keys::expires_at.le(now))).execute(conn).map_err(Into::into)
}
