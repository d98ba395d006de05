//! Whom a cluster's connections trust: what its URL says of TLS, taken out of it before the driver reads
//! the rest, which does not know all of it.
//!
//! Where the URL insists on TLS (`require`, `verify-ca`, `verify-full`) the server's certificate is always
//! checked in full: its chain, and that it names the host. `sslrootcert` names a file of certificates to
//! trust instead of the web's authorities. Any other mode connects in the clear: a connection that is
//! encrypted only if the other side likes protects from nobody.

use crate::kernel::error::{Error, Result};
use crate::placement::door::Tls;

/// The word of `sslrootcert` for the authorities of the web.
const SYSTEM: &str = "system";

/// A URL without what it says of TLS, and that.
pub(super) struct Wish {
    pub(super) url: String,
    insists: bool,
    roots: Option<String>,
}

impl Wish {
    pub(super) fn of(url: &str) -> Self {
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

    /// How to connect.
    ///
    /// # Errors
    /// `cluster_tls_missing` in a build without TLS; `cluster_certificates_unreadable`.
    pub(super) fn tls(&self, cluster: &str) -> Result<Tls> {
        if self.insists { trust(cluster, self.roots.as_deref()) } else { Ok(Tls::Off) }
    }
}

#[cfg(not(feature = "pg-tls"))]
fn trust(cluster: &str, _roots: Option<&str>) -> Result<Tls> {
    Err(Error::refused(
        "cluster_tls_missing",
        format!(
            "clusters.{cluster}.url asks for TLS, but this build has none: use one built with the `pg-tls` feature"
        ),
    ))
}

#[cfg(feature = "pg-tls")]
fn trust(cluster: &str, file: Option<&str>) -> Result<Tls> {
    use std::sync::Arc;

    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    let mut roots = rustls::RootCertStore::empty();
    match file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unreadable = |why: String| {
                let detail = format!("clusters.{cluster}.url: sslrootcert={path} {why}");
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
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let rules = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Tls::On(Arc::new(rules)))
}

/// What is wrong with the server's half of a handshake, in plain words; none when it failed otherwise.
pub(super) fn distrust(error: &(dyn std::error::Error + 'static)) -> Option<String> {
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
        let told = Wish::of("postgres://u:p@h/d?sslmode=require").tls("main").unwrap_err().to_string();
        assert!(told.contains("clusters.main.url asks for TLS, but this build has none"), "{told}");
        assert!(Wish::of("postgres://u:p@h/d").tls("main").is_ok());
    }
}
