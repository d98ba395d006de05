//! The clock of an installation that is under test: it stands still until a call moves it. Time passes on the way:
//! whatever is due of subscriptions is done at its own moment, before the call answers.

use std::time::Duration;

use actix_web::{get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::config::settings::ClockMode;
use crate::http::{Body, Reply};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::subscriptions::clockwork;

/// The furthest that one call moves the clock.
const FURTHEST_S: u64 = 10 * 366 * 86_400;

/// Registers the endpoints.
pub(super) fn routes(config: &mut ServiceConfig<'_>) {
    config.service(read).service(advance);
}

/// The present, as the installation sees it.
#[derive(Serialize, ToSchema)]
struct ClockReading {
    /// The present.
    now: Ts,
    /// What was due of subscriptions on the way, in steps.
    done: usize,
}

/// How far to move the clock: one of both.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ClockMove {
    /// Seconds to go on, up to ten years.
    #[schema(minimum = 0, maximum = 316_224_000)]
    advance_s: Option<u64>,
    /// The moment to go on to.
    to: Option<Ts>,
}

fn only_under_test(app: &App, caller: &Caller) -> Result<()> {
    caller.may(Verb::MoveClock)?;
    if app.settings.clock.mode == ClockMode::Test { Ok(()) } else { Err(Error::NotFound("clock")) }
}

/// The present of an installation that is under test; 404 unless `clock.mode` is `test`.
#[utoipa::path(tag = "system", responses((status = 200, body = ClockReading)), security(("bearer" = [])))]
#[get("/admin/v1/clock")]
async fn read(app: web::Data<App>, caller: Caller) -> Reply<web::Json<ClockReading>> {
    only_under_test(&app, &caller)?;
    Ok(web::Json(ClockReading { now: app.clock.now(), done: 0 }))
}

/// Moves the clock of an installation that is under test, and does what is due on the way; 404 unless `clock.mode`
/// is `test`.
#[utoipa::path(tag = "system", request_body = ClockMove, responses((status = 200, body = ClockReading)), security(("bearer" = [])))]
#[post("/admin/v1/clock")]
async fn advance(
    app: web::Data<App>,
    caller: Caller,
    body: Body<ClockMove>,
) -> Reply<web::Json<ClockReading>> {
    only_under_test(&app, &caller)?;
    let now = app.clock.now();
    let to = match (body.value.advance_s, body.value.to) {
        (Some(seconds), None) if seconds <= FURTHEST_S => now.plus(Duration::from_secs(seconds)),
        (None, Some(to)) if to >= now && to.since(now).as_secs() <= FURTHEST_S => to,
        (None, Some(_)) => return Err(Error::field("/to", "must lie ahead, within ten years").into()),
        _ => return Err(Error::field("/advance_s", "give advance_s, up to ten years, or to").into()),
    };
    let done = clockwork::pass_time(&app, to).await?;
    Ok(web::Json(ClockReading { now: app.clock.now(), done }))
}
