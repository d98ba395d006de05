//! A wire that can be cut: what stands between a server and its PostgreSQL in some tests.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What passes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passes {
    /// Everything.
    All,
    /// Everything but the connection on which a server listens for notifications.
    NoNotifications,
    /// Nothing: connections end, and new ones are closed at once.
    Nothing,
}

/// A proxy in front of a PostgreSQL.
pub struct Proxy {
    /// The database's URL by way of the proxy.
    pub url: String,
    passes: Arc<watch::Sender<Passes>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// In front of the database at `url`.
    pub async fn before(url: &str) -> Self {
        let mut url = url::Url::parse(url).unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let passes = Arc::new(watch::Sender::new(Passes::All));
        let told = Arc::clone(&passes);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, target.clone(), told.subscribe()));
            }
        });
        Self { url: url.to_string(), passes, accepting }
    }

    /// From now on this passes.
    pub fn let_pass(&self, passes: Passes) {
        self.passes.send_replace(passes);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn carry(mut client: TcpStream, target: String, mut passes: watch::Receiver<Passes>) {
    // The first thing that a client sends says what it calls itself.
    let mut first = vec![0; 4096];
    let Ok(read) = client.read(&mut first).await else { return };
    first.truncate(read);
    let listens = String::from_utf8_lossy(&first).contains(tenantry::log::ear::NAME);
    let may = move |passes: &Passes| match passes {
        Passes::All => true,
        Passes::NoNotifications => !listens,
        Passes::Nothing => false,
    };
    if !may(&passes.borrow_and_update()) {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    if server.write_all(&first).await.is_err() {
        return;
    }
    let carrying = async { drop(tokio::io::copy_bidirectional(&mut client, &mut server).await) };
    tokio::select! {
        () = carrying => {}
        _ = passes.wait_for(|passes| !may(passes)) => {}
    }
}
