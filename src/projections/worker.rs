//! Measures how far those who follow are behind.

use std::time::Duration;

use super::model::Projection;
use super::queries;
use crate::app::App;

/// Between two measurements.
const PERIOD: Duration = Duration::from_secs(2);

/// Measures until the process stops.
pub async fn measure(app: App) {
    while app.stopping.run_until_cancelled(tokio::time::sleep(PERIOD)).await.is_some() {
        let now = app.clock.now();
        match app.db.read(move |conn| queries::all_in(conn, now)).await {
            Ok(mut all) => {
                all.push(Projection::memory(app.freshness.age()));
                all.iter().for_each(show);
            }
            Err(error) => tracing::debug!(error = %error, "it is not known how far followers are behind"),
        }
    }
}

fn show(one: &Projection) {
    let events = u32::try_from(one.lag_events).map_or(f64::MAX, f64::from);
    metrics::gauge!("tenantry_follower_lag_seconds", "follower" => one.name.clone()).set(one.lag_seconds);
    metrics::gauge!("tenantry_follower_lag_events", "follower" => one.name.clone()).set(events);
}
