//! `tenant`: the customers, and the moves of their life.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Outcome;
use super::args::{Extent, Remote};
use super::client::Api;
use super::failure::Failure;
use super::members;
use super::operation::{finish, mention_more};
use super::out::Out;
use super::subscription::SubscriptionArgs;
use super::table::{Table, facts};
use super::target;
use super::views::{self, Begun, Tenant};
use super::words;
use crate::auth::caller::TenantRole;
use crate::config::Inputs;
use crate::kernel::clock::{Clock, Ts};
use crate::kernel::isolation::Isolation;

/// The states of a tenant's life, in its order.
const STATES: [&str; 5] = ["provisioning", "active", "suspended", "deleting", "deleted"];

/// What `tenant` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry tenant create --name 'Acme Inc' --wait
  tenantry tenant create --name Beta --plan pro --owner-email ada@beta.example
  tenantry tenant list --search acme
  tenantry tenant list --isolation database --cluster eu-1 --all
  tenantry tenant show acme
  tenantry tenant members acme
  tenantry tenant invite acme ada@acme.example   an owner, say, whose invitation was lost
  tenantry tenant suspend acme --reason 'invoice 1042 is unpaid'
  tenantry tenant resume acme
  tenantry tenant subscription acme           plan, period, trial, what is unpaid
  tenantry tenant subscription acme change pro --when period_end
  tenantry tenant delete acme                 asks first; the data goes when the grace is over
  tenantry tenant restore acme                takes it back until then

A tenant is named by its slug or its id."
)]
pub struct TenantArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TenantCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// List tenants, newest first; deleted ones only with --state deleted
    List(ListArgs),
    /// Show one tenant
    Show {
        /// Slug or id
        tenant: String,
    },
    /// Show or change what a tenant has bought
    Subscription(SubscriptionArgs),
    /// List who belongs to a tenant, newest first
    Members {
        /// Slug or id
        tenant: String,
        /// How many.
        #[command(flatten)]
        extent: Extent,
    },
    /// Mail an invitation to a tenant, in place of an open one for the same address
    Invite {
        /// Slug or id
        tenant: String,
        /// Whom
        email: String,
        /// What they will be
        #[arg(long, default_value = "owner", value_parser = PossibleValuesParser::new(TenantRole::ALL.map(TenantRole::word)))]
        role: String,
    },
    /// Make a tenant and the place for its data
    Create(CreateArgs),
    /// Stop a tenant: its keys, tokens and queries are refused at once; its data stays
    Suspend {
        /// Slug or id
        tenant: String,
        /// Why, shown on the tenant
        #[arg(long)]
        reason: Option<String>,
    },
    /// Let a suspended tenant go on
    Resume {
        /// Slug or id
        tenant: String,
    },
    /// Take a deletion back, as long as its grace is not over
    Restore {
        /// Slug or id
        tenant: String,
    },
    /// Stop a tenant and remove it with all its data when the grace is over
    Delete(DeleteArgs),
}

/// What `tenant list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Part of a slug or name, or a whole id
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only this state
    #[arg(long, value_parser = PossibleValuesParser::new(STATES))]
    state: Option<String>,
    /// Only this plan
    #[arg(long)]
    plan: Option<String>,
    /// Only this isolation model
    #[arg(long, value_parser = PossibleValuesParser::new(Isolation::ALL.map(Isolation::word)))]
    isolation: Option<String>,
    /// Only this cluster
    #[arg(long)]
    cluster: Option<String>,
    /// How many.
    #[command(flatten)]
    extent: Extent,
}

/// What `tenant create` takes.
#[derive(Debug, Args)]
pub struct CreateArgs {
    /// The organisation's name
    #[arg(long)]
    name: String,
    /// Short name in URLs [default: made from the name]
    #[arg(long)]
    slug: Option<String>,
    /// Key of a plan [default: signup.default_plan]
    #[arg(long)]
    plan: Option<String>,
    /// How its data is kept apart [default: the plan's, else tenancy.isolation]
    #[arg(long, value_parser = PossibleValuesParser::new(Isolation::ALL.map(Isolation::word)))]
    isolation: Option<String>,
    /// Where its data lives [default: chosen by region, weight and room]
    #[arg(long)]
    cluster: Option<String>,
    /// The region to place it in [default: tenancy.region]
    #[arg(long)]
    region: Option<String>,
    /// Address of its owner, who gets an invitation
    #[arg(long, value_name = "EMAIL")]
    owner_email: Option<String>,
    /// Follow the work to its end; exit code 1 when it fails
    #[arg(long)]
    wait: bool,
}

/// What `tenant delete` takes.
#[derive(Debug, Args)]
pub struct DeleteArgs {
    /// Slug or id
    tenant: String,
    /// Seconds until the data is removed, 0 to 31536000 (a year) [default: tenancy.delete_grace_s]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=31_536_000))]
    grace_s: Option<u32>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Follow the removal to its end, through the whole grace; exit code 1 when it fails
    #[arg(long)]
    wait: bool,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`]; a followed operation that failed.
pub async fn run(args: TenantArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        TenantCommand::List(args) => list(&api, out, &args).await,
        TenantCommand::Show { tenant } => {
            let answer = api.get(&["admin", "v1", "tenants", &tenant], &[]).await?;
            if out.json { out.document(&answer) } else { out.say(described(&views::read(&answer)?, out)) }
        }
        TenantCommand::Members { tenant, extent } => members::list(&api, out, &tenant, extent).await,
        TenantCommand::Invite { tenant, email, role } => {
            members::invite(&api, out, &tenant, &email, &role).await
        }
        TenantCommand::Subscription(args) => super::subscription::run(&api, args, out).await,
        TenantCommand::Create(args) => create(&api, out, args).await,
        TenantCommand::Suspend { tenant, reason } => {
            let body = reason.map(|reason| json!({ "reason": reason }));
            moved(&api, out, &tenant, "suspend", body).await
        }
        TenantCommand::Resume { tenant } => moved(&api, out, &tenant, "resume", None).await,
        TenantCommand::Restore { tenant } => moved(&api, out, &tenant, "restore", None).await,
        TenantCommand::Delete(args) => delete(&api, out, args).await,
    }
}

async fn list(api: &Api, out: &Out, args: &ListArgs) -> Outcome {
    let filters = [
        ("search", args.search.as_deref()),
        ("state", args.state.as_deref()),
        ("plan", args.plan.as_deref()),
        ("isolation", args.isolation.as_deref()),
        ("cluster", args.cluster.as_deref()),
    ];
    let page = api.list(&["admin", "v1", "tenants"], &filters, args.extent).await?;
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let all = page.data.iter().map(views::read::<Tenant>).collect::<Outcome<Vec<_>>>()?;
    if all.is_empty() {
        let any = filters.iter().any(|(_, value)| value.is_some());
        return out.say(if any {
            "no tenant fits"
        } else {
            "no tenants yet; make one with: tenantry tenant create --name NAME --wait"
        });
    }
    let rows = all.into_iter().map(|it| {
        let created = words::moment(&it.created_at);
        [it.slug, it.name, it.state, it.plan, it.isolation, it.cluster, created, it.id]
    });
    let head = ["SLUG", "NAME", "STATE", "PLAN", "ISOLATION", "CLUSTER", "CREATED", "ID"];
    out.say(Table::new(head, rows).text(out.out))?;
    mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}

fn described(it: &Tenant, out: &Out) -> String {
    facts(
        &[
            ("slug", Some(it.slug.clone())),
            ("name", Some(it.name.clone())),
            ("id", Some(it.id.clone())),
            ("state", Some(it.state.clone())),
            ("plan", Some(it.plan.clone())),
            ("isolation", Some(it.isolation.clone())),
            ("cluster", Some(it.cluster.clone())),
            ("region", it.region.clone()),
            ("created", Some(words::moment(&it.created_at))),
            ("suspended", it.suspended_at.as_deref().map(words::moment)),
            ("reason", it.suspend_reason.clone()),
            ("removal", it.delete_at.as_deref().map(words::moment)),
            ("deleted", it.deleted_at.as_deref().map(words::moment)),
        ],
        out.out,
    )
}

async fn create(api: &Api, out: &Out, args: CreateArgs) -> Outcome {
    let mut body = Map::from_iter([("name".to_owned(), Value::from(args.name))]);
    let given = [
        ("slug", args.slug),
        ("plan", args.plan),
        ("isolation", args.isolation),
        ("cluster", args.cluster),
        ("region", args.region),
    ];
    body.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?)))));
    body.extend(args.owner_email.map(|email| ("owner".to_owned(), json!({ "email": email }))));
    let answer = api.create(&["admin", "v1", "tenants"], Value::Object(body)).await?;
    if out.json && !args.wait {
        return out.document(&answer);
    }
    let Begun { tenant, operation } = views::read(&answer)?;
    if !out.json {
        out.say(format_args!("Making {} ({})", words::safe(&tenant.slug), tenant.id))?;
    }
    if !args.wait {
        out.note(format_args!("Follow it with: tenantry operation wait {}", operation.id));
        return Ok(());
    }
    after(api, out, answer, &operation.id, &tenant.id).await?;
    if !out.json {
        out.say(format_args!("{} is ready.", words::safe(&tenant.slug)))?;
    }
    Ok(())
}

/// Follows the operation; with `--json` prints the answer with the last state of both.
async fn after(api: &Api, out: &Out, answer: Value, operation: &str, tenant: &str) -> Outcome {
    if !out.json {
        return finish(api, out, operation, |last| last).await;
    }
    let quiet = super::follow::until_done(api, out, operation).await?;
    let mut whole = answer;
    let fresh = api.get(&["admin", "v1", "tenants", tenant], &[]).await.ok();
    if let Some(fields) = whole.as_object_mut() {
        fields.insert("operation".to_owned(), quiet.clone());
        fields.extend(fresh.map(|fresh| ("tenant".to_owned(), fresh)));
    }
    out.document(&whole)?;
    super::follow::verdict(out, &views::read(&quiet)?)
}

async fn moved(api: &Api, out: &Out, tenant: &str, how: &str, body: Option<Value>) -> Outcome {
    let answer = api.post(&["admin", "v1", "tenants", tenant, how], body).await?;
    if out.json {
        return out.document(&answer);
    }
    let it: Tenant = views::read(&answer)?;
    out.say(format_args!("{} ({}) is {}.", words::safe(&it.slug), it.id, it.state))
}

async fn delete(api: &Api, out: &Out, args: DeleteArgs) -> Outcome {
    // What was shown is what is deleted, even if somebody renames it meanwhile.
    let named = if args.yes { args.tenant.clone() } else { confirm(api, out, &args).await? };
    let query: Vec<_> = args.grace_s.map(|grace| ("grace_s", grace.to_string())).into_iter().collect();
    let answer = api.delete(&["admin", "v1", "tenants", &named], &query).await?;
    if out.json && !args.wait {
        return out.document(&answer);
    }
    let Begun { tenant, operation } = views::read(&answer)?;
    if !out.json {
        let when = match &tenant.delete_at {
            Some(at) => format!("; its data is removed at {}", words::moment(at)),
            None => String::new(),
        };
        out.say(format_args!("{} ({}) is {}{when}.", words::safe(&tenant.slug), tenant.id, tenant.state))?;
    }
    if !args.wait {
        if tenant.delete_at.as_deref().and_then(|at| at.parse::<Ts>().ok()) > Some(Clock::system().now()) {
            out.note(format_args!("Until then, take it back with: tenantry tenant restore {}", tenant.id));
        }
        return Ok(());
    }
    after(api, out, answer, &operation.id, &tenant.id).await?;
    if !out.json {
        out.say(format_args!("{} is gone.", words::safe(&tenant.slug)))?;
    }
    Ok(())
}

/// Shows what is about to be deleted, wants its slug typed, and gives its id.
async fn confirm(api: &Api, out: &Out, args: &DeleteArgs) -> Outcome<String> {
    if !out.asks {
        return Err(Failure::Usage(
            "nobody is here to confirm: say --yes to delete without being asked".to_owned(),
        ));
    }
    let it: Tenant = views::read(&api.get(&["admin", "v1", "tenants", &args.tenant], &[]).await?)?;
    let when = match args.grace_s {
        Some(0) => "at once, and cannot be brought back".to_owned(),
        Some(grace) => format!("in {}", words::wait(std::time::Duration::from_secs(grace.into()))),
        None => "after the configured grace".to_owned(),
    };
    out.note(format_args!(
        "This stops {} ({}, {}) now; its data is removed {when}.",
        words::safe(&it.name),
        it.id,
        it.state
    ));
    match out.ask(&format!("Type its slug ({}) to go on: ", words::safe(&it.slug))) {
        Some(typed) if typed == it.slug => Ok(it.id),
        _ => Err(Failure::failed("nothing was deleted")),
    }
}
