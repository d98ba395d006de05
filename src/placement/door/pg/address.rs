//! A PostgreSQL server: its name among the clusters, its address, and how to reach it.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::db::tls::Tls;

/// A PostgreSQL server that holds tenants' data.
#[derive(Debug, Clone)]
pub struct Server {
    /// The cluster's name, for budgets and metrics.
    pub cluster: String,
    /// Host name or address; starting with `/`, the directory of a Unix socket.
    pub host: String,
    /// Port; on a Unix socket part of its name.
    pub port: u16,
    /// Whether the connection is encrypted.
    pub tls: Tls,
}

/// A byte stream to a server.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Server {
    /// Connects; with TLS, shakes hands.
    pub(super) async fn connect(&self) -> io::Result<Box<dyn Duplex>> {
        #[cfg(unix)]
        if self.host.starts_with('/') {
            let path = format!("{}/.s.PGSQL.{}", self.host.trim_end_matches('/'), self.port);
            return Ok(Box::new(tokio::net::UnixStream::connect(path).await?));
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            Tls::Off => Ok(Box::new(stream)),
            Tls::On(rules) => encrypt(stream, &self.host, rules).await,
        }
    }
}

#[cfg(feature = "pg-tls")]
async fn encrypt(
    mut stream: TcpStream,
    host: &str,
    rules: &Arc<rustls::ClientConfig>,
) -> io::Result<Box<dyn Duplex>> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_postgres::tls::{MakeTlsConnect, TlsConnect as _};

    let mut request = bytes::BytesMut::new();
    postgres_protocol::message::frontend::ssl_request(&mut request);
    stream.write_all(&request).await?;
    // Exactly one byte: anything sent after it in the clear would be someone between us and the server.
    if stream.read_u8().await? != b'S' {
        return Err(io::Error::other("the server does not offer TLS"));
    }
    let mut maker = tokio_postgres_rustls::MakeRustlsConnect::new(rules.as_ref().clone());
    let connector =
        MakeTlsConnect::<TcpStream>::make_tls_connect(&mut maker, host).map_err(io::Error::other)?;
    Ok(Box::new(connector.connect(stream).await?))
}

#[cfg(not(feature = "pg-tls"))]
async fn encrypt(
    _stream: TcpStream,
    _host: &str,
    _rules: &Arc<rustls::ClientConfig>,
) -> io::Result<Box<dyn Duplex>> {
    Err(io::Error::other(
        "this build cannot encrypt connections to PostgreSQL: build with the feature pg-tls",
    ))
}
