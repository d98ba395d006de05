//! The table of notifications that were taken: each has its effects once, however often it comes.

use diesel::prelude::*;

use crate::billing::model::Notice;
use crate::db::Conn;
use crate::db::schema::billing_events as notices;
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;

/// Records a notification; false when it was recorded before.
///
/// # Errors
/// The store's.
pub fn first_time(conn: &mut Conn, notice: &Notice, now: Ts) -> Result<bool> {
    let row = (
        notices::id.eq(notice.id.clone()),
        notices::kind.eq(notice.kind.clone()),
        notices::sent_at.eq(notice.at),
        notices::received_at.eq(now),
    );
    let written = each!(conn, |c| diesel::insert_into(notices::table)
        .values(row)
        .on_conflict(notices::id)
        .do_nothing()
        .execute(c))?;
    Ok(written == 1)
}

/// Forgets notifications that were taken before `before`.
///
/// # Errors
/// The store's.
pub fn forget(conn: &mut Conn, before: Ts) -> Result<()> {
    diesel::delete(notices::table.filter(notices::received_at.lt(before))).execute(conn)?;
    Ok(())
}
