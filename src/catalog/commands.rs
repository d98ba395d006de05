//! Loading a catalogue: what its file says becomes what is sold, in one transaction or not at all.

use serde_json::json;

use super::diff::{Diff, diff};
use super::model::Catalogue;
use super::store;
use super::version::PlanVersion;
use crate::app::App;
use crate::auth::Caller;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::PlanVersionId;
use crate::log::{self, NewEvent};

/// Loads the file that the process was started with.
///
/// # Errors
/// [`Error::Refused`] `default_plan_missing`; the store's.
pub async fn load(app: &App, file: Catalogue) -> Result<Diff> {
    let (now, again) = (app.clock.now(), app.clone());
    let diff = app
        .db
        .write(move |conn| {
            let default = &again.settings.signup.default_plan;
            load_in(conn, &Caller::system("catalogue"), now, &file, default)
        })
        .await?;
    app.catalogue.reload(&app.db).await?;
    Ok(diff)
}

/// Makes what `file` says what is sold. An edited plan gets another version; one that was edited back is sold
/// in the version that it was. A plan that the file does not name is archived.
///
/// # Errors
/// [`Error::Refused`] `default_plan_missing`; the store's.
pub fn load_in(conn: &mut Conn, caller: &Caller, now: Ts, file: &Catalogue, default: &str) -> Result<Diff> {
    if file.get(default).is_none() {
        let detail =
            format!("the default plan `{default}` would no longer be sold; change signup.default_plan first");
        return Err(Error::refused("default_plan_missing", detail));
    }
    let (number, terms) = store::last(conn)?;
    let held = store::held(conn)?;
    let found = diff(&held, &terms, file);
    if found.is_empty() {
        return Ok(found);
    }
    let by = caller.actor();
    for (position, plan) in (0i32..).zip(&file.plans) {
        let mut versions = store::versions_of(conn, &plan.key)?;
        let id = match versions.iter().find(|version| version.plan == *plan) {
            Some(known) => known.id,
            None => {
                let number = versions.drain(..).next().map_or(0, |newest| newest.number).saturating_add(1);
                let new =
                    PlanVersion { id: PlanVersionId::mint(), number, created_at: now, plan: plan.clone() };
                store::insert_version(conn, &new, &by)?;
                new.id
            }
        };
        store::put(conn, &plan.key, position, id)?;
    }
    for key in &found.archived {
        store::archive(conn, key, now)?;
    }
    store::record(conn, number.saturating_add(1), &file.terms, &by, now)?;
    let data = json!({ "number": number.saturating_add(1), "diff": found });
    log::append_in(conn, caller, now, NewEvent::global("catalogue.loaded", data))?;
    Ok(found)
}
