//! Where the running server is and which operator key opens it. Options come first, then the environment,
//! then what the config and the server's own files in the data directory say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use url::Url;

use super::Outcome;
use super::args::Remote;
use super::failure::Failure;
use crate::config::document::io_words;
use crate::config::{Inputs, Settings, load};

/// The variable that names the server.
pub const SERVER_URL: &str = "TENANTRY_SERVER_URL";
/// The variable that holds an operator key.
pub const OPERATOR_KEY: &str = "TENANTRY_OPERATOR_KEY";

/// A value and, for messages, where it was found.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// For instance `--server` or `data/server.addr`.
    pub from: String,
}

/// A server and the key to it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server's base URL.
    pub server: Found<Url>,
    /// An operator key.
    pub key: Found<SecretString>,
}

/// Finds both. The config is only read when options and environment do not say it all.
///
/// # Errors
/// [`Failure::Config`] for a refused config; [`Failure::Usage`] for a bad URL; [`Failure::Failed`] when
/// there is no key.
pub fn find(remote: &Remote, inputs: &Inputs) -> Outcome<Target> {
    let variable = |name: &str| {
        let text = inputs.env.get(name).and_then(Option::clone);
        text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let url = match (&remote.server, variable(SERVER_URL)) {
        (Some(url), _) => Some((url.clone(), "--server".to_owned())),
        (None, url) => url.map(|url| (url, SERVER_URL.to_owned())),
    };
    let key = match (&remote.operator_key_file, variable(OPERATOR_KEY)) {
        (Some(file), _) => Some(key_in(file, "check the path of --operator-key-file")?),
        (None, text) => match text {
            Some(text) => Some(as_key(text, OPERATOR_KEY.to_owned())?),
            None => None,
        },
    };
    let settings = if url.is_some() && key.is_some() { None } else { Some(load(inputs)?.settings) };
    let server = match (url, &settings) {
        (Some((text, from)), _) => parse(&text, from)?,
        (None, Some(settings)) => from_config(settings, inputs)?,
        (None, None) => return Err(Failure::failed("no server is named")),
    };
    let key = match (key, &settings) {
        (Some(key), _) => key,
        (None, Some(settings)) => key_in(
            &inputs.dir.join(&settings.data_dir).join("operator.key"),
            &format!(
                "the first `tenantry serve` writes it there; elsewhere, name one with --operator-key-file FILE or set {OPERATOR_KEY}"
            ),
        )?,
        (None, None) => return Err(Failure::failed("no operator key is named")),
    };
    Ok(Target { server, key })
}

/// The address that the config gives for the server beside us: where it said it listens, else its public
/// URL, else where it would listen.
fn from_config(settings: &Settings, inputs: &Inputs) -> Outcome<Found<Url>> {
    if let Some(found) = announced(settings, inputs) {
        return parse(&found.value, found.from);
    }
    match &settings.server.public_url {
        Some(url) => parse(url, "server.public_url".to_owned()),
        None => parse(&format!("http://{}", near(settings.server.bind)), "server.bind".to_owned()),
    }
}

/// The address for a health check: of this very config's server, past any proxy.
///
/// # Errors
/// [`Failure::Failed`] when the port is chosen at start and no server has written which.
pub fn own_server(settings: &Settings, inputs: &Inputs) -> Outcome<Found<Url>> {
    if settings.server.bind.port() != 0 {
        return parse(&format!("http://{}", near(settings.server.bind)), "server.bind".to_owned());
    }
    match announced(settings, inputs) {
        Some(found) => parse(&found.value, found.from),
        None => Err(Failure::failed(format!(
            "no server of this config has started: {} is not there",
            announcement(settings, inputs).display()
        ))),
    }
}

fn announcement(settings: &Settings, inputs: &Inputs) -> PathBuf {
    inputs.dir.join(&settings.data_dir).join("server.addr")
}

/// What the server wrote when it began to listen.
fn announced(settings: &Settings, inputs: &Inputs) -> Option<Found<String>> {
    let path = announcement(settings, inputs);
    let text = std::fs::read_to_string(&path).ok()?;
    let text = text.trim();
    let value = match text.parse::<SocketAddr>() {
        Ok(address) => format!("http://{}", near(address)),
        Err(_) if text.is_empty() => return None,
        Err(_) => text.to_owned(),
    };
    Some(Found { value, from: path.display().to_string() })
}

/// The address as this machine reaches it: a server that listens everywhere also listens on loopback.
fn near(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn parse(text: &str, from: String) -> Outcome<Found<Url>> {
    let wrong = |why: &str| {
        Err(Failure::Usage(format!(
            "{from} is no URL of a server: {why}\nfor instance http://127.0.0.1:8080"
        )))
    };
    match Url::parse(text.trim()) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") || url.host().is_none() => {
            wrong("it begins neither with http:// nor with https://")
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => wrong("it holds a password"),
        Ok(url) if url.query().is_some() || url.fragment().is_some() => wrong("it goes on with ? or #"),
        Ok(value) => Ok(Found { value, from }),
        Err(error) => wrong(&error.to_string()),
    }
}

fn key_in(file: &Path, remedy: &str) -> Outcome<Found<SecretString>> {
    match std::fs::read_to_string(file) {
        Ok(text) => as_key(text.trim().to_owned(), file.display().to_string()),
        Err(error) => {
            let why = io_words(&error);
            Err(Failure::failed(format!("no operator key: {}: {why}\n{remedy}", file.display())))
        }
    }
}

fn as_key(text: String, from: String) -> Outcome<Found<SecretString>> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::failed(format!(
            "{from} holds no operator key: one word of letters, digits and _ is meant"
        )));
    }
    Ok(Found { value: SecretString::from(text), from })
}
