//! `projection`: read models that follow what is written, and building them anew.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::Outcome;
use super::args::Remote;
use super::client::Api;
use super::out::Out;
use super::table::Table;
use super::target;
use super::views;
use super::words;
use crate::config::Inputs;

/// What `projection` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry projection list                   how far each is behind
  tenantry projection rebuild usage_rollups  build it anew; the old one answers meanwhile"
)]
pub struct ProjectionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProjectionCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What can be done with projections.
#[derive(Debug, Subcommand)]
pub enum ProjectionCommand {
    /// List all projections and how far they are
    List,
    /// Build one anew from what was written, beside the one that answers
    Rebuild {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Deserialize)]
struct Projection {
    name: String,
    generation: i64,
    behind_since: Option<String>,
    rebuilds_from: String,
    rebuilding_since: Option<String>,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`].
pub async fn run(args: ProjectionArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        ProjectionCommand::List => {
            let answer = api.get(&["admin", "v1", "projections"], &[]).await?;
            if out.json {
                return out.document(&answer);
            }
            let page: views::Page = views::read(&answer)?;
            let all = page.data.iter().map(views::read::<Projection>).collect::<Outcome<Vec<_>>>()?;
            let since = |at: Option<String>| at.map_or_else(|| "-".to_owned(), |at| words::moment(&at));
            let rows = all.into_iter().map(|it| {
                let from = words::moment(&it.rebuilds_from);
                [it.name, it.generation.to_string(), since(it.behind_since), since(it.rebuilding_since), from]
            });
            let heads = ["NAME", "GENERATION", "BEHIND SINCE", "REBUILDING SINCE", "REBUILDS FROM"];
            out.say(Table::new(heads, rows).text(out.out))
        }
        ProjectionCommand::Rebuild { name } => {
            let answer = api.post(&["admin", "v1", "projections", &name, "rebuild"], None).await?;
            if out.json {
                return out.document(&answer);
            }
            out.say(format_args!("{} is being built anew.", words::safe(&name)))?;
            out.note("See how far it is with: tenantry projection list");
            Ok(())
        }
    }
}
