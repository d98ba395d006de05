//! Calls to Stripe's API: form bodies, one pinned version of it, idempotency keys, bounded waits. Whether to try again is
//! left to the operation that calls.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::form::Form;
use crate::config::settings;
use crate::kernel::error::{Cause, Error, Result};
use crate::work::GIVEN_UP;

/// The version of the API that we speak: what Stripe changes later does not reach us.
pub const VERSION: &str = "2026-10-28.endive";

/// The longest time to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// The wait after a 429 that names none.
const BREATHER: Duration = Duration::from_secs(2);
/// The longest wait that a 429 may ask of us.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most pages of a list that are read.
const PAGES: usize = 50;

/// What came of a call that may change something.
#[derive(Debug)]
pub(super) enum Answer {
    /// Done.
    Done(Value),
    /// Stripe failed, and keeps that answer for this idempotency key: look what came of it, and use another.
    Spent,
    /// Stripe says no; `code` is its own.
    No {
        /// Its code, when it has one.
        code: String,
        /// Why, for operators.
        error: Error,
    },
}

impl Answer {
    /// The answer, where nothing else will do; `None` for a spent key.
    pub(super) fn done(self) -> Result<Option<Value>> {
        match self {
            Self::Done(value) => Ok(Some(value)),
            Self::Spent => Ok(None),
            Self::No { error, .. } => Err(error),
        }
    }
}

/// A client of one account.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    key: SecretString,
}

fn away(cause: &dyn std::fmt::Display) -> Error {
    Error::unavailable("stripe_unavailable", "Stripe cannot be reached, or failed; it is tried again", cause)
}

impl Client {
    pub(super) fn open(settings: &settings::Stripe, key: SecretString) -> Result<Self> {
        // The HTTP library needs a provider even for plain http; one that is already installed serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(settings.timeout);
        let base = settings.api_url.trim_end_matches('/').to_owned();
        if base.starts_with("http://") {
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| {
            let why = Cause::chain(&error);
            Error::refused("stripe_client", format!("no connection to Stripe can be prepared: {why}"))
        })?;
        Ok(Self { http, base, key })
    }

    /// Makes or changes something, once for each `once`.
    pub(super) async fn post(&self, path: &str, form: &Form, once: &str) -> Result<Answer> {
        let request = self
            .request(Method::POST, path)
            .header("Idempotency-Key", once)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.encoded());
        self.send(request).await
    }

    /// Removes something.
    pub(super) async fn delete(&self, path: &str) -> Result<Answer> {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// All items of a list, page by page, the newest first.
    pub(super) async fn list(&self, path: &str, filter: &Form) -> Result<Vec<Value>> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let query = filter.clone().with("limit", 100).maybe("starting_after", after.as_ref());
            let path = format!("{path}?{}", query.encoded());
            let answer = self.send(self.request(Method::GET, &path)).await?.done()?;
            let page = answer.ok_or_else(|| away(&"a list could not be read"))?;
            let items = page.get("data").and_then(Value::as_array).cloned().unwrap_or_default();
            after = items.last().and_then(|item| id_of(item).ok()).map(str::to_owned);
            all.extend(items);
            if page.get("has_more").and_then(Value::as_bool) != Some(true) || after.is_none() {
                return Ok(all);
            }
        }
        Err(Error::refused(GIVEN_UP, "a list at Stripe is longer than could be read"))
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.key.expose_secret())
            .header("Stripe-Version", VERSION)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer> {
        let began = std::time::Instant::now();
        let answered = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        };
        let answered = answered.await;
        let outcome =
            answered.as_ref().map_or("lost".to_owned(), |(status, _, _)| status.as_u16().to_string());
        metrics::histogram!("tenantry_stripe_call_seconds", "outcome" => outcome)
            .record(began.elapsed().as_secs_f64());
        // The URL is left out: a query may name a customer.
        let (status, headers, body) = answered.map_err(|error| away(&Cause::chain(&error.without_url())))?;
        self.judge(status, &headers, &body)
    }

    fn judge(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<Answer> {
        let value = serde_json::from_slice::<Value>(body).ok();
        if status.is_success() {
            return value.map(Answer::Done).ok_or_else(|| away(&"an answer that is no JSON"));
        }
        let error = value.as_ref().and_then(|value| value.get("error"));
        let part = |name: &str| error.and_then(|error| error.get(name)?.as_str()).unwrap_or("").to_owned();
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                let asked =
                    headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
                let retry_after = asked.map_or(BREATHER, Duration::from_secs).min(PATIENCE);
                Err(Error::Limited { detail: "Stripe asks us to call less often".to_owned(), retry_after })
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::refused(
                "stripe_refused",
                "Stripe does not accept billing.stripe.secret_key for this: correct it and restart",
            )),
            // Another call with this key is at work.
            StatusCode::CONFLICT => Err(away(&part("message"))),
            _ if status.is_server_error() => {
                let kept = headers.get("Idempotent-Replayed").is_some_and(|value| value == "true");
                if kept { Ok(Answer::Spent) } else { Err(away(&format!("Stripe answered {status}"))) }
            }
            // The key was used with other values: what was first asked has been answered.
            _ if part("type") == "idempotency_error" => Ok(Answer::Spent),
            _ => {
                let said = self.said(&part("message"));
                let error = Error::refused(GIVEN_UP, format!("Stripe says no ({}): {said}", status.as_u16()));
                Ok(Answer::No { code: part("code"), error })
            }
        }
    }

    /// Stripe's words, short and without our key, which they might quote.
    fn said(&self, message: &str) -> String {
        let plain: String = message.chars().filter(|letter| !letter.is_control()).collect();
        plain.replace(self.key.expose_secret(), "***").chars().take(300).collect()
    }
}

/// The id of an object of Stripe's.
///
/// # Errors
/// [`Error::Unavailable`] for an answer without one.
pub(super) fn id_of(object: &Value) -> Result<&str> {
    object.get("id").and_then(Value::as_str).ok_or_else(|| away(&"an object without an id"))
}

/// A word in an object's metadata.
pub(super) fn mark<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get("metadata")?.get(name)?.as_str()
}
