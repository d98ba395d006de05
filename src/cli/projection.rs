//! `projection`: read models and others that follow what is written: how far they are, letting them stand still,
//! building them anew.

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
  tenantry projection rebuild usage_rollups  build it anew; the old one answers meanwhile
  tenantry projection pause webhooks         let it stand still; what happens waits in the log
  tenantry projection resume webhooks        let it go on from there"
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
    /// Let one stand still; what happens waits in the log
    Pause {
        /// Its name
        name: String,
    },
    /// Let one that was paused go on from where it stands
    Resume {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Deserialize)]
struct Projection {
    name: String,
    state: String,
    generation: Option<i64>,
    lag_events: i64,
    behind_since: Option<String>,
    rebuilds_from: Option<String>,
    rebuilt: Option<f64>,
}

impl Projection {
    fn row(self) -> [String; 6] {
        let since = |at: Option<String>| at.map_or_else(|| "-".to_owned(), |at| words::moment(&at));
        let state = match self.rebuilt {
            Some(part) => format!("{}, {:.0} %", words::safe(&self.state), part * 100.0),
            None => words::safe(&self.state),
        };
        let generation = self.generation.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let name = words::safe(&self.name);
        [
            name,
            state,
            self.lag_events.to_string(),
            since(self.behind_since),
            generation,
            since(self.rebuilds_from),
        ]
    }
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
            let rows = all.into_iter().map(Projection::row);
            let heads = ["NAME", "STATE", "BEHIND", "SINCE", "GENERATION", "REBUILDS FROM"];
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
        ProjectionCommand::Pause { name } => stand(&api, out, &name, "pause", "stands still").await,
        ProjectionCommand::Resume { name } => stand(&api, out, &name, "resume", "goes on").await,
    }
}

async fn stand(api: &Api, out: &Out, name: &str, verb: &str, done: &str) -> Outcome {
    let answer = api.post(&["admin", "v1", "projections", name, verb], None).await?;
    if out.json {
        return out.document(&answer);
    }
    out.say(format_args!("{} {done}.", words::safe(name)))
}
