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
use serde_json::{Value, json};

use super::model::{CreatedKey, Key};
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::auth::secret_key::NewKey;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::log::{self, NewEvent};
use crate::subscriptions;
use crate::tenants::Tenant;

/// Appends what happened to a key. `data` gets the key's id and kind: other replicas forget it by that.
fn tell(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    key: &Key,
    kind: &'static str,
    mut data: Value,
) -> Result<()> {
    if let Some(fields) = data.as_object_mut() {
        fields.insert("key_id".to_owned(), json!(key.id));
        fields.insert("kind".to_owned(), json!(key.kind));
    }
    let event = match key.tenant_id {
        Some(tenant) => NewEvent::of(tenant, kind, data),
        None => NewEvent::global(kind, data),
    };
    log::append_in(conn, caller, now, event).map(drop)
}

/// What an event says of a key's settings. Notes stay out of it: they may hold what is private.
fn settings(key: &Key) -> Value {
    json!({
        "name": key.name, "scopes": key.scopes, "role": key.role, "environment": key.environment,
        "expires_at": key.expires_at, "rate_limit": key.rate_limit,
    })
}

fn insert_in(conn: &mut Conn, caller: &Caller, key: Key, new: &NewKey, now: Ts) -> Result<CreatedKey> {
    store::insert(conn, &key, &new.hash)?;
    tell(conn, caller, now, &key, "api_key.created", settings(&key))?;
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
