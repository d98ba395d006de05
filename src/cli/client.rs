//! The admin API from outside: one request at a time, with bounded waits, tried again only where doing it
//! twice is the same as once.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use url::{Host, Url};

use super::Outcome;
use super::args::Extent;
use super::failure::Failure;
use super::target::{Found, Target};
use super::views::{self, Page, Refusal};
use crate::config::document::io_words;
use crate::kernel::id;

/// How often a request is sent at most.
const TRIES: u32 = 4;
/// The longest wait that a server may ask of us before the next try.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// The longest time to an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The longest time to all of an answer of any length.
const WHOLE: Duration = Duration::from_secs(86_400);
/// The most items that a page of the API holds.
const PAGE: usize = 200;

/// A server that we hold a key to.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    target: Target,
}

/// A request to be sent, perhaps more than once.
struct Call<'a> {
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'static str, String)],
    body: Option<Value>,
    /// Makes a repeated creation one creation.
    once: Option<String>,
}

impl Call<'_> {
    /// Whether a request whose fate is unknown may be sent again.
    fn repeatable(&self) -> bool {
        self.method == Method::GET || self.once.is_some()
    }
}

/// What one try came to, when it was not an answer.
struct Miss {
    failure: Failure,
    /// How long to wait before the next try; `None` when there must be none.
    again: Option<Duration>,
}

/// An HTTP client for `url`. Certificates are only loaded for https, so that images without any can check
/// their own health; an own address is never asked through a proxy.
///
/// # Errors
/// [`Failure::Failed`] when no TLS can be had.
pub fn http(url: &Url) -> Outcome<reqwest::Client> {
    // The HTTP library needs a provider even for plain http; one that is already installed serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tenantry-cli/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(ANSWER);
    if url.scheme() == "http" {
        builder = builder.tls_certs_only([]);
    }
    let own = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if own {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| Failure::failed(format!("cannot prepare a connection: {}", innermost(&error))))
}

impl Api {
    /// A client for this target.
    ///
    /// # Errors
    /// As [`http`].
    pub fn new(target: Target) -> Outcome<Self> {
        Ok(Self { http: http(&target.server.value)?, target })
    }

    /// Reads.
    ///
    /// # Errors
    /// [`Failure::Unreachable`], or [`Failure::Refused`] with the server's reasons; so do all the others.
    pub async fn get(&self, path: &[&str], query: &[(&'static str, String)]) -> Outcome<Value> {
        self.send(Call { method: Method::GET, path, query, body: None, once: None }).await
    }

    /// Creates; however often it has to be sent, once.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn create(&self, path: &[&str], body: Value) -> Outcome<Value> {
        let once = Some(id::fresh().to_string());
        self.send(Call { method: Method::POST, path, query: &[], body: Some(body), once }).await
    }

    /// Tells the server to do something.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn post(&self, path: &[&str], body: Option<Value>) -> Outcome<Value> {
        self.send(Call { method: Method::POST, path, query: &[], body, once: None }).await
    }

    /// Changes.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn patch(&self, path: &[&str], body: Value) -> Outcome<Value> {
        self.send(Call { method: Method::PATCH, path, query: &[], body: Some(body), once: None }).await
    }

    /// Removes.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn delete(&self, path: &[&str], query: &[(&'static str, String)]) -> Outcome<Value> {
        self.send(Call { method: Method::DELETE, path, query, body: None, once: None }).await
    }

    /// Reads as many pages of a list as `extent` asks for, as one page.
    ///
    /// # Errors
    /// As [`Api::get`].
    pub async fn list(
        &self,
        path: &[&str],
        filters: &[(&'static str, Option<&str>)],
        extent: Extent,
    ) -> Outcome<Page> {
        let mut all = Page { data: Vec::new(), next_cursor: None };
        loop {
            let left = extent.most().saturating_sub(all.data.len());
            let mut query: Vec<(&'static str, String)> =
                filters.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_owned()))).collect();
            query.push(("limit", left.min(PAGE).to_string()));
            query.extend(all.next_cursor.take().map(|cursor| ("cursor", cursor)));
            let page: Page = views::read(&self.get(path, &query).await?)?;
            all.data.extend(page.data);
            all.next_cursor = page.next_cursor;
            if all.next_cursor.is_none() || all.data.len() >= extent.most() {
                return Ok(all);
            }
        }
    }

    /// Reads an answer of any length and hands each part on as it comes.
    ///
    /// # Errors
    /// As [`Api::get`]; what `part` answers; that the answer was cut off, when it was.
    pub async fn stream(
        &self,
        path: &[&str],
        query: &[(&'static str, String)],
        mut part: impl FnMut(&[u8]) -> Outcome,
    ) -> Outcome {
        let call = Call { method: Method::GET, path, query, body: None, once: None };
        let request = self.request(&call).map_err(|miss| miss.failure)?.timeout(WHOLE);
        let lost = |error: &reqwest::Error| unreachable(&self.target.server, error);
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        if !status.is_success() {
            let bytes = response.bytes().await.map_err(|error| lost(&error))?;
            let raw = serde_json::from_slice::<Value>(&bytes).ok().filter(|raw| raw.get("title").is_some());
            return Err(raw.map_or_else(
                || self.stranger(status),
                |raw| {
                    let refusal = Refusal { status: status.as_u16(), raw, hint: self.hint(status) };
                    Failure::Refused(Box::new(refusal))
                },
            ));
        }
        let cut = |why: String| {
            Failure::failed(format!("the answer was cut off: {why}\nwhat was written is not whole"))
        };
        loop {
            match tokio::time::timeout(ANSWER, response.chunk()).await {
                Ok(Ok(Some(bytes))) => part(&bytes)?,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(cut(innermost(&error))),
                Err(_) => return Err(cut(format!("nothing came for {} s", ANSWER.as_secs()))),
            }
        }
    }

    async fn send(&self, call: Call<'_>) -> Outcome<Value> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.try_once(&call).await {
                Ok(answer) => return Ok(answer),
                Err(Miss { again: Some(wait), .. }) if tried < TRIES => {
                    tokio::time::sleep(wait * tried).await;
                }
                Err(miss) => return Err(miss.failure),
            }
        }
    }

    async fn try_once(&self, call: &Call<'_>) -> Result<Value, Miss> {
        const SOON: Duration = Duration::from_millis(150);
        let lost = |error: &reqwest::Error| {
            let again = (error.is_connect() || call.repeatable()) && !error.is_timeout();
            Miss { failure: unreachable(&self.target.server, error), again: again.then_some(SOON) }
        };
        let response = self.request(call)?.send().await.map_err(|error| lost(&error))?;
        let status = response.status();
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = response.bytes().await.map_err(|error| lost(&error))?;
        let body = serde_json::from_slice::<Value>(&bytes).ok();
        if status.is_success() {
            return match body {
                Some(value) => Ok(value),
                None if bytes.is_empty() => Ok(Value::Null),
                None => Err(Miss { failure: self.stranger(status), again: None }),
            };
        }
        let Some(raw) = body.filter(|raw| raw.get("title").is_some()) else {
            let again = (status == StatusCode::BAD_GATEWAY && call.repeatable()).then_some(SOON);
            return Err(Miss { failure: self.stranger(status), again });
        };
        let refusal = Refusal { status: status.as_u16(), raw, hint: self.hint(status) };
        let passing = match status {
            StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::SERVICE_UNAVAILABLE => call.repeatable(),
            StatusCode::CONFLICT => call.once.is_some() && refusal.code() == "idempotency_in_progress",
            _ => false,
        };
        let wait = asked.map_or(SOON, Duration::from_secs);
        let again = (passing && wait <= PATIENCE).then_some(wait);
        Err(Miss { failure: Failure::Refused(Box::new(refusal)), again })
    }

    fn request(&self, call: &Call<'_>) -> Result<reqwest::RequestBuilder, Miss> {
        let never = |failure| Miss { failure, again: None };
        let url = join(&self.target.server.value, call.path);
        let text = format!("Bearer {}", self.target.key.value.expose_secret());
        let mut bearer = HeaderValue::try_from(text)
            .map_err(|_| never(Failure::failed("the operator key cannot be sent as a header")))?;
        bearer.set_sensitive(true);
        let mut request = self.http.request(call.method.clone(), url).header(AUTHORIZATION, bearer);
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if let Some(once) = &call.once {
            request = request.header("idempotency-key", once);
        }
        Ok(request)
    }

    fn hint(&self, status: StatusCode) -> String {
        match status {
            StatusCode::UNAUTHORIZED => format!(
                "the operator key came from {}; name another with --operator-key-file FILE or {}",
                self.target.key.from,
                super::target::OPERATOR_KEY
            ),
            _ => String::new(),
        }
    }

    /// Something answered, but not as Tenantry does.
    fn stranger(&self, status: StatusCode) -> Failure {
        let Found { value, from } = &self.target.server;
        Failure::failed(format!(
            "{value} (from {from}) answered {status}, and not as tenantry does\ncheck the address; name another with --server URL"
        ))
    }
}

/// `base` and, below it, these segments, each encoded: a slash in a tenant's name stays a part of it.
fn join(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// What to tell when no answer came.
pub(super) fn unreachable(server: &Found<Url>, error: &reqwest::Error) -> Failure {
    let Found { value, from } = server;
    let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
    let help = if error.is_connect() {
        "is it running (`tenantry serve`)? name another address with --server URL or TENANTRY_SERVER_URL"
    } else {
        "the server's log may tell more"
    };
    let value = value.as_str().trim_end_matches('/');
    Failure::Unreachable(format!("cannot reach tenantry at {value} (from {from}): {why}\n{help}"))
}

fn innermost(error: &reqwest::Error) -> String {
    let mut at: &(dyn std::error::Error + 'static) = error;
    while let Some(inner) = at.source() {
        at = inner;
    }
    match at.downcast_ref::<std::io::Error>() {
        // Errors of TLS come as other I/O errors with words of their own.
        Some(io) if io.kind() != std::io::ErrorKind::Other => io_words(io),
        _ => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_servers_and_every_part_is_encoded() {
        let base = Url::parse("https://example.com/ops/").unwrap();
        let url = join(&base, &["admin", "v1", "tenants", "a/../b?c"]);
        assert_eq!(url.as_str(), "https://example.com/ops/admin/v1/tenants/a%2F..%2Fb%3Fc");
    }
}
