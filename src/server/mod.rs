//! The one module that knows every other: it composes the parts, registers the routes, starts the
//! background work, serves, and ends gracefully.

mod clock;
pub mod doctor;
mod gate;
mod ready;
mod routes;
mod system;
mod unknown;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App as WebApp, HttpServer, web};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use utoipa_actix_web::AppExt as _;

use crate::app::{App, Forgetter, Parts};
use crate::audit;
use crate::auth::throttle::Throttle;
use crate::billing::worker::Collector;
use crate::billing::{self, CHARGE_OPERATION, HAND_OVER_OPERATION};
use crate::catalog::{self, Opened, Shelf};
use crate::config::settings::ClockMode;
use crate::config::{MasterKeys, Settings, master_key};
use crate::db::{Db, Options};
use crate::feeds;
use crate::http::caller::{self, Authenticate, Gate, Guarded};
use crate::http::client::Proxies;
use crate::http::{idempotency, openapi, request};
use crate::identity::account::reset::{RESET_OPERATION, Resetter};
use crate::identity::sessions::{impersonation, memory::SignedIn};
use crate::identity::signing;
use crate::identity::token::Tokens;
use crate::kernel::clock::Clock;
use crate::kernel::error::{Error, Result};
use crate::kernel::limits::Buckets;
use crate::kernel::purse::Purses;
use crate::kernel::vault::Vault;
use crate::keys;
use crate::keys::ring::Ring;
use crate::keys::used::{self, Uses};
use crate::log::aside::Aside;
use crate::log::memory::{Freshness, follow};
use crate::mail::worker::Postman;
use crate::mail::{self, Mailer};
use crate::metering::ingest::{Intake, intake};
use crate::metering::quota::{self, Till, lending, till};
use crate::metering::rollups::worker as rollups;
use crate::metering::usage::Ledger;
use crate::onboarding::{removal::Remover, worker::Onboarder};
use crate::placement::access::AccessKeeper;
use crate::placement::clusters::Clusters;
use crate::placement::connections::{self, TenantConnections};
use crate::placement::router::Router;
use crate::placement::stock;
use crate::subscriptions::{self, plans::worker::Mover};
use crate::telemetry;
use crate::work;
use crate::work::runner::{Pace, Runner, Wake, Worker, free_leases};
use crate::work::store::Lane;

/// How often what has expired is forgotten.
const TIDY: Duration = Duration::from_secs(600);

/// Operations with a runner of their own: a mail server that is slow holds up nothing else.
const MAIL_LANE: &[&str] = &[mail::SEND_OPERATION];

/// Operations of which there are many, each a message; those that ended are kept for [`KEPT`].
const MESSAGES: &[&str] = &[mail::SEND_OPERATION, RESET_OPERATION];

/// How long messages that went out, or never will, are shown.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// How long it is remembered which notifications of the billing provider were taken; it repeats them for days.
const NOTICES_KEPT: Duration = Duration::from_secs(90 * 86_400);

/// Serves until SIGTERM or SIGINT, then drains.
///
/// # Errors
/// What kept the server from starting, in words for the operator.
pub async fn serve(opened: Opened, given_operator_key: Option<SecretString>) -> Result<()> {
    telemetry::start_log(opened.loaded.settings.log);
    let metrics = telemetry::start_metrics()?;
    for warning in &opened.loaded.warnings {
        tracing::warn!(key = %warning.key, "{warning}");
    }
    let settings = opened.loaded.settings.clone();
    let keys = master_key::load_or_create(&settings)
        .map_err(|problem| Error::refused("master_key", problem.to_string()))?;
    master_key::make_private_dir(&settings.data_dir)
        .map_err(|problem| Error::refused("data_dir", problem.to_string()))?;
    let _alone = ready::only_process(&settings)?;
    let listener = std::net::TcpListener::bind(settings.server.bind).map_err(|error| {
        Error::refused(
            "bind",
            format!("cannot listen on {}: {error}; set server.bind to a free address", settings.server.bind),
        )
    })?;
    let bound = listener.local_addr().map_err(Error::internal)?;
    let file = opened.catalogue.clone();
    let app = compose(opened, keys, settings.server.public_url(bound)).await?;
    let loaded = catalog::commands::load(&app, file).await?;
    if !loaded.is_empty() {
        tracing::info!(
            catalogue.added = ?loaded.added,
            catalogue.changed = loaded.changed.len(),
            catalogue.archived = ?loaded.archived,
            "the catalogue was loaded"
        );
    }
    let adopted = subscriptions::adopt(&app).await?;
    if adopted > 0 {
        tracing::info!(tenants = adopted, "tenants without a subscription got one");
    }
    subscriptions::clockwork::rearm(&app).await?;
    let given = given_operator_key.is_some();
    let first_key = keys::commands::bootstrap(&app, given_operator_key).await?;
    ready::write_operator_key(&settings, first_key.as_ref())?;

    let background = TaskTracker::new();
    free_leases(&app.db).await;
    start_background(&app, &background);
    background.spawn(telemetry::keep_metrics_small(metrics.clone(), app.stopping.clone()));
    let shared = web::Data::new(app.clone());
    let gate: Arc<dyn Authenticate> = Arc::new(gate::Doorman(app.clone()));
    let gate: Gate = web::Data::new(gate);
    let limit = settings.server.max_body_bytes;
    let paths = web::Data::new(unknown::KnownPaths::of(&document()));
    let guarded = web::Data::new(Guarded::of(&document()));
    let metrics = web::Data::new(metrics);
    let proxies = web::Data::new(Proxies::of(&settings.server));
    let aside = web::Data::new(app.aside.clone());
    let server = HttpServer::new(move || {
        let (web_app, _) = WebApp::new()
            .into_utoipa_app()
            .app_data(shared.clone())
            .app_data(gate.clone())
            .app_data(metrics.clone())
            .app_data(paths.clone())
            .app_data(guarded.clone())
            .app_data(proxies.clone())
            .app_data(aside.clone())
            .app_data(web::PayloadConfig::new(limit))
            .configure(routes::all)
            .split_for_parts();
        web_app
            .configure(routes::docs)
            .default_service(web::to(unknown::answer))
            .wrap(from_fn(caller::authenticate))
            .wrap(from_fn(request::watch))
    })
    .on_connect(|connection, data| {
        if let Some(stream) = connection.downcast_ref::<tokio::net::TcpStream>()
            && let Ok(address) = stream.peer_addr()
        {
            data.insert(request::Peer::new(address.ip()));
        }
    })
    .workers(settings.server.worker_count())
    .shutdown_timeout(settings.server.shutdown_grace.as_secs())
    .client_request_timeout(Duration::from_secs(10))
    .keep_alive(Duration::from_secs(75))
    .listen(listener)
    .map_err(Error::internal)?
    .disable_signals()
    .run();

    // Whoever learns the address may ask the process to end.
    let asked_to_stop = stop_signal();
    // A key that the operator chose is known to the operator; printed, it would end in somebody's log.
    let news = first_key.as_ref().filter(|_| !given);
    ready::announce(&settings, bound, news.map(|key| key.expose_secret()))?;
    let handle = server.handle();
    let stopping = app.stopping.clone();
    let signals = tokio::spawn(async move {
        asked_to_stop.await;
        tracing::info!("stopping: no new connections, open requests are answered");
        stopping.cancel();
        handle.stop(true).await;
    });
    let served = server.await.map_err(Error::internal);
    signals.abort();
    app.stopping.cancel();
    used::write(&app).await;
    till::stop(&app).await;
    intake::stop(&app);
    app.connections.close_all();
    background.close();
    if tokio::time::timeout(settings.server.shutdown_grace, background.wait()).await.is_err() {
        tracing::warn!("background work was cut off; it goes on at the next start");
    }
    ready::forget_address(&settings);
    tracing::info!("stopped");
    telemetry::requests::flush();
    served
}

/// Takes the signals from this call on, also before what it answers is awaited.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let both = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        match both {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            _ => std::future::pending().await,
        }
    }
}

fn clock(settings: &Settings) -> Clock {
    match settings.clock.mode {
        ClockMode::System => Clock::system(),
        ClockMode::Test => Clock::fixed(Clock::system().now()),
    }
}

fn vault(keys: &MasterKeys) -> Vault {
    Vault::new(keys.current.clone(), keys.previous.clone())
}

async fn open_store(settings: &Settings) -> Result<Db> {
    let options = Options {
        max_connections: settings.store.max_connections,
        write_batch_max: settings.store.write_batch_max,
    };
    let db = Db::open(settings.store.url.expose(), &options).await?;
    db.refuse_newer().await?;
    let applied = db.migrate().await?;
    if !applied.is_empty() {
        tracing::info!(migrations = applied.len(), "the control store was migrated");
    }
    Ok(db)
}

/// Puts the parts together, with a migrated store. Touches no cluster yet.
///
/// # Errors
/// The store's; an unreadable or unsafe application schema.
pub async fn compose(opened: Opened, keys: MasterKeys, issuer: String) -> Result<App> {
    let Opened { loaded, source, .. } = opened;
    let settings = loaded.settings;
    let clusters = Clusters::open(&settings)?;
    let db = open_store(&settings).await?;
    let catalogue = Shelf::open(&db, settings.signup.default_plan.clone()).await?;
    let (clock, vault) = (clock(&settings), vault(&keys));
    let rotation = settings.auth.signing_key_rotation;
    let tokens = Tokens::load(&db, &vault, &clock, rotation, issuer, settings.auth.audience.clone()).await?;
    let door = &settings.data_door;
    let connections = TenantConnections::new(connections::Settings {
        max_connections: 50,
        max_in_flight_per_tenant: door.max_in_flight_per_tenant,
        wait: door.wait,
        connect: settings
            .clusters
            .values()
            .map(|cluster| cluster.connect_timeout)
            .max()
            .unwrap_or(Duration::from_secs(5)),
        idle_close: door.idle_close,
    });
    for (name, cluster) in &settings.clusters {
        connections.set_budget(name, usize::try_from(cluster.max_connections).unwrap_or(usize::MAX));
    }
    let freshness = Freshness::new(db.engine());
    let mailer = Mailer::open(&settings, tokens.issuer())?;
    let billing = billing::provider::open(&settings)?;
    let buckets = Arc::new(Buckets::default());
    Ok(App::new(Parts {
        provenance: loaded.entries,
        catalogue,
        plans_source: source,
        billing,
        payment_news: vec![Arc::new(subscriptions::Payments)],
        usage: Some(Arc::new(Ledger)),
        clock,
        vault,
        tokens,
        mailer,
        clusters,
        connections,
        router: Router::new(&freshness),
        ring: Ring::new(&freshness, Arc::clone(&buckets)),
        buckets,
        purses: Purses::default(),
        till: Till::default(),
        intake: Intake::default(),
        webhooks: Default::default(),
        known_meters: Default::default(),
        uses: Uses::default(),
        signed_in: SignedIn::new(&freshness),
        throttle: Throttle::default(),
        tail: feeds::Tail::default(),
        aside: Aside::default(),
        audit: audit::Desk::default(),
        freshness,
        wake: Wake::default(),
        subscriptions_due: Notify::new(),
        stock_taken: Notify::new(),
        in_progress: idempotency::InProgress::default(),
        stopping: CancellationToken::new(),
        db,
        settings,
    }))
}

fn workers(app: &App) -> Vec<Arc<dyn Worker>> {
    let mut all = stock::workers(app);
    all.push(Arc::new(Onboarder(app.clone())));
    all.push(Arc::new(Remover(app.clone())));
    all.push(Arc::new(AccessKeeper(app.clone())));
    all.push(Arc::new(Postman(app.clone())));
    all.push(Arc::new(Resetter(app.clone())));
    all.push(Arc::new(Mover(app.clone())));
    for kind in [HAND_OVER_OPERATION, CHARGE_OPERATION] {
        all.push(Arc::new(Collector { app: app.clone(), kind }));
    }
    all
}

fn start_background(app: &App, tasks: &TaskTracker) {
    let operations = &app.settings.operations;
    let pace = Pace {
        max_attempts: operations.max_attempts,
        backoff_initial: operations.backoff_initial,
        backoff_max: operations.backoff_max,
        lease: operations.lease,
        concurrency: operations.concurrency,
    };
    for inside in [false, true] {
        let (db, clock, wake) = (app.db.clone(), app.clock.clone(), app.wake.clone());
        let runner = Runner::new(db, clock, pace, wake, workers(app), Lane { kinds: MAIL_LANE, inside });
        tasks.spawn(runner.serve(app.stopping.clone()));
    }
    crate::broker::start(app, tasks);
    tasks.spawn(subscriptions::clockwork::serve(app.clone(), app.stopping.clone()));
    tasks.spawn(stock::keep(app.clone(), app.stopping.clone()));
    tasks.spawn(till::serve(app.clone()));
    tasks.spawn(intake::serve(app.clone()));
    tasks.spawn(rollups::keep(app.clone()));
    tasks.spawn(feeds::keep(app.clone()));
    tasks.spawn(lending::keep(app.clone()));
    crate::directory::start(app, tasks);
    crate::webhooks::start(app, tasks);
    tasks.spawn(crate::projections::worker::measure(app.clone()));
    audit::start(app, tasks);
    tasks.spawn(used::keep(app.clone(), app.settings.keys.last_used_flush));
    tasks.spawn(follow(
        app.db.clone(),
        app.freshness.clone(),
        Arc::new(Forgetter(app.clone())),
        app.stopping.clone(),
    ));
    tasks.spawn(signing::commands::serve(app.clone(), app.stopping.clone()));
    let (tidy, janitor) = (app.clone(), app.clone());
    tasks.spawn(async move { tidy.connections.keep_tidy(tidy.stopping.clone()).await });
    tasks.spawn(async move {
        while janitor.stopping.run_until_cancelled(tokio::time::sleep(TIDY)).await.is_some() {
            let now = janitor.clock.now();
            if let Err(error) = janitor.db.write(move |conn| idempotency::forget_expired(conn, now)).await {
                tracing::warn!(error = %error, "expired answers could not be forgotten");
            }
            if let Err(error) = janitor.db.write(move |conn| quota::forget_old_in(conn, now)).await {
                tracing::warn!(error = %error, "old counters of quotas could not be forgotten");
            }
            let before = now.minus(KEPT);
            let forget = move |conn: &mut _| {
                mail::forget_expired_in(conn, before)?;
                billing::forget_notices_in(conn, now.minus(NOTICES_KEPT))?;
                work::store::forget_ended_in(conn, MESSAGES, before)
            };
            if let Err(error) = janitor.db.write(forget).await {
                tracing::warn!(error = %error, "old messages could not be forgotten");
            }
            if let Err(error) = impersonation::tidy(&janitor).await {
                tracing::warn!(error = %error, "sessions could not be tidied");
            }
        }
    });
}

/// The OpenAPI document of everything the server answers.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let (_, api) = WebApp::new().into_utoipa_app().configure(routes::all).split_for_parts();
    openapi::complete(api)
}

/// The OpenAPI document as JSON text.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written as JSON.
pub fn openapi() -> Result<String> {
    document().to_pretty_json().map_err(Error::internal)
}

/// Where the server tells its address.
#[must_use]
pub fn address_file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("server.addr")
}
