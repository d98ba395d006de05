//! The endpoints of feeds.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, get, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::model::Told;
use super::queries::{self, Of, Part, Start};
use super::stream::{self, Stream};
use super::tail::Tail;
use crate::app::App;
use crate::auth::Caller;
use crate::http::caller::Credential;
use crate::http::{Params, Reply};
use crate::kernel::error::{Error, FieldError, Result};
use crate::kernel::page::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::log::{Kinds, Order, Place};
use crate::tenants::Handle;

/// The longest that a request waits for the next event, in seconds.
const LONGEST_WAIT: u64 = 30;

/// Registers the endpoints.
pub fn routes(config: &mut ServiceConfig<'_>) {
    config.service(own).service(all).service(of_tenant);
}

/// An event in the structured form of CloudEvents 1.0.
#[derive(Serialize, ToSchema)]
pub struct CloudEvent {
    /// `1.0`.
    pub specversion: String,
    /// The event's id.
    pub id: String,
    /// The installation it comes from.
    pub source: String,
    /// What happened: `tenant.suspended`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub time: crate::kernel::clock::Ts,
    /// The tenant whose fact it is.
    pub subject: Option<String>,
    /// The same.
    pub tenantid: Option<String>,
    /// `application/json`.
    pub datacontenttype: String,
    /// Where the schema of the data is.
    pub dataschema: String,
    /// The version of the data's shape.
    pub dataversion: String,
    /// Its place in the log.
    pub sequence: String,
    /// What kind of caller did it.
    pub actorkind: String,
    /// Who.
    pub actorid: String,
    /// By which request.
    pub requestid: Option<String>,
    /// The fact's own data.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

/// An event that is shared with all who follow.
struct Shown(Arc<Told>);

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A part of a feed.
#[derive(Serialize, ToSchema)]
struct EventFeed {
    /// The events.
    #[schema(value_type = Vec<CloudEvent>)]
    data: Vec<Shown>,
    /// Pass as `?cursor=` to go on. Oldest first it is always there, and good for what is yet to happen; newest
    /// first it is null on the last page.
    next_cursor: Option<String>,
}

impl From<Part> for EventFeed {
    fn from(part: Part) -> Self {
        let data = part.told.into_iter().map(Shown).collect();
        Self { data, next_cursor: part.next.map(|place| place.to_string()) }
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FeedParams {
    /// `next_cursor` of the part before; `now` for what happens from now on. Without it a page begins with the
    /// first event (newest first: with the last), a stream with what happens from now on.
    cursor: Option<String>,
    /// Only these types, with commas between: whole (`tenant.suspended`) or by noun (`tenant.*`).
    types: Option<String>,
    /// 1 to 200; 50 when absent.
    limit: Option<u32>,
    /// `asc`, oldest first, when absent; `desc` for people who look back.
    order: Option<Order>,
    /// When there is nothing, wait so many seconds for the next event, 0 to 30.
    wait_s: Option<u64>,
    /// A `Tenantry-Seq`: only an answer that has what was done up to there; waited for, 2 s at most.
    #[param(value_type = Option<String>)]
    min_seq: Option<Place>,
}

struct Asked {
    start: Option<Start>,
    kinds: Kinds,
    limit: u32,
    order: Order,
    wait: Duration,
}

impl FeedParams {
    fn read(self) -> Result<Asked> {
        let mut wrong = Vec::new();
        let mut refuse = |pointer: &str, detail: String| {
            wrong.push(FieldError { pointer: pointer.to_owned(), detail });
        };
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            refuse("?limit", format!("must be 1 to {MAX_LIMIT}"));
        }
        let start = match self.cursor.as_deref().map(read_start) {
            None => None,
            Some(Some(start)) => Some(start),
            Some(None) => {
                refuse("?cursor", "not a cursor of a feed: pass next_cursor unchanged, or now".to_owned());
                None
            }
        };
        let kinds = match self.types.as_deref().map(str::parse::<Kinds>) {
            None => Kinds::all(),
            Some(Ok(kinds)) => {
                kinds.strangers().into_iter().for_each(|detail| refuse("?types", detail));
                kinds
            }
            Some(Err(error)) => {
                refuse("?types", error.to_string());
                Kinds::all()
            }
        };
        let (order, wait) = (self.order.unwrap_or(Order::Asc), self.wait_s.unwrap_or(0));
        if wait > LONGEST_WAIT {
            refuse("?wait_s", format!("must be 0 to {LONGEST_WAIT}"));
        }
        if wait > 0 && order == Order::Desc {
            refuse("?wait_s", "only who reads oldest first can wait for the next event".to_owned());
        }
        let asked = Asked { start, kinds, limit, order, wait: Duration::from_secs(wait.min(LONGEST_WAIT)) };
        if wrong.is_empty() { Ok(asked) } else { Err(Error::Invalid(wrong)) }
    }
}

fn read_start(text: &str) -> Option<Start> {
    if text == "now" { Some(Start::Now) } else { text.parse().ok().map(Start::After) }
}

fn wants_stream(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    accept
        .split(',')
        .any(|part| part.split(';').next().is_some_and(|kind| kind.trim() == "text/event-stream"))
}

async fn answer(
    app: &App,
    (caller, credential): (Caller, Credential),
    request: &HttpRequest,
    of: Of,
    params: FeedParams,
) -> Result<HttpResponse> {
    let min_seq = params.min_seq;
    let asked = params.read()?;
    let lens = queries::lens(app, &caller, of, asked.kinds).await?;
    queries::reached(app, min_seq).await?;
    if wants_stream(request) {
        let last = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
        let resumed = match last.map(|text| text.trim().parse()) {
            None => None,
            Some(Ok(place)) => Some(Start::After(place)),
            Some(Err(error)) => {
                return Err(Error::Malformed {
                    code: "last_event_id_invalid",
                    detail: format!("Last-Event-ID: {error}"),
                });
            }
        };
        let seat = Tail::sit(app, lens.as_tenant.then_some(lens.tenant).flatten())?;
        let place = match resumed.or(asked.start).unwrap_or(Start::Now) {
            Start::After(place) => place,
            Start::Now | Start::Edge => queries::end(app).await?,
        };
        let stream = Stream::new(app, lens, place, (caller, credential), seat);
        let body = futures_util::stream::unfold(stream, |mut stream| async move {
            let next = stream.next().await?;
            Some((Ok::<_, std::convert::Infallible>(next), stream))
        });
        return Ok(HttpResponse::Ok()
            .content_type("text/event-stream")
            .insert_header(("cache-control", "no-store"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(body));
    }
    let start = asked.start.unwrap_or(Start::Edge);
    let part = match asked.order {
        Order::Desc => queries::backwards(app, &lens, start, asked.limit).await?,
        Order::Asc => {
            let still = || stream::still(&caller, &credential, &lens);
            queries::forwards(app, &lens, start, asked.limit, asked.wait, still).await?
        }
    };
    Ok(HttpResponse::Ok().json(EventFeed::from(part)))
}

/// The events of the caller's own tenant, in the form of CloudEvents 1.0: by cursor, waiting for the next
/// (`wait_s`), or, to who accepts `text/event-stream`, as server-sent events that go on after `Last-Event-ID`.
#[utoipa::path(operation_id = "list_own_events", tag = "tenant", params(FeedParams), responses((status = 200, content((EventFeed = "application/json"), (String = "text/event-stream")))), security(("bearer" = [])))]
#[get("/v1/tenant/events")]
async fn own(
    app: web::Data<App>,
    caller: Caller,
    credential: Credential,
    request: HttpRequest,
    params: Params<FeedParams>,
) -> Reply<HttpResponse> {
    Ok(answer(&app, (caller, credential), &request, Of::Own, params.0).await?)
}

/// The events of all tenants and of the installation, as for a tenant.
#[utoipa::path(operation_id = "list_events", tag = "operations", params(FeedParams), responses((status = 200, content((EventFeed = "application/json"), (String = "text/event-stream")))), security(("bearer" = [])))]
#[get("/admin/v1/events")]
async fn all(
    app: web::Data<App>,
    caller: Caller,
    credential: Credential,
    request: HttpRequest,
    params: Params<FeedParams>,
) -> Reply<HttpResponse> {
    Ok(answer(&app, (caller, credential), &request, Of::All, params.0).await?)
}

/// The events of one tenant, also of those that are for operators alone; of a deleted one by its id.
#[utoipa::path(operation_id = "list_tenant_events", tag = "tenants", params(("tenant", description = "Id or slug"), FeedParams), responses((status = 200, content((EventFeed = "application/json"), (String = "text/event-stream")))), security(("bearer" = [])))]
#[get("/admin/v1/tenants/{tenant}/events")]
async fn of_tenant(
    app: web::Data<App>,
    caller: Caller,
    credential: Credential,
    request: HttpRequest,
    tenant: web::Path<String>,
    params: Params<FeedParams>,
) -> Reply<HttpResponse> {
    let of = Of::Tenant(Handle::parse(&tenant));
    Ok(answer(&app, (caller, credential), &request, of, params.0).await?)
}
