//! Making and changing endpoints; [`again`] sends.

mod again;

pub use again::{replay, replay_any, retry, test};

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::model::sign::Secret;
use super::model::target::{self, Reach};
use super::model::{DisabledReason, EndpointChange, EndpointCreated, EndpointView, NewEndpoint, Sealed};
use super::store::{self, Endpoint, queue};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::http::{Answer, Attempt, IfMatch, Outcome};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::id::{TenantId, WebhookEndpointId};
use crate::kernel::sql::Json;
use crate::log::catalogue::{self, Fact};
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, State};
use crate::webhooks::events::{
    WebhookEndpointCreated, WebhookEndpointDeleted, WebhookEndpointDisabled, WebhookEndpointEnabled,
    WebhookEndpointSecretRotated, WebhookEndpointUpdated,
};

fn reach(app: &App) -> Reach<'_> {
    let settings = &app.settings.webhooks;
    Reach { http: settings.allow_http, allow: &settings.allow_private }
}

fn url_faults(app: &App, text: &str) -> Vec<FieldError> {
    let fault = target::url(text, reach(app)).err();
    fault.map(|detail| FieldError { pointer: "/url".into(), detail }).into_iter().collect()
}

fn told(conn: &mut Conn, by: &Caller, now: Ts, tenant: TenantId, fact: impl Fact) -> Result<()> {
    log::append_in(conn, by, now, NewEvent::of(tenant, fact)).map(drop)
}

/// What is wrong with a list of type filters, names of what there is not among it.
fn type_faults(types: &[String]) -> Vec<FieldError> {
    let wrong = target::types(types);
    if !wrong.is_empty() {
        return wrong;
    }
    let stranger = |(at, one): (usize, &String)| {
        let detail = catalogue::stranger(one)?;
        Some(FieldError { pointer: format!("/types/{at}"), detail })
    };
    types.iter().enumerate().filter_map(stranger).collect()
}

/// The host of a URL: the rest of it may be a secret of its owner.
fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Makes an endpoint in the caller's tenant.
///
/// # Errors
/// As [`Caller::tenant`]; [`Error::Invalid`]; forbidden in a tenant that is stopped; a conflict,
/// `webhook_endpoint_limit`, when it has as many as it may.
pub async fn create(
    app: &App,
    caller: &Caller,
    new: NewEndpoint,
    attempt: Arc<Attempt>,
) -> Result<Answer<EndpointCreated>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let mut wrong = url_faults(app, &new.url);
    wrong.extend(type_faults(&new.types));
    wrong.extend(target::headers(&new.headers));
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let (now, caller, vault) = (app.clock.now(), caller.clone(), app.vault.clone());
    let (most, id, secret) =
        (app.settings.webhooks.max_endpoints_per_tenant, WebhookEndpointId::mint(), Secret::fresh(now));
    let sealed = Sealed { secrets: vec![secret.clone()], headers: new.headers.clone() };
    let row = Endpoint {
        id,
        tenant_id: tenant,
        url: new.url.clone(),
        description: new.description.clone(),
        types: Json(json!(new.types)),
        ordered: new.ordered,
        rate_limit: new.rate_limit.and_then(|rate| i32::try_from(rate).ok()),
        sealed: store::seal(&vault, &sealed)?,
        rev: 1,
        created_at: now,
        updated_at: now,
    };
    app.db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let found = tenants::get_in(conn, &Handle::Id(tenant))?;
                if found.state != State::Active {
                    let why = format!("the tenant is {}", found.state.word());
                    return Err(Error::forbidden("tenant_suspended", why));
                }
                if store::count(conn, tenant)? >= most {
                    let why = format!("a tenant may have {most} webhook endpoints");
                    return Err(Error::conflict("webhook_endpoint_limit", why));
                }
                store::insert(conn, &row, new.enabled)?;
                let created = WebhookEndpointCreated {
                    endpoint_id: id,
                    host: host(&new.url),
                    types: new.types.clone(),
                };
                told(conn, &caller, now, tenant, created)?;
                let (row, queue) = store::get(conn, Some(tenant), id)?;
                Ok(EndpointCreated { secret: secret.text.clone(), endpoint: row.view(&queue, &vault, now)? })
            })
        })
        .await
}

/// Changes an endpoint of the caller's tenant. Another URL, or enabling it, makes it begin anew.
///
/// # Errors
/// As [`Caller::tenant`]; not found; [`Error::Invalid`]; another revision than `if_match` names.
pub async fn patch(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    change: EndpointChange,
    if_match: IfMatch,
) -> Result<EndpointView> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let mut wrong = change.url.as_deref().map(|url| url_faults(app, url)).unwrap_or_default();
    wrong.extend(change.types.as_deref().map(type_faults).unwrap_or_default());
    wrong.extend(change.headers.as_ref().map(target::headers).unwrap_or_default());
    if !wrong.is_empty() {
        return Err(Error::Invalid(wrong));
    }
    let (now, caller, vault) = (app.clock.now(), caller.clone(), app.vault.clone());
    let view = app
        .db
        .write_held(move |conn| {
            let (mut row, queue) = store::hold(conn, Some(tenant), id)?;
            if_match.check(row.rev)?;
            let (change, moved) = (change.clone(), change.url.as_ref().is_some_and(|url| *url != row.url));
            let mut fields = Vec::new();
            if let Some(url) = change.url {
                fields.push("url");
                row.url = url;
            }
            if let Some(description) = change.description {
                fields.push("description");
                row.description = description;
            }
            if let Some(types) = change.types {
                fields.push("types");
                row.types = Json(json!(types));
            }
            if let Some(ordered) = change.ordered {
                fields.push("ordered");
                row.ordered = ordered;
            }
            if let Some(rate) = change.rate_limit {
                fields.push("rate_limit");
                row.rate_limit = rate.and_then(|rate| i32::try_from(rate).ok());
            }
            if let Some(headers) = change.headers {
                fields.push("headers");
                row.sealed = store::seal(&vault, &Sealed { headers, ..row.opened(&vault)? })?;
            }
            store::save(conn, &mut row, now)?;
            if !fields.is_empty() {
                let fields = fields.into_iter().map(str::to_owned).collect();
                told(conn, &caller, now, tenant, WebhookEndpointUpdated { endpoint_id: id, fields })?;
            }
            match change.enabled {
                Some(true) if !queue.enabled => enable_in(conn, &caller, &row, now)?,
                Some(false) if queue.enabled => {
                    queue::disable(conn, id, DisabledReason::ByHand, now)?;
                    let disabled = WebhookEndpointDisabled {
                        endpoint_id: id,
                        reason: DisabledReason::ByHand,
                        failing_since: None,
                    };
                    told(conn, &caller, now, tenant, disabled)?;
                }
                _ if queue.enabled && (moved || change.ordered.is_some()) => queue::enable(conn, &row)?,
                _ => {}
            }
            let (row, queue) = store::get(conn, Some(tenant), id)?;
            row.view(&queue, &vault, now)
        })
        .await?;
    app.webhooks.wake();
    Ok(view)
}

fn enable_in(conn: &mut Conn, by: &Caller, row: &Endpoint, now: Ts) -> Result<()> {
    queue::enable(conn, row)?;
    told(conn, by, now, row.tenant_id, WebhookEndpointEnabled { endpoint_id: row.id })
}

/// Enables an endpoint of the caller's tenant; one that fails is tried at once, as if it never had.
///
/// # Errors
/// As [`Caller::tenant`]; not found; another revision than `if_match` names.
pub async fn enable(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    if_match: IfMatch,
) -> Result<EndpointView> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let (now, caller, vault) = (app.clock.now(), caller.clone(), app.vault.clone());
    let view = app
        .db
        .write_held(move |conn| {
            let (mut row, queue) = store::hold(conn, Some(tenant), id)?;
            if_match.check(row.rev)?;
            if queue.enabled {
                queue::enable(conn, &row)?;
            } else {
                store::save(conn, &mut row, now)?;
                enable_in(conn, &caller, &row, now)?;
            }
            let (row, queue) = store::get(conn, Some(tenant), id)?;
            row.view(&queue, &vault, now)
        })
        .await?;
    app.webhooks.wake();
    Ok(view)
}

/// Removes an endpoint of the caller's tenant, with all that waits for it and what became of the rest.
///
/// # Errors
/// As [`Caller::tenant`]; not found; another revision than `if_match` names.
pub async fn remove(app: &App, caller: &Caller, id: WebhookEndpointId, if_match: IfMatch) -> Result<()> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let (now, caller) = (app.clock.now(), caller.clone());
    app.db
        .write_held(move |conn| {
            let (row, _) = store::hold(conn, Some(tenant), id)?;
            if_match.check(row.rev)?;
            store::remove(conn, id)?;
            told(conn, &caller, now, tenant, WebhookEndpointDeleted { endpoint_id: id })
        })
        .await
}

/// Gives an endpoint of the caller's tenant a new secret; those before it go on signing for `overlap`.
///
/// # Errors
/// As [`Caller::tenant`]; not found.
pub async fn rotate(
    app: &App,
    caller: &Caller,
    id: WebhookEndpointId,
    overlap: Option<Duration>,
    attempt: Arc<Attempt>,
) -> Result<Answer<EndpointCreated>> {
    let tenant = caller.tenant(Verb::ManageWebhooks)?;
    let (now, caller, vault) = (app.clock.now(), caller.clone(), app.vault.clone());
    let end = now.plus(overlap.unwrap_or(app.settings.webhooks.secret_overlap));
    let secret = Secret::fresh(now);
    app.db
        .write_held(move |conn| {
            attempt.once(conn, now, Outcome::Created, |conn| {
                let (mut row, queue) = store::hold(conn, Some(tenant), id)?;
                let Sealed { secrets, headers } = row.opened(&vault)?;
                let older = secrets.into_iter().filter(|one| one.signs(now)).map(|one| Secret {
                    expires_at: Some(one.expires_at.map_or(end, |earlier| earlier.min(end))),
                    ..one
                });
                let older = older.filter(|one| one.signs(now)).take(9);
                let secrets = std::iter::once(secret.clone()).chain(older).collect();
                row.sealed = store::seal(&vault, &Sealed { secrets, headers })?;
                store::save(conn, &mut row, now)?;
                let rotated = WebhookEndpointSecretRotated { endpoint_id: id, overlap_ends_at: end };
                told(conn, &caller, now, tenant, rotated)?;
                Ok(EndpointCreated { secret: secret.text.clone(), endpoint: row.view(&queue, &vault, now)? })
            })
        })
        .await
}
