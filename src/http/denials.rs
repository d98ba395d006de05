//! Noting who was denied what: a known caller whose answer is 403.

use actix_web::dev::ServiceResponse;
use actix_web::web;

use super::problem::Problem;
use crate::auth::{Caller, Verb, Who};
use crate::kernel::error::Error;
use crate::log::NewEvent;
use crate::log::aside::{Aside, Note};
use crate::log::events::AccessDenied;

/// Noted where it was found, with the person whose password it was not.
const NOTED_ELSEWHERE: &str = "wrong_password";

/// Notes the refusal that `response` is.
pub(super) fn note<B>(
    response: &ServiceResponse<B>,
    caller: &Caller,
    verb: Option<Verb>,
    (method, route): (&'static str, &str),
) {
    let problem = response.response().error().and_then(|error| error.as_error::<Problem>());
    let Some(Problem(Error::Forbidden { code, .. })) = problem else { return };
    if matches!(caller.who, Who::Anonymous | Who::System(_)) || *code == NOTED_ELSEWHERE {
        return;
    }
    let Some(aside) = response.request().app_data::<web::Data<Aside>>() else { return };
    let verb = verb.map(|verb| format!("{verb:?}"));
    let key = format!("{} {}", caller.scope(), verb.as_deref().unwrap_or(route));
    let denied = AccessDenied {
        verb,
        method: method.to_owned(),
        route: route.to_owned(),
        code: (*code).to_owned(),
        count: 1,
    };
    let event = NewEvent::about(caller.own_tenant(), denied);
    aside.note(Note { key, caller: caller.clone(), event });
}
