//! `doctor`: compares the store with the clusters, without a server.

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::failure::{FAILED, Failure};
use super::out::Out;
use super::serve;
use super::table::Table;
use crate::config::Inputs;
use crate::server::doctor::{self, Mended, Report};

/// What `doctor` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry doctor                    what is stuck, lost or left over; changes nothing
  tenantry doctor --repair           mend what can be mended without losing data
  tenantry doctor --json | jq '.findings[].remedy'

It opens the store and the clusters directly. An embedded store has one process,
so stop the server first; on PostgreSQL the server may stay at work.
Exit code 1 means that something is wrong and was not mended.")]
pub struct DoctorArgs {
    /// Mend what is repairable: reopen stuck work, rebuild lost logins, remove what known tenants left behind
    #[arg(long)]
    pub repair: bool,
    /// With --repair: also remove homes of tenants that this store has never heard of. After restoring an
    /// older store these are the data of your newest customers: look at the findings first
    #[arg(long, requires = "repair")]
    pub remove_unknown: bool,
}

/// Examines, and mends when asked.
///
/// # Errors
/// The config's; the store's; [`Failure::Told`] when something stays wrong.
pub async fn run(args: &DoctorArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let (app, _alone) = doctor::open(serve::checked(inputs)?).await?;
    let found = doctor::examine(&app).await?;
    let mut mended = Vec::new();
    if args.repair {
        mended = doctor::repair(&app, &found).await;
        if args.remove_unknown {
            mended.extend(doctor::remove_unknown(&app, &found).await);
        }
    }
    let left = if mended.is_empty() { found } else { doctor::examine(&app).await? };
    if out.json {
        out.document(&json!({ "report": left, "mended": mended }))?;
    } else {
        out.say(told(&left, &mended, out))?;
    }
    if left.is_clean() { Ok(()) } else { Err(Failure::Told(FAILED)) }
}

fn told(left: &Report, mended: &[Mended], out: &Out) -> String {
    let mut text = String::new();
    if !mended.is_empty() {
        let rows = mended.iter().map(|one| {
            [one.place.clone(), one.what.clone(), one.error.clone().unwrap_or_else(|| "mended".to_owned())]
        });
        text.push_str(&Table::new(["WHERE", "WHAT", "OUTCOME"], rows).text(out.out));
        text.push('\n');
    }
    if left.is_clean() {
        text.push_str(&format!(
            "all is well: {} tenants, {} placements, clusters {}",
            left.tenants,
            left.placements,
            left.clusters.join(", ")
        ));
    } else {
        let rows = left.findings.iter().map(|one| [one.place.clone(), one.what.clone(), one.remedy.clone()]);
        text.push_str(&Table::new(["WHERE", "WHAT", "REMEDY"], rows).text(out.out));
    }
    text
}
