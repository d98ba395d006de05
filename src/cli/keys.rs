//! `operator`, `service-key` and `api-key`: keys for people who run the product, for services beside it, and
//! those of a tenant. What they share is in [`shared`].

mod shared;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Outcome;
use super::args::Remote;
use super::client::Api;
use super::failure::Failure;
use super::out::Out;
use super::people::{self, PeopleCommand};
use super::target;
use super::words;
use crate::auth::caller::OperatorRole;
use crate::auth::scope::{Scope, ScopeKind};
use crate::config::Inputs;
use shared::{KeyCommand, Limit, Rotation, Shelf};

/// What `operator` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry operator create --name ada --role admin
  tenantry operator create --name dashboard --role viewer > dashboard.key
  tenantry operator list --state active
  tenantry operator rotate key_01k… --overlap-s 3600 > next.key
  tenantry operator revoke key_01k…
  tenantry operator invite --email ada@example.com --role support
  tenantry operator people

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

/// What can be done with operators: their keys, and those who are people.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Make an operator key; it is shown this one time, alone on stdout
    Create {
        /// Whose it is: a person or a program
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_parser = roles())]
        role: String,
        /// When it ends by itself: a day or an RFC 3339 moment
        #[arg(long, value_name = "WHEN", value_parser = words::parse_moment)]
        expires_at: Option<String>,
    },
    /// Give an operator key another name or role
    Change {
        /// The key's id, as in the list
        id: String,
        /// Whose it is
        #[arg(long, required_unless_present = "role")]
        name: Option<String>,
        /// What it may do
        #[arg(long, value_parser = roles())]
        role: Option<String>,
    },
    /// Make a key that takes this one's place; it is shown this one time, alone on stdout
    Rotate(Rotation),
    /// What can be done with any key.
    #[command(flatten)]
    Any(KeyCommand),
    /// People.
    #[command(flatten)]
    People(PeopleCommand),
}

fn roles() -> PossibleValuesParser {
    PossibleValuesParser::new(OperatorRole::ALL.iter().map(|role| role.word()))
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
  tenantry service-key list --search gate
  tenantry service-key rotate key_01k… --overlap-s 86400 > next.key
  tenantry service-key disable key_01k…
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
            value_parser = scopes(ScopeKind::Service)
        )]
        scopes: Vec<String>,
        /// Its settings.
        #[command(flatten)]
        limit: Limit,
    },
    /// Make a key that takes this one's place; it is shown this one time, alone on stdout
    Rotate(Rotation),
    /// What can be done with any key.
    #[command(flatten)]
    Any(KeyCommand),
}

fn scopes(kind: ScopeKind) -> PossibleValuesParser {
    PossibleValuesParser::new(Scope::all_of(kind).into_iter().map(Scope::word))
}

/// What `api-key` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry api-key list --tenant acme --state active
  tenantry api-key create --tenant acme --name importer --scope data:write > importer.key
  tenantry api-key disable --tenant acme key_01k…      they can switch it on again
  tenantry api-key revoke --tenant acme key_01k…       for good

A tenant is named by its slug or its id. Its own people rotate its keys."
)]
pub struct ApiKeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ApiKeyCommand,
    /// Whose keys: slug or id
    #[arg(long, global = true)]
    pub tenant: Option<String>,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with a tenant's API keys.
#[derive(Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Make an API key for a tenant; it is shown this one time, alone on stdout
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// What it may do; repeat it, or separate several by commas
        #[arg(
            long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',',
            value_parser = scopes(ScopeKind::Tenant)
        )]
        scopes: Vec<String>,
        /// Its settings.
        #[command(flatten)]
        limit: Limit,
    },
    /// What can be done with any key.
    #[command(flatten)]
    Any(KeyCommand),
}

/// Does what `operator` was told.
///
/// # Errors
/// As [`Api::get`].
pub async fn operator(args: OperatorArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    let shelf = Shelf::new("operator key", ["admin", "v1", "operators"]);
    match args.command {
        OperatorCommand::Create { name, role, expires_at } => {
            let mut body = json!({ "name": name, "role": role });
            set(&mut body, "expires_at", expires_at.map(Value::from));
            shelf.create(&api, out, body).await
        }
        OperatorCommand::Change { id, name, role } => {
            let mut body = json!({});
            set(&mut body, "name", name.map(Value::from));
            set(&mut body, "role", role.map(Value::from));
            shelf.patch(&api, out, &id, body, "Changed").await
        }
        OperatorCommand::Rotate(rotation) => shelf.rotate(&api, out, &rotation).await,
        OperatorCommand::Any(command) => shelf.run(&api, out, command).await,
        OperatorCommand::People(command) => people::run(&api, command, out).await,
    }
}

/// Does what `service-key` was told.
///
/// # Errors
/// As [`Api::get`].
pub async fn service_key(args: ServiceKeyArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    let shelf = Shelf::new("service key", ["admin", "v1", "service-keys"]);
    match args.command {
        ServiceKeyCommand::Create { name, scopes, limit } => {
            shelf.create(&api, out, limit.on(json!({ "name": name, "scopes": scopes }))).await
        }
        ServiceKeyCommand::Rotate(rotation) => shelf.rotate(&api, out, &rotation).await,
        ServiceKeyCommand::Any(command) => shelf.run(&api, out, command).await,
    }
}

/// Does what `api-key` was told.
///
/// # Errors
/// [`Failure::Usage`] without a tenant; as [`Api::get`].
pub async fn api_key(args: ApiKeyArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let Some(tenant) = args.tenant else {
        return Err(Failure::Usage("say whose keys: --tenant SLUG or ID".into()));
    };
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    let shelf = Shelf::new("API key", ["admin", "v1", "tenants", &tenant, "api-keys"]);
    match args.command {
        ApiKeyCommand::Create { name, scopes, limit } => {
            shelf.create(&api, out, limit.on(json!({ "name": name, "scopes": scopes }))).await
        }
        ApiKeyCommand::Any(command) => shelf.run(&api, out, command).await,
    }
}

/// Puts a field into a body, if it has a value.
fn set(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Value::Object(fields), Some(value)) = (body, value) {
        fields.insert(name.to_owned(), value);
    }
}
