//! The first operator key of an empty store.

use std::sync::Arc;

use secrecy::SecretString;

use super::insert_in;
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::OperatorRole;
use crate::auth::secret_key::{self, Environment, KeyKind};
use crate::kernel::error::Result;
use crate::keys::model::wish::Wanted;
use crate::keys::store;

/// Makes the first operator key of an empty store, from `given` or fresh; `None` when there is one already.
///
/// # Errors
/// The store's.
pub async fn bootstrap(app: &App, given: Option<SecretString>) -> Result<Option<SecretString>> {
    let caller = Caller::system("bootstrap");
    let now = app.clock.now();
    let new = Arc::new(match &given {
        Some(text) => secret_key::adopt(text),
        None => secret_key::generate(KeyKind::Operator, Environment::Live),
    });
    let made = Arc::clone(&new);
    let first = app
        .db
        .write(move |conn| {
            if store::by_hash(conn, &made.hash)?.is_some()
                || (given.is_none() && store::count(conn, KeyKind::Operator)? > 0)
            {
                return Ok(false);
            }
            let wanted =
                Wanted { name: "bootstrap".into(), role: Some(OperatorRole::Admin), ..Wanted::default() };
            let key = wanted.record(&made, KeyKind::Operator, None, &caller.actor(), now);
            insert_in(conn, &caller, key, &made, now)?;
            Ok(true)
        })
        .await?;
    app.ring.forget_hash(&new.hash).await;
    Ok(first.then(|| new.text.clone()))
}
