//! Structured logs and metrics.

pub mod requests;

use std::io::IsTerminal as _;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogLevel};
use crate::kernel::error::{Error, Result};

/// Bounds of the histograms of time, in seconds.
const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// How often what histograms were given is summed up.
const SUM_UP: Duration = Duration::from_secs(5);

/// Begins logging to stderr: for people on a terminal, else as JSON, one object a line. A second call in
/// one process changes nothing.
pub fn start_log(settings: Log) {
    // The parser tells every token, at debug: noise, and the words of tenants' statements.
    let filter =
        EnvFilter::new(format!("{},actix_server=warn,actix_http=warn,sqlparser=off", settings.level.word()));
    let json = requests::is_json(settings.format, std::io::stderr().is_terminal());
    requests::start(json, !matches!(settings.level, LogLevel::Error | LogLevel::Warn));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started =
        if json { log.json().flatten_event(true).try_init() } else { log.with_target(false).try_init() };
    drop(started);
}

/// Begins collecting metrics; the handle renders them as Prometheus text.
///
/// # Errors
/// [`Error::Internal`] when another recorder runs in this process.
pub fn start_metrics() -> Result<PrometheusHandle> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
        .map_err(Error::internal)?
        .install_recorder()
        .map_err(Error::internal)
}

/// Sums up what histograms were given, until `stop`: by themselves they keep every single figure until
/// somebody reads the metrics, which nobody may ever do.
pub async fn keep_metrics_small(handle: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(SUM_UP)).await.is_some() {
        handle.run_upkeep();
    }
}
