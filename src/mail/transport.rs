//! The two ways out: files in a folder, or a mail server.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::config::settings::{Mail, MailTransport};
use crate::db::run_blocking;
use crate::kernel::error::{Cause, Error, Result};
use crate::kernel::id::MailId;
use crate::work::GIVEN_UP;

/// Where letters go.
pub enum Transport {
    /// A file each.
    Folder(PathBuf),
    /// A mail server.
    Smtp {
        /// Speaks to it.
        client: Box<AsyncSmtpTransport<Tokio1Executor>>,
        /// The longest that it may take over a letter.
        timeout: Duration,
    },
}

impl Transport {
    /// The configured one. Contacts nobody yet.
    ///
    /// # Errors
    /// [`Error::Refused`] without a usable URL.
    pub fn open(mail: &Mail, data_dir: &Path) -> Result<Self> {
        match mail.transport {
            MailTransport::File => Ok(Self::Folder(data_dir.join("mail"))),
            MailTransport::Smtp => {
                let url = mail.smtp.url.as_ref();
                let url = url.ok_or_else(|| Error::refused("mail_smtp", "mail.smtp.url is not set"))?;
                // The library's words may quote the URL, which may hold a password.
                let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
                    .map_err(|_| Error::refused("mail_smtp", "mail.smtp.url cannot be used"))?;
                let timeout = mail.smtp.timeout;
                Ok(Self::Smtp { client: Box::new(builder.timeout(Some(timeout)).build()), timeout })
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Error::Unavailable`] `mail_unavailable` to try again; [`Error::Refused`] when the server said never.
    pub async fn send(&self, id: MailId, message: Message) -> Result<()> {
        match self {
            Self::Folder(folder) => {
                let (folder, name, bytes) = (folder.clone(), format!("{id}.eml"), message.formatted());
                run_blocking(move || {
                    write(&folder, &name, &bytes).map_err(|error| {
                        Error::unavailable("mail_unavailable", "the mail's file cannot be written", error)
                    })
                })
                .await
            }
            // The library bounds connecting alone; a server may also fall silent later.
            Self::Smtp { client, timeout } => {
                match tokio::time::timeout(*timeout, client.send(message)).await {
                    Ok(sent) => sent.map(drop).map_err(|error| refused(&error)),
                    Err(late) => Err(Error::unavailable(
                        "mail_unavailable",
                        "the mail server did not answer in time",
                        late,
                    )),
                }
            }
        }
    }
}

/// Writes a file that is there whole or not at all, for its owner alone.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let begun = folder.join(format!(".{name}.begun"));
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&begun)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&begun, folder.join(name))
}

/// What a failed delivery means. A mail server's own words may quote the address, so only its code is told.
fn refused(error: &lettre::transport::smtp::Error) -> Error {
    /// Answers about ourselves, which an operator mends: no login, wrong login, no TLS.
    const OURS: [u16; 5] = [530, 534, 535, 538, 554];
    let Some(code) = error.status().map(u16::from) else {
        let what = if error.is_timeout() { "did not answer in time" } else { "cannot be reached" };
        return Error::unavailable(
            "mail_unavailable",
            format!("the mail server {what}"),
            Cause::chain(error),
        );
    };
    let forever = error.is_permanent() && !OURS.contains(&code);
    if forever {
        return Error::refused(
            GIVEN_UP,
            format!("the mail server refused the letter for good, with code {code}"),
        );
    }
    let detail = format!("the mail server did not take the letter, with code {code}");
    Error::unavailable("mail_unavailable", detail, Cause::chain(error))
}
