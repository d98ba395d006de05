//! From a byte stream to a session of the tenant's role, with everything pinned that a statement's
//! meaning or the form of its answer depends on.

use std::io;
use std::time::Duration;

use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use secrecy::{ExposeSecret as _, SecretString};

use super::fault;
use super::wire::{Frame, Wire, invalid};
use crate::kernel::error::{Error, Result};

/// Who connects, and to what.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) database: String,
    pub(crate) schema: String,
    pub(crate) role: String,
    pub(crate) password: SecretString,
}

/// What a cancel request must show.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BackendKey {
    pub(super) process: i32,
    pub(super) secret: i32,
}

/// A transaction that we left open (our process died) ends by itself after this.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// Greets the server, proves who we are, and waits until it is ready for a query.
pub(super) async fn start(wire: &mut Wire, login: &Login, timeout: Duration) -> Result<BackendKey> {
    greet(wire, login, timeout).map_err(fault::unreachable)?;
    let mut key = BackendKey::default();
    let mut scram: Option<ScramSha256> = None;
    loop {
        wire.send().await.map_err(fault::unreachable)?;
        let message = match wire.next(0).await.map_err(fault::unreachable)? {
            Frame::Message(message) => message,
            Frame::Fault(fault) => return Err(fault.into_refusal()),
            Frame::Oversize(_) => return Err(fault::unreachable("a row before the greeting was over")),
        };
        match message {
            Message::BackendKeyData(body) => {
                key = BackendKey { process: body.process_id(), secret: body.secret_key() };
            }
            Message::ReadyForQuery(_) => return Ok(key),
            other => prove(wire, login, &mut scram, other).map_err(|error| {
                // A server that fails its half of SCRAM is not ours; the password has not left us.
                Error::unavailable(
                    "database_unavailable",
                    "the tenant's database could not be signed in to",
                    error,
                )
            })?,
        }
    }
}

fn greet(wire: &mut Wire, login: &Login, timeout: Duration) -> io::Result<()> {
    let path = format!("\"{}\", pg_temp", login.schema.replace('"', "\"\""));
    let timeout = timeout.as_millis().max(1).to_string();
    let idle = IDLE_IN_TRANSACTION.as_millis().to_string();
    let parameters = [
        ("user", login.role.as_str()),
        ("database", login.database.as_str()),
        ("application_name", "tenantry"),
        ("search_path", path.as_str()),
        ("statement_timeout", timeout.as_str()),
        ("idle_in_transaction_session_timeout", idle.as_str()),
        ("client_encoding", "UTF8"),
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "iso_8601"),
        ("TimeZone", "UTC"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
        ("client_min_messages", "error"),
    ];
    frontend::startup_message(parameters, &mut wire.outbox)
}

/// Puts the answer to the server's question into the outbox.
fn prove(
    wire: &mut Wire,
    login: &Login,
    scram: &mut Option<ScramSha256>,
    message: Message,
) -> io::Result<()> {
    let password = login.password.expose_secret().as_bytes();
    let out = &mut wire.outbox;
    match message {
        Message::AuthenticationOk => Ok(()),
        Message::AuthenticationCleartextPassword => frontend::password_message(password, out),
        Message::AuthenticationMd5Password(body) => {
            let hash = md5_hash(login.role.as_bytes(), password, body.salt());
            frontend::password_message(hash.as_bytes(), out)
        }
        Message::AuthenticationSasl(body) => {
            if !body.mechanisms().any(|name| Ok(name == SCRAM_SHA_256))? {
                return Err(invalid("the server offers no way to sign in that we know"));
            }
            let exchange = scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
            frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), out)
        }
        Message::AuthenticationSaslContinue(body) => {
            let exchange = scram.as_mut().ok_or_else(|| invalid("SCRAM out of order"))?;
            exchange.update(body.data())?;
            frontend::sasl_response(exchange.message(), out)
        }
        Message::AuthenticationSaslFinal(body) => {
            scram.as_mut().ok_or_else(|| invalid("SCRAM out of order"))?.finish(body.data())
        }
        _ => Err(invalid("the server asks for a way to sign in that we do not know")),
    }
}
