//! Changing keys: [`create`], [`change`] (patch, switch, revoke), [`rotate`], and the first operator key
//! ([`bootstrap`]). Each is one transaction with its event, and the ring forgets the key before the answer leaves.

mod bootstrap;
mod change;
mod create;
mod rotate;

pub use bootstrap::bootstrap;
pub use change::{patch, revoke, switch};
pub use create::create;
pub use rotate::rotate;

use secrecy::ExposeSecret as _;

use super::model::{CreatedKey, Key};
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::auth::secret_key::NewKey;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::keys::events::{ApiKeyCreated, Settings};
use crate::log::catalogue::Fact;
use crate::log::{self, NewEvent};
use crate::subscriptions;
use crate::tenants::Tenant;

/// Appends what happened to a key.
fn tell(conn: &mut Conn, caller: &Caller, now: Ts, key: &Key, fact: impl Fact) -> Result<()> {
    log::append_in(conn, caller, now, NewEvent::about(key.tenant_id, fact)).map(drop)
}

fn insert_in(conn: &mut Conn, caller: &Caller, key: Key, new: &NewKey, now: Ts) -> Result<CreatedKey> {
    store::insert(conn, &key, &new.hash)?;
    tell(conn, caller, now, &key, ApiKeyCreated(Settings::of(&key)))?;
    Ok(CreatedKey { key: new.text.expose_secret().to_owned(), record: key.view(now) })
}

/// How many API keys the tenant's plan has places for.
fn places_in(conn: &mut Conn, app: &App, tenant: &Tenant) -> Result<u32> {
    Ok(subscriptions::version_in(conn, app, tenant)?.plan.limits.api_keys)
}

/// Refuses a key more than the plan has places for.
fn must_have_place_in(conn: &mut Conn, app: &App, tenant: &Tenant, now: Ts) -> Result<()> {
    let places = places_in(conn, app, tenant)?;
    let (taken, _) = store::count_places(conn, tenant.id, now)?;
    if taken >= i64::from(places) {
        return Err(Error::conflict(
            "key_limit_reached",
            format!("the plan `{}` allows {places} API keys; revoke one first", tenant.plan),
        ));
    }
    Ok(())
}
