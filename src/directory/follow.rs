//! The followers of the log that keep the directory and the feed of activity.

use std::collections::{BTreeMap, BTreeSet};

use super::model::line::Line;
use super::model::listing::Listing;
use super::store::{lines, listings};
use super::{ACTIVITY, DIRECTORY};
use crate::db::Conn;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::log::Entry;
use crate::log::projection::Projects;

/// Keeps the directory of tenants.
pub struct Directory;

impl Projects for Directory {
    fn name(&self) -> &'static str {
        DIRECTORY
    }

    fn take_in(&self, conn: &mut Conn, generation: i64, entries: &[Entry]) -> Result<()> {
        let touched: BTreeSet<TenantId> = entries.iter().filter_map(|entry| entry.tenant).collect();
        let touched: Vec<TenantId> = touched.into_iter().collect();
        let mut known: BTreeMap<TenantId, Listing> = listings::of(conn, generation, &touched)?
            .into_iter()
            .map(|listing| (listing.id, listing))
            .collect();
        for entry in entries {
            if let Some(tenant) = entry.tenant {
                known.entry(tenant).or_insert_with(|| Listing::begun(tenant, entry.at)).take(entry);
            }
        }
        listings::put(conn, generation, &touched, known.into_values().collect())
    }

    fn sweep_in(&self, conn: &mut Conn, generation: i64, limit: i64) -> Result<bool> {
        listings::sweep(conn, generation, limit)
    }
}

/// Keeps what happened in each tenant.
pub struct Activity;

impl Projects for Activity {
    fn name(&self) -> &'static str {
        ACTIVITY
    }

    fn take_in(&self, conn: &mut Conn, generation: i64, entries: &[Entry]) -> Result<()> {
        let mut new: Vec<Line> = Vec::new();
        for entry in entries {
            let Some(tenant) = entry.tenant else { continue };
            if entry.kind == "tenant.deleted" {
                // Nothing of what its people did outlasts a tenant; that it is gone does.
                new.retain(|line| line.tenant != tenant);
                lines::remove(conn, generation, tenant)?;
            }
            new.push(Line::of(tenant, entry));
        }
        lines::add(conn, generation, new)
    }

    fn sweep_in(&self, conn: &mut Conn, generation: i64, limit: i64) -> Result<bool> {
        lines::sweep(conn, generation, limit)
    }
}
