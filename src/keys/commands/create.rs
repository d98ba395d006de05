//! Making a key.

use std::sync::Arc;

use super::{insert_in, must_have_place_in};
use crate::app::App;
use crate::auth::{Caller, secret_key};
use crate::http::{Answer, Attempt, Outcome};
use crate::kernel::error::Result;
use crate::keys::model::wish::Wanted;
use crate::keys::model::{CreatedKey, grant};
use crate::keys::whose::{Act, Whose, must_live};

/// Makes a key, holding no more than the caller may.
///
/// # Errors
/// As [`Whose::open`]; [`Error::Invalid`](crate::kernel::error::Error::Invalid); forbidden, `scope_beyond_own` or
/// `tenant_suspended`; a conflict, `key_limit_reached`, when the plan's places are taken.
pub async fn create(
    app: &App,
    caller: &Caller,
    whose: Whose,
    wanted: Wanted,
    attempt: Arc<Attempt>,
) -> Result<Answer<CreatedKey>> {
    let drawer = whose.open(caller, Act::Manage)?;
    let now = app.clock.now();
    wanted.check(drawer.kind, now)?;
    if let Some(kind) = drawer.scopes() {
        grant::check(&caller.who, kind, &wanted.scopes)?;
    }
    let new = Arc::new(secret_key::generate(drawer.kind, wanted.environment()));
    let (again, caller, made) = (app.clone(), caller.clone(), Arc::clone(&new));
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let tenant = drawer.tenant_in(conn)?;
                must_live(tenant.as_ref())?;
                if let Some(tenant) = &tenant {
                    must_have_place_in(conn, &again, tenant, now)?;
                }
                let tenant = tenant.map(|tenant| tenant.id);
                let key = wanted.record(&made, drawer.kind, tenant, &caller.actor(), now);
                insert_in(conn, &caller, key, &made, now)
            })
        })
        .await?;
    app.ring.forget_hash(&new.hash).await;
    Ok(answer)
}
