//! Proving the trail: log and seals are walked again, a stretch at a time, up to the newest seal.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::model::bad::{Bad, Known, Wrong, name};
use super::model::chain::{Hash, Reach, Seal, link};
use super::model::walk::{Fault, walk};
use super::{sealer, store};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::EventId;
use crate::kernel::vault::Vault;
use crate::log::{self, Entry, Place, follower};

/// Seals of one look: what memory holds at once.
const STRETCH: i64 = 500;
/// How long one call goes on before it answers how far it got.
const LONGEST: Duration = Duration::from_secs(2);
/// Events that are not sealed yet are counted up to here.
const COUNTED: i64 = 10_000;
/// What a checkpoint is signed for.
const PURPOSE: &str = "audit.checkpoint";

/// The newest seal at some moment, to be kept elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AuditCheckpoint)]
pub struct Checkpoint {
    /// How many events were sealed.
    #[schema(minimum = 0)]
    pub count: i64,
    /// The place of the last of them.
    #[schema(max_length = 50)]
    pub place: String,
    /// Its hash, which covers all before it: SHA-256 in hexadecimal.
    #[schema(max_length = 64)]
    pub hash: String,
    /// When.
    pub taken_at: Ts,
    /// Made with the installation's master key over all of the above.
    #[schema(max_length = 1000)]
    pub signature: String,
}

impl Checkpoint {
    fn take(vault: &Vault, reach: &Reach, now: Ts) -> Result<Self> {
        let mut made = Self {
            count: reach.position,
            place: reach.place.to_string(),
            hash: reach.hash.to_string(),
            taken_at: now,
            signature: String::new(),
        };
        made.signature = STANDARD.encode(vault.seal(PURPOSE, made.words().as_bytes())?);
        Ok(made)
    }

    fn words(&self) -> String {
        format!("{} {} {} {}", self.count, self.place, self.hash, self.taken_at)
    }

    /// The seal it is of.
    fn check(&self, vault: &Vault) -> Result<Reach> {
        let forged = || {
            Error::refused(
                "checkpoint_invalid",
                "this checkpoint is not as this installation made it: it was changed, or is of another installation, \
                 or was signed with a master key that is not listed any more",
            )
        };
        let signature = STANDARD.decode(&self.signature).map_err(|_| forged())?;
        let said = vault.open(PURPOSE, &signature).map_err(|_| forged())?;
        if said.as_slice() != self.words().as_bytes() {
            return Err(forged());
        }
        let place: Place = self.place.parse().map_err(|_| forged())?;
        let hash: Hash = self.hash.parse().map_err(|_| forged())?;
        Ok(Reach { position: self.count, place, hash })
    }
}

/// What to prove.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VerifyAudit)]
pub struct Asked {
    /// `next` of the answer before; from the first event when absent.
    #[schema(minimum = 0)]
    pub after: Option<i64>,
    /// A checkpoint that was taken earlier: the trail must hold what it held then.
    pub against: Option<Checkpoint>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = AuditVerified)]
pub struct Verified {
    /// Whether all that was looked at so far is as it was sealed.
    pub intact: bool,
    /// How many events, from the first on, are as they were sealed.
    pub verified: i64,
    /// How many were sealed.
    pub sealed: i64,
    /// Events after the newest seal: the next ones to be sealed. They are counted up to 10,000, at the end.
    pub unsealed: Option<i64>,
    /// Pass as `after` to go on; null when this is the end.
    pub next: Option<i64>,
    /// The first bad row.
    pub first_bad: Option<Bad>,
}

/// The newest seal.
///
/// # Errors
/// As [`Caller::may`]; the store's.
pub async fn checkpoint(app: &App, caller: &Caller) -> Result<Checkpoint> {
    caller.may(Verb::ReadAudit)?;
    let reach = app.db.read(store::head_in).await?;
    Checkpoint::take(&app.vault, &reach, app.clock.now())
}

/// Walks for a while, from where the call before got to.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Refused`] `checkpoint_invalid`; [`Error::Invalid`] for an `after` that was never
/// answered; the store's.
pub async fn verify(app: &App, caller: &Caller, asked: Asked) -> Result<Verified> {
    caller.may(Verb::ReadAudit)?;
    let against = asked.against.as_ref().map(|one| one.check(&app.vault)).transpose()?;
    let after = asked.after.unwrap_or(0);
    let mut at = app.db.read(move |conn| reach_at(conn, after)).await?;
    let began = Instant::now();
    loop {
        let looked = app.db.read(move |conn| look(conn, at, against, STRETCH)).await;
        let looked = match looked {
            // A row of the stretch cannot even be read: find out which.
            Err(Error::Internal(_)) => app.db.read(move |conn| look_closely(conn, at, against)).await?,
            looked => looked?,
        };
        at = looked.at;
        let over = looked.last || looked.bad.is_some();
        if over || began.elapsed() > LONGEST {
            return Ok(Verified {
                intact: looked.bad.is_none(),
                verified: at.position,
                sealed: looked.sealed,
                unsealed: looked.unsealed,
                next: (!over).then_some(at.position),
                first_bad: looked.bad,
            });
        }
    }
}

fn reach_at(conn: &mut Conn, position: i64) -> Result<Reach> {
    if position == 0 {
        return Ok(Reach::START);
    }
    let seal = store::seal_at_in(conn, position)?;
    seal.map(Reach::from).ok_or_else(|| {
        Error::field("/after", "nothing is sealed there: pass `next` of the answer before, unchanged")
    })
}

struct Looked {
    at: Reach,
    sealed: i64,
    last: bool,
    unsealed: Option<i64>,
    bad: Option<Bad>,
}

/// The next seals, and all events up to the last of them.
struct Stretch {
    seals: Vec<Seal>,
    entries: Vec<Entry>,
    head: Reach,
    last: bool,
}

fn stretch(conn: &mut Conn, at: Reach, limit: i64) -> Result<Stretch> {
    let head = store::head_in(conn)?;
    let seals = store::seals_in(conn, at.position, limit)?;
    let last = i64::try_from(seals.len()).is_ok_and(|found| found < limit);
    let after = at.after();
    let furthest = seals.iter().map(|seal| seal.place).max().unwrap_or(after);
    let until = if last { furthest.max(head.place) } else { furthest };
    // One more than there are seals: it is found that it has none.
    let entries =
        if until > after { log::kept_in(conn, after, until, limit.saturating_add(1))? } else { vec![] };
    Ok(Stretch { seals, entries, head, last })
}

fn look(conn: &mut Conn, at: Reach, against: Option<Reach>, limit: i64) -> Result<Looked> {
    let found = stretch(conn, at, limit)?;
    let walked = walk(at, &found.seals, &found.entries, found.last.then_some(&found.head));
    let (reached, mut bad) = match walked {
        Ok(reached) => (reached, None),
        Err((reached, fault)) => {
            let known = known(conn, &reached, &fault)?;
            (reached, Some(name(&reached, &fault, known)))
        }
    };
    let sealed = found.head.position;
    let over = found.last && bad.is_none();
    if let Some(against) = against {
        let passed = at.position < against.position && against.position <= reached.position;
        let held = found.seals.iter().find(|seal| seal.position == against.position);
        if passed && held.is_none_or(|seal| Reach::from(*seal) != against) {
            bad = Some(unlike_checkpoint(&against));
        } else if over && reached.position < against.position {
            bad = Some(cut(
                &reached,
                format!("{} events were sealed when the checkpoint was taken", against.position),
            ));
        }
    }
    if over && bad.is_none() {
        bad = further_once(conn, &reached)?;
    }
    let unsealed = if found.last { Some(log::count_in(conn, found.head.place, COUNTED)?) } else { None };
    Ok(Looked { at: reached, sealed, last: found.last, unsealed, bad })
}

/// Goes on row by row, until one cannot be read or this stretch is over.
fn look_closely(conn: &mut Conn, at: Reach, against: Option<Reach>) -> Result<Looked> {
    let mut at = at;
    for _ in 0..STRETCH {
        match look(conn, at, against, 1) {
            Err(Error::Internal(_)) => {
                let seal = store::seals_in(conn, at.position, 1)?.pop();
                let bad = Bad {
                    position: at.position.saturating_add(1),
                    place: seal.map(|seal| seal.place),
                    event_id: seal.map(|seal| seal.event),
                    fault: Wrong::Changed,
                    detail: "the event, or one that stands before it, cannot be read any more".into(),
                };
                let sealed = store::head_in(conn)?.position;
                return Ok(Looked { at, sealed, last: false, unsealed: None, bad: Some(bad) });
            }
            Ok(looked) if looked.last || looked.bad.is_some() => return Ok(looked),
            Ok(looked) => at = looked.at,
            Err(error) => return Err(error),
        }
    }
    let sealed = store::head_in(conn)?.position;
    Ok(Looked { at, sealed, last: false, unsealed: None, bad: None })
}

fn known(conn: &mut Conn, at: &Reach, fault: &Fault) -> Result<Known> {
    let sealed = |conn: &mut Conn, event: EventId| {
        store::seal_of_in(conn, event).map(|seal| seal.map(|seal| seal.place))
    };
    let stands = |conn: &mut Conn, event: EventId| {
        log::find_in(conn, event).map(|entry| entry.map(|entry| entry.place))
    };
    Ok(match fault {
        Fault::Extra(entry) => Known { sealed_at: sealed(conn, entry.id)?, ..Known::default() },
        Fault::Gone(seal) => Known { stands_at: stands(conn, seal.event)?, ..Known::default() },
        Fault::Other(seal, entry) => Known {
            sealed_at: sealed(conn, entry.id)?,
            stands_at: stands(conn, seal.event)?,
            next_follows: false,
        },
        Fault::Unlike(_, _, hash) => {
            let position = at.position.saturating_add(2);
            let next_follows = match store::seal_at_in(conn, position)? {
                None => store::head_in(conn)?.hash == *hash,
                Some(next) => log::find_in(conn, next.event)?
                    .is_some_and(|entry| link(*hash, position, &entry) == next.hash),
            };
            Known { next_follows, ..Known::default() }
        }
        Fault::NoSeal(..) | Fault::Head(_) => Known::default(),
    })
}

fn unlike_checkpoint(against: &Reach) -> Bad {
    Bad {
        position: against.position,
        place: Some(against.place),
        event_id: None,
        fault: Wrong::Rewritten,
        detail: "when the checkpoint was taken this event had another seal: it, or something before it, was written \
                 anew together with the seals"
            .into(),
    }
}

fn cut(at: &Reach, why: String) -> Bad {
    let position = at.position.saturating_add(1);
    let detail = format!("the log and its seals end after {}, and {why}", at.place);
    Bad { position, place: None, event_id: None, fault: Wrong::Cut, detail }
}

/// The place of the follower moves with the seals: when it is further than they are, they were cut.
fn further_once(conn: &mut Conn, at: &Reach) -> Result<Option<Bad>> {
    let place = follower::find_in(conn, sealer::NAME)?.map(|known| known.place);
    let further = place.filter(|place| *place > at.place);
    Ok(further.map(|place| cut(at, format!("were sealed up to {place} once"))))
}
