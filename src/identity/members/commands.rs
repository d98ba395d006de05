//! Changing who belongs to a tenant. Who may is asked of the store in the same transaction: a token may be
//! older than its holder's last change of role.

use secrecy::SecretString;

use super::model::{Acting, Member};
use super::store;
use crate::app::App;
use crate::auth::caller::TenantRole;
use crate::auth::{Caller, Verb, Who};
use crate::db::Conn;
use crate::http::IfMatch;
use crate::identity::account;
use crate::identity::events::{
    Former, MemberLeft, MemberRemoved, MemberRoleChanged, TenantOwnershipTransferred,
};
use crate::identity::sessions::model::EndReason;
use crate::identity::sessions::store::end_of_user_in;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{TenantId, UserId};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State, Tenant};

/// As what the caller manages members of `tenant`, in the caller's transaction.
///
/// # Errors
/// [`Error::Forbidden`] for somebody who is no longer owner or administrator there.
pub fn acting_in(conn: &mut Conn, caller: &Caller, tenant: TenantId) -> Result<Acting> {
    let gone = || Error::forbidden("insufficient_role", "your role does not allow this any more");
    match &caller.who {
        Who::User { user, .. } => match store::find(conn, tenant, *user)?.map(|member| member.role) {
            Some(TenantRole::Owner) => Ok(Acting::Owner),
            Some(TenantRole::Admin) => Ok(Acting::Admin),
            _ => Err(gone()),
        },
        Who::Operator { .. } | Who::OperatorUser { .. } | Who::System(_) => Ok(Acting::Owner),
        Who::TenantKey { .. } => Ok(Acting::Key),
        Who::Anonymous | Who::Service { .. } | Who::Impersonator { .. } => Err(gone()),
    }
}

/// A tenant whose members may be changed.
///
/// # Errors
/// [`Error::Forbidden`] `tenant_suspended` for one that is stopped.
pub fn changeable_in(conn: &mut Conn, tenant: TenantId) -> Result<Tenant> {
    let found = tenants::get_in(conn, &Handle::Id(tenant))?;
    if matches!(found.state, State::Active | State::Provisioning) {
        return Ok(found);
    }
    Err(Error::forbidden("tenant_suspended", format!("the tenant is {}", found.state.word())))
}

fn keep_an_owner(conn: &mut Conn, tenant: TenantId, member: &Member) -> Result<()> {
    if member.role == TenantRole::Owner && store::owners(conn, tenant)? < 2 {
        return Err(Error::conflict(
            "last_owner",
            "a tenant keeps at least one owner: make somebody else an owner first, or delete the tenant",
        ));
    }
    Ok(())
}

/// Changes a role and notes it.
fn turn_in(
    conn: &mut Conn,
    caller: &Caller,
    tenant: TenantId,
    member: &mut Member,
    role: TenantRole,
    now: Ts,
) -> Result<()> {
    let was = member.role;
    store::set_role(conn, tenant, member, role)?;
    let changed = MemberRoleChanged { user_id: member.user_id, from: was, to: role };
    log::append_in(conn, caller, now, NewEvent::of(tenant, changed)).map(drop)
}

/// Gives a member another role. It holds from this answer on, in the sessions they have as well.
///
/// # Errors
/// As [`Caller::tenant`]; not found; `insufficient_role` beyond one's own; `last_owner`; another revision.
pub async fn change_role(
    app: &App,
    caller: &Caller,
    user: UserId,
    role: TenantRole,
    if_match: IfMatch,
) -> Result<Member> {
    let tenant = caller.tenant(Verb::ManageMembers)?;
    let (caller, now) = (caller.clone(), app.clock.now());
    let member = app
        .db
        .write(move |conn| {
            let acting = acting_in(conn, &caller, tenant)?;
            let mut member = store::get(conn, tenant, user)?;
            if_match.check(member.rev)?;
            changeable_in(conn, tenant)?;
            if member.role == role {
                return Ok(member);
            }
            acting.may_touch(member.role)?;
            acting.may_touch(role)?;
            keep_an_owner(conn, tenant, &member)?;
            turn_in(conn, &caller, tenant, &mut member, role, now)?;
            Ok(member)
        })
        .await?;
    account::settled(app, user).await;
    Ok(member)
}

/// Removes a member, or lets the caller leave. Their sessions in this tenant end; keys they made stay, for
/// keys are the tenant's.
///
/// # Errors
/// As [`change_role`].
pub async fn remove(app: &App, caller: &Caller, user: UserId, if_match: IfMatch) -> Result<()> {
    let leaves = matches!(&caller.who, Who::User { user: own, .. } if *own == user);
    let tenant = caller.tenant(if leaves { Verb::LeaveTenant } else { Verb::ManageMembers })?;
    let (caller, now) = (caller.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            if !leaves {
                let acting = acting_in(conn, &caller, tenant)?;
                acting.may_touch(store::get(conn, tenant, user)?.role)?;
                changeable_in(conn, tenant)?;
            }
            let member = store::get(conn, tenant, user)?;
            if_match.check(member.rev)?;
            keep_an_owner(conn, tenant, &member)?;
            store::remove(conn, tenant, user)?;
            end_of_user_in(conn, user, Some(tenant), None, EndReason::MemberRemoved, now)?;
            let former = Former { user_id: user, role: member.role };
            let event = match leaves {
                true => NewEvent::of(tenant, MemberLeft(former)),
                false => NewEvent::of(tenant, MemberRemoved(former)),
            };
            log::append_in(conn, &caller, now, event).map(drop)
        })
        .await?;
    account::settled(app, user).await;
    Ok(())
}

/// Makes another member the owner and the caller an administrator, at once.
///
/// # Errors
/// As [`Caller::tenant`]; `wrong_password`; not found; [`Error::Invalid`] for oneself; `insufficient_role` for
/// somebody who is no longer an owner.
pub async fn transfer(app: &App, caller: &Caller, to: UserId, password: SecretString) -> Result<Member> {
    let tenant = caller.tenant(Verb::TransferOwnership)?;
    let from = account::confirmed(app, caller, Verb::TransferOwnership, password).await?;
    if from == to {
        return Err(Error::field("/user_id", "must be another member"));
    }
    let (caller, now) = (caller.clone(), app.clock.now());
    let member = app
        .db
        .write(move |conn| {
            changeable_in(conn, tenant)?;
            let mut me = store::get(conn, tenant, from)?;
            if me.role != TenantRole::Owner {
                return Err(Error::forbidden("insufficient_role", "you are no longer an owner"));
            }
            let mut heir = store::get(conn, tenant, to)?;
            if heir.role != TenantRole::Owner {
                turn_in(conn, &caller, tenant, &mut heir, TenantRole::Owner, now)?;
            }
            turn_in(conn, &caller, tenant, &mut me, TenantRole::Admin, now)?;
            let transferred = TenantOwnershipTransferred { user_id: to, from_user_id: from };
            log::append_in(conn, &caller, now, NewEvent::of(tenant, transferred))?;
            Ok(heir)
        })
        .await?;
    account::settled(app, from).await;
    account::settled(app, to).await;
    Ok(member)
}
