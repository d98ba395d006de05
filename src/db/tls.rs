//! Whom connections to PostgreSQL trust, beside diesel's own: what a URL says of TLS, taken out of it before the
//! driver reads the rest, which does not know all of it.
//!
//! Where the URL insists on TLS (`require`, `verify-ca`, `verify-full`) the server's certificate is always
//! checked in full: its chain, and that it names the host. `sslrootcert` names a file of certificates to
//! trust instead of the web's authorities. Any other mode connects in the clear: a connection that is
//! encrypted only if the other side likes protects from nobody.

use std::str::FromStr as _;
use std::sync::Arc;

use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::kernel::error::{Error, Result};

/// Encryption of a connection.
#[derive(Debug, Clone, Default)]
pub enum Tls {
    /// None. Also what a Unix socket always uses.
    #[default]
    Off,
    /// Demanded, with the server's certificate checked against the host's name by these rules. Needs
    /// the build feature `pg-tls`.
    On(Arc<rustls::ClientConfig>),
}

/// The word of `sslrootcert` for the authorities of the web.
const SYSTEM: &str = "system";

/// A URL without what it says of TLS, and that.
pub struct Wish {
    url: String,
    insists: bool,
    roots: Option<String>,
}

impl Wish {
    /// Takes a `postgres://` URL apart.
    #[must_use]
    pub fn of(url: &str) -> Self {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut wish = Self { url: place.to_owned(), insists: false, roots: None };
        let mut rest = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let decoded = url::form_urlencoded::parse(part.as_bytes()).next();
            match decoded {
                Some((name, value)) if name == "sslmode" => {
                    wish.insists = matches!(&*value, "require" | "verify-ca" | "verify-full");
                }
                Some((name, value)) if name == "sslrootcert" => {
                    wish.roots =
                        Some(value.into_owned()).filter(|roots| !roots.is_empty() && roots != SYSTEM);
                }
                _ => rest.push(part),
            }
        }
        if !rest.is_empty() {
            wish.url = format!("{place}?{}", rest.join("&"));
        }
        wish
    }

    /// The rest of the URL, as the driver reads it.
    ///
    /// # Errors
    /// The driver's; its message may repeat what was given, password included: never show it.
    pub fn config(&self) -> Result<Config, tokio_postgres::Error> {
        let mut config = Config::from_str(&self.url)?;
        config.ssl_mode(if self.insists { SslMode::Require } else { SslMode::Disable });
        Ok(config)
    }

    /// How to connect; `key` is the config's word for the URL.
    ///
    /// # Errors
    /// `cluster_tls_missing` in a build without TLS; `cluster_certificates_unreadable`.
    pub fn tls(&self, key: &str) -> Result<Tls> {
        if self.insists { trust(key, self.roots.as_deref()) } else { Ok(Tls::Off) }
    }
}

#[cfg(not(feature = "pg-tls"))]
fn trust(key: &str, _roots: Option<&str>) -> Result<Tls> {
    Err(Error::refused(
        "cluster_tls_missing",
        format!("{key} asks for TLS, but this build has none: use one built with the `pg-tls` feature"),
    ))
}

#[cfg(feature = "pg-tls")]
fn trust(key: &str, file: Option<&str>) -> Result<Tls> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let mut roots = rustls::RootCertStore::empty();
    match file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable = |why: String| {
                let detail = format!("{key}: sslrootcert={path} {why}");
                Error::refused("cluster_certificates_unreadable", detail)
            };
            let all = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| unreadable(format!("cannot be read: {error}")))?;
            let (taken, _) = roots.add_parsable_certificates(all);
            if taken == 0 {
                return Err(unreadable("holds no certificate; it must be a file in PEM form".to_owned()));
            }
        }
    }
    let rules = trusting(roots)?;
    Ok(Tls::On(Arc::new(rules)))
}

#[cfg(feature = "pg-tls")]
fn trusting(roots: rustls::RootCertStore) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

/// What the driver secures a connection with. Whether it does is the config's: see [`Wish::config`].
///
/// # Errors
/// None: this build has no TLS.
#[cfg(not(feature = "pg-tls"))]
pub fn maker(_: &Tls) -> Result<tokio_postgres::NoTls> {
    Ok(tokio_postgres::NoTls)
}

/// What the driver secures a connection with. Whether it does is the config's: see [`Wish::config`].
///
/// # Errors
/// [`Error::Internal`] when the provider knows no version of TLS.
#[cfg(feature = "pg-tls")]
pub fn maker(tls: &Tls) -> Result<tokio_postgres_rustls::MakeRustlsConnect> {
    let rules = match tls {
        Tls::On(rules) => rules.as_ref().clone(),
        Tls::Off => trusting(rustls::RootCertStore::empty())?,
    };
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(rules))
}

/// What is wrong with the server's half of a handshake, in plain words; none when it failed otherwise.
#[must_use]
pub fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let found = error.downcast_ref::<rustls::Error>().or_else(|| inner?.downcast_ref());
        if let Some(found) = found {
            return Some(words(found));
        }
        if error.to_string().contains("does not support TLS") {
            return Some("it offers no TLS, which the URL insists on; turn on ssl there".to_owned());
        }
        next = error.source();
    }
    None
}

fn words(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    let rustls::Error::InvalidCertificate(bad) = error else {
        return format!("the handshake failed: {error}");
    };
    match bad {
        Bad::UnknownIssuer | Bad::BadSignature => {
            "its certificate is not of an authority that we trust; name the right one's file as sslrootcert"
                .to_owned()
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            "its certificate is for another host than the URL names".to_owned()
        }
        Bad::Expired | Bad::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => "its certificate is not valid yet".to_owned(),
        other => format!("its certificate is not good: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_says_of_tls_is_taken_out_of_it() {
        for (url, rest, insists, roots) in [
            ("postgres://u:p@h/d", "postgres://u:p@h/d", false, None),
            ("postgres://u@h/d?sslmode=prefer", "postgres://u@h/d", false, None),
            ("postgres://u@h/d?sslmode=require", "postgres://u@h/d", true, None),
            (
                "postgres://u@h/d?a=b&sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem&c=d",
                "postgres://u@h/d?a=b&c=d",
                true,
                Some("/etc/ca.pem"),
            ),
            ("postgres://u@h/d?sslrootcert=system&sslmode=verify-ca", "postgres://u@h/d", true, None),
        ] {
            let wish = Wish::of(url);
            assert_eq!(
                (wish.url.as_str(), wish.insists, wish.roots.as_deref()),
                (rest, insists, roots),
                "{url}"
            );
        }
    }

    #[cfg(not(feature = "pg-tls"))]
    #[test]
    fn a_build_without_tls_says_so() {
        let told =
            Wish::of("postgres://u:p@h/d?sslmode=require").tls("clusters.main.url").unwrap_err().to_string();
        assert!(told.contains("clusters.main.url asks for TLS, but this build has none"), "{told}");
        assert!(Wish::of("postgres://u:p@h/d").tls("clusters.main.url").is_ok());
    }
}
