//! The start as the operator sees it: one process per embedded store, the first operator key, the address,
//! and what to try next.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::address_file;
use crate::config::Settings;
use crate::kernel::error::{Error, Result};

/// Holds the embedded store for this process alone, until it is dropped. Nothing to hold on PostgreSQL.
pub(super) fn only_process(settings: &Settings) -> Result<Option<File>> {
    let Some(store) = settings.store.url.sqlite_path() else { return Ok(None) };
    let folder = store.parent().map(PathBuf::from).unwrap_or_default();
    std::fs::create_dir_all(&folder).map_err(|error| {
        Error::refused("store_folder", format!("cannot make {}: {error}", folder.display()))
    })?;
    let path = store.with_extension("lock");
    let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = open
        .map_err(|error| Error::refused("store_lock", format!("cannot open {}: {error}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(Error::refused(
            "store_in_use",
            format!(
                "another tenantry serves the store {}: an embedded store has one process. Stop that one, or use \
                 PostgreSQL for several",
                store.display()
            ),
        )),
        Err(TryLockError::Error(error)) => Err(Error::internal(error)),
    }
}

/// Writes the first operator key where the command line finds it, readable by its owner alone.
pub(super) fn write_operator_key(settings: &Settings, key: Option<&SecretString>) -> Result<()> {
    let Some(key) = key else { return Ok(()) };
    let path = settings.data_dir.join("operator.key");
    let draft = settings.data_dir.join("operator.key.new");
    let written =
        OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft).and_then(
            |mut file| {
                writeln!(file, "{}", key.expose_secret())?;
                file.sync_all()?;
                std::fs::rename(&draft, &path)
            },
        );
    written.map_err(|error| {
        Error::refused("operator_key_file", format!("cannot write {}: {error}", path.display()))
    })
}

/// Tells the address to programs (a file) and to people (stdout).
pub(super) fn announce(settings: &Settings, bound: SocketAddr, first_key: Option<&str>) -> Result<()> {
    let path = address_file(&settings.data_dir);
    let draft = path.with_extension("addr.new");
    std::fs::write(&draft, bound.to_string()).and_then(|()| std::fs::rename(&draft, &path)).map_err(
        |error| Error::refused("address_file", format!("cannot write {}: {error}", path.display())),
    )?;
    let url = settings.server.public_url(bound);
    let bold = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    let mut text = format!(
        "\n{}tenantry {} is listening on http://{bound}{}\n",
        bold.0,
        env!("CARGO_PKG_VERSION"),
        bold.1
    );
    let key_file = settings.data_dir.join("operator.key");
    if let Some(key) = first_key {
        text.push_str(&format!(
            "\nThe first operator key, shown this once and kept in {}:\n\n  {key}\n",
            key_file.display()
        ));
    }
    text.push_str(&format!(
        "\nTry next:\n\n  \
         curl -s {url}/v1/signups -H 'content-type: application/json' -d '{{\"organization\":\"Acme\",\"email\":\"ada@example.com\",\"password\":\"correct horse battery\"}}'\n  \
         curl -s {url}/admin/v1/tenants -H \"authorization: Bearer $(cat {})\"\n  \
         open {url}/docs\n\n",
        key_file.display()
    ));
    let mut out = std::io::stdout().lock();
    // Nobody may be reading; that is no reason not to serve.
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    Ok(())
}

/// Takes the address back when the server ends.
pub(super) fn forget_address(settings: &Settings) {
    drop(std::fs::remove_file(address_file(&settings.data_dir)));
}
