//! Sends one delivery: signed, to a guarded address, within its time, without following anybody elsewhere.
//!
//! Redirects are not followed: they count as a failure. Names are looked up by our own resolver, which hands out
//! allowed addresses alone, so what was checked is what is connected to; addresses in a URL are checked before
//! every call. No proxy of the environment is asked, which would look names up by itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

use super::model::retry::{Attempted, CLIP, clip};
use super::model::sign::{Secret, signatures};
use super::model::target::{self, Reach};
use crate::config::settings::Webhooks;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Cause, Error, Result};
use crate::kernel::id::EventId;
use crate::webhooks::model::guard;

/// The structured form of a CloudEvent.
const MEDIA_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);
/// Unused connections that are kept for a host.
const IDLE_PER_HOST: usize = 8;

/// Looks names up, and hands out only addresses that may be called.
struct Guarded {
    allow: Arc<[IpNet]>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (mut good, mut refused) = (Vec::<SocketAddr>::new(), None);
            for address in all {
                match guard::check(address.ip(), &allow) {
                    Ok(()) => good.push(address),
                    Err(kind) => refused = Some(kind),
                }
            }
            match (good.is_empty(), refused) {
                (true, Some(kind)) => {
                    Err(format!("the host's address is {kind}: it may not be called").into())
                }
                (true, None) => Err("the host has no address".into()),
                (false, _) => Ok::<Addrs, _>(Box::new(good.into_iter())),
            }
        })
    }
}

/// What is sent where.
pub struct Parcel {
    /// Where to.
    pub url: String,
    /// Headers of the endpoint's own.
    pub headers: BTreeMap<String, String>,
    /// What to sign with.
    pub secrets: Vec<Secret>,
    /// The event.
    pub id: EventId,
    /// What is sent.
    pub body: String,
}

/// Sends.
#[derive(Clone)]
pub struct Sender {
    http: reqwest::Client,
    allow: Arc<[IpNet]>,
    plain: bool,
    timeout: Duration,
}

fn client(allow: &Arc<[IpNet]>, timeout: Duration, trusting: bool) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(concat!("tenantry-webhooks/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Guarded { allow: Arc::clone(allow) }))
        .connect_timeout(timeout)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_PER_HOST);
    if trusting { builder.build() } else { builder.tls_certs_only([]).build() }
}

impl Sender {
    /// Sends by these settings.
    ///
    /// # Errors
    /// [`Error::Refused`] when the HTTP client cannot be made.
    pub fn open(settings: &Webhooks) -> Result<Self> {
        // The HTTP library needs a provider even for plain http; one that is already installed serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allow: Arc<[IpNet]> = settings.allow_private.clone().into();
        let http = client(&allow, settings.timeout, true).or_else(|error| {
            tracing::warn!(
                error = %Cause::chain(&error),
                "no certificates of authorities were found: webhooks over https will fail"
            );
            client(&allow, settings.timeout, false)
        });
        let http = http.map_err(|error| {
            Error::refused("webhook_client", format!("no webhook can be sent: {}", Cause::chain(&error)))
        })?;
        Ok(Self { http, allow, plain: settings.allow_http, timeout: settings.timeout })
    }

    /// Makes one attempt.
    pub async fn send(&self, parcel: &Parcel, now: Ts) -> Attempted {
        match tokio::time::timeout(self.timeout, self.attempt(parcel, now)).await {
            Ok(tried) => tried,
            Err(_) => Attempted::lost(&format!("no answer within {} s", self.timeout.as_secs_f64())),
        }
    }

    async fn attempt(&self, parcel: &Parcel, now: Ts) -> Attempted {
        let url = match target::url(&parcel.url, Reach { http: self.plain, allow: &self.allow }) {
            Ok(url) => url,
            Err(why) => return Attempted::lost(&format!("the URL {why}")),
        };
        let id = parcel.id.to_string();
        let mut headers = own(&parcel.headers);
        let signed = signatures(&parcel.secrets, &id, now, &parcel.body);
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", now.seconds().to_string()),
            ("webhook-signature", signed),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        match self.http.post(url).headers(headers).body(parcel.body.clone()).send().await {
            Ok(answer) => read(answer, now).await,
            Err(error) => Attempted::lost(&innermost(&error.without_url())),
        }
    }
}

fn own(wanted: &BTreeMap<String, String>) -> HeaderMap {
    let pair = |(name, value): (&String, &String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    wanted.iter().filter_map(pair).collect()
}

/// How long a `Retry-After` asks to wait: seconds, or until a date.
fn asked_for(text: &str, now: Ts) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Ts::of(date).since(now))
}

/// Reads an answer: its status, when to come back, and the beginning of its body.
async fn read(mut answer: reqwest::Response, now: Ts) -> Attempted {
    let status = answer.status();
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = asked.and_then(|text| asked_for(text, now));
    let mut body = Vec::new();
    while body.len() < CLIP * 4 {
        match answer.chunk().await {
            Ok(Some(piece)) => body.extend_from_slice(&piece),
            Ok(None) | Err(_) => break,
        }
    }
    let response = clip(&String::from_utf8_lossy(&body));
    let error = match status.as_u16() {
        200..300 => None,
        code @ 300..400 => Some(format!("answered {code}: redirects are not followed")),
        code => Some(format!("answered {code}")),
    };
    Attempted {
        status: Some(status.as_u16()),
        error,
        response: Some(response).filter(|text| !text.is_empty()),
        retry_after: retry_after.filter(|_| matches!(status.as_u16(), 429 | 503)),
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_by_a_date() {
        let now = Ts::from_micros(784_111_777_000_000).unwrap();
        for (text, wait) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(asked_for(text, now), wait.map(Duration::from_secs), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_resolved() {
        let resolve = |allow: &[&str]| {
            let allow: Vec<IpNet> = allow.iter().map(|net| net.parse().unwrap()).collect();
            Guarded { allow: allow.into() }.resolve("localhost".parse().unwrap())
        };
        let refused = resolve(&[]).await.err().unwrap().to_string();
        assert!(refused.contains("may not be called"), "{refused}");
        let allowed: Vec<SocketAddr> = resolve(&["127.0.0.0/8"]).await.unwrap().collect();
        assert!(!allowed.is_empty() && allowed.iter().all(|address| address.ip().is_loopback()));
    }
}
