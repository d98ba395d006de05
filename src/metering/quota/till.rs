//! Where counters are changed: one at a time, in the order in which it was asked, by one task of this process. What
//! waits while a transaction runs is done by the next one, all of it together; so sixty-four who take from one
//! quota wait for two commits, not for sixty-four.
//!
//! A transaction holds the rows of its counters before it looks at them, and so do those of other replicas: each
//! decides on what the one before it left. That is why a hard quota is never overshot.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::gauge::{BOUND, Gauge};
use super::lending::{Borrowing, Kind, Loan};
use super::model::Bound;
use super::model::sheet::{Act, Deed, Done, Outcome};
use super::store;
use crate::app::App;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{self, TenantId};
use crate::kernel::purse::{Grip, Purse};

/// What one transaction does at most.
const BATCH: usize = 256;

/// Something asked.
pub(super) enum Ask {
    /// Take, and tell what became of it.
    Take { deed: Deed, reply: oneshot::Sender<Result<Done>> },
    /// Fill a purse.
    Borrow(Borrowing),
    /// Give back, or count, what is in a purse; close it, or leave an open one open.
    Settle { tenant: TenantId, close: bool },
    /// The same of all purses, for good.
    Flush(oneshot::Sender<()>),
}

/// The one place where this process changes counters.
pub struct Till {
    pub(super) asks: mpsc::UnboundedSender<Ask>,
    waiting: Mutex<Option<mpsc::UnboundedReceiver<Ask>>>,
    /// What purses were filled by. Only the task changes it.
    pub(super) loans: Mutex<HashMap<TenantId, Loan>>,
    /// What memory knows of counters.
    pub gauge: Gauge,
    closing: CancellationToken,
}

impl Default for Till {
    fn default() -> Self {
        let (asks, waiting) = mpsc::unbounded_channel();
        Self {
            asks,
            waiting: Mutex::new(Some(waiting)),
            loans: Mutex::default(),
            gauge: Gauge::default(),
            closing: CancellationToken::new(),
        }
    }
}

/// What became of a take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Consumed {
    /// What is answered.
    pub outcome: Outcome,
    /// Whether it was answered before, to the same key.
    pub repeated: bool,
}

fn stopped() -> Error {
    Error::unavailable("stopping", "the server is stopping; retry on another one", "the till is closed")
}

/// Takes `amount` from the first quota of `of`, once by `key`, and counts it in all of them; refused when any of
/// them is hard and has less.
///
/// # Errors
/// [`Error::Refused`] `idempotency_key_reused` when the key was used for another feature or amount; the store's.
pub async fn take(app: &App, of: Arc<[Bound]>, amount: i64, key: Arc<str>) -> Result<Consumed> {
    let (reply, answer) = oneshot::channel();
    let deed = Deed { of, act: Act::Take { amount, key }, spent: None };
    app.till.asks.send(Ask::Take { deed, reply }).map_err(|_| stopped())?;
    match answer.await.map_err(|_| stopped())?? {
        Done::Took(outcome, repeated) => Ok(Consumed { outcome, repeated }),
        Done::KeyReused => Err(Error::refused(
            "idempotency_key_reused",
            "this idempotency_key was used for another feature or amount; use a fresh key for something new",
        )),
        Done::Lent(_) | Done::Counted(_) => Err(Error::internal("a take was answered as something else")),
    }
}

/// Does what is asked until [`stop`].
pub async fn serve(app: App) {
    let Some(mut waiting) = app.till.waiting.lock().take() else { return };
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            many = waiting.recv_many(&mut batch, BATCH) => {
                if many == 0 {
                    return;
                }
            }
            () = app.till.closing.cancelled() => return,
        }
        work(&app, std::mem::take(&mut batch)).await;
    }
}

/// Gives back what is left in purses, and ends [`serve`]: for a stop, when the last request is answered.
pub async fn stop(app: &App) {
    let (reply, done) = oneshot::channel();
    if app.till.asks.send(Ask::Flush(reply)).is_ok() {
        drop(done.await);
    }
    app.till.closing.cancel();
}

/// What follows a deed when it is done, or undoes what was prepared for it when it is not.
enum After {
    /// Tell.
    Tell(oneshot::Sender<Result<Done>>),
    /// A purse was emptied for it.
    Emptied { tenant: TenantId, loan: Loan, out: i64, until: i64 },
    /// What was spent was taken out of an open purse for it.
    Spent { purse: Arc<Purse>, spent: i64 },
    /// What was spent of a slice is told of by it.
    Told { tenant: TenantId, spent: i64 },
    /// Purses are filled by it.
    Fill(Group),
}

/// Those who ask for one purse to be filled.
struct Group {
    tenant: TenantId,
    grip: Grip,
    of: Arc<[Bound]>,
    kind: Kind,
    until: Ts,
    ends: Ts,
    /// What was put into the purse and usage does not tell of yet.
    given: i64,
    waiting: Vec<(i64, oneshot::Sender<Result<bool>>)>,
}

#[derive(Default)]
struct Plan {
    deeds: Vec<Deed>,
    after: Vec<After>,
    /// Purses that nothing bounds.
    free: Vec<Group>,
    /// Purses that hold enough for those who wait, and what was taken out of each.
    enough: Vec<(Group, i64)>,
    flushed: Vec<oneshot::Sender<()>>,
}

impl Plan {
    fn add(&mut self, of: &Arc<[Bound]>, act: Act, spent: i64, after: After) {
        let spent = (spent > 0).then(|| (id::encode(id::fresh()).into(), spent));
        self.deeds.push(Deed { of: Arc::clone(of), act, spent });
        self.after.push(after);
    }

    /// Empties a purse: what was lent goes back, what was spent is counted.
    fn close(&mut self, tenant: TenantId, loan: Loan) {
        let until = loan.purse.until();
        let out = loan.purse.empty();
        let (act, spent) = match loan.kind {
            Kind::Lent if loan.given > 0 => (Act::Back(out), loan.given.saturating_sub(out)),
            Kind::Counted if Purse::spent_of(out) > 0 => {
                (Act::Count(Purse::spent_of(out)), Purse::spent_of(out))
            }
            _ => return,
        };
        let of = Arc::clone(&loan.of);
        self.add(&of, act, spent, After::Emptied { tenant, loan, out, until });
    }
}

fn plan(app: &App, batch: Vec<Ask>) -> Plan {
    let mut plan = Plan::default();
    let mut groups: HashMap<TenantId, Group> = HashMap::new();
    let mut loans = app.till.loans.lock();
    for ask in batch {
        match ask {
            Ask::Take { deed, reply } => {
                plan.deeds.push(deed);
                plan.after.push(After::Tell(reply));
            }
            Ask::Borrow(asked) => {
                let Borrowing { tenant, grip, of, until, ends, cost, reply } = asked;
                let waiting = groups.remove(&tenant);
                let (kind, given) = (Kind::of(&of), 0);
                let fresh = Group { tenant, kind, grip, of, until, ends, given, waiting: Vec::new() };
                // Whoever knows the tenant as it became later knows what it is granted now.
                let mut group = match waiting {
                    Some(known) if known.grip.generation > fresh.grip.generation => known,
                    Some(known) => Group { waiting: known.waiting, ..fresh },
                    None => fresh,
                };
                group.waiting.extend(reply.map(|reply| (cost, reply)));
                groups.insert(tenant, group);
            }
            Ask::Settle { tenant, close } => match loans.remove(&tenant) {
                Some(loan) if close => plan.close(tenant, loan),
                Some(mut loan) if loan.kind == Kind::Lent => {
                    let spent = loan.given.saturating_sub(loan.purse.left());
                    if spent > 0 {
                        loan.given -= spent;
                        plan.add(&loan.of, Act::Back(0), spent, After::Told { tenant, spent });
                    }
                    loans.insert(tenant, loan);
                }
                Some(loan) => {
                    let (of, purse, spent) =
                        (Arc::clone(&loan.of), Arc::clone(&loan.purse), loan.purse.take_spent());
                    if loan.kind == Kind::Counted && spent > 0 {
                        plan.add(&of, Act::Count(spent), spent, After::Spent { purse, spent });
                    }
                    loans.insert(tenant, loan);
                }
                None => {}
            },
            Ask::Flush(reply) => {
                for (tenant, loan) in loans.drain() {
                    plan.close(tenant, loan);
                }
                plan.flushed.push(reply);
            }
        }
    }
    for mut group in groups.into_values() {
        // What is left of a slice of the same quota stays.
        let stays = loans.get(&group.tenant).filter(|old| {
            old.kind == Kind::Lent && Arc::ptr_eq(&old.purse, &group.grip.purse) && old.of == group.of
        });
        group.given = stays.map_or(0, |old| old.given);
        let stays = stays.is_some();
        if !stays && let Some(old) = loans.remove(&group.tenant) {
            plan.close(group.tenant, old);
        }
        let of = Arc::clone(&group.of);
        match group.kind {
            Kind::Free => plan.free.push(group),
            Kind::Counted => plan.add(&of, Act::Count(0), 0, After::Fill(group)),
            Kind::Lent => {
                let wanted = group.waiting.iter().map(|(cost, _)| *cost).fold(0, i64::saturating_add);
                if stays && wanted > 0 {
                    let purse = &group.grip.purse;
                    let (until, out) = (purse.until(), purse.empty());
                    if out >= wanted {
                        plan.enough.push((group, out));
                        continue;
                    }
                    purse.put_back(out, until);
                }
                plan.add(&of, Act::Lend(wanted), 0, After::Fill(group));
            }
        }
    }
    plan
}

async fn work(app: &App, batch: Vec<Ask>) {
    let plan = plan(app, batch);
    let now = app.clock.now();
    for group in plan.free {
        group.open(app, None);
    }
    for (mut group, out) in plan.enough {
        group.given = group.given.saturating_sub(out);
        group.fill(app, out, now);
    }
    if !plan.deeds.is_empty() {
        let until = now.plus(app.settings.idempotency.ttl);
        let (deeds, thresholds) = (plan.deeds, app.settings.quota.thresholds.clone());
        let began = Instant::now();
        let performed =
            app.db.write_held(move |conn| store::perform(conn, &deeds, &thresholds, now, until)).await;
        metrics::histogram!("tenantry_quota_commit_seconds").record(began.elapsed().as_secs_f64());
        match performed {
            Ok(performed) => {
                app.till.gauge.note(&performed.used, Instant::now());
                for (after, done) in plan.after.into_iter().zip(performed.done) {
                    after.done(app, done, now);
                }
            }
            Err(error) => {
                tracing::warn!(error = %error, cause = error.cause().map(tracing::field::display), "quotas could not be written");
                plan.after.into_iter().for_each(|after| after.failed(app, &error));
            }
        }
    }
    for reply in plan.flushed {
        // Whoever waited may be gone.
        reply.send(()).ok();
    }
}

impl After {
    fn done(self, app: &App, done: Done, now: Ts) {
        match (self, done) {
            // Whoever asked may be gone; what was taken is taken, and its key tells.
            (Self::Tell(reply), done) => drop(reply.send(Ok(done))),
            (Self::Spent { purse, .. }, Done::Counted(beyond)) => purse.note_beyond(beyond),
            (Self::Fill(group), Done::Counted(beyond)) => group.open(app, Some(beyond)),
            (Self::Fill(group), Done::Lent(lent)) => group.fill(app, lent, now),
            (Self::Emptied { .. } | Self::Spent { .. } | Self::Told { .. } | Self::Fill(_), _) => {}
        }
    }

    fn failed(self, app: &App, error: &Error) {
        match self {
            Self::Tell(reply) => drop(reply.send(Err(again(error)))),
            Self::Emptied { tenant, loan, out, until } => {
                loan.purse.put_back(out, until);
                app.till.loans.lock().entry(tenant).or_insert(loan);
            }
            Self::Spent { purse, spent } => purse.unspend(spent),
            Self::Told { tenant, spent } => {
                if let Some(loan) = app.till.loans.lock().get_mut(&tenant) {
                    loan.given += spent;
                }
            }
            Self::Fill(group) => {
                for (_, reply) in group.waiting {
                    drop(reply.send(Err(again(error))));
                }
            }
        }
    }
}

/// One transaction's error for each of those who waited for it.
fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { code, detail, cause } => Error::unavailable(code, detail.clone(), cause),
        other => Error::internal(other.cause().map_or_else(|| other.to_string(), ToString::to_string)),
    }
}

impl Group {
    /// Notes what the purse was filled by. When what the tenant is granted has changed since, the purse is asked
    /// anew before anything more is spent.
    fn note(self, app: &App) {
        let Self { tenant, grip, of, kind, ends, given, .. } = self;
        grip.keep_up();
        let (seen, purse) = (grip.purse.left(), grip.purse);
        app.till.loans.lock().insert(tenant, Loan { purse, of, kind, ends, given, seen, still: 0, looks: 0 });
    }

    /// Nothing stands in the way: everybody may spend, and what is spent is counted.
    fn open(mut self, app: &App, beyond: Option<i64>) {
        self.grip.purse.open(self.until, beyond.filter(|beyond| *beyond != i64::MIN));
        for (cost, reply) in std::mem::take(&mut self.waiting) {
            self.grip.purse.force(cost);
            drop(reply.send(Ok(true)));
        }
        self.note(app);
    }

    /// Serves those who wait, in their order, from what was lent and what is left; the rest is in the purse.
    fn fill(mut self, app: &App, lent: i64, now: Ts) {
        self.given = self.given.saturating_add(lent);
        let mut pot = lent.saturating_add(self.grip.purse.empty());
        let mut refused = None::<i64>;
        for (cost, reply) in std::mem::take(&mut self.waiting) {
            let fits = cost <= pot;
            if fits {
                pot -= cost;
            } else {
                refused = Some(refused.map_or(cost, |least| least.min(cost)));
            }
            // Whoever waited and is gone has spent: it was said that they may.
            drop(reply.send(Ok(fits)));
        }
        self.grip.purse.fill(pot, self.until);
        if let Some(cost) = refused {
            self.grip.purse.dry(cost, now.plus(BOUND));
        }
        self.note(app);
    }
}
