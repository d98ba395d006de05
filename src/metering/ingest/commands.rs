//! Taking a call's events: each is answered for on its own, in their order.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use utoipa::ToSchema;

use super::intake;
use super::model::count::{self, Taker};
use super::model::{Event, Meters, Rejection};
use super::store::NewUsage;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::Catalogue;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::metering::counted::{self, Counted};
use crate::metering::quota::{Added, Quota, lending};
use crate::placement::router::{self, Resident};
use crate::tenants::{Handle, State};
use crate::words;

words! {
    /// What became of an event.
    Status as "UsageEventStatus", "status of a usage event" {
        /// It is counted.
        Accepted = "accepted",
        /// It was counted before.
        Duplicate = "duplicate",
        /// It is not counted, and will not be if it is sent again as it is.
        Rejected = "rejected",
    }
}

/// What became of one event of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageEventAnswer)]
pub struct EventAnswer {
    /// Its place in the call, from 0.
    pub index: usize,
    /// Its id; null when it could not be read.
    pub id: Option<String>,
    /// What became of it.
    pub status: Status,
    /// Why it was rejected: stable, machine-readable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Why it was rejected, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What became of the events of a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UsageEventsAnswer)]
pub struct Taken {
    /// Each, in the order of the call.
    pub data: Vec<EventAnswer>,
    /// How many are counted now.
    pub accepted: usize,
    /// How many were counted before.
    pub duplicate: usize,
    /// How many are not counted.
    pub rejected: usize,
}

/// The meters of the catalogue that was asked last: they change when it does.
#[derive(Default)]
pub struct Known(Mutex<Option<(Arc<Catalogue>, Arc<Meters>)>>);

impl Known {
    fn of(&self, catalogue: &Arc<Catalogue>) -> Arc<Meters> {
        let mut known = self.0.lock();
        match &*known {
            Some((of, meters)) if Arc::ptr_eq(of, catalogue) => Arc::clone(meters),
            _ => {
                let meters = Arc::new(Meters::of(catalogue));
                *known = Some((Arc::clone(catalogue), Arc::clone(&meters)));
                meters
            }
        }
    }
}

/// Counts these events, each once. Answers when those that are counted are on disk.
///
/// # Errors
/// As [`Caller::may`]; the store's.
pub async fn take(
    app: &App,
    caller: &Caller,
    events: Vec<std::result::Result<Event<'_>, Rejection>>,
) -> Result<Taken> {
    caller.may(Verb::WriteUsage)?;
    let mut desk = Desk::new(app, caller).await?;
    let mut data = Vec::with_capacity(events.len());
    let mut rows = Vec::with_capacity(events.len());
    for (index, event) in events.into_iter().enumerate() {
        let read = match event {
            Ok(event) => desk.read(index, event).await?,
            Err(rejection) => Err(rejection),
        };
        data.push(match read {
            Ok(row) => {
                let id = Some(row.id.clone());
                rows.push(row);
                EventAnswer { index, id, status: Status::Accepted, code: None, detail: None }
            }
            Err(Rejection { id, code, detail }) => {
                EventAnswer { index, id, status: Status::Rejected, code: Some(code), detail: Some(detail) }
            }
        });
    }
    let fresh = intake::submit(app, rows).await?;
    let written = data.iter_mut().filter(|answer| answer.status == Status::Accepted);
    for (answer, fresh) in written.zip(fresh) {
        if !fresh {
            answer.status = Status::Duplicate;
        }
    }
    let many = |status| data.iter().filter(|answer| answer.status == status).count();
    let (accepted, duplicate, rejected) =
        (many(Status::Accepted), many(Status::Duplicate), many(Status::Rejected));
    for (status, many) in
        [(Status::Accepted, accepted), (Status::Duplicate, duplicate), (Status::Rejected, rejected)]
    {
        if many > 0 {
            let many = u64::try_from(many).unwrap_or(u64::MAX);
            metrics::counter!("tenantry_usage_events_total", "status" => status.word()).increment(many);
        }
    }
    Ok(Taken { data, accepted, duplicate, rejected })
}

/// When an event happened, and what it counts as: whether each adds up.
type Counts = (Ts, Vec<(Counted, bool)>);

/// What is looked up once for all events of a call.
struct Desk<'a> {
    app: &'a App,
    own: Option<Arc<Resident>>,
    named: HashMap<String, Option<Arc<Resident>>>,
    takers: HashMap<(TenantId, String), Arc<Vec<Taker>>>,
    quotas: HashMap<(TenantId, Arc<str>), Arc<[Quota]>>,
    catalogue: Arc<Catalogue>,
    meters: Arc<Meters>,
    now: Ts,
}

impl<'a> Desk<'a> {
    async fn new(app: &'a App, caller: &Caller) -> Result<Self> {
        let own = match caller.own_tenant() {
            Some(tenant) => Some(router::find(app, &Handle::Id(tenant)).await?),
            None => None,
        };
        let catalogue = app.catalogue.current();
        Ok(Self {
            own,
            named: HashMap::new(),
            takers: HashMap::new(),
            quotas: HashMap::new(),
            meters: app.known_meters.of(&catalogue),
            catalogue,
            now: app.clock.now(),
            app,
        })
    }

    /// Whose use it is: the credential's tenant; the subject's where the credential has none.
    async fn whose(
        &mut self,
        subject: Option<&str>,
    ) -> Result<std::result::Result<Arc<Resident>, Rejection>> {
        if let Some(own) = &self.own {
            let is_own = subject.is_none_or(|subject| match Handle::parse(subject) {
                Handle::Id(id) => id == own.id,
                Handle::Slug(slug) => slug == own.slug(),
            });
            let foreign = || {
                Rejection::new(
                    "foreign_subject",
                    "subject names another tenant than the credential's; leave it out",
                )
            };
            return Ok(if is_own { Ok(Arc::clone(own)) } else { Err(foreign()) });
        }
        let Some(subject) = subject else {
            let detail = "subject is missing: with a service key it names the tenant, by id or slug";
            return Ok(Err(Rejection::new("subject_missing", detail)));
        };
        if !self.named.contains_key(subject) {
            let found = match router::find(self.app, &Handle::parse(subject)).await {
                Ok(resident) => Some(resident),
                Err(Error::NotFound(_)) => None,
                Err(error) => return Err(error),
            };
            self.named.insert(subject.to_owned(), found);
        }
        let found = self.named.get(subject).cloned().flatten();
        Ok(found.ok_or_else(|| Rejection::new("unknown_tenant", "subject names no tenant")))
    }

    async fn read(
        &mut self,
        index: usize,
        event: Event<'_>,
    ) -> Result<std::result::Result<NewUsage, Rejection>> {
        let whose = match self.whose(event.subject.as_deref()).await? {
            Ok(whose) => whose,
            Err(rejection) => return Ok(Err(rejection.of(&event.id))),
        };
        match self.row(index, &whose, &event) {
            Ok(Ok((at, counted))) => {
                let added = self.added(&whose, at, &counted);
                let counts = counted.into_iter().map(|(counted, _)| counted).collect::<Vec<_>>();
                Ok(Ok(NewUsage {
                    tenant: whose.id,
                    at,
                    received_at: self.now,
                    counts: counted::write(&counts)?,
                    added,
                    source: event.source,
                    id: event.id,
                    kind: event.kind,
                }))
            }
            Ok(Err(rejection)) => Ok(Err(rejection.of(&event.id))),
            Err(error) => Err(error),
        }
    }

    fn row(
        &mut self,
        index: usize,
        whose: &Resident,
        event: &Event<'_>,
    ) -> Result<std::result::Result<Counts, Rejection>> {
        if matches!(whose.state, State::Deleting | State::Deleted) {
            return Ok(Err(Rejection::new("tenant_deleting", "the tenant is being deleted")));
        }
        let bounds = &self.app.settings.metering;
        let at = match event.time {
            // Those of one call that say no time came in one after the other.
            None => self.now.plus(std::time::Duration::from_micros(u64::try_from(index).unwrap_or(0))),
            Some(at) if at < self.now.minus(bounds.max_late) => {
                let detail =
                    format!("time is longer ago than metering.max_late_s, {} s", bounds.max_late.as_secs());
                return Ok(Err(Rejection::new("too_late", detail)));
            }
            Some(at) if at > self.now.plus(bounds.max_future) => {
                let detail = format!(
                    "time is further ahead than metering.max_future_s, {} s",
                    bounds.max_future.as_secs()
                );
                return Ok(Err(Rejection::new("too_far_ahead", detail)));
            }
            Some(at) => at,
        };
        let takers = self.takers(whose, &event.kind);
        if takers.is_empty() {
            return Ok(Err(Rejection::new("unknown_type", "no meter takes events of this type")));
        }
        let adds_up: Vec<bool> = takers.iter().map(Taker::adds_up).collect();
        Ok(count::count(&takers, event.data).map(|counted| (at, counted.into_iter().zip(adds_up).collect())))
    }

    fn takers(&mut self, whose: &Resident, kind: &str) -> Arc<Vec<Taker>> {
        let known = self.takers.entry((whose.id, kind.to_owned()));
        Arc::clone(known.or_insert_with(|| Arc::new(self.meters.takers(kind, &whose.version.plan))))
    }

    fn added(&mut self, whose: &Resident, at: Ts, counted: &[(Counted, bool)]) -> Vec<Added> {
        let mut out = Vec::new();
        for (counted, _) in counted.iter().filter(|(_, adds_up)| *adds_up) {
            let meter: Arc<str> = counted.meter.as_str().into();
            let quotas = self.quotas.entry((whose.id, Arc::clone(&meter))).or_insert_with(|| {
                lending::quotas_of(whose, &self.catalogue, &counted.meter, self.now).into()
            });
            if !quotas.is_empty() && counted.value > 0 {
                let quotas = Arc::clone(quotas);
                out.push(Added { tenant: whose.id, meter, at, amount: counted.value, quotas });
            }
        }
        out
    }
}
