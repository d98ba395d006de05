//! Compares what the control store says with what the clusters hold, and mends what can be mended
//! without a guess.
//!
//! A placement's row is written before anything is made on a cluster and goes after everything there is
//! gone, so a home without a row is an orphan. Work goes on meanwhile: what looks wrong counts only when
//! a second look, clusters first and store after, says the same.

mod homes;
mod look;
mod mend;
mod progress;
mod told;
mod words;

use std::fs::File;

use serde::Serialize;

use super::{compose, ready};
use crate::app::App;
use crate::catalog::Opened;
use crate::config::master_key;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::isolation::Isolation;

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Tenants in the store, deleted ones not counted.
    pub tenants: usize,
    /// Placements in the store, those in stock included.
    pub placements: usize,
    /// Clusters that answered.
    pub clusters: Vec<String>,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether all is well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }
}

/// One thing that is wrong, in words for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// Where: a cluster, a tenant, an operation.
    #[serde(rename = "where")]
    pub place: String,
    /// What to do about it.
    pub remedy: String,
    /// Whether [`repair`] does it.
    pub repairable: bool,
    #[serde(skip)]
    mend: Mend,
}

/// How a finding is mended.
#[derive(Debug, Clone, PartialEq)]
enum Mend {
    ByHand,
    RemoveHome { cluster: String, tenant: TenantId, isolation: Isolation, known: bool },
    RemoveDebris { cluster: String, name: String },
    Rebuild { tenant: TenantId },
    Reopen { operation: OperationId },
    Release { operation: OperationId },
    Open { kind: &'static str, tenant: TenantId },
    Retire { tenant: TenantId },
}

/// What became of one finding.
#[derive(Debug, Clone, Serialize)]
pub struct Mended {
    /// The finding's `what`.
    pub what: String,
    /// The finding's `where`.
    #[serde(rename = "where")]
    pub place: String,
    /// Why it could not be mended; absent when it was.
    pub error: Option<String>,
}

/// Opens the store for a doctor of its own process. The file holds an embedded store for as long as it is
/// kept, so that no server starts meanwhile.
///
/// # Errors
/// As at the start of a server: an embedded store that is in use, a store that cannot be reached.
pub async fn open(opened: Opened) -> Result<(App, Option<File>)> {
    let settings = opened.loaded.settings.clone();
    let alone = ready::only_process(&settings)?;
    let keys = master_key::load_or_create(&settings)
        .map_err(|problem| Error::refused("master_key", problem.to_string()))?;
    let app = compose(opened, keys, settings.server.public_url(settings.server.bind)).await?;
    Ok((app, alone))
}

/// Looks at everything and changes nothing. A server may be at work meanwhile.
///
/// # Errors
/// The store's. A cluster that does not answer is a finding.
pub async fn examine(app: &App) -> Result<Report> {
    let mut report = look::look(app).await?;
    if !report.is_clean() {
        let again = look::look(app).await?;
        report.findings.retain(|finding| again.findings.contains(finding));
    }
    Ok(report)
}

/// Mends what [`examine`] found and called repairable. Each is looked at once more before it is touched;
/// operations that it reopens are run by the server.
pub async fn repair(app: &App, report: &Report) -> Vec<Mended> {
    mend_each(app, report.findings.iter().filter(|finding| finding.repairable)).await
}

/// Removes the homes of tenants that the store has never heard of. After a restore of the store from a
/// backup these are the tenants that came later: be sure that nobody misses them.
pub async fn remove_unknown(app: &App, report: &Report) -> Vec<Mended> {
    let unknown = |finding: &&Finding| matches!(finding.mend, Mend::RemoveHome { known: false, .. });
    mend_each(app, report.findings.iter().filter(unknown)).await
}

async fn mend_each<'a>(app: &App, findings: impl Iterator<Item = &'a Finding>) -> Vec<Mended> {
    let mut all = Vec::new();
    for finding in findings {
        let outcome = mend::mend(app, &finding.mend).await;
        if let Err(error) = &outcome {
            tracing::warn!(error = %error, cause = error.cause().map(tracing::field::display), what = finding.what, "a finding could not be mended");
        }
        all.push(Mended {
            what: finding.what.clone(),
            place: finding.place.clone(),
            error: outcome.err().map(|error| error.to_string()),
        });
    }
    all
}
