//! `operation`: durable work, its steps, its errors, another try.

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Outcome;
use super::args::{Extent, Remote};
use super::client::Api;
use super::follow;
use super::out::Out;
use super::table::{Table, facts};
use super::target;
use super::views::{self, Operation, Tenant};
use super::words;
use crate::config::Inputs;
use crate::kernel::id::TenantId;
use crate::work::State;

/// What `operation` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry operation list --state failed       what needs a person
  tenantry operation list --tenant acme        what is done for one tenant
  tenantry operation show op_01k…              its steps, its error, its next try
  tenantry operation retry op_01k… --wait      try again after the cause is mended
  tenantry operation wait op_01k…              follow it to its end"
)]
pub struct OperationArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: OperationCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with operations.
#[derive(Debug, Subcommand)]
pub enum OperationCommand {
    /// List operations, newest first
    List {
        /// Only this state
        #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(State::word)))]
        state: Option<String>,
        /// Only this kind, for instance tenant.onboard
        #[arg(long)]
        kind: Option<String>,
        /// Only this tenant's: id or slug
        #[arg(long)]
        tenant: Option<String>,
        /// How many.
        #[command(flatten)]
        extent: Extent,
    },
    /// Show one operation with its steps
    Show {
        /// The operation's id
        id: String,
    },
    /// Try a failed operation again now; steps that are done stay done
    Retry {
        /// The operation's id
        id: String,
        /// Follow it to its end; exit code 1 when it fails again
        #[arg(long)]
        wait: bool,
    },
    /// Follow an operation to its end; exit code 1 when it fails
    Wait {
        /// The operation's id
        id: String,
    },
}

/// Does it.
///
/// # Errors
/// As [`Api::get`]; a followed operation that failed.
pub async fn run(args: OperationArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        OperationCommand::List { state, kind, tenant, extent } => {
            let tenant = match tenant {
                Some(tenant) => Some(id_of(&api, tenant).await?),
                None => None,
            };
            let filters =
                [("state", state.as_deref()), ("kind", kind.as_deref()), ("tenant", tenant.as_deref())];
            let page = api.list(&["admin", "v1", "operations"], &filters, extent).await?;
            if out.json {
                return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
            }
            let all = page.data.iter().map(views::read::<Operation>).collect::<Outcome<Vec<_>>>()?;
            if all.is_empty() {
                return out.say("no operations");
            }
            out.say(table(all).text(out.out))?;
            mention_more(out, page.next_cursor.as_ref(), page.data.len());
            Ok(())
        }
        OperationCommand::Show { id } => {
            let answer = api.get(&["admin", "v1", "operations", &id], &[]).await?;
            if out.json { out.document(&answer) } else { out.say(described(&views::read(&answer)?, out)) }
        }
        OperationCommand::Retry { id, wait } => {
            let answer = api.post(&["admin", "v1", "operations", &id, "retry"], None).await?;
            if wait {
                return finish(&api, out, &id, |last| last).await;
            }
            if out.json {
                return out.document(&answer);
            }
            out.say(format_args!("{} will be tried again now.", words::safe(&id)))?;
            out.note(format_args!("Follow it with: tenantry operation wait {}", words::safe(&id)));
            Ok(())
        }
        OperationCommand::Wait { id } => finish(&api, out, &id, |last| last).await,
    }
}

/// Follows an operation to its end; with `--json` prints what `document` makes of its last state.
///
/// # Errors
/// As [`follow::until_done`] and [`follow::verdict`].
pub async fn finish(api: &Api, out: &Out, id: &str, document: impl FnOnce(Value) -> Value) -> Outcome {
    let last = follow::until_done(api, out, id).await?;
    let operation: Operation = views::read(&last)?;
    if out.json {
        out.document(&document(last))?;
    }
    follow::verdict(out, &operation)
}

/// The id of a tenant that may be named by its slug: operations outlive slugs, so they are listed by id.
///
/// # Errors
/// As [`Api::get`].
pub async fn id_of(api: &Api, tenant: String) -> Outcome<String> {
    if tenant.parse::<TenantId>().is_ok() {
        return Ok(tenant);
    }
    let found: Tenant = views::read(&api.get(&["admin", "v1", "tenants", &tenant], &[]).await?)?;
    Ok(found.id)
}

/// Says that a list goes on, and how to see more of it.
pub fn mention_more(out: &Out, next_cursor: Option<&String>, shown: usize) {
    if next_cursor.is_some() {
        out.note(format_args!("There are more than these {shown}: use --limit N or --all."));
    }
}

fn table(all: Vec<Operation>) -> Table<6> {
    let rows = all.into_iter().map(|it| {
        let done = it.steps.iter().filter(|step| step.state == "succeeded").count();
        let steps = format!("{done}/{}", it.steps.len());
        [it.kind, it.state, steps, words::moment(&it.created_at), it.id, short(it.error.as_deref())]
    });
    Table::new(["KIND", "STATE", "STEPS", "CREATED", "ID", "ERROR"], rows)
}

/// The beginning of a reason; `show` has all of it.
fn short(error: Option<&str>) -> String {
    const MOST: usize = 60;
    let error = error.unwrap_or_default();
    if error.chars().count() <= MOST {
        return error.to_owned();
    }
    error.chars().take(MOST - 1).chain(['…']).collect()
}

fn described(it: &Operation, out: &Out) -> String {
    let about = facts(
        &[
            ("id", Some(it.id.clone())),
            ("kind", Some(it.kind.clone())),
            ("state", Some(it.state.clone())),
            ("tenant", it.tenant_id.clone()),
            ("failed tries", (it.attempt > 0).then(|| it.attempt.to_string())),
            ("error", it.error.clone()),
            ("next try", it.next_attempt_at.as_deref().map(words::moment)),
            ("created", Some(words::moment(&it.created_at))),
            ("finished", it.finished_at.as_deref().map(words::moment)),
        ],
        out.out,
    );
    let steps = follow::lines(it, None, out.out).split_off(1);
    std::iter::once(about).chain(steps).collect::<Vec<_>>().join("\n")
}
