//! Speaking to PostgreSQL without diesel: for listening to notifications, and for the tenants' clusters. One
//! set of rules decides about TLS.

use std::str::FromStr as _;

use tokio_postgres::Config;

/// Reads a `postgres://` URL.
///
/// # Errors
/// The driver's; its message may repeat what was given, password included: never show it.
pub fn config(url: &str) -> Result<Config, tokio_postgres::Error> {
    // Where TLS is asked for, the certificate is always checked in full; the driver knows one word for it.
    let text = ["verify-ca", "verify-full"]
        .iter()
        .fold(url.to_owned(), |text, mode| text.replace(&format!("sslmode={mode}"), "sslmode=require"));
    Config::from_str(&text)
}

/// How connections are secured: this build has no TLS.
#[cfg(not(feature = "pg-tls"))]
#[must_use]
pub fn tls() -> tokio_postgres::NoTls {
    tokio_postgres::NoTls
}

/// How connections are secured: TLS that trusts the roots of the web; the certificate must name the host.
#[cfg(feature = "pg-tls")]
#[must_use]
pub fn tls() -> tokio_postgres_rustls::MakeRustlsConnect {
    tokio_postgres_rustls::MakeRustlsConnect::new(tls_rules().as_ref().clone())
}

/// The rules by which every connection trusts a server's certificate.
#[cfg(feature = "pg-tls")]
#[must_use]
pub fn tls_rules() -> std::sync::Arc<rustls::ClientConfig> {
    use std::sync::{Arc, LazyLock};
    static RULES: LazyLock<Arc<rustls::ClientConfig>> = LazyLock::new(|| {
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::DEFAULT_VERSIONS);
        Arc::new(match versions {
            Ok(builder) => builder.with_root_certificates(roots).with_no_client_auth(),
            Err(_) => rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth(),
        })
    });
    Arc::clone(&RULES)
}
