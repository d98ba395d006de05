//! Loading a catalogue: what its file says becomes what is sold, in one transaction or not at all.

use super::diff::{Diff, diff};
use super::events::CatalogueLoaded;
use super::model::Catalogue;
use super::store;
use super::version::PlanVersion;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::config::Problems;
use crate::db::{Conn, run_blocking};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
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

/// Reads the plans file again and loads it; with `dry_run`, only tells what that would change. A file with a mistake
/// changes nothing.
///
/// # Errors
/// As [`Caller::may`]; [`Error::Invalid`] naming each mistake with its place; as [`load_in`].
pub async fn reload(app: &App, caller: &Caller, dry_run: bool) -> Result<Diff> {
    caller.may(Verb::ManagePlans)?;
    let source = app.plans_source.clone();
    let file = run_blocking(move || source.read().map_err(|problems| mistakes(&problems))).await?;
    if dry_run {
        return app.db.read(move |conn| Ok(diff(&store::held(conn)?, &store::last(conn)?.1, &file))).await;
    }
    let (now, again, caller) = (app.clock.now(), app.clone(), caller.clone());
    let found = app
        .db
        .write(move |conn| load_in(conn, &caller, now, &file, &again.settings.signup.default_plan))
        .await?;
    app.catalogue.reload(&app.db).await?;
    Ok(found)
}

/// The mistakes of a file as fields of a request: where, and what is wrong.
fn mistakes(problems: &Problems) -> Error {
    let told = problems.0.iter().map(|problem| {
        let remedy = if problem.remedy.is_empty() { String::new() } else { format!("; {}", problem.remedy) };
        FieldError {
            pointer: problem.key.clone(),
            detail: format!("{}: {}{remedy}", problem.origin, problem.detail),
        }
    });
    Error::Invalid(told.collect())
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
    let loaded = CatalogueLoaded { number: number.saturating_add(1), diff: found.clone() };
    log::append_in(conn, caller, now, NewEvent::global(loaded))?;
    Ok(found)
}
