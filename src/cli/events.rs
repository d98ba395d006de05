//! `events`: which types of events there are. Told by the program itself, without a server.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Outcome;
use super::failure::Failure;
use super::out::Out;
use super::table::Table;
use crate::app;
use crate::log::catalogue::{self, FactType};

/// What `events` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry events types                      all types of events, and who sees them
  tenantry events types tenant.suspended     one, with the JSON Schema of its data
  tenantry events page > EVENTS.md           all of them as a page of documentation"
)]
pub struct EventsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: EventsCommand,
}

/// What can be done with events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// List all types of events, or show the JSON Schema of one's data
    Types {
        /// Its name, like tenant.suspended
        #[arg(value_name = "TYPE")]
        kind: Option<String>,
    },
    /// Print the page of documentation for all types, in Markdown
    Page,
}

fn told(fact: &FactType) -> Value {
    json!({
        "type": fact.kind(), "version": fact.version(), "audience": fact.audience(),
        "description": fact.description(), "schema": fact.schema(),
    })
}

/// Does it.
///
/// # Errors
/// [`Failure::Usage`] for a type that there is not; as [`Out::say`].
pub fn run(args: &EventsArgs, out: &Out) -> Outcome {
    catalogue::install(app::facts());
    let all: Vec<_> = catalogue::all().collect();
    match &args.command {
        EventsCommand::Page => out.say(catalogue::markdown(&all).trim_end()),
        EventsCommand::Types { kind: None } if out.json => {
            out.document(&json!({ "data": all.into_iter().map(told).collect::<Vec<_>>() }))
        }
        EventsCommand::Types { kind: None } => {
            let rows = all.into_iter().map(|fact| {
                let (version, audience) = (fact.version().to_string(), fact.audience().to_string());
                [fact.kind().to_owned(), version, audience, fact.description().to_owned()]
            });
            out.say(Table::new(["TYPE", "VERSION", "SEEN BY", "WHAT HAPPENED"], rows).text(out.out))
        }
        EventsCommand::Types { kind: Some(kind) } => match catalogue::find(kind) {
            Some(fact) if out.json => out.document(&told(fact)),
            Some(fact) => out.document(&fact.schema()),
            None => Err(Failure::Usage(catalogue::stranger(kind).unwrap_or_else(|| kind.clone()))),
        },
    }
}
