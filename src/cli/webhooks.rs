//! `webhooks`: where tenants' events go, what became of them, and sending them again.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use super::args::{Extent, Remote};
use super::client::Api;
use super::operation::{id_of, mention_more};
use super::out::Out;
use super::table::Table;
use super::target;
use super::views;
use super::words;
use crate::config::Inputs;
use crate::webhooks::model::DeliveryState;

/// What `webhooks` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry webhooks endpoints --tenant acme              where acme's events go, and how that stands
  tenantry webhooks deliveries --state failed            what did not arrive
  tenantry webhooks replay whk_01k… --since 2026-11-24   send again what did not arrive since then
  tenantry webhooks replay whk_01k… --event evt_01k…     send one event again"
)]
pub struct WebhooksArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WebhooksCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// List endpoints, newest first
    Endpoints {
        /// Only this tenant's: id or slug
        #[arg(long)]
        tenant: Option<String>,
        /// How many.
        #[command(flatten)]
        extent: Extent,
    },
    /// List deliveries, newest first
    Deliveries {
        /// Only this tenant's: id or slug
        #[arg(long)]
        tenant: Option<String>,
        /// Only to this endpoint
        #[arg(long)]
        endpoint: Option<String>,
        /// Only this state
        #[arg(long, value_parser = PossibleValuesParser::new(DeliveryState::ALL.map(DeliveryState::word)))]
        state: Option<String>,
        /// How many.
        #[command(flatten)]
        extent: Extent,
    },
    /// Send events to an endpoint again: all since a time that have not arrived, or one
    Replay {
        /// The endpoint's id
        endpoint: String,
        /// All since then: a date, or a date and time in UTC
        #[arg(long, value_parser = words::parse_moment, required_unless_present = "event", conflicts_with = "event")]
        since: Option<String>,
        /// This one, whatever became of it
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
    },
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    id: String,
    tenant_id: String,
    url: String,
    types: Vec<String>,
    state: String,
    failing_since: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    id: String,
    endpoint_id: String,
    #[serde(rename = "type")]
    kind: String,
    state: String,
    attempts: i64,
    last_error: Option<String>,
    next_attempt_at: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Replayed {
    queued: u64,
    more: bool,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`].
pub async fn run(args: WebhooksArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        WebhooksCommand::Endpoints { tenant, extent } => {
            let tenant = named(&api, tenant).await?;
            let filters = [("tenant", tenant.as_deref())];
            let page = api.list(&["admin", "v1", "webhook-endpoints"], &filters, extent).await?;
            let row = |it: Endpoint| {
                let types = if it.types.is_empty() { "all".to_owned() } else { it.types.join(", ") };
                let since = words::moment_or_dash(it.failing_since.as_deref());
                [it.id, it.tenant_id, words::safe(&it.url), words::safe(&types), it.state, since]
            };
            shown(&page, ["ENDPOINT", "TENANT", "URL", "TYPES", "STATE", "FAILING SINCE"], row, out)
        }
        WebhooksCommand::Deliveries { tenant, endpoint, state, extent } => {
            let tenant = named(&api, tenant).await?;
            let filters = [
                ("tenant", tenant.as_deref()),
                ("endpoint", endpoint.as_deref()),
                ("state", state.as_deref()),
            ];
            let page = api.list(&["admin", "v1", "webhook-deliveries"], &filters, extent).await?;
            let row = |it: Delivery| {
                let error = it.last_error.map_or_else(|| "-".to_owned(), |error| words::safe(&error));
                let next = words::moment_or_dash(it.next_attempt_at.as_deref());
                [it.id, it.endpoint_id, it.kind, it.state, it.attempts.to_string(), next, error]
            };
            shown(
                &page,
                ["DELIVERY", "ENDPOINT", "TYPE", "STATE", "ATTEMPTS", "NEXT", "LAST ERROR"],
                row,
                out,
            )
        }
        WebhooksCommand::Replay { endpoint, since, event } => {
            let body = match event {
                Some(event) => json!({ "event_id": event }),
                None => json!({ "since": since }),
            };
            let answer = api.create(&["admin", "v1", "webhook-endpoints", &endpoint, "replay"], body).await?;
            if out.json {
                return out.document(&answer);
            }
            let Replayed { queued, more } = views::read(&answer)?;
            out.say(format_args!("{queued} on their way to {}.", words::safe(&endpoint)))?;
            if more {
                out.note("There are more: say it again when these have arrived.");
            }
            Ok(())
        }
    }
}

async fn named(api: &Api, tenant: Option<String>) -> Outcome<Option<String>> {
    match tenant {
        Some(tenant) => id_of(api, tenant).await.map(Some),
        None => Ok(None),
    }
}

fn shown<T: serde::de::DeserializeOwned, const N: usize>(
    page: &views::Page,
    heads: [&'static str; N],
    row: impl Fn(T) -> [String; N],
    out: &Out,
) -> Outcome {
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let read = |value: &Value| views::read::<T>(value).map(&row);
    let rows = page.data.iter().map(read).collect::<Outcome<Vec<_>>>()?;
    if rows.is_empty() {
        return out.say("none");
    }
    out.say(Table::new(heads, rows).text(out.out))?;
    mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}
