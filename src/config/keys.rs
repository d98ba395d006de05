//! The table of keys. Everything that knows which keys there are (the check for unknown ones, types and
//! ranges, the JSON Schema, `config show`) reads it here; the words about a key are the comment above it
//! in `config/default.toml`, so that they exist once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::problem::{Fault, grouped, nearest, one_of};
use super::url;

/// The compiled-in defaults.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// Stands for the name of a cluster in [`KeySpec::key`].
pub const ANY: &str = "*";

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// Dotted from the root; `*` stands for a cluster's name.
    pub key: &'static str,
    /// What it takes.
    pub kind: Kind,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number within these bounds, both allowed.
    Integer {
        /// The smallest allowed.
        min: i64,
        /// The largest allowed.
        max: i64,
    },
    /// `true` or `false`.
    Bool,
    /// Any string.
    Text,
    /// A string that is not empty.
    Word,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// A path that is not empty.
    Path,
    /// An address and a port.
    Bind,
    /// An http or https URL.
    HttpUrl,
    /// The control store's URL; may be a secret.
    StoreUrl,
    /// A cluster's URL; may be a secret.
    ClusterUrl,
    /// A mail server's URL; may be a secret.
    SmtpUrl,
    /// A mail address, with or without a name.
    Mailbox,
    /// Base64 of 32 bytes; a secret.
    MasterKey,
    /// Many of [`Kind::MasterKey`].
    MasterKeys,
    /// Slugs: a-z, 0-9 and -.
    Slugs,
    /// Networks in CIDR notation.
    Networks,
    /// A name of the tz database.
    TimeZone,
    /// A secret of others that we hold: a key, a password.
    Secret,
    /// Whole numbers of per cent.
    Percents,
    /// Servers of NATS.
    NatsUrl,
    /// A name on a broker: letters, digits, - and _.
    Token,
    /// Names on a broker with dots between them.
    Subject,
    /// Whole numbers of seconds, at least one.
    Delays,
}

/// Every key, in the order of `config/default.toml`.
pub const KEYS: &[KeySpec] = &[
    key("data_dir", Kind::Path),
    key("server.bind", Kind::Bind),
    key("server.public_url", Kind::HttpUrl),
    int("server.workers", 0, 1_024),
    int("server.shutdown_grace_s", 0, 3_600),
    int("server.max_body_bytes", 1_024, 104_857_600),
    key("server.trusted_proxies", Kind::Networks),
    key("server.proxy_header", Kind::Choice(&["x-forwarded-for", "forwarded"])),
    key("store.url", Kind::StoreUrl),
    int("store.max_connections", 2, 1_000),
    int("store.write_batch_max", 1, 1_024),
    key("secrets.master_key", Kind::MasterKey),
    key("secrets.previous_master_keys", Kind::MasterKeys),
    key("tenancy.isolation", Kind::Choice(&["shared", "schema", "database"])),
    key("tenancy.default_cluster", Kind::Word),
    key("tenancy.region", Kind::Text),
    int("tenancy.delete_grace_s", 0, 31_536_000),
    key("tenancy.reserved_slugs", Kind::Slugs),
    int("tenancy.stock.shared", 0, 1_000),
    int("tenancy.stock.schema", 0, 1_000),
    int("tenancy.stock.database", 0, 1_000),
    key("clusters.*.url", Kind::ClusterUrl),
    int("clusters.*.max_connections", 1, 10_000),
    int("clusters.*.weight", 0, 1_000_000),
    key("clusters.*.region", Kind::Text),
    key("clusters.*.accepts_new", Kind::Bool),
    int("clusters.*.connect_timeout_ms", 100, 60_000),
    key("application.migrations_dir", Kind::Path),
    key("plans.file", Kind::Path),
    key("billing.time_zone", Kind::TimeZone),
    key("billing.provider", Kind::Choice(&["manual", "stripe"])),
    key("billing.issuer", Kind::Text),
    int("billing.due_after_d", 1, 365),
    key("billing.stripe.secret_key", Kind::Secret),
    key("billing.stripe.webhook_secret", Kind::Secret),
    key("billing.stripe.collection", Kind::Choice(&["send_invoice", "charge_automatically"])),
    key("billing.stripe.api_url", Kind::HttpUrl),
    int("billing.stripe.timeout_s", 1, 80),
    int("billing.dunning.warn_after_d", 0, 3_650),
    int("billing.dunning.restrict_after_d", 0, 3_650),
    int("billing.dunning.suspend_after_d", 0, 3_650),
    int("billing.dunning.cancel_after_d", 0, 3_650),
    key("clock.mode", Kind::Choice(&["system", "test"])),
    key("signup.enabled", Kind::Bool),
    key("signup.verify_email", Kind::Bool),
    int("signup.verification_ttl_s", 1, 604_800),
    key("signup.default_plan", Kind::Word),
    int("auth.access_token_ttl_s", 60, 900),
    key("auth.audience", Kind::Word),
    int("auth.password_min_length", 8, 128),
    int("auth.code_ttl_s", 1, 86_400),
    int("auth.refresh_token_ttl_s", 300, 7_776_000),
    int("auth.session_max_s", 900, 31_536_000),
    int("auth.signing_key_rotation_s", 3_600, 31_536_000),
    int("auth.operator_setup_ttl_s", 300, 2_592_000),
    int("throttle.window_s", 60, 86_400),
    int("throttle.tries_per_address", 1, 1_000_000),
    int("throttle.tries_per_account_and_address", 1, 1_000_000),
    int("throttle.tries_per_account", 1, 1_000_000),
    int("throttle.signups_per_address", 1, 1_000_000),
    int("members.invitation_ttl_s", 1, 7_776_000),
    key("mail.transport", Kind::Choice(&["file", "smtp"])),
    key("mail.from", Kind::Mailbox),
    key("mail.templates_dir", Kind::Path),
    int("mail.resend_cooldown_s", 0, 86_400),
    key("mail.smtp.url", Kind::SmtpUrl),
    int("mail.smtp.timeout_s", 1, 120),
    int("data_door.statement_timeout_ms", 10, 600_000),
    int("data_door.max_rows", 1, 1_000_000),
    int("data_door.max_bytes", 1_024, 104_857_600),
    int("data_door.wait_ms", 0, 60_000),
    int("data_door.max_in_flight_per_tenant", 1, 1_000),
    int("data_door.idle_close_s", 1, 86_400),
    int("data_door.sqlite_max_memory_bytes", 16_777_216, 68_719_476_736),
    int("data_door.sqlite_max_file_bytes", 1_048_576, 17_592_186_044_416),
    int("operations.max_attempts", 1, 1_000),
    int("operations.backoff_initial_ms", 10, 60_000),
    int("operations.backoff_max_s", 1, 86_400),
    int("operations.lease_s", 1, 3_600),
    int("operations.concurrency", 1, 256),
    int("keys.last_used_flush_s", 1, 60),
    key("keys.verify_meter", Kind::Text),
    key("quota.thresholds", Kind::Percents),
    int("metering.dedup_window_s", 60, 31_536_000),
    int("metering.max_late_s", 0, 31_536_000),
    int("metering.max_future_s", 0, 86_400),
    int("metering.retain_raw_s", 60, 315_360_000),
    int("broker.lease_s", 1, 3_600),
    key("broker.nats.url", Kind::NatsUrl),
    key("broker.nats.user", Kind::Word),
    key("broker.nats.password", Kind::Secret),
    key("broker.nats.credentials", Kind::Secret),
    key("broker.nats.tls", Kind::Bool),
    key("broker.nats.ca_file", Kind::Path),
    key("broker.nats.stream", Kind::Token),
    key("broker.nats.subject_prefix", Kind::Subject),
    int("broker.nats.replicas", 1, 5),
    int("broker.nats.max_age_s", 0, 315_360_000),
    int("broker.nats.duplicate_window_s", 1, 604_800),
    int("webhooks.max_endpoints_per_tenant", 0, 10_000),
    key("webhooks.allow_http", Kind::Bool),
    key("webhooks.allow_private", Kind::Networks),
    int("webhooks.timeout_s", 1, 120),
    int("webhooks.lease_s", 1, 3_600),
    int("webhooks.concurrency", 1, 1_024),
    int("webhooks.max_in_flight_per_endpoint", 1, 1_024),
    int("webhooks.max_in_flight_per_tenant", 1, 1_024),
    key("webhooks.retry_schedule_s", Kind::Delays),
    int("webhooks.retry_jitter_percent", 0, 100),
    int("webhooks.retry_after_max_s", 0, 86_400),
    int("webhooks.breaker_failures", 1, 1_000),
    int("webhooks.breaker_initial_ms", 1, 3_600_000),
    int("webhooks.breaker_max_s", 1, 86_400),
    int("webhooks.disable_after_s", 1, 31_536_000),
    int("webhooks.secret_overlap_s", 0, 2_592_000),
    int("webhooks.retain_s", 60, 315_360_000),
    int("idempotency.ttl_s", 60, 2_592_000),
    key("log.format", Kind::Choice(&["auto", "pretty", "json"])),
    key("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"])),
];

const fn key(key: &'static str, kind: Kind) -> KeySpec {
    KeySpec { key, kind }
}

const fn int(name: &'static str, min: i64, max: i64) -> KeySpec {
    key(name, Kind::Integer { min, max })
}

/// A value of the right TOML type, before its own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// `true` or `false`.
    Bool(bool),
    /// Strings.
    List(Vec<String>),
}

impl Kind {
    /// Whether the value may be given as `env:NAME` or `file:PATH` and must not be logged.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(
            self,
            Self::StoreUrl
                | Self::ClusterUrl
                | Self::SmtpUrl
                | Self::MasterKey
                | Self::MasterKeys
                | Self::Secret
        )
    }

    /// Whether it takes a list of strings.
    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(self, Self::MasterKeys | Self::Slugs | Self::Networks | Self::Percents | Self::Delays)
    }

    /// What it takes, in words: `a whole number from 1 to 1_024`.
    #[must_use]
    pub fn words(self) -> String {
        match self {
            Self::Integer { min, max } => {
                format!("a whole number from {} to {}", grouped(min), grouped(max))
            }
            Self::Bool => "true or false".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::Word => "a string that is not empty".to_owned(),
            Self::Choice(words) => one_of(words),
            Self::Path => "a path".to_owned(),
            Self::Bind => "an address and a port, for instance 127.0.0.1:8080".to_owned(),
            Self::HttpUrl => "a URL, for instance https://tenantry.example.com".to_owned(),
            Self::StoreUrl => "sqlite://PATH or postgres://user@host/database".to_owned(),
            Self::ClusterUrl => "sqlite://DIRECTORY or postgres://owner@host/database".to_owned(),
            Self::SmtpUrl => "smtps://user:password@host or smtp://host:port".to_owned(),
            Self::Mailbox => "a mail address, for instance Acme <no-reply@acme.example>".to_owned(),
            Self::MasterKey => "base64 of 32 bytes, env:NAME or file:PATH".to_owned(),
            Self::MasterKeys => "a list of master keys".to_owned(),
            Self::Slugs => "a list of strings made of a-z, 0-9 and -".to_owned(),
            Self::Networks => "a list of networks, for instance 10.0.0.0/8".to_owned(),
            Self::Percents => "a list of whole numbers from 1 to 1_000".to_owned(),
            Self::Delays => "a list of 1 to 50 whole numbers of seconds, each up to 2_592_000".to_owned(),
            Self::TimeZone => "a name of the tz database, for instance Europe/Berlin".to_owned(),
            Self::Secret => "env:NAME or file:PATH".to_owned(),
            Self::NatsUrl => {
                "nats://host:4222 or tls://host:4222, several with commas between them".to_owned()
            }
            Self::Token => "a name made of letters, digits, - and _".to_owned(),
            Self::Subject => "names made of letters, digits, - and _, with dots between them".to_owned(),
        }
    }

    /// Whether `value` keeps this kind's rules; references to secrets must be resolved before.
    ///
    /// # Errors
    /// What is wrong and what is allowed, without quoting a secret.
    pub fn check(self, value: &Raw) -> Result<(), Fault> {
        let refuse = |detail: String| Err(Fault::new(detail, format!("give {}", self.words())));
        match (self, value) {
            (Self::Integer { min, max }, Raw::Integer(number)) if *number < min || *number > max => {
                let range = format!("allowed is {} to {}", grouped(min), grouped(max));
                Err(Fault::new(format!("{} is out of range", grouped(*number)), range))
            }
            (Self::Choice(words), Raw::Text(text)) if !words.contains(&text.as_str()) => {
                let remedy = match nearest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean {near}? Allowed are {}", one_of(words)),
                    None => format!("allowed are {}", one_of(words)),
                };
                Err(Fault::new(format!("`{text}` is not one of the allowed words"), remedy))
            }
            (Self::Word | Self::Path | Self::Secret, Raw::Text(text)) if text.trim().is_empty() => {
                refuse("is empty".to_owned())
            }
            (Self::Bind, Raw::Text(text)) if text.parse::<std::net::SocketAddr>().is_err() => {
                let detail = format!("`{text}` is not an address and a port");
                Err(Fault::new(detail, "give a numeric address and a port, for instance 127.0.0.1:8080"))
            }
            (Self::HttpUrl, Raw::Text(text)) => url::check_http(text),
            (Self::NatsUrl, Raw::Text(text)) => url::check_nats(text),
            (Self::Token, Raw::Text(text)) if !is_token(text) => refuse(format!("`{text}` is no such name")),
            (Self::Subject, Raw::Text(text)) if !text.split('.').all(is_token) => {
                refuse(format!("`{text}` cannot begin a subject"))
            }
            (Self::StoreUrl | Self::ClusterUrl, Raw::Text(text)) => url::DatabaseUrl::parse(text).map(|_| ()),
            (Self::SmtpUrl, Raw::Text(text)) => url::SmtpUrl::parse(text).map(|_| ()),
            (Self::Mailbox, Raw::Text(text)) if text.parse::<lettre::message::Mailbox>().is_err() => {
                refuse(format!("`{text}` is no mail address"))
            }
            (Self::TimeZone, Raw::Text(text)) if jiff::tz::TimeZone::get(text).is_err() => {
                refuse(format!("`{text}` is no time zone"))
            }
            (Self::MasterKey, Raw::Text(text)) => super::master_key::parse(text).map(|_| ()),
            (Self::MasterKeys, Raw::List(all)) => {
                all.iter().try_for_each(|text| Self::MasterKey.check(&Raw::Text(text.clone())))
            }
            (Self::Slugs, Raw::List(all)) => match all.iter().find(|slug| !is_slug(slug)) {
                Some(slug) => refuse(format!("`{slug}` can never be a slug")),
                None => Ok(()),
            },
            (Self::Percents, Raw::List(all)) => match all.iter().find(|text| percent(text).is_none()) {
                Some(text) => refuse(format!("`{text}` is no per cent")),
                None => Ok(()),
            },
            (Self::Delays, Raw::List(all)) => match all.iter().find(|text| delay(text).is_none()) {
                Some(text) => refuse(format!("`{text}` is no such number")),
                None if all.is_empty() || all.len() > 50 => refuse("is of the wrong length".to_owned()),
                None => Ok(()),
            },
            (Self::Networks, Raw::List(all)) => {
                match all.iter().find(|text| text.parse::<ipnet::IpNet>().is_err()) {
                    Some(text) => refuse(format!("`{text}` is no network")),
                    None => Ok(()),
                }
            }
            _ if self.takes(value) => Ok(()),
            _ => refuse("is of the wrong type".to_owned()),
        }
    }

    pub(crate) fn takes(self, value: &Raw) -> bool {
        match value {
            Raw::Integer(_) => matches!(self, Self::Integer { .. }),
            Raw::Bool(_) => self == Self::Bool,
            Raw::List(_) => self.is_list(),
            Raw::Text(_) => !matches!(self, Self::Integer { .. } | Self::Bool) && !self.is_list(),
        }
    }
}

/// Reads a whole number of per cent, 1 to 1000.
#[must_use]
pub fn percent(text: &str) -> Option<u16> {
    text.parse().ok().filter(|percent| (1..=1_000).contains(percent))
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Reads a whole number of seconds, up to 30 days.
#[must_use]
pub fn delay(text: &str) -> Option<u32> {
    text.parse().ok().filter(|seconds| *seconds <= 2_592_000)
}

fn is_slug(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whether `name` can be a cluster's name: a-z, 0-9, `-` and `_`, a letter or digit at both ends, 40 at most.
#[must_use]
pub fn is_cluster_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.len() <= 40
        && name.bytes().all(|b| inner(b) || b == b'-' || b == b'_')
        && name.bytes().next().is_some_and(inner)
        && name.bytes().last().is_some_and(inner)
        && !name.contains("__")
}

/// `clusters.eu.url` as the table writes it, `clusters.*.url`.
#[must_use]
pub fn pattern(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    if let [first, cluster, ..] = parts.as_mut_slice()
        && *first == "clusters"
    {
        *cluster = ANY;
    }
    parts.join(".")
}

/// The key `name`, if there is one.
#[must_use]
pub fn find(name: &str) -> Option<&'static KeySpec> {
    let wanted = pattern(name);
    KEYS.iter().find(|spec| spec.key == wanted)
}

/// Whether `name` is a section: a key continues it.
#[must_use]
pub fn is_section(name: &str) -> bool {
    let start = format!("{}.", pattern(name));
    KEYS.iter().any(|spec| spec.key.starts_with(&start))
}

/// The known key or section that `name` was most likely meant to be.
#[must_use]
pub fn suggest(name: &str) -> Option<String> {
    let cluster = name.strip_prefix("clusters.").and_then(|rest| rest.split('.').next()).unwrap_or(ANY);
    let mut known: Vec<String> = KEYS.iter().map(|spec| spec.key.replace(ANY, cluster)).collect();
    let sections: Vec<String> =
        known.iter().filter_map(|key| key.rsplit_once('.').map(|(section, _)| section.to_owned())).collect();
    known.extend(sections);
    if cluster == ANY {
        known.retain(|key| !key.contains(ANY));
        known.push("clusters".to_owned());
    }
    // The right name in the wrong section is as likely as a slip of the finger.
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let mut same = known.iter().filter(|key| last(key) == last(name));
    if let (Some(only), None) = (same.next(), same.next()) {
        return Some(only.clone());
    }
    nearest(name, known.iter().map(String::as_str)).map(str::to_owned)
}

/// The words about a key: the comment above it in `config/default.toml`.
#[must_use]
pub fn doc(key: &str) -> &'static str {
    static DOCS: LazyLock<BTreeMap<String, String>> = LazyLock::new(docs);
    DOCS.get(&pattern(key)).map_or("", String::as_str)
}

fn docs() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let (mut section, mut words) = (String::new(), Vec::new());
    for line in DEFAULT_TOML.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            words.push(comment);
            continue;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{header}.");
        } else if let Some((name, _)) = line.trim_start_matches('#').split_once(" = ") {
            out.insert(pattern(&format!("{section}{name}")), words.join(" "));
        }
        words.clear();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained_with_its_range() {
        for spec in KEYS {
            let doc = doc(spec.key);
            assert!(doc.len() > 20, "{} has no comment in default.toml", spec.key);
            if let Kind::Integer { min, max } = spec.kind {
                let range = format!("{} to {}", grouped(min), grouped(max));
                assert!(doc.contains(&range), "{}: the comment does not say `{range}`", spec.key);
            }
            if let Kind::Choice(words) = spec.kind {
                assert!(words.iter().all(|word| doc.contains(word)), "{}: words are missing", spec.key);
            }
        }
    }

    #[test]
    fn default_toml_has_the_keys_of_the_table_and_no_others() {
        let in_file = docs();
        let table: Vec<&str> = KEYS.iter().map(|spec| spec.key).collect();
        assert!(in_file.keys().all(|key| table.contains(&key.as_str())), "{in_file:?}");
        assert_eq!(in_file.len(), table.len());
    }

    #[test]
    fn suggestions_find_slips_and_wrong_sections() {
        assert_eq!(suggest("tenancy.isolaton").as_deref(), Some("tenancy.isolation"));
        assert_eq!(suggest("store_url").as_deref(), Some("store.url"));
        assert_eq!(suggest("clusters.eu.wieght").as_deref(), Some("clusters.eu.weight"));
        assert_eq!(suggest("max_rows").as_deref(), Some("data_door.max_rows"));
        assert_eq!(suggest("clustres").as_deref(), Some("clusters"));
        assert_eq!(suggest("serve").as_deref(), Some("server"));
        assert_eq!(suggest("zzz"), None);
    }
}
