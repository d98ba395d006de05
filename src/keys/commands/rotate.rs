//! Rotating a key: another with the same settings takes its place, and both work while their holders change over.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{places_in, tell};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::OperatorId;
use crate::auth::secret_key::{self, KeyKind};
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::identity::sessions::impersonation;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::KeyId;
use crate::keys::events::{ApiKeyCreated, ApiKeyRotated, Settings};
use crate::keys::model::{CreatedKey, RotatedKey, grant};
use crate::keys::store;
use crate::keys::whose::{Act, Whose, must_live};
use crate::tenants::Tenant;

/// Rotates a key. The new one takes the old one's place among those that the plan allows, so that no number of
/// keys stops a rotation; only as many as the plan has places may work on beside their successors.
///
/// # Errors
/// As [`Whose::open`]; not found, also for another tenant's; a conflict, as [`Key::rotated`](crate::keys::model::Key::rotated)
/// or `rotation_limit_reached`; forbidden, `scope_beyond_own` for who may not have all that the key holds, or
/// `tenant_suspended`.
pub async fn rotate(
    app: &App,
    caller: &Caller,
    whose: Whose,
    id: KeyId,
    overlap: Duration,
    attempt: Arc<Attempt>,
) -> Result<Answer<RotatedKey>> {
    let drawer = whose.open(caller, Act::Manage)?;
    let now = app.clock.now();
    // What the new text looks like depends on the old key's environment, which never changes.
    let found = drawer.clone();
    let of = app
        .db
        .read(move |conn| {
            let tenant = found.tenant_id_in(conn)?;
            store::get(conn, found.kind, tenant, id)
        })
        .await?;
    let new = Arc::new(secret_key::generate(of.kind, of.environment));
    let (again, caller, made) = (app.clone(), caller.clone(), Arc::clone(&new));
    let (answer, visits) = app
        .db
        .write(move |conn| {
            let answer = attempt.once(conn, now, Outcome::Created, |conn| {
                let tenant = drawer.tenant_in(conn)?;
                must_live(tenant.as_ref())?;
                let old = store::get(conn, drawer.kind, tenant.as_ref().map(|tenant| tenant.id), id)?;
                if let Some(kind) = drawer.scopes() {
                    grant::check(&caller.who, kind, &old.scopes)?;
                }
                let (successor, mut old) = old.rotated(&made, &caller.actor(), overlap, now)?;
                if let Some(tenant) = tenant.filter(|_| !overlap.is_zero()) {
                    must_not_pile_up_in(conn, &again, &tenant, now)?;
                }
                store::insert(conn, &successor, &made.hash)?;
                store::save(conn, &mut old)?;
                let ends = old.expires_at.unwrap_or(now);
                let rotated = ApiKeyRotated {
                    key_id: old.id,
                    kind: old.kind,
                    successor_id: successor.id,
                    expires_at: ends,
                };
                tell(conn, &caller, now, &old, rotated)?;
                tell(conn, &caller, now, &successor, ApiKeyCreated(Settings::of(&successor)))?;
                let key = made.text.expose_secret().to_owned();
                let new = CreatedKey { key, record: successor.view(now) };
                Ok(RotatedKey { replaces: id, replaced_ends_at: ends, new })
            })?;
            // A key that ends at once may have leaked: so may what was begun with it.
            let ended = matches!(answer, Answer::Fresh { .. }) && overlap.is_zero();
            let visits = if ended && drawer.kind == KeyKind::Operator {
                impersonation::end_of_operator_in(conn, &caller, OperatorId::Key(id), now)?
            } else {
                Vec::new()
            };
            Ok((answer, visits))
        })
        .await?;
    app.ring.forget_hash(&new.hash).await;
    app.ring.forget(id).await;
    for visit in visits {
        app.signed_in.forget_session(visit).await;
    }
    Ok(answer)
}

/// Keys that work on beside their successors take no place of the plan, so their number has its own end.
fn must_not_pile_up_in(conn: &mut Conn, app: &App, tenant: &Tenant, now: Ts) -> Result<()> {
    let (_, leaving) = store::count_places(conn, tenant.id, now)?;
    if leaving >= i64::from(places_in(conn, app, tenant)?.max(1)) {
        return Err(Error::conflict(
            "rotation_limit_reached",
            "too many replaced keys still work: wait until one has ended, revoke one, or rotate with overlap_s 0",
        ));
    }
    Ok(())
}
