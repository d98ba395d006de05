//! Database URLs: which engine, where, and how to show one without its password.
//!
//! The scheme is read here, not by a driver: drivers take what they do not know for a file name.

use std::fmt;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::problem::{Fault, nearest};
pub use crate::kernel::engine::Engine;

const MASK: &str = "***";
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// The URL of a control store or a cluster. Shown without its password.
#[derive(Clone)]
pub struct DatabaseUrl {
    engine: Engine,
    text: SecretString,
}

impl DatabaseUrl {
    /// Reads `sqlite://PATH`, `postgres://…` or `postgresql://…`.
    ///
    /// # Errors
    /// What is wrong, without quoting more than the scheme.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Fault::new(
                "is not a database URL",
                "begin with sqlite:// or postgres://, for instance postgres://owner@localhost/tenants",
            ));
        };
        let engine = match scheme {
            "sqlite" => Engine::Sqlite,
            "postgres" | "postgresql" => Engine::Postgres,
            other => {
                let remedy = match nearest(other, ["sqlite", "postgres", "postgresql"]) {
                    Some(near) => format!("did you mean {near}://?"),
                    None => "use sqlite:// or postgres://".to_owned(),
                };
                return Err(Fault::new(format!("`{other}` is no engine of ours"), remedy));
            }
        };
        match engine {
            Engine::Sqlite => check_sqlite(rest)?,
            Engine::Postgres => check_postgres(text, rest)?,
        }
        Ok(Self { engine, text: SecretString::from(text) })
    }

    /// The engine that the scheme names.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// The whole URL, password included; for drivers only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The path after `sqlite://`: a file for the store, a directory for a cluster; `None` on PostgreSQL.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<PathBuf> {
        self.expose().strip_prefix("sqlite://").map(PathBuf::from)
    }

    /// The `sslmode` that a PostgreSQL URL asks for, when it is one that insists on TLS.
    #[must_use]
    pub fn insists_on_tls(&self) -> Option<String> {
        let wanted = (self.engine == Engine::Postgres).then(|| parameter(self.expose(), "sslmode"))??;
        matches!(wanted.as_str(), "require" | "verify-ca" | "verify-full").then_some(wanted)
    }

    /// Whether the driver of the store would encrypt, but check no certificate: its `require` does so only
    /// when authorities are named.
    #[must_use]
    pub fn trusts_anybody(&self) -> bool {
        self.insists_on_tls().is_some_and(|mode| mode == "require")
            && parameter(self.expose(), "sslrootcert").is_none()
    }

    /// The URL with its password masked.
    #[must_use]
    pub fn redacted(&self) -> String {
        redact(self.expose())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({})", self.redacted())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl<'de> Deserialize<'de> for DatabaseUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(fault.detail))
    }
}

/// The URL of a mail server. Shown without its password.
#[derive(Clone)]
pub struct SmtpUrl(SecretString);

impl SmtpUrl {
    /// Reads `smtp://…` or `smtps://…`.
    ///
    /// # Errors
    /// What is wrong, without quoting more than the scheme.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let remedy = "give smtps://user:password@host, or smtp://host:port?tls=required";
        let parsed = ::url::Url::parse(text.trim())
            .map_err(|error| Fault::new(format!("is not a URL: {error}"), remedy))?;
        if !matches!(parsed.scheme(), "smtp" | "smtps") {
            return Err(Fault::new(format!("`{}` is not smtp or smtps", parsed.scheme()), remedy));
        }
        if parsed.host_str().is_none_or(str::is_empty) {
            return Err(Fault::new("names no host", remedy));
        }
        match parameter(text, "tls").as_deref() {
            None | Some("required" | "opportunistic") => Ok(Self(SecretString::from(text.trim()))),
            Some(_) => Err(Fault::new("tls is required or opportunistic", remedy)),
        }
    }

    /// The whole URL, password included; for the transport only.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it has a password that TLS does not surely hide on its way.
    #[must_use]
    pub fn shows_password(&self) -> bool {
        let text = self.expose();
        let Ok(parsed) = ::url::Url::parse(text) else { return false };
        let here = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        let hidden = parsed.scheme() == "smtps" || parameter(text, "tls").as_deref() == Some("required");
        parsed.password().is_some() && !hidden && !here
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SmtpUrl({})", redact(self.expose()))
    }
}

impl<'de> Deserialize<'de> for SmtpUrl {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(|fault| serde::de::Error::custom(fault.detail))
    }
}

fn check_sqlite(path: &str) -> Result<(), Fault> {
    if path.is_empty() {
        return Err(Fault::new(
            "names no path",
            "for instance sqlite://data/control.db, or sqlite:///var/lib/…",
        ));
    }
    if path.contains(":memory:") {
        return Err(Fault::new("a database in memory would be lost at every restart", "name a path"));
    }
    if path.contains(['?', '#', '\0']) {
        return Err(Fault::new("a sqlite:// URL takes no options after the path", "remove `?…` and `#…`"));
    }
    Ok(())
}

fn check_postgres(text: &str, rest: &str) -> Result<(), Fault> {
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let hosts = authority.rsplit('@').next().unwrap_or_default();
    if hosts.is_empty() && parameter(text, "host").is_none() {
        return Err(Fault::new("names no host", "for instance postgres://owner@localhost/tenants"));
    }
    // Several hosts are fine for libpq, but no URL by the standard.
    if !hosts.contains(',')
        && let Err(error) = ::url::Url::parse(text)
        && error != ::url::ParseError::EmptyHost
    {
        let remedy = "write reserved characters in the password percent-encoded (`@` is %40, `/` is %2F)";
        return Err(Fault::new(format!("is not a valid URL: {error}"), remedy));
    }
    match parameter(text, "sslmode") {
        Some(mode) if !SSL_MODES.contains(&mode.as_str()) => Err(Fault::new(
            format!("sslmode `{mode}` does not exist"),
            "use disable, prefer, require, verify-ca or verify-full",
        )),
        _ => Ok(()),
    }
}

fn parameter(text: &str, name: &str) -> Option<String> {
    let (_, query) = text.split_once('?')?;
    let found = ::url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name)?;
    Some(found.1.into_owned())
}

/// Whether `text` is an http or https URL with a host and nothing after the path.
///
/// # Errors
/// What is wrong with it.
pub fn check_http(text: &str) -> Result<(), Fault> {
    let remedy = "give an http or https URL, for instance https://tenantry.example.com";
    let parsed =
        ::url::Url::parse(text).map_err(|error| Fault::new(format!("is not a URL: {error}"), remedy))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(Fault::new(format!("`{}` is not http or https", parsed.scheme()), remedy));
    }
    if !parsed.has_host() || !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Fault::new("must name a host and no user", remedy));
    }
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(Fault::new("must end with the path: links are appended to it", "remove `?…` and `#…`"));
    }
    Ok(())
}

/// Whether `text` names servers of NATS, with commas between them, and no user: who signs in is said apart, so
/// that the servers may be shown.
///
/// # Errors
/// What is wrong, in words for the operator, without quoting what may be a password.
pub fn check_nats(text: &str) -> Result<(), Fault> {
    let remedy = "give nats://host:4222 or tls://host:4222, several with commas between them";
    for one in text.split(',') {
        let Ok(parsed) = ::url::Url::parse(one.trim()) else {
            return Err(Fault::new("names a server that is not a URL", remedy));
        };
        if !matches!(parsed.scheme(), "nats" | "tls") || !parsed.has_host() {
            return Err(Fault::new("names a server that is not nats:// or tls:// and a host", remedy));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let remedy = "set broker.nats.user and broker.nats.password, or broker.nats.credentials";
            return Err(Fault::new("must name no user", remedy));
        }
    }
    Ok(())
}

/// A URL with everything in it that can be a password masked. Text that is no URL is masked as a whole.
#[must_use]
pub fn redact(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return MASK.to_owned() };
    if scheme == "sqlite" {
        return text.to_owned();
    }
    // The last `@` of all, even behind a `?`: an unescaped password may hold either.
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, rest),
    };
    let user = user.map(|user| match user.split_once(':') {
        Some((name, _)) => format!("{name}:{MASK}@"),
        None => format!("{user}@"),
    });
    let (place, query) = match place.split_once('?') {
        Some((place, query)) => (place, Some(query)),
        None => (place, None),
    };
    let query = query.map(|query| {
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((name, _)) if name.to_ascii_lowercase().contains("password") => format!("{name}={MASK}"),
            _ => part.to_owned(),
        });
        format!("?{}", parts.collect::<Vec<_>>().join("&"))
    });
    format!("{scheme}://{}{place}{}", user.unwrap_or_default(), query.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_names_the_engine() {
        assert_eq!(DatabaseUrl::parse("sqlite://data/x.db").unwrap().engine(), Engine::Sqlite);
        assert_eq!(DatabaseUrl::parse("postgresql://u@h/d").unwrap().engine(), Engine::Postgres);
        assert_eq!(DatabaseUrl::parse("postgres:///d?host=/run/pg").unwrap().engine(), Engine::Postgres);
        assert_eq!(
            DatabaseUrl::parse("sqlite:///var/x").unwrap().sqlite_path().unwrap(),
            PathBuf::from("/var/x")
        );
    }

    #[test]
    fn slips_are_named_without_the_password() {
        for (text, detail, remedy) in [
            ("postgress://u:pw@h/d", "`postgress` is no engine of ours", "did you mean postgres://?"),
            ("mysql://u:pw@h/d", "`mysql` is no engine of ours", "use sqlite:// or postgres://"),
            ("postgres://u:pw@/d", "names no host", "for instance"),
            ("postgres://u:pw@h:x/d", "is not a valid URL", "percent-encoded"),
            ("postgres://u:pw@h/d?sslmode=on", "sslmode `on` does not exist", "verify-full"),
            ("pw", "is not a database URL", "sqlite://"),
            ("sqlite://", "names no path", "sqlite://data"),
            ("sqlite://:memory:", "in memory", "path"),
        ] {
            let fault = DatabaseUrl::parse(text).unwrap_err();
            assert!(fault.detail.contains(detail), "{text}: {}", fault.detail);
            assert!(fault.remedy.contains(remedy), "{text}: {}", fault.remedy);
            assert!(!format!("{fault:?}").contains("pw"), "{fault:?}");
        }
    }

    #[test]
    fn a_mail_server_is_named_by_smtp_or_smtps_and_hides_its_password() {
        for (text, bare) in [
            ("smtp://h", false),
            ("smtps://u:pw@h", false),
            ("smtp://u:pw@h:587?tls=required", false),
            ("smtp://u:pw@h:587", true),
            ("smtp://u:pw@h?tls=opportunistic", true),
            ("smtp://u:pw@127.0.0.1:25", false),
        ] {
            let url = SmtpUrl::parse(text).unwrap();
            assert_eq!(url.shows_password(), bare, "{text}");
            assert!(!format!("{url:?}").contains("pw"), "{url:?}");
        }
        for text in ["http://u:pw@h", "smtp://", "smtp:u:pw", "smtp://h?tls=pw", "pw"] {
            assert!(!format!("{:?}", SmtpUrl::parse(text).unwrap_err()).contains("u:pw"), "{text}");
        }
    }

    #[test]
    fn only_the_password_is_masked() {
        for (text, shown) in [
            ("postgres://u:pw@h:5/d", "postgres://u:***@h:5/d"),
            ("postgres://u@h/d", "postgres://u@h/d"),
            ("postgres://u:p@w/x@h/d?a=b", "postgres://u:***@h/d?a=b"),
            ("postgres://u:p?w@h/d", "postgres://u:***@h/d"),
            (
                "postgres://h/d?user=u&password=pw&sslmode=require",
                "postgres://h/d?user=u&password=***&sslmode=require",
            ),
            ("sqlite://data/a@b", "sqlite://data/a@b"),
            ("no url", "***"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn tls_is_seen_where_asked() {
        let asks = |text: &str| DatabaseUrl::parse(text).unwrap().insists_on_tls();
        assert_eq!(asks("postgres://u@h/d?sslmode=verify-full").as_deref(), Some("verify-full"));
        assert_eq!(asks("postgres://u@h/d?sslmode=prefer"), None);
        assert_eq!(asks("postgres://u@h/d"), None);
        let trusts = |text: &str| DatabaseUrl::parse(text).unwrap().trusts_anybody();
        assert!(trusts("postgres://u@h/d?sslmode=require"));
        assert!(!trusts("postgres://u@h/d?sslmode=require&sslrootcert=ca.pem"));
        assert!(!trusts("postgres://u@h/d?sslmode=verify-full") && !trusts("postgres://u@h/d"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}", tail in "[a-z:/@?#%\\[\\]&=]{0,30}") {
            let _ = redact(&text);
            let _ = check_http(&text);
            for url in [text, format!("postgres://{tail}"), format!("http://{tail}")] {
                let _ = DatabaseUrl::parse(&url).map(|url| (url.redacted(), url.insists_on_tls()));
                let _ = check_http(&url);
            }
        }

        #[test]
        fn a_password_never_shows(password in "[A-Z]{6}[A-Z/?@:#]{0,6}[A-Z]{2}") {
            let shown = redact(&format!("postgres://user:{password}@host/db"));
            proptest::prop_assert!(!shown.contains(&password[..6]), "{}", shown);
        }
    }
}
