//! `config check | show | diff | schema`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::Remote;
use super::failure::{Failure, USAGE};
use super::out::{Look, Out};
use super::{Outcome, client_side, plan, serve};
use crate::config::{Inputs, load, report};

/// What `config` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry config check                        before a restart, and in CI
  tenantry config check --config new.toml
  tenantry config show                         every value and where it was set
  tenantry config diff tenantry.toml new.toml  what an edit would change
  tenantry config diff --running               what an edited plans file would change
  tenantry config schema > schema.json         completion and checks in editors"
)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done with configs.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Find every mistake in config, plans and application schema, each with file, line and remedy; exit code 2 if there is one
    Check,
    /// Show every setting with its value and where it was set; secrets are masked
    Show,
    /// Show which settings differ between two files, or between the defaults and a file
    ///
    /// Each file is read over the defaults and without the environment. With --running, asks a running server
    /// what loading its plans file as it is now would change.
    Diff {
        /// The file before (the defaults, when only one is given) and the file after
        #[arg(required_unless_present = "running", num_args = 1..=2, value_names = ["BEFORE", "AFTER"])]
        files: Vec<PathBuf>,
        /// What a reload of the plans file would change of what the server sells
        #[arg(long, conflicts_with = "files")]
        running: bool,
        /// The server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Print the JSON Schema of a config file
    Schema,
}

/// Does it.
///
/// # Errors
/// A refused config; that of `check` is told as its answer.
pub fn run(args: &ConfigArgs, inputs: &Inputs, out: &Out) -> Outcome {
    match &args.command {
        ConfigCommand::Check => {
            let opened = serve::checked(inputs);
            let check = report::check(opened.as_ref().map(|opened| &opened.loaded));
            out.say(coloured(&check.text(out.json), out))?;
            if check.ok { Ok(()) } else { Err(Failure::Told(USAGE)) }
        }
        ConfigCommand::Show => out.say(headed(&report::show(&load(inputs)?, out.json), out)),
        ConfigCommand::Diff { running: true, remote, .. } => client_side(plan::preview(remote, inputs, out)),
        ConfigCommand::Diff { files, .. } => {
            let (before, after) = match files.as_slice() {
                [after] => (None, after),
                [before, after] => (Some(before.clone()), after),
                _ => return Err(Failure::Usage("name one file or two".to_owned())),
            };
            let changes = report::diff(inputs, before, after.clone())?;
            let text = report::changes_text(&changes, out.json);
            out.say(if changes.is_empty() { text } else { headed(&text, out) })
        }
        ConfigCommand::Schema => out.say(report::schema()),
    }
}

/// The words that begin a line of `check`, in their colours.
fn coloured(text: &str, out: &Out) -> String {
    let paint = |line: &str| {
        for (word, look) in [("error:", Look::Bad), ("warning:", Look::Waiting), ("ok", Look::Good)] {
            if let Some(rest) = line.strip_prefix(word) {
                return format!("{}{rest}", out.out.paint(look, word));
            }
        }
        line.to_owned()
    };
    text.lines().map(paint).collect::<Vec<_>>().join("\n")
}

/// The first line as a heading; JSON has no colours anyway.
fn headed(text: &str, out: &Out) -> String {
    match text.split_once('\n') {
        Some((head, rest)) => format!("{}\n{rest}", out.out.paint(Look::Strong, head)),
        None => text.to_owned(),
    }
}
