//! Inviting, sending again, revoking.

use std::sync::Arc;

use super::model::{Invitation, InvitationState};
use super::store;
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::one_time::{self, Purpose};
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::http::{Answer, Attempt, IfMatch, Outcome};
use crate::identity::commands::normalise_email;
use crate::identity::events::{InvitationCreated, InvitationRevoked, InvitationSentAgain, Invited};
use crate::identity::members::commands::{acting_in, changeable_in};
use crate::identity::members::store as members;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{InvitationId, TenantId};
use crate::log::{self, NewEvent};
use crate::mail::{self, Letter, LetterKind, NewMail, model::in_words};
use crate::subscriptions;
use crate::tenants::{self, Handle, State, Tenant};

/// Invites an address to the caller's tenant.
///
/// # Errors
/// As [`Caller::tenant`]; [`Error::Invalid`]; `insufficient_role` for a role above one's own; [`Error::Conflict`]
/// `already_member`, `already_invited`, or `member_limit_reached` when members and open invitations fill the plan.
pub async fn invite(
    app: &App,
    caller: &Caller,
    email: &str,
    role: TenantRole,
    attempt: Arc<Attempt>,
) -> Result<Answer<Invitation>> {
    let tenant = caller.tenant(Verb::ManageMembers)?;
    let email = normalise_email(email).map_err(|detail| Error::field("/email", detail))?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                acting_in(conn, &caller, tenant)?.may_touch(role)?;
                let tenant = changeable_in(conn, tenant)?;
                if let Some(open) = store::open_of(conn, tenant.id, &email)?
                    && open.expires_at > now
                {
                    return Err(Error::conflict(
                        "already_invited",
                        "there is an open invitation for this address: send it again, or revoke it first",
                    ));
                }
                offer_in(conn, &again, &caller, &tenant, &email, role, now)
            })
        })
        .await?;
    app.wake.work();
    Ok(answer)
}

/// Invites an address to any tenant. An open invitation of that address is replaced.
///
/// # Errors
/// As [`Caller::may`]; not found; as [`invite`].
pub async fn invite_to(
    app: &App,
    caller: &Caller,
    handle: Handle,
    email: &str,
    role: TenantRole,
    attempt: Arc<Attempt>,
) -> Result<Answer<Invitation>> {
    caller.may(Verb::ManageTenants)?;
    let email = normalise_email(email).map_err(|detail| Error::field("/email", detail))?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let tenant = tenants::get_in(conn, &handle)?;
                if matches!(tenant.state, State::Deleting | State::Deleted) {
                    return Err(Error::conflict(
                        "wrong_state",
                        format!("the tenant is {}", tenant.state.word()),
                    ));
                }
                offer_in(conn, &again, &caller, &tenant, &email, role, now)
            })
        })
        .await?;
    app.wake.work();
    Ok(answer)
}

/// Makes an invitation in the caller's transaction and posts its mail, in place of an open one for the same
/// address. Whether the caller may is the caller's business.
///
/// # Errors
/// `already_member`, `member_limit_reached`; the store's.
pub fn offer_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    tenant: &Tenant,
    email: &str,
    role: TenantRole,
    now: Ts,
) -> Result<Invitation> {
    if members::has_email(conn, tenant.id, email)? {
        return Err(Error::conflict("already_member", "this address belongs to a member"));
    }
    if let Some(mut old) = store::open_of(conn, tenant.id, email)? {
        revoke_in(conn, caller, &mut old, now)?;
    }
    let limit = subscriptions::version_in(conn, app, tenant)?.plan.limits.members;
    let taken = members::count(conn, tenant.id)? + store::count_open(conn, tenant.id, now)?;
    if taken >= i64::from(limit) {
        return Err(Error::conflict(
            "member_limit_reached",
            format!("the plan `{}` allows {limit} members, open invitations included", tenant.plan),
        ));
    }
    let (token, hash) = one_time::token(Purpose::Invitation);
    let invitation = Invitation {
        id: InvitationId::mint(),
        tenant_id: tenant.id,
        email: email.to_owned(),
        role,
        state: InvitationState::Open,
        invited_by: caller.actor(),
        user_id: None,
        created_at: now,
        updated_at: now,
        sent_at: now,
        expires_at: now.plus(app.settings.members.invitation_ttl),
        rev: 1,
    };
    store::insert(conn, &invitation, hash)?;
    post_in(conn, app, tenant, &invitation, token, now)?;
    let created = InvitationCreated(Invited::of(&invitation));
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, created))?;
    Ok(invitation)
}

fn post_in(
    conn: &mut Conn,
    app: &App,
    tenant: &Tenant,
    invitation: &Invitation,
    token: String,
    now: Ts,
) -> Result<()> {
    let words = [
        ("organization", tenant.name.clone()),
        ("role", invitation.role.to_string()),
        ("token", token),
        ("expires_in", in_words(invitation.expires_at.since(now))),
    ];
    let letter = Letter::new(LetterKind::Invitation, &invitation.email, &words);
    let mail = NewMail { letter, tenant: Some(tenant.id), expires_at: invitation.expires_at };
    mail::post_in(conn, &app.vault, now, &mail).map(drop)
}

fn revoke_in(conn: &mut Conn, caller: &Caller, one: &mut Invitation, now: Ts) -> Result<()> {
    one.state = InvitationState::Revoked;
    one.updated_at = now;
    store::save(conn, one, None)?;
    let revoked = InvitationRevoked(Invited::of(one));
    log::append_in(conn, caller, now, NewEvent::of(one.tenant_id, revoked)).map(drop)
}

/// An open invitation that the caller may change, with its tenant.
fn open_in(
    conn: &mut Conn,
    caller: &Caller,
    tenant: TenantId,
    id: InvitationId,
    if_match: &IfMatch,
) -> Result<(Invitation, Tenant)> {
    let acting = acting_in(conn, caller, tenant)?;
    let found = store::get(conn, tenant, id)?;
    if_match.check(found.rev)?;
    acting.may_touch(found.role)?;
    let tenant = changeable_in(conn, tenant)?;
    if found.state != InvitationState::Open {
        return Err(Error::conflict("invitation_closed", format!("the invitation was {}", found.state)));
    }
    Ok((found, tenant))
}

/// Sends an invitation again, with a new token and its whole time; the token before is void.
///
/// # Errors
/// As [`invite`]; not found; `invitation_closed`; [`Error::Limited`] within `mail.resend_cooldown_s`.
pub async fn resend(app: &App, caller: &Caller, id: InvitationId) -> Result<Invitation> {
    let tenant = caller.tenant(Verb::ManageMembers)?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let sent = app
        .db
        .write(move |conn| {
            let (mut one, tenant) = open_in(conn, &caller, tenant, id, &IfMatch::default())?;
            let free = one.sent_at.plus(again.settings.mail.resend_cooldown);
            if free > now {
                return Err(Error::Limited {
                    detail: "the invitation was sent a moment ago".into(),
                    retry_after: free.since(now),
                });
            }
            let limit = subscriptions::version_in(conn, &again, &tenant)?.plan.limits.members;
            let taken = members::count(conn, tenant.id)? + store::count_open(conn, tenant.id, now)?;
            if one.expires_at <= now && taken >= i64::from(limit) {
                return Err(Error::conflict("member_limit_reached", "the plan has no seat left for it"));
            }
            let (token, hash) = one_time::token(Purpose::Invitation);
            one.sent_at = now;
            one.updated_at = now;
            one.expires_at = now.plus(again.settings.members.invitation_ttl);
            store::save(conn, &mut one, Some(hash))?;
            post_in(conn, &again, &tenant, &one, token, now)?;
            let sent = InvitationSentAgain(Invited::of(&one));
            log::append_in(conn, &caller, now, NewEvent::of(one.tenant_id, sent))?;
            Ok(one)
        })
        .await?;
    app.wake.work();
    Ok(sent)
}

/// Takes an invitation back: its token is void and its seat free.
///
/// # Errors
/// As [`resend`].
pub async fn revoke(app: &App, caller: &Caller, id: InvitationId, if_match: IfMatch) -> Result<Invitation> {
    let tenant = caller.tenant(Verb::ManageMembers)?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            let (mut one, _) = open_in(conn, &caller, tenant, id, &if_match)?;
            revoke_in(conn, &caller, &mut one, now)?;
            Ok(one)
        })
        .await
}
