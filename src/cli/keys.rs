//! `operator` and `service-key`: keys for people who run the product, and for services beside it.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::args::{Extent, Remote};
use super::client::Api;
use super::out::{Look, Out};
use super::table::Table;
use super::target;
use super::views::{self, Key};
use super::words;
use crate::auth::caller::OperatorRole;
use crate::auth::scope::{Scope, ScopeKind};
use crate::config::Inputs;
use crate::kernel::clock::{Clock, Ts};

/// What `operator` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry operator create --name ada --role admin
  tenantry operator create --name dashboard --role viewer > dashboard.key
  tenantry operator list
  tenantry operator revoke key_01k…

Roles: viewer reads; support also suspends, resumes and retries; admin does everything."
)]
pub struct OperatorArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: OperatorCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with operator keys.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make an operator key; it is shown this one time, alone on stdout
    Create {
        /// Whose it is: a person or a program
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_parser = PossibleValuesParser::new(OperatorRole::ALL.iter().map(|role| role.word())))]
        role: String,
        /// When it ends by itself: a day or an RFC 3339 moment
        #[arg(long, value_name = "WHEN", value_parser = words::parse_moment)]
        expires_at: Option<String>,
    },
    /// List operator keys, newest first
    List(Extent),
    /// End an operator key; whoever holds it is refused from then on
    Revoke {
        /// The key's id, as in the list
        id: String,
    },
}

/// What `service-key` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry service-key create --name gateway --scope keys:verify --scope routes:read
  tenantry service-key create --name billing --scope entitlements:check,usage:write
  tenantry service-key create --name trial --scope keys:verify --expires-at 2027-01-31
  tenantry service-key list
  tenantry service-key revoke key_01k…"
)]
pub struct ServiceKeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ServiceKeyCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with service keys.
#[derive(Debug, Subcommand)]
pub enum ServiceKeyCommand {
    /// Make a service key; it is shown this one time, alone on stdout
    Create {
        /// Which service holds it
        #[arg(long)]
        name: String,
        /// What it may do; repeat it, or separate several by commas
        #[arg(
            long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',',
            value_parser = PossibleValuesParser::new(Scope::all_of(ScopeKind::Service).into_iter().map(Scope::word))
        )]
        scopes: Vec<String>,
        /// When it ends by itself: a day or an RFC 3339 moment
        #[arg(long, value_name = "WHEN", value_parser = words::parse_moment)]
        expires_at: Option<String>,
    },
    /// List service keys, newest first
    List(Extent),
    /// End a service key; the service is refused from then on
    Revoke {
        /// The key's id, as in the list
        id: String,
    },
}

/// Does what `operator` was told.
///
/// # Errors
/// As [`Api::get`].
pub async fn operator(args: OperatorArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        OperatorCommand::Create { name, role, expires_at } => {
            let body = wanted(json!({ "name": name, "role": role }), expires_at);
            created(out, "operator key", api.create(&["admin", "v1", "operators"], body).await?)
        }
        OperatorCommand::List(extent) => list(&api, out, "operators", extent).await,
        OperatorCommand::Revoke { id } => revoke(&api, out, "operators", &id).await,
    }
}

/// Does what `service-key` was told.
///
/// # Errors
/// As [`Api::get`].
pub async fn service_key(args: ServiceKeyArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        ServiceKeyCommand::Create { name, scopes, expires_at } => {
            let body = wanted(json!({ "name": name, "scopes": scopes }), expires_at);
            created(out, "service key", api.create(&["admin", "v1", "service-keys"], body).await?)
        }
        ServiceKeyCommand::List(extent) => list(&api, out, "service-keys", extent).await,
        ServiceKeyCommand::Revoke { id } => revoke(&api, out, "service-keys", &id).await,
    }
}

fn wanted(body: Value, expires_at: Option<String>) -> Value {
    let mut fields: Map<String, Value> = body.as_object().cloned().unwrap_or_default();
    fields.extend(expires_at.map(|at| ("expires_at".to_owned(), Value::from(at))));
    Value::Object(fields)
}

/// The key goes to stdout alone, so that it can be piped where it belongs.
fn created(out: &Out, what: &str, answer: Value) -> Outcome {
    if out.json {
        return out.document(&answer);
    }
    let key: Key = views::read(&answer)?;
    let may = match &key.role {
        Some(role) => format!("role {role}"),
        None => key.scopes.join(", "),
    };
    out.note(format_args!("Made the {what} {} ({}): {}", words::safe(&key.name), key.id, words::safe(&may)));
    out.say(words::safe(key.key.as_deref().unwrap_or_default()))?;
    out.note(
        out.err.paint(Look::Waiting, "This is the only time the key is shown. Keep it somewhere safe now."),
    );
    Ok(())
}

async fn list(api: &Api, out: &Out, what: &str, extent: Extent) -> Outcome {
    let page = api.list(&["admin", "v1", what], &[], extent).await?;
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let keys = page.data.iter().map(views::read::<Key>).collect::<Outcome<Vec<_>>>()?;
    let now = Clock::system().now();
    let may = if what == "operators" { "ROLE" } else { "SCOPES" };
    let rows = keys.into_iter().map(|key| {
        let state = standing(&key, now).to_owned();
        let may = key.role.unwrap_or_else(|| key.scopes.join(","));
        let (created, expires) =
            (words::moment(&key.created_at), words::moment_or_dash(key.expires_at.as_deref()));
        [key.name, may, state, key.prefix, created, expires, key.id]
    });
    out.say(Table::new(["NAME", may, "STATE", "PREFIX", "CREATED", "EXPIRES", "ID"], rows).text(out.out))?;
    super::operation::mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}

fn standing(key: &Key, now: Ts) -> &'static str {
    let over = key.expires_at.as_deref().and_then(|at| at.parse::<Ts>().ok()).is_some_and(|at| at <= now);
    match (&key.revoked_at, over) {
        (Some(_), _) => "revoked",
        (None, true) => "expired",
        (None, false) => "good",
    }
}

async fn revoke(api: &Api, out: &Out, what: &str, id: &str) -> Outcome {
    let answer = api.delete(&["admin", "v1", what, id], &[]).await?;
    if out.json {
        return out.document(&if answer.is_null() { json!({ "id": id, "revoked": true }) } else { answer });
    }
    out.say(format_args!("Revoked {}: it is refused from now on.", words::safe(id)))
}
