//! Changing a key that is there: its settings, whether it is switched on, its end.

use super::{must_have_place_in, tell};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::OperatorId;
use crate::auth::secret_key::KeyKind;
use crate::db::Conn;
use crate::http::IfMatch;
use crate::identity::sessions::impersonation;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{KeyId, SessionId};
use crate::keys::events::{ApiKeyDisabled, ApiKeyEnabled, ApiKeyRevoked, ApiKeyUpdated, Settings, Which};
use crate::keys::model::wish::{self, Change};
use crate::keys::model::{Key, KeyView, Standing, grant};
use crate::keys::store;
use crate::keys::whose::{Act, Drawer, Whose, must_live};
use crate::tenants::Tenant;

/// Changes a key's settings. Whoever gives it power it did not have must hold all that it holds afterwards.
///
/// # Errors
/// As [`Whose::open`]; not found, also for another tenant's; another revision than `if_match` names; as
/// [`Change::applied`]; forbidden, `scope_beyond_own` or `tenant_suspended`; a conflict, `last_admin`, or
/// `key_limit_reached` when one that had ended would take a place again.
pub async fn patch(
    app: &App,
    caller: &Caller,
    whose: Whose,
    id: KeyId,
    change: Change,
    if_match: IfMatch,
) -> Result<KeyView> {
    let drawer = whose.open(caller, Act::Manage)?;
    change_it(app, caller, drawer, id, change, if_match).await
}

/// Switches a key off, or on again.
///
/// # Errors
/// As [`patch`].
pub async fn switch(
    app: &App,
    caller: &Caller,
    whose: Whose,
    id: KeyId,
    disabled: bool,
    if_match: IfMatch,
) -> Result<KeyView> {
    let drawer = whose.open(caller, Act::Stop)?;
    let change = Change { disabled: Some(disabled), ..Change::default() };
    change_it(app, caller, drawer, id, change, if_match).await
}

async fn change_it(
    app: &App,
    caller: &Caller,
    drawer: Drawer,
    id: KeyId,
    change: Change,
    if_match: IfMatch,
) -> Result<KeyView> {
    let now = app.clock.now();
    let again = app.clone();
    work_on(app, caller, drawer, id, if_match, now, move |conn, caller, tenant, key| {
        let after = change.applied(key, now)?;
        if grant::strengthens(key, &after) {
            must_live(tenant)?;
            if let Some(kind) = wish::scopes_of(key.kind) {
                grant::check(&caller.who, kind, &after.scopes)?;
            }
        }
        if let Some(tenant) = tenant.filter(|_| after.counts(now) && !key.counts(now)) {
            must_have_place_in(conn, &again, tenant, now)?;
        }
        keep_an_admin_in(&again, conn, key, &after, now)?;
        Ok(after)
    })
    .await
}

/// Revokes a key, for good; it is refused from this answer on. Revoking twice is revoking once.
///
/// # Errors
/// As [`Whose::open`]; not found, also for another tenant's; another revision than `if_match` names; a
/// conflict, `last_admin`, for the last operator key that may do everything.
pub async fn revoke(
    app: &App,
    caller: &Caller,
    whose: Whose,
    id: KeyId,
    if_match: IfMatch,
) -> Result<KeyView> {
    let drawer = whose.open(caller, Act::Stop)?;
    let (again, now) = (app.clone(), app.clock.now());
    work_on(app, caller, drawer, id, if_match, now, move |conn, _, _, key| {
        if key.standing(now) == Standing::Revoked {
            return Ok(key.clone());
        }
        let after = key.revoked(now);
        keep_an_admin_in(&again, conn, key, &after, now)?;
        Ok(after)
    })
    .await
}

/// Nobody locks everybody out: what weakens the last good operator with the role admin is refused.
fn keep_an_admin_in(app: &App, conn: &mut Conn, before: &Key, after: &Key, now: Ts) -> Result<()> {
    if wish::weakens_admin(before, after, now) && app.good_admins_in(conn, now)? <= 1 {
        return Err(Error::conflict(
            "last_admin",
            "this is the last operator with the role admin, people counted: make another first",
        ));
    }
    Ok(())
}

/// What an operator does in a member's stead ends with the operator, and with the role that allowed it.
fn end_visits_in(
    conn: &mut Conn,
    caller: &Caller,
    before: &Key,
    after: &Key,
    now: Ts,
) -> Result<Vec<SessionId>> {
    let goes_on = after.standing(now) == Standing::Good && before.role == after.role;
    if after.kind != KeyKind::Operator || goes_on {
        return Ok(Vec::new());
    }
    impersonation::end_of_operator_in(conn, caller, OperatorId::Key(after.id), now)
}

async fn work_on(
    app: &App,
    caller: &Caller,
    drawer: Drawer,
    id: KeyId,
    if_match: IfMatch,
    now: Ts,
    work: impl Fn(&mut Conn, &Caller, Option<&Tenant>, &Key) -> Result<Key> + Send + Sync + 'static,
) -> Result<KeyView> {
    let caller = caller.clone();
    let (key, visits) = app
        .db
        .write(move |conn| {
            let tenant = drawer.tenant_in(conn)?;
            let before = store::get(conn, drawer.kind, tenant.as_ref().map(|tenant| tenant.id), id)?;
            if_match.check(before.rev)?;
            let mut after = work(conn, &caller, tenant.as_ref(), &before)?;
            if after == before {
                return Ok((after, Vec::new()));
            }
            store::save(conn, &mut after)?;
            tell_of_change(conn, &caller, now, &before, &after)?;
            let visits = end_visits_in(conn, &caller, &before, &after, now)?;
            Ok((after, visits))
        })
        .await?;
    app.ring.forget(id).await;
    for visit in visits {
        app.signed_in.forget_session(visit).await;
    }
    Ok(key.view(now))
}

fn tell_of_change(conn: &mut Conn, caller: &Caller, now: Ts, before: &Key, after: &Key) -> Result<()> {
    if before.revoked_at != after.revoked_at {
        return tell(conn, caller, now, after, ApiKeyRevoked(Which::of(after)));
    }
    let changed = wish::changed(before, after);
    if !changed.is_empty() {
        let changed = Some(changed.into_iter().map(Into::into).collect());
        tell(conn, caller, now, after, ApiKeyUpdated(Settings { changed, ..Settings::of(after) }))?;
    }
    match (before.disabled_at, after.disabled_at) {
        (None, Some(_)) => tell(conn, caller, now, after, ApiKeyDisabled(Which::of(after))),
        (Some(_), None) => tell(conn, caller, now, after, ApiKeyEnabled(Which::of(after))),
        _ => Ok(()),
    }
}
