//! Who is signed in, in memory: so that an ended session is refused and a changed role counts at once here,
//! and within the stated bound (`log::memory::BOUND`) on other replicas.

use std::collections::HashMap;
use std::sync::Arc;

use super::model::SessionKind;
use super::store::{self, Of, SessionRow};
use crate::app::App;
use crate::auth::Who;
use crate::auth::caller::{OperatorId, OperatorRole, TenantRole};
use crate::identity::operators::store as operators;
use crate::identity::store as people;
use crate::identity::token::Claims;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperatorUserId, SessionId, TenantId, UserId};
use crate::log::memory::{Freshness, Memory};

/// People and visits that memory holds at most.
const CAPACITY: u64 = 200_000;

/// How young a token is whose session memory may not know yet, in seconds.
const FRESH_S: u64 = 5;

/// What counts of a member: their roles, and what they are signed in to.
struct Person {
    roles: HashMap<TenantId, TenantRole>,
    open: HashMap<SessionId, (TenantId, Ts)>,
}

/// What counts of an operator who is a person.
struct Officer {
    role: OperatorRole,
    open: HashMap<SessionId, Ts>,
}

/// The memory.
pub struct SignedIn {
    people: Memory<UserId, Person>,
    officers: Memory<OperatorUserId, Officer>,
    visits: Memory<SessionId, SessionRow>,
}

impl SignedIn {
    /// An empty memory.
    #[must_use]
    pub fn new(freshness: &Freshness) -> Self {
        Self {
            people: Memory::new(CAPACITY, freshness.clone()),
            officers: Memory::new(CAPACITY, freshness.clone()),
            visits: Memory::new(CAPACITY, freshness.clone()),
        }
    }

    /// Forgets a person whose roles or sessions changed.
    pub async fn forget_user(&self, user: UserId) {
        self.people.forget(&user).await;
    }

    /// Forgets an operator whose role or sessions changed.
    pub async fn forget_operator(&self, operator: OperatorUserId) {
        self.officers.forget(&operator).await;
    }

    /// Forgets a visit that changed.
    pub async fn forget_session(&self, session: SessionId) {
        self.visits.forget(&session).await;
    }

    /// Forgets whomever `id`, the `user_id` of an event, names.
    pub async fn forget_named(&self, id: &str) {
        if let Ok(user) = id.parse() {
            self.forget_user(user).await;
        } else if let Ok(operator) = id.parse() {
            self.forget_operator(operator).await;
        }
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.people.forget_all();
        self.officers.forget_all();
        self.visits.forget_all();
    }
}

async fn load_person(app: &App, user: UserId) -> Result<Option<Person>> {
    let now = app.clock.now();
    app.db
        .read(move |conn| {
            let roles = people::memberships_of(conn, user)?;
            let open = store::open_of(conn, Of::User(user), now)?;
            Ok(Some(Person {
                roles: roles.into_iter().map(|of| (of.tenant_id, of.role)).collect(),
                open: open
                    .into_iter()
                    .filter(|row| row.kind == SessionKind::Member)
                    .filter_map(|row| Some((row.id, (row.tenant_id?, row.expires_at))))
                    .collect(),
            }))
        })
        .await
}

async fn load_officer(app: &App, operator: OperatorUserId) -> Result<Option<Officer>> {
    let now = app.clock.now();
    app.db
        .read(move |conn| {
            let Some(found) = operators::find(conn, operator)?.filter(|found| found.disabled_at.is_none())
            else {
                return Ok(None);
            };
            let open = store::open_of(conn, Of::Operator(operator), now)?;
            let open = open.into_iter().map(|row| (row.id, row.expires_at)).collect();
            Ok(Some(Officer { role: found.role, open }))
        })
        .await
}

async fn load_visit(app: &App, session: SessionId) -> Result<Option<SessionRow>> {
    let found = app.db.read(move |conn| store::find(conn, session)).await?;
    Ok(found.filter(|row| row.kind == SessionKind::Impersonation && row.ended_at.is_none()))
}

fn ended() -> Error {
    Error::Unauthenticated("the session has ended; sign in again".into())
}

/// Who a good token makes the caller now: its session must be open, and the role is the present one.
///
/// # Errors
/// [`Error::Unauthenticated`] when the session has ended, or its person is no member any more.
pub async fn who(app: &App, claims: &Claims) -> Result<Who> {
    let now = app.clock.now();
    let Some(tenant) = claims.tenant_id else { return officer(app, claims, now).await };
    if claims.act.is_some() {
        return visitor(app, claims.sid, tenant, now).await;
    }
    let user: UserId = claims.sub.parse().map_err(|_| ended())?;
    let person = app.signed_in.people.get(&user, || load_person(app, user)).await?.ok_or_else(ended)?;
    let known = role_in(&person, claims.sid, tenant, now);
    if known.is_none() && is_fresh(claims, now) {
        app.signed_in.forget_user(user).await;
        let person = app.signed_in.people.get(&user, || load_person(app, user)).await?.ok_or_else(ended)?;
        let role = role_in(&person, claims.sid, tenant, now).ok_or_else(ended)?;
        return Ok(Who::User { user, tenant, role, session: claims.sid });
    }
    Ok(Who::User { user, tenant, role: known.ok_or_else(ended)?, session: claims.sid })
}

/// A token that is younger than another replica's news: memory that does not know its session is asked anew.
fn is_fresh(claims: &Claims, now: Ts) -> bool {
    let age = now.seconds().saturating_sub(claims.iat);
    u64::try_from(age).is_ok_and(|age| age <= FRESH_S)
}

/// The person's present role, when the session is open.
fn role_in(person: &Person, session: SessionId, tenant: TenantId, now: Ts) -> Option<TenantRole> {
    person.open.get(&session).filter(|(of, until)| *of == tenant && *until > now)?;
    person.roles.get(&tenant).copied()
}

async fn officer(app: &App, claims: &Claims, now: Ts) -> Result<Who> {
    let user: OperatorUserId = claims.sub.parse().map_err(|_| ended())?;
    let mut found = app.signed_in.officers.get(&user, || load_officer(app, user)).await?;
    let is_open = |officer: &Option<Arc<Officer>>| {
        officer.as_ref().is_some_and(|one| one.open.get(&claims.sid).is_some_and(|until| *until > now))
    };
    if !is_open(&found) && is_fresh(claims, now) {
        app.signed_in.forget_operator(user).await;
        found = app.signed_in.officers.get(&user, || load_officer(app, user)).await?;
    }
    let officer = found.filter(|one| is_open(&Some(Arc::clone(one)))).ok_or_else(ended)?;
    Ok(Who::OperatorUser { user, role: officer.role, session: claims.sid })
}

/// A visit is as good as the operator's own standing, and in a member's stead as that member's role is now.
async fn visitor(app: &App, session: SessionId, tenant: TenantId, now: Ts) -> Result<Who> {
    let visit = app.signed_in.visits.get(&session, || load_visit(app, session)).await?.ok_or_else(ended)?;
    if visit.tenant_id != Some(tenant) || visit.expires_at <= now {
        return Err(ended());
    }
    let operator: OperatorId = visit
        .actor_id
        .as_deref()
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| Error::internal("no actor"))?;
    if let OperatorId::User(user) = operator {
        let officer = app.signed_in.officers.get(&user, || load_officer(app, user)).await?;
        if officer.is_none_or(|officer| officer.role == OperatorRole::Viewer) {
            return Err(ended());
        }
    }
    let role = match visit.user_id {
        None => visit.role,
        Some(user) => {
            let person = app.signed_in.people.get(&user, || load_person(app, user)).await?;
            person.and_then(|person| person.roles.get(&tenant).copied())
        }
    };
    let role = role.ok_or_else(ended)?;
    Ok(Who::Impersonator { operator, user: visit.user_id, tenant, role, session })
}
