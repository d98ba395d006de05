//! `plan`: what is sold, what an edited file would change, and who is on which edition.

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use super::args::Remote;
use super::client::Api;
use super::operation::finish;
use super::out::{Look, Out};
use super::table::Table;
use super::target;
use super::views;
use super::words;
use crate::config::Inputs;

/// What `plan` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry plan list                     what is sold, and how many tenants are on it
  tenantry plan show pro                 its editions, and who is on which
  tenantry plan reload --dry-run         what the edited plans file would change
  tenantry plan reload                   load it
  tenantry plan move pro --wait          all tenants of pro to its newest edition
  tenantry plan move pro --tenant acme   one of them"
)]
pub struct PlanArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PlanCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with plans.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// List all plans, archived ones too
    List,
    /// Show one plan with its editions
    Show {
        /// The plan's key
        plan: String,
    },
    /// Let the server read its plans file again; a mistake in it changes nothing
    Reload {
        /// Only tell what would change
        #[arg(long)]
        dry_run: bool,
    },
    /// Move tenants to the newest edition of their plan
    Move {
        /// The plan's key
        plan: String,
        /// Only this one: slug or id
        #[arg(long)]
        tenant: Option<String>,
        /// Follow it to its end
        #[arg(long, conflicts_with = "tenant")]
        wait: bool,
    },
}

#[derive(Debug, Deserialize)]
struct Plan {
    key: String,
    name: String,
    price: u64,
    currency: Option<String>,
    interval: String,
    version: u32,
    tenants: i64,
    archived_at: Option<String>,
    versions: Vec<Edition>,
}

#[derive(Debug, Deserialize)]
struct Edition {
    number: u32,
    created_at: String,
    tenants: i64,
    id: String,
}

#[derive(Debug, Deserialize)]
struct Reloaded {
    diff: Diff,
}

#[derive(Debug, Deserialize)]
struct Diff {
    added: Vec<String>,
    changed: Vec<Changed>,
    archived: Vec<String>,
    unchanged: Vec<String>,
    terms: Vec<Field>,
    reordered: bool,
}

#[derive(Debug, Deserialize)]
struct Changed {
    plan: String,
    from: u32,
    fields: Vec<Field>,
}

#[derive(Debug, Deserialize)]
struct Field {
    field: String,
    before: Value,
    after: Value,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`]; a followed operation that failed.
pub async fn run(args: PlanArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        PlanCommand::List => {
            let answer = api.get(&["admin", "v1", "plans"], &[]).await?;
            if out.json {
                return out.document(&answer);
            }
            let page: views::Page = views::read(&answer)?;
            let all = page.data.iter().map(views::read::<Plan>).collect::<Outcome<Vec<_>>>()?;
            let rows = all.into_iter().map(|it| {
                let price = price(&it);
                let state = if it.archived_at.is_some() { "archived" } else { "sold" };
                [it.key, it.name, state.to_owned(), price, it.version.to_string(), it.tenants.to_string()]
            });
            out.say(Table::new(["KEY", "NAME", "STATE", "PRICE", "VERSION", "TENANTS"], rows).text(out.out))
        }
        PlanCommand::Show { plan } => {
            let answer = api.get(&["admin", "v1", "plans", &plan], &[]).await?;
            if out.json {
                return out.document(&answer);
            }
            let it: Plan = views::read(&answer)?;
            let price = price(&it);
            out.say(format_args!("{} ({}), {price}", words::safe(&it.name), words::safe(&it.key)))?;
            let rows = it.versions.into_iter().map(|one| {
                let (number, since) = (one.number.to_string(), words::moment(&one.created_at));
                [number, since, one.tenants.to_string(), one.id]
            });
            out.say(Table::new(["VERSION", "SINCE", "TENANTS", "ID"], rows).text(out.out))
        }
        PlanCommand::Reload { dry_run } => reload(&api, out, dry_run).await,
        PlanCommand::Move { plan, tenant, wait } => {
            let body = match &tenant {
                Some(tenant) => json!({ "tenant": tenant }),
                None => json!({ "all": true }),
            };
            let answer = api.create(&["admin", "v1", "plans", &plan, "move-tenants"], body).await?;
            let operation = answer.pointer("/operation/id").and_then(|id| id.as_str()).map(ToOwned::to_owned);
            if let (Some(id), true) = (&operation, wait) {
                return finish(&api, out, id, |last| last).await;
            }
            if out.json {
                return out.document(&answer);
            }
            match operation {
                Some(id) => {
                    out.say("Tenants are being moved.")?;
                    out.note(format_args!("Follow it with: tenantry operation wait {}", words::safe(&id)));
                    Ok(())
                }
                None => out.say("Moved."),
            }
        }
    }
}

/// Shows what loading the server's plans file as it is now would change.
///
/// # Errors
/// As [`Api::get`].
pub async fn preview(remote: &Remote, inputs: &Inputs, out: &Out) -> Outcome {
    reload(&Api::new(target::find(remote, inputs)?)?, out, true).await
}

async fn reload(api: &Api, out: &Out, dry_run: bool) -> Outcome {
    let answer = api.post(&["admin", "v1", "plans", "reload"], Some(json!({ "dry_run": dry_run }))).await?;
    if out.json {
        return out.document(&answer);
    }
    let Reloaded { diff } = views::read(&answer)?;
    out.say(told(&diff, out))
}

fn price(it: &Plan) -> String {
    match &it.currency {
        Some(currency) if it.price > 0 => words::price(it.price, currency, &it.interval),
        _ => "free of charge".to_owned(),
    }
}

/// A difference as people read it: a line for each plan, and one for each field.
fn told(diff: &Diff, out: &Out) -> String {
    let mut lines = Vec::new();
    let mut line = |look: Look, text: String| lines.push(out.out.paint(look, &words::safe(&text)));
    for key in &diff.added {
        line(Look::Good, format!("+ {key}"));
    }
    for one in &diff.changed {
        line(Look::Waiting, format!("~ {} (from version {})", one.plan, one.from));
        for field in &one.fields {
            line(Look::Plain, format!("    {}: {} -> {}", field.field, field.before, field.after));
        }
    }
    for key in &diff.archived {
        line(Look::Bad, format!("- {key}"));
    }
    for field in &diff.terms {
        line(Look::Plain, format!("~ {}: {} -> {}", field.field, field.before, field.after));
    }
    if diff.reordered {
        line(Look::Plain, "~ the order of plans".to_owned());
    }
    if lines.is_empty() {
        format!("no difference in {} plans", diff.unchanged.len())
    } else {
        lines.join("\n")
    }
}
