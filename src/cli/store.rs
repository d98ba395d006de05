//! `migrate`: the control store's own tables, without a server.

use clap::Args;
use serde_json::json;

use super::Outcome;
use super::out::Out;
use super::table::Table;
use crate::config::master_key::make_private_dir;
use crate::config::{DatabaseUrl, Inputs, Problems, load};
use crate::db::migrate::Status;
use crate::db::{Db, Options};
use crate::kernel::error::Error;

/// What `migrate` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenantry migrate --status      see which migrations the store has
  tenantry migrate               apply what is missing

`serve` migrates by itself when it starts; run this to do it beforehand. It
opens store.url directly and does not touch tenants' own databases.")]
pub struct MigrateArgs {
    /// Only show which migrations are applied; changes nothing
    #[arg(long)]
    pub status: bool,
}

/// Migrates, or shows what is missing.
///
/// # Errors
/// The config's; the store's; a store of a newer version.
pub async fn run(args: &MigrateArgs, inputs: &Inputs, out: &Out) -> Outcome {
    let settings = load(inputs)?.settings;
    let url = &settings.store.url;
    if args.status {
        let all = status(url).await?;
        if out.json {
            return out.document(&json!({ "data": all }));
        }
        let rows = all.iter().map(|it| {
            let state = if it.applied { "applied" } else { "missing" };
            [it.name.clone(), state.to_owned()]
        });
        out.say(Table::new(["MIGRATION", "STATE"], rows).text(out.out))?;
        let missing = all.iter().filter(|it| !it.applied).count();
        out.note(match missing {
            0 => format!("{url} is up to date"),
            count => format!("{url} lacks {count}; apply them with `tenantry migrate`"),
        });
        return Ok(());
    }
    make_private_dir(&settings.data_dir).map_err(|problem| Problems(vec![problem]))?;
    let db = Db::open(url.expose(), &Options { max_connections: 2, ..Options::default() }).await?;
    db.refuse_newer().await?;
    let applied = db.migrate().await?;
    if out.json {
        return out.document(&json!({ "applied": applied }));
    }
    if applied.is_empty() {
        return out.say(format_args!("{url} is up to date; nothing was to be done"));
    }
    for name in &applied {
        out.say(format_args!("applied {name}"))?;
    }
    out.say(format_args!("{url} is up to date"))
}

/// What the store has. A SQLite store that is not there yet is not made just to be looked at.
async fn status(url: &DatabaseUrl) -> Result<Vec<Status>, Error> {
    let options = Options { max_connections: 2, ..Options::default() };
    if url.sqlite_path().is_some_and(|path| !path.exists()) {
        let empty = tempfile::tempdir().map_err(Error::internal)?;
        let stand_in = format!("sqlite://{}", empty.path().join("empty.db").display());
        return Db::open(&stand_in, &options).await?.migration_status().await;
    }
    let db = Db::open(url.expose(), &options).await?;
    db.refuse_newer().await?;
    db.migration_status().await
}
