//! The worker of each replica that sends what is due. One transaction writes what came of attempts and takes the
//! next ones; while it runs, more come to an end and go into the one after it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use super::model::Sealed;
use super::model::retry::{Attempted, Policy};
use super::notice;
use super::sender::{Parcel, Sender};
use super::store::claim::{self, Bounds, Round, Taken};
use super::store::settle::{self, Done};
use super::store::{Endpoint, deliveries, queue};
use crate::app::App;
use crate::config::settings::Webhooks;
use crate::kernel::clock::Ts;
use crate::kernel::engine::Engine;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;

/// How often the queues are looked at when nothing wakes us: another replica may have filled them.
const PERIOD: Duration = Duration::from_secs(1);
/// The shortest wait between two looks that found nothing.
const BREATHER: Duration = Duration::from_millis(20);
/// How long after the store did not answer it is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often messages that are too old are dropped.
const TIDY: Duration = Duration::from_secs(600);
/// Messages that one transaction drops.
const SWEEP: i64 = 200;

/// What is in hand: attempts under way, and what came of others that is not written yet.
struct Hand {
    app: App,
    sender: Sender,
    policy: Arc<Policy>,
    under_way: JoinSet<Done>,
    whose: HashMap<Id, TenantId>,
    done: Arc<Vec<Done>>,
}

fn policy(settings: &Webhooks) -> Policy {
    Policy {
        schedule: settings.schedule.clone(),
        jitter: f64::from(settings.jitter_percent) / 100.0,
        retry_after_max: settings.retry_after_max,
        breaker_failures: settings.breaker_failures,
        breaker_initial: settings.breaker_initial,
        breaker_max: settings.breaker_max,
        disable_after: settings.disable_after,
    }
}

/// Sends until the process stops.
pub async fn serve(app: App) {
    let sender = match Sender::open(&app.settings.webhooks) {
        Ok(sender) => sender,
        Err(error) => return tracing::error!(error = %error, "webhooks are not sent"),
    };
    if app.db.engine() == Engine::Sqlite {
        // Whoever had something in hand was the process before this one.
        let now = app.clock.now();
        if let Err(error) = app.db.write(move |conn| queue::release_all(conn, now)).await {
            tracing::warn!(error = %error, "webhooks that were being sent wait for the end of their lease");
        }
    }
    let policy = Arc::new(policy(&app.settings.webhooks));
    let mut hand = Hand {
        app: app.clone(),
        sender,
        policy,
        under_way: JoinSet::new(),
        whose: HashMap::new(),
        done: Arc::default(),
    };
    loop {
        hand.gather();
        let (finished, stopping) = (hand.done.is_empty(), app.stopping.is_cancelled());
        if stopping && finished && hand.under_way.is_empty() {
            return;
        }
        let wait = match hand.turn(stopping).await {
            Ok(wait) => wait,
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                tracing::warn!(error = %error, cause, "webhooks could not be taken; trying again soon");
                AGAIN
            }
        };
        if wait > Duration::ZERO {
            hand.rest(wait, stopping).await;
        }
    }
}

impl Hand {
    /// Takes note of attempts that came to an end.
    fn gather(&mut self) {
        while let Some(joined) = self.under_way.try_join_next_with_id() {
            self.note(joined);
        }
    }

    fn note(&mut self, joined: std::result::Result<(Id, Done), JoinError>) {
        match joined {
            Ok((id, done)) => {
                self.whose.remove(&id);
                Arc::make_mut(&mut self.done).push(done);
            }
            Err(error) => {
                // Its lease ends, and it is tried again.
                self.whose.remove(&error.id());
                tracing::error!(error = %error, "an attempt at a webhook ended early");
            }
        }
    }

    /// Until something changes, or `longest`.
    async fn rest(&mut self, longest: Duration, stopping: bool) {
        let app = self.app.clone();
        tokio::select! {
            Some(joined) = self.under_way.join_next_with_id() => self.note(joined),
            () = app.webhooks.due.notified(), if !stopping => {}
            () = tokio::time::sleep(longest) => {}
            () = app.stopping.cancelled(), if !stopping => {}
        }
    }

    /// Writes what is done and takes what is due: how long to wait for more.
    async fn turn(&mut self, stopping: bool) -> Result<Duration> {
        let settings = &self.app.settings.webhooks;
        let room = settings.concurrency.saturating_sub(self.under_way.len());
        let room = if stopping { 0 } else { room };
        if room == 0 && self.done.is_empty() {
            return Ok(PERIOD);
        }
        let now = self.app.clock.now();
        let bounds = Bounds {
            now,
            until: now.plus(settings.timeout).plus(settings.lease),
            room,
            per_endpoint: settings.max_in_flight_per_endpoint,
            per_tenant: settings.max_in_flight_per_tenant,
        };
        let mut busy: BTreeMap<TenantId, usize> = BTreeMap::new();
        for tenant in self.whose.values() {
            let held = busy.entry(*tenant).or_insert(0);
            *held = held.saturating_add(1);
        }
        let (done, policy, again) = (Arc::clone(&self.done), Arc::clone(&self.policy), self.app.clone());
        let work = move |conn: &mut _| {
            let off = settle::settle(conn, &done, &policy, now)?;
            for one in &off {
                notice::switched_off_in(conn, &again, one, now)?;
            }
            let round = if bounds.room == 0 { Round::default() } else { claim::claim(conn, &bounds, &busy)? };
            Ok((round, !off.is_empty()))
        };
        let (round, letters) = self.app.db.write_held(work).await?;
        if letters {
            self.app.wake.work();
        }
        self.done = Arc::default();
        let (took, next) = (!round.taken.is_empty(), round.next);
        self.start(round);
        metrics::gauge!("tenantry_webhook_in_flight")
            .set(f64::from(u32::try_from(self.under_way.len()).unwrap_or(u32::MAX)));
        let wait = next.map_or(PERIOD, |next| next.since(now).min(PERIOD));
        Ok(if took { wait } else { wait.max(BREATHER) })
    }

    fn start(&mut self, round: Round) {
        let mut opened: HashMap<_, Result<Sealed>> = HashMap::new();
        for taken in round.taken {
            let Some(endpoint) = round.endpoints.get(&taken.endpoint) else { continue };
            let sealed =
                opened.entry(taken.endpoint).or_insert_with(|| endpoint.opened(&self.app.vault)).as_ref();
            let parcel = match (sealed, round.bodies.get(&taken.message)) {
                (Ok(sealed), Some(body)) => Ok(parcel(endpoint, sealed, &taken, body)),
                (Ok(_), None) => Err("the event is no longer kept"),
                (Err(error), _) => {
                    tracing::error!(error = %error, endpoint = %taken.endpoint, "a webhook endpoint cannot be read");
                    Err("the endpoint's secrets cannot be read here")
                }
            };
            let (sender, app) = (self.sender.clone(), self.app.clone());
            let at = app.clock.now();
            let task = self.under_way.spawn(async move { attempt(&sender, taken, parcel, at).await });
            self.whose.insert(task.id(), taken.tenant);
        }
    }
}

fn parcel(endpoint: &Endpoint, sealed: &Sealed, taken: &Taken, body: &str) -> Parcel {
    Parcel {
        url: endpoint.url.clone(),
        headers: sealed.headers.clone(),
        secrets: sealed.secrets.clone(),
        id: taken.message,
        body: body.to_owned(),
    }
}

async fn attempt(
    sender: &Sender,
    taken: Taken,
    parcel: std::result::Result<Parcel, &'static str>,
    at: Ts,
) -> Done {
    metrics::histogram!("tenantry_webhook_wait_seconds").record(taken.waited.as_secs_f64());
    let began = std::time::Instant::now();
    let tried = match &parcel {
        Ok(parcel) => sender.send(parcel, at).await,
        Err(why) => Attempted::lost(why),
    };
    let took = began.elapsed();
    metrics::histogram!("tenantry_webhook_attempt_seconds", "outcome" => tried.word())
        .record(took.as_secs_f64());
    Done { taken, at, took, tried }
}

/// Drops messages that are too old, until the process stops.
pub async fn tidy(app: App) {
    loop {
        let before = app.clock.now().minus(app.settings.webhooks.retain);
        match app.db.write_held(move |conn| deliveries::retain(conn, before, SWEEP)).await {
            Ok(0) => {}
            Ok(_) if !app.stopping.is_cancelled() => continue,
            Ok(_) => return,
            Err(error) => tracing::warn!(error = %error, "old webhooks could not be dropped"),
        }
        if app.stopping.run_until_cancelled(tokio::time::sleep(TIDY)).await.is_none() {
            return;
        }
    }
}
