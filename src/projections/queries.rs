//! How those stand who follow.

use super::model::{Kind, Projection, Projections};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::directory;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::log::{lag, projection};
use crate::metering::rollups;

/// All who keep tables or work outside by following, projections first.
///
/// # Errors
/// The store's.
pub fn all_in(conn: &mut Conn, now: Ts) -> Result<Vec<Projection>> {
    let mut all = vec![Projection::of(rollups::status_in(conn)?, Kind::Projection, now)];
    for one in directory::projections() {
        all.push(Projection::of(projection::status_in(conn, one.name())?, Kind::Projection, now));
    }
    let others = lag::followers_in(conn)?;
    let others = others.into_iter().map(|one| Projection::of(one, Kind::Follower, now));
    let others: Vec<_> = others.filter(|one| !all.iter().any(|known| known.name == one.name)).collect();
    all.extend(others);
    Ok(all)
}

/// All who follow, and how far they are; the memory of this replica among them.
///
/// # Errors
/// As [`Caller::may`]; the store's.
pub async fn list(app: &App, caller: &Caller) -> Result<Projections> {
    caller.may(Verb::ReadOperations)?;
    let now = app.clock.now();
    let mut data = app.db.read(move |conn| all_in(conn, now)).await?;
    data.push(Projection::memory(app.freshness.age()));
    Ok(Projections { data, next_cursor: None })
}
