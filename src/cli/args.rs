//! The tree of commands. Its help is the first page a new operator reads, so every line of it says what
//! happens, and every noun shows what to type.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Style, Styles};
use clap::{Args, Parser, Subcommand};

use super::{
    audit, config, doctor, events, invoice, keys, operation, plan, projection, store, tenant, webhooks,
};

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .error(AnsiColor::Red.on_default().bold())
    .valid(AnsiColor::Green.on_default())
    .invalid(AnsiColor::Yellow.on_default());

/// The heading of options that every command takes.
const EVERYWHERE: &str = "Options of every command";

const EXAMPLES: &str = "\
Examples:
  tenantry                                  start the server
  tenantry config check                     find every mistake, with its remedy
  tenantry config show                      every setting and where it comes from
  tenantry tenant create --name Acme --wait make a tenant, watch it come up
  tenantry tenant list --state suspended    who is stopped
  tenantry operation list --state failed    what needs a person
  tenantry tenant list --all --json | jq -r '.data[].slug'

Config: the compiled-in defaults, then ./tenantry.toml or each --config FILE,
then the environment (TENANTRY_STORE__URL sets store.url). The commands tenant,
plan, projection, invoice, webhooks, audit, operation, operator, service-key and api-key talk to a
running server; started beside it, they find its address and the operator key by themselves.

Exit codes: 0 done, 1 failed, 2 the command line or the config was refused.";

/// The control plane of a multi-tenant SaaS in one binary
///
/// Signs customers up, places each one's data, hands out and checks keys, routes requests to the right
/// database. Without a command it starts the server.
#[derive(Debug, Parser)]
#[command(name = "tenantry", version, styles = STYLES, after_help = EXAMPLES, max_term_width = 110)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do; `serve` when absent.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Config file to read instead of ./tenantry.toml; may be repeated, later files win
    #[arg(long, value_name = "FILE", global = true, help_heading = EVERYWHERE)]
    pub config: Vec<PathBuf>,
    /// Answer with JSON, stable for programs; failures are JSON on stderr
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
}

/// Everything that can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the server (what happens without a command)
    ///
    /// Checks the config, migrates the control store, prints the address and serves until SIGTERM. The
    /// first start on an empty store makes an operator key, prints it once and writes it to
    /// <data_dir>/operator.key.
    Serve,
    /// Bring the control store's own tables up to date, or show what is missing
    Migrate(store::MigrateArgs),
    /// Find what is stuck, lost or left over between store and clusters; mend it with --repair
    Doctor(doctor::DoctorArgs),
    /// Check, show and compare configs
    Config(config::ConfigArgs),
    /// List, create, stop and remove tenants
    Tenant(tenant::TenantArgs),
    /// Show plans, load an edited plans file, move tenants to the newest editions
    Plan(plan::PlanArgs),
    /// Look at read models: how far they follow what is written; build one anew
    Projection(projection::ProjectionArgs),
    /// List and show invoices, mark them paid, take them back
    Invoice(invoice::InvoiceArgs),
    /// Tell which types of events there are, and what is in them
    Events(events::EventsArgs),
    /// Look at webhooks: where tenants' events go, what arrived; send again
    Webhooks(webhooks::WebhooksArgs),
    /// See who did what, write it to a file, prove that nobody rewrote it
    Audit(audit::AuditArgs),
    /// Look at durable work: what runs, what failed and why; try it again
    Operation(operation::OperationArgs),
    /// Make, list, rotate, stop and revoke keys for the people who run this
    Operator(keys::OperatorArgs),
    /// Make, list, rotate, stop and revoke keys for your own services
    ServiceKey(keys::ServiceKeyArgs),
    /// Make, list, stop and revoke a tenant's API keys
    ApiKey(keys::ApiKeyArgs),
    /// Print the OpenAPI 3.1 document of the HTTP API
    Openapi,
    /// Ask the server of this config whether it is alive, for container health checks
    ///
    /// Calls GET /healthz at server.bind (at <data_dir>/server.addr when the port is 0). Exit code 0 when
    /// it answers well, else 1.
    Healthcheck,
}

/// How to reach a running server, for the commands that go through its admin API.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Remote {
    /// URL of the server [env: TENANTRY_SERVER_URL] [default: <data_dir>/server.addr, else
    /// server.public_url, else server.bind]
    #[arg(long, value_name = "URL", global = true)]
    pub server: Option<String>,
    /// File that holds an operator key [env: TENANTRY_OPERATOR_KEY, the key itself] [default:
    /// <data_dir>/operator.key]
    ///
    /// There is no option that takes the key itself: it would show in lists of processes and in the
    /// shell's history.
    #[arg(long, value_name = "FILE", global = true)]
    pub operator_key_file: Option<PathBuf>,
}

/// How much of a list to show.
#[derive(Debug, Clone, Copy, Args)]
pub struct Extent {
    /// Show at most this many, newest first
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Show all, however many there are
    #[arg(long, conflicts_with = "limit")]
    pub all: bool,
}

impl Extent {
    /// The most to show.
    #[must_use]
    pub fn most(self) -> usize {
        if self.all { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) }
    }
}
