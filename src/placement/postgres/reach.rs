//! How others reach a tenant's home: the data door's own connections, and the URL of a route.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode};

use super::PgCluster;
use crate::kernel::error::{Error, Result};
use crate::placement::door::{Server, Tls};
use crate::placement::home::Home;

impl PgCluster {
    fn address(&self) -> Result<(String, u16)> {
        let port = self.config.get_ports().first().copied().unwrap_or(5432);
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            #[cfg(unix)]
            Some(Host::Unix(folder)) => folder.display().to_string(),
            #[cfg(not(unix))]
            Some(_) => return Err(Error::internal("a socket where there are none")),
            None => self
                .config
                .get_hostaddrs()
                .first()
                .map(ToString::to_string)
                .ok_or_else(|| Error::internal("a cluster without an address"))?,
        };
        Ok((host, port))
    }

    /// How tenants' statements reach this server.
    ///
    /// # Errors
    /// [`Error::Internal`] for an address that no driver can name.
    pub fn server(&self) -> Result<Server> {
        let (host, port) = self.address()?;
        Ok(Server { cluster: self.name.clone(), host, port, tls: self.tls() })
    }

    #[cfg(feature = "pg-tls")]
    fn tls(&self) -> Tls {
        match self.config.get_ssl_mode() {
            SslMode::Require => Tls::On(crate::db::wire::tls_rules()),
            _ => Tls::Off,
        }
    }

    #[cfg(not(feature = "pg-tls"))]
    fn tls(&self) -> Tls {
        Tls::Off
    }

    /// A connection URL for `home`, password included, with the mode of TLS the cluster's own URL asks for.
    ///
    /// # Errors
    /// As [`PgCluster::server`]; internal when the home has no role.
    pub fn tenant_url(&self, home: &Home, password: &SecretString) -> Result<SecretString> {
        let (host, port) = self.address()?;
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let host = if host.starts_with('/') {
            encoded(&host)
        } else if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let tls = if self.config.get_ssl_mode() == SslMode::Require { "?sslmode=require" } else { "" };
        Ok(SecretString::from(format!(
            "postgres://{}:{}@{host}:{port}/{}{tls}",
            encoded(home.role()?),
            encoded(password.expose_secret()),
            encoded(&home.database),
        )))
    }
}
