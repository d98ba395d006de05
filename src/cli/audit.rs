//! `audit`: who did what, as a list or a file; and proving that nobody rewrote it.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Outcome;
use super::args::{Extent, Remote};
use super::client::Api;
use super::failure::{FAILED, Failure};
use super::operation::mention_more;
use super::out::{Look, Out};
use super::table::Table;
use super::target;
use super::views;
use super::words;
use crate::audit::export::Format;
use crate::config::Inputs;
use crate::log::Outcome as Came;

/// What `audit` takes.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  tenantry audit list --tenant acme --outcome refused       what was refused in acme
  tenantry audit export --format csv --since 2026-11-01 > november.csv
  tenantry audit checkpoint > checkpoint.json               keep this elsewhere, often
  tenantry audit verify --against checkpoint.json           nothing was changed, cut or written anew"
)]
pub struct AuditArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
    /// The server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What of the trail is wanted.
#[derive(Debug, Args)]
pub struct Wanted {
    /// Only this tenant's: id or slug
    #[arg(long)]
    pub tenant: Option<String>,
    /// Only these types, with commas between: whole (tenant.suspended) or by noun (tenant.*)
    #[arg(long)]
    pub types: Option<String>,
    /// Only what came out so
    #[arg(long, value_parser = PossibleValuesParser::new(Came::ALL.map(Came::word)))]
    pub outcome: Option<String>,
    /// Only what this actor did, by id
    #[arg(long)]
    pub actor: Option<String>,
    /// Only what came from this address
    #[arg(long)]
    pub address: Option<String>,
    /// Not before then: a day, or a moment with its offset
    #[arg(long, value_parser = words::parse_moment)]
    pub since: Option<String>,
    /// Before then: a day, or a moment with its offset
    #[arg(long, value_parser = words::parse_moment)]
    pub until: Option<String>,
}

impl Wanted {
    fn filters(&self) -> [(&'static str, Option<&str>); 6] {
        [
            ("types", self.types.as_deref()),
            ("outcome", self.outcome.as_deref()),
            ("actor", self.actor.as_deref()),
            ("address", self.address.as_deref()),
            ("since", self.since.as_deref()),
            ("until", self.until.as_deref()),
        ]
    }

    fn path<'a>(&'a self, more: &'a [&'a str]) -> Vec<&'a str> {
        let mut path = vec!["admin", "v1"];
        path.extend(self.tenant.iter().flat_map(|tenant| ["tenants", tenant.as_str()]));
        path.push("audit");
        path.extend(more);
        path
    }
}

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what was done and refused, newest first
    List {
        /// What.
        #[command(flatten)]
        wanted: Wanted,
        /// How many.
        #[command(flatten)]
        extent: Extent,
    },
    /// Write what was done and refused to stdout, oldest first, all of it
    Export {
        /// JSON Lines, or CSV in which no cell is a formula
        #[arg(long, default_value = "jsonl", value_parser = PossibleValuesParser::new(Format::ALL.map(Format::word)))]
        format: String,
        /// What.
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Prove that the trail is as it was sealed; name the first row that is not
    ///
    /// Exit code 0 when it is, 1 when not. Without --against it cannot be seen that the newest rows were cut off
    /// together with their seals, or that all was written anew.
    Verify {
        /// A checkpoint that was taken earlier and kept elsewhere
        #[arg(long, value_name = "FILE")]
        against: Option<PathBuf>,
    },
    /// Print the newest seal as JSON, to be kept elsewhere
    Checkpoint,
}

#[derive(Debug, Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    at: String,
    tenant_id: Option<String>,
    actor: Actor,
    address: Option<String>,
    outcome: String,
    sequence: String,
}

#[derive(Debug, Deserialize)]
struct Actor {
    kind: String,
    id: String,
}

#[derive(Debug, Deserialize)]
struct Verified {
    intact: bool,
    verified: i64,
    sealed: i64,
    unsealed: Option<i64>,
    next: Option<i64>,
    first_bad: Option<Bad>,
}

#[derive(Debug, Deserialize)]
struct Bad {
    position: i64,
    place: Option<String>,
    event_id: Option<String>,
    fault: String,
    detail: String,
}

/// Does it.
///
/// # Errors
/// As [`Api::get`].
pub async fn run(args: AuditArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let api = Api::new(target::find(&args.remote, inputs)?)?;
    match args.command {
        AuditCommand::List { wanted, extent } => list(&api, &wanted, extent, out).await,
        AuditCommand::Export { format, wanted } => {
            let mut query = vec![("format", format)];
            query.extend(
                wanted.filters().into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))),
            );
            api.stream(&wanted.path(&["export"]), &query, |part| out.pass(part)).await
        }
        AuditCommand::Verify { against } => {
            let against = against.map(|path| read_checkpoint(&path)).transpose()?;
            verify(&api, against, out).await
        }
        AuditCommand::Checkpoint => {
            out.document(&api.get(&["admin", "v1", "audit", "checkpoint"], &[]).await?)
        }
    }
}

async fn list(api: &Api, wanted: &Wanted, extent: Extent, out: &Out) -> Outcome {
    let page = api.list(&wanted.path(&[]), &wanted.filters(), extent).await?;
    if out.json {
        return out.document(&json!({ "data": page.data, "next_cursor": page.next_cursor }));
    }
    let all = page.data.iter().map(views::read::<Entry>).collect::<Outcome<Vec<_>>>()?;
    if all.is_empty() {
        return out.say("none");
    }
    let rows = all.into_iter().map(|it| {
        let actor = format!("{} {}", it.actor.kind, words::safe(&it.actor.id));
        let dash = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |text| words::safe(&text));
        let (tenant, address) = (dash(it.tenant_id), dash(it.address));
        [words::moment(&it.at), it.kind, it.outcome, tenant, actor, address, it.sequence]
    });
    let heads = ["AT", "TYPE", "OUTCOME", "TENANT", "BY", "FROM", "PLACE"];
    out.say(Table::new(heads, rows).text(out.out))?;
    mention_more(out, page.next_cursor.as_ref(), page.data.len());
    Ok(())
}

fn read_checkpoint(path: &std::path::Path) -> Outcome<Value> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("cannot read {shown}: {error}")))?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::Usage(format!(
            "{shown} is no checkpoint: {error}\nmake one with: tenantry audit checkpoint > FILE"
        ))
    })
}

async fn verify(api: &Api, against: Option<Value>, out: &Out) -> Outcome {
    let mut after = 0;
    loop {
        let mut body = json!({ "after": after });
        if let (Some(against), Some(fields)) = (&against, body.as_object_mut()) {
            fields.insert("against".into(), against.clone());
        }
        let answer = api.post(&["admin", "v1", "audit", "verify"], Some(body)).await?;
        let verified: Verified = views::read(&answer)?;
        if let Some(next) = verified.next {
            if out.live {
                out.draw(&format!("\r\x1b[K{next} of {} events", verified.sealed));
            }
            after = next;
            continue;
        }
        if out.live && after > 0 {
            out.draw("\r\x1b[K");
        }
        if out.json {
            out.document(&answer)?;
        } else {
            tell(&verified, against.is_some(), out)?;
        }
        return if verified.intact { Ok(()) } else { Err(Failure::Told(FAILED)) };
    }
}

fn tell(verified: &Verified, against: bool, out: &Out) -> Outcome {
    let Some(bad) = &verified.first_bad else {
        let good = out.out.paint(Look::Good, "intact");
        out.say(format_args!("{good}: {} events are as they were sealed.", verified.verified))?;
        if let Some(unsealed) = verified.unsealed.filter(|count| *count > 0) {
            out.note(format_args!("{unsealed} more are not sealed yet."));
        }
        if !against {
            out.note(
                "That none was cut off the end is proved with: tenantry audit verify --against CHECKPOINT",
            );
        }
        return Ok(());
    };
    let fault = out.out.paint(Look::Bad, &words::safe(&bad.fault));
    let which = match (&bad.place, &bad.event_id) {
        (Some(place), Some(event)) => format!(" {} at {}", words::safe(event), words::safe(place)),
        (Some(place), None) => format!(" at {}", words::safe(place)),
        _ => String::new(),
    };
    out.say(format_args!("{fault}: event {}{which}: {}.", bad.position, words::safe(&bad.detail)))?;
    out.note(format_args!("The {} events before it are as they were sealed.", verified.verified));
    Ok(())
}
