//! The settings as the product uses them: a struct per concern, units in the types. Values that reach
//! these structs have passed the table of keys and the rules between keys.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use super::master_key::{MasterKey, MasterKeySource};
use super::url::{DatabaseUrl, SmtpUrl};
use crate::kernel::isolation::Isolation;

/// Everything an operator can set. `config/default.toml` has the ranges, the defaults and the reasons.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Directory for everything the embedded default writes; made with mode 0700.
    pub data_dir: PathBuf,
    /// The HTTP server.
    pub server: Server,
    /// The control store.
    pub store: Store,
    /// Keys that encrypt what the store keeps secret.
    #[serde(deserialize_with = "later")]
    pub secrets: Secrets,
    /// How tenants are kept apart and placed by default.
    pub tenancy: Tenancy,
    /// The places where tenants' data can live, by name; holds at least the default cluster.
    #[serde(default)]
    pub clusters: BTreeMap<String, Cluster>,
    /// The operator's own application.
    pub application: Application,
    /// The catalogue.
    pub plans: Plans,
    /// What is due when, who collects it, and what happens when it is not paid.
    pub billing: Billing,
    /// Where the present comes from.
    pub clock: ClockSource,
    /// Who may sign up, and how.
    pub signup: Signup,
    /// Tokens and passwords.
    pub auth: Auth,
    /// Bounds on guessing.
    pub throttle: Throttle,
    /// Members of tenants.
    pub members: Members,
    /// Mail to people.
    pub mail: Mail,
    /// Bounds of the data door.
    pub data_door: DataDoor,
    /// Durable work.
    pub operations: Operations,
    /// Keys of tenants, services and operators.
    pub keys: Keys,
    /// Quotas.
    pub quota: Quota,
    /// Usage events.
    pub metering: Metering,
    /// Events to tenants' endpoints.
    pub webhooks: Webhooks,
    /// Safe repeats of requests.
    pub idempotency: Idempotency,
    /// Where what happens is published.
    pub broker: Broker,
    /// The log.
    pub log: Log,
}

/// The HTTP server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The http(s) URL under which clients reach this server; see [`Server::public_url`].
    pub public_url: Option<String>,
    /// Threads that serve requests, 0 to 1024; 0 is one per core, see [`Server::worker_count`].
    pub workers: usize,
    /// How long running requests and steps get to finish after SIGTERM, up to an hour.
    #[serde(rename = "shutdown_grace_s", deserialize_with = "seconds")]
    pub shutdown_grace: Duration,
    /// Largest request body in bytes, 1 KiB to 100 MiB.
    pub max_body_bytes: usize,
    /// Networks whose word about the client's address is believed.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Where they write it.
    pub proxy_header: ProxyHeader,
}

/// Where a proxy writes the address of the client it speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, a list of addresses.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl Server {
    /// The base of links and the issuer of tokens, without a `/` at the end: `public_url`, or else the
    /// address that was really `bound`.
    #[must_use]
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if let Some(url) = &self.public_url {
            return url.trim_end_matches('/').to_owned();
        }
        let ip = if bound.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { bound.ip() };
        format!("http://{}", SocketAddr::new(ip, bound.port()))
    }

    /// Threads that serve requests, at least 1.
    #[must_use]
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            given => given,
        }
    }
}

/// The control store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// A SQLite file or a PostgreSQL database.
    pub url: DatabaseUrl,
    /// Connections of this process to the store, 2 to 1000.
    pub max_connections: u32,
    /// Commands that share one durable commit on SQLite, 1 to 1024.
    pub write_batch_max: usize,
}

/// Keys that encrypt what the store keeps secret.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Where the master key is; [`super::master_key::load_or_create`] gives it.
    pub master_key: MasterKeySource,
    /// Keys of before a rotation: they only decrypt.
    pub previous_master_keys: Vec<MasterKey>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            master_key: MasterKeySource::Made(PathBuf::from("data/master.key")),
            previous_master_keys: Vec::new(),
        }
    }
}

/// How tenants are kept apart and placed by default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenancy {
    /// Isolation model of tenants whose plan names none.
    pub isolation: Isolation,
    /// The cluster that takes new tenants unless a region or an operator says otherwise.
    pub default_cluster: String,
    /// Region of new tenants that name none; `None` is any.
    #[serde(deserialize_with = "not_empty")]
    pub region: Option<String>,
    /// Time between a tenant's deletion and the erasure of its data, up to a year.
    #[serde(rename = "delete_grace_s", deserialize_with = "seconds")]
    pub delete_grace: Duration,
    /// Slugs that nobody may take, besides the built-in ones.
    pub reserved_slugs: Vec<String>,
    /// Placements kept ready.
    pub stock: Stock,
}

/// Placements kept ready on a cluster, per model, 0 to 1000 each; 0 makes each one on demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// Of the model `shared`.
    pub shared: u32,
    /// Of the model `schema`.
    pub schema: u32,
    /// Of the model `database`.
    pub database: u32,
}

impl Stock {
    /// How many of `model` to keep ready.
    #[must_use]
    pub fn of(&self, model: Isolation) -> u32 {
        match model {
            Isolation::Shared => self.shared,
            Isolation::Schema => self.schema,
            Isolation::Database => self.database,
        }
    }
}

/// A place where tenants' data can live.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// A SQLite directory or a PostgreSQL server.
    pub url: DatabaseUrl,
    /// Budget of connections of this process to the cluster, 1 to 10000.
    pub max_connections: u32,
    /// Share of new tenants among the clusters that fit, 0 to 1000000; 0 takes none unless named.
    pub weight: u32,
    /// Where it stands; `None` is nowhere in particular.
    #[serde(deserialize_with = "not_empty")]
    pub region: Option<String>,
    /// Whether new tenants may be placed here.
    pub accepts_new: bool,
    /// Longest wait for a new connection, 100 ms to a minute.
    #[serde(rename = "connect_timeout_ms", deserialize_with = "milliseconds")]
    pub connect_timeout: Duration,
}

/// The operator's own application.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Directory of its schema: `NNNN_name/up.sql` and `down.sql`.
    pub migrations_dir: PathBuf,
}

/// The catalogue.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plans {
    /// The file; a compiled-in copy serves when this is the default path and absent.
    pub file: PathBuf,
}

/// What is due when, who collects it, and what happens when it is not paid.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Billing {
    /// Who collects.
    pub provider: BillingProvider,
    /// Whose invoices they are, as printed on them; empty is the name in `mail.from`.
    pub issuer: String,
    /// How long there is to pay an invoice, a day to a year.
    #[serde(rename = "due_after_d", deserialize_with = "days")]
    pub due_after: Duration,
    /// The account at Stripe.
    pub stripe: Stripe,
    /// By whose calendar new tenants' periods count.
    pub time_zone: String,
    /// The ladder of what is unpaid.
    pub dunning: Dunning,
}

/// After how many days unpaid each rung is climbed; 0 leaves one out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dunning {
    /// People are told.
    pub warn_after_d: u32,
    /// Data can be read, not written.
    pub restrict_after_d: u32,
    /// The tenant is suspended.
    pub suspend_after_d: u32,
    /// The subscription is canceled.
    pub cancel_after_d: u32,
}

/// Where the present comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSource {
    /// The machine, or calls.
    pub mode: ClockMode,
}

/// Who moves time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockMode {
    /// The machine's clock.
    System,
    /// Calls of an operator: for tests.
    Test,
}

/// Who collects what invoices say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingProvider {
    /// People, who mark invoices paid.
    Manual,
    /// Stripe.
    Stripe,
}

/// The account at Stripe.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stripe {
    /// The secret or restricted key that signs our calls in.
    pub secret_key: Option<SecretString>,
    /// What the notifications that we get are signed with.
    pub webhook_secret: Option<SecretString>,
    /// How Stripe asks for the money.
    pub collection: Collection,
    /// Where the API is.
    pub api_url: String,
    /// The longest that one call may take, a second to 80.
    #[serde(rename = "timeout_s", deserialize_with = "seconds")]
    pub timeout: Duration,
}

/// How Stripe asks for the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Collection {
    /// By a mail with a link to a page where one pays.
    SendInvoice,
    /// From the means of payment that Stripe holds.
    ChargeAutomatically,
}

/// Who may sign up, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signup {
    /// Whether strangers may.
    pub enabled: bool,
    /// Whether an address must be confirmed by mail before the tenant is made.
    pub verify_email: bool,
    /// How long a signup waits for that, a second to a week.
    #[serde(rename = "verification_ttl_s", deserialize_with = "seconds")]
    pub verification_ttl: Duration,
    /// Plan of those who name none.
    pub default_plan: String,
}

/// Tokens and passwords.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Life of an access token, one to 15 minutes.
    #[serde(rename = "access_token_ttl_s", deserialize_with = "seconds")]
    pub access_token_ttl: Duration,
    /// The `aud` claim of access tokens.
    pub audience: String,
    /// Fewest characters of a password, 8 to 128.
    pub password_min_length: usize,
    /// Life of a token or code that was mailed to change a password or an address, a second to a day.
    #[serde(rename = "code_ttl_s", deserialize_with = "seconds")]
    pub code_ttl: Duration,
    /// Time after which a session that was not refreshed ends, five minutes to 90 days.
    #[serde(rename = "refresh_token_ttl_s", deserialize_with = "seconds")]
    pub refresh_token_ttl: Duration,
    /// Longest life of a session, 15 minutes to a year.
    #[serde(rename = "session_max_s", deserialize_with = "seconds")]
    pub session_max: Duration,
    /// Time after which another key signs, an hour to a year.
    #[serde(rename = "signing_key_rotation_s", deserialize_with = "seconds")]
    pub signing_key_rotation: Duration,
    /// Life of the token by which an operator sets their password, five minutes to 30 days.
    #[serde(rename = "operator_setup_ttl_s", deserialize_with = "seconds")]
    pub operator_setup_ttl: Duration,
}

/// Bounds on guessing, each 1 to 1000000 in the window.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Throttle {
    /// Time in which a budget refills, a minute to a day.
    #[serde(rename = "window_s", deserialize_with = "seconds")]
    pub window: Duration,
    /// Wrong tries from one address.
    pub tries_per_address: u32,
    /// Wrong tries of one account from one address.
    pub tries_per_account_and_address: u32,
    /// Wrong tries of one account from anywhere.
    pub tries_per_account: u32,
    /// Signups from one address.
    pub signups_per_address: u32,
}

/// Where what happens is published.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// How long a replica publishes without a sign of life, a second to an hour.
    #[serde(rename = "lease_s", deserialize_with = "seconds")]
    pub lease: Duration,
    /// The stream of NATS JetStream.
    pub nats: Nats,
}

/// The stream of NATS JetStream.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Its servers, with commas between them; `None` publishes nowhere.
    pub url: Option<String>,
    /// Who signs in.
    #[serde(default)]
    pub user: Option<String>,
    /// With what.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// The text of a credentials file (a JWT and the seed of its key).
    #[serde(default)]
    pub credentials: Option<SecretString>,
    /// Whether a server without TLS is refused.
    pub tls: bool,
    /// The authorities that are believed, in PEM; `None` is the machine's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The stream's name.
    pub stream: String,
    /// What subjects begin with.
    pub subject_prefix: String,
    /// Servers that keep the stream, 1 to 5.
    pub replicas: usize,
    /// How long the stream keeps a message, 0 for ever, up to ten years.
    #[serde(rename = "max_age_s", deserialize_with = "seconds")]
    pub max_age: Duration,
    /// How long the stream knows a message that is sent again, a second to a week.
    #[serde(rename = "duplicate_window_s", deserialize_with = "seconds")]
    pub duplicate_window: Duration,
}

impl Nats {
    /// The servers, one by one.
    pub fn servers(&self) -> impl Iterator<Item = &str> {
        self.url.iter().flat_map(|all| all.split(',')).map(str::trim)
    }
}

/// Members of tenants.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Life of an invitation, a second to 90 days.
    #[serde(rename = "invitation_ttl_s", deserialize_with = "seconds")]
    pub invitation_ttl: Duration,
}

/// Mail to people.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The way out.
    pub transport: MailTransport,
    /// Whom mail is from: an address, with or without a name.
    pub from: String,
    /// Where the operator's own templates are.
    pub templates_dir: Option<PathBuf>,
    /// Shortest time between two mails that ask the same of the same person, up to a day.
    #[serde(rename = "resend_cooldown_s", deserialize_with = "seconds")]
    pub resend_cooldown: Duration,
    /// The mail server.
    pub smtp: Smtp,
}

/// The way that mail goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    /// A file each, below the data directory.
    File,
    /// A mail server.
    Smtp,
}

/// The mail server.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    /// Where it is, and how to sign in.
    pub url: Option<SmtpUrl>,
    /// The longest that it may take over a letter, a second to two minutes.
    #[serde(rename = "timeout_s", deserialize_with = "seconds")]
    pub timeout: Duration,
}

/// Bounds of the data door.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataDoor {
    /// Longest run of a statement, 10 ms to ten minutes.
    #[serde(rename = "statement_timeout_ms", deserialize_with = "milliseconds")]
    pub statement_timeout: Duration,
    /// Most rows in an answer, 1 to 1000000.
    pub max_rows: usize,
    /// Most bytes of rows in an answer, 1 KiB to 100 MiB.
    pub max_bytes: usize,
    /// Longest wait for a free connection, up to a minute.
    #[serde(rename = "wait_ms", deserialize_with = "milliseconds")]
    pub wait: Duration,
    /// Statements of one tenant at the same time, 1 to 1000.
    pub max_in_flight_per_tenant: usize,
    /// Time after which a tenant's unused connection is closed, a second to a day.
    #[serde(rename = "idle_close_s", deserialize_with = "seconds")]
    pub idle_close: Duration,
    /// Growth of this process after which a SQLite statement is stopped, 16 MiB to 64 GiB.
    pub sqlite_max_memory_bytes: u64,
    /// Largest file of a tenant on SQLite, 1 MiB to 16 TiB.
    pub sqlite_max_file_bytes: u64,
}

/// Durable work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    /// Tries of a failing step before its operation stands failed, 1 to 1000.
    pub max_attempts: u32,
    /// First wait after a failed step, 10 ms to a minute; doubles each time.
    #[serde(rename = "backoff_initial_ms", deserialize_with = "milliseconds")]
    pub backoff_initial: Duration,
    /// Longest wait between two tries, a second to a day.
    #[serde(rename = "backoff_max_s", deserialize_with = "seconds")]
    pub backoff_max: Duration,
    /// Silence of a worker after which another replica takes over, 5 s to an hour.
    #[serde(rename = "lease_s", deserialize_with = "seconds")]
    pub lease: Duration,
    /// Operations that this process works on at the same time, 1 to 256.
    pub concurrency: usize,
}

/// Keys of tenants, services and operators.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// How often it is written when keys were last used, a second to a minute.
    #[serde(rename = "last_used_flush_s", deserialize_with = "seconds")]
    pub last_used_flush: Duration,
    /// The meter that the verify call takes from; empty for none.
    pub verify_meter: String,
}

/// Quotas.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Per cent at which an event is raised.
    #[serde(deserialize_with = "percents")]
    pub thresholds: Vec<u16>,
}

/// Usage events.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metering {
    /// How long an event that is sent again is known as a duplicate, at least.
    #[serde(rename = "dedup_window_s", deserialize_with = "seconds")]
    pub dedup_window: Duration,
    /// How long ago an event may have happened when it comes in.
    #[serde(rename = "max_late_s", deserialize_with = "seconds")]
    pub max_late: Duration,
    /// How far ahead of the present an event may say it happened.
    #[serde(rename = "max_future_s", deserialize_with = "seconds")]
    pub max_future: Duration,
    /// How long events are kept after they came in, at least.
    #[serde(rename = "retain_raw_s", deserialize_with = "seconds")]
    pub retain_raw: Duration,
}

/// Events to tenants' endpoints.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhooks {
    /// Endpoints that a tenant may have.
    pub max_endpoints_per_tenant: i64,
    /// Whether endpoints may be plain http.
    pub allow_http: bool,
    /// Networks that may be called though they are not public.
    #[serde(deserialize_with = "networks")]
    pub allow_private: Vec<ipnet::IpNet>,
    /// How long an attempt may take.
    #[serde(rename = "timeout_s", deserialize_with = "seconds")]
    pub timeout: Duration,
    /// How long after that another replica takes a delivery over.
    #[serde(rename = "lease_s", deserialize_with = "seconds")]
    pub lease: Duration,
    /// Attempts of this process at the same time.
    pub concurrency: usize,
    /// Attempts at one endpoint at the same time, over all replicas.
    pub max_in_flight_per_endpoint: usize,
    /// Attempts for one tenant at the same time, of this process.
    pub max_in_flight_per_tenant: usize,
    /// The wait before each attempt.
    #[serde(rename = "retry_schedule_s", deserialize_with = "many_seconds")]
    pub schedule: Vec<Duration>,
    /// By how much of itself a wait is longer or shorter.
    #[serde(rename = "retry_jitter_percent")]
    pub jitter_percent: u32,
    /// The longest wait that an endpoint may ask for.
    #[serde(rename = "retry_after_max_s", deserialize_with = "seconds")]
    pub retry_after_max: Duration,
    /// Failures in a row after which an endpoint is left alone for a while.
    pub breaker_failures: u32,
    /// The first such while.
    #[serde(rename = "breaker_initial_ms", deserialize_with = "milliseconds")]
    pub breaker_initial: Duration,
    /// The longest such while.
    #[serde(rename = "breaker_max_s", deserialize_with = "seconds")]
    pub breaker_max: Duration,
    /// How long an endpoint may fail before it is disabled.
    #[serde(rename = "disable_after_s", deserialize_with = "seconds")]
    pub disable_after: Duration,
    /// How long a rotated secret goes on signing beside the new one, when nothing else is asked.
    #[serde(rename = "secret_overlap_s", deserialize_with = "seconds")]
    pub secret_overlap: Duration,
    /// How long events and deliveries are kept.
    #[serde(rename = "retain_s", deserialize_with = "seconds")]
    pub retain: Duration,
}

/// Safe repeats of requests.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// How long an `Idempotency-Key` replays the stored answer, a minute to 30 days.
    #[serde(rename = "ttl_s", deserialize_with = "seconds")]
    pub ttl: Duration,
}

/// The log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Its shape.
    pub format: LogFormat,
    /// The least important messages that are kept.
    pub level: LogLevel,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// For people.
    Pretty,
    /// An object per line.
    Json,
}

/// Importance of log messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Something failed and stays failed.
    Error,
    /// Something is odd and may need a person.
    Warn,
    /// What happened.
    Info,
    /// How it happened.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word used in config, and as a directive of `tracing_subscriber::EnvFilter`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_secs)
}

fn many_seconds<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Duration>, D::Error> {
    let all: Vec<String> = Vec::deserialize(from)?;
    all.iter().map(|text| text.parse().map(Duration::from_secs).map_err(serde::de::Error::custom)).collect()
}

fn days<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(|days| Duration::from_secs(days.saturating_mul(86_400)))
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    u64::deserialize(from).map(Duration::from_millis)
}

fn percents<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u16>, D::Error> {
    let all: Vec<String> = Vec::deserialize(from)?;
    all.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn networks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ipnet::IpNet>, D::Error> {
    let all: Vec<String> = Vec::deserialize(from)?;
    all.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

fn not_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    String::deserialize(from).map(|text| Some(text).filter(|text| !text.is_empty()))
}

/// Secrets are put in by the loader: here it only matters that their section may be there.
fn later<'de, D: Deserializer<'de>>(from: D) -> Result<Secrets, D::Error> {
    serde::de::IgnoredAny::deserialize(from).map(|_| Secrets::default())
}
