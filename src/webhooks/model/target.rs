//! What a tenant may ask for: where to, of which types, with which headers. No I/O: names are looked up when
//! something is sent.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use super::guard;
use crate::kernel::error::FieldError;

/// Longest URL.
pub const LONGEST_URL: usize = 2_048;
/// Most headers of an endpoint.
const MOST_HEADERS: usize = 20;
/// Most bytes of a header's value.
const LONGEST_VALUE: usize = 1_024;
/// Most type filters of an endpoint.
const MOST_TYPES: usize = 100;

/// Headers that are ours or the connection's; and credentials, which the signature stands for.
const NOT_THEIRS: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

/// What the operator lets tenants call.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'a> {
    /// Whether plain http may be called.
    pub http: bool,
    /// Networks that may be called though they are not public.
    pub allow: &'a [IpNet],
}

/// Reads where to send to.
///
/// # Errors
/// What is wrong with it.
pub fn url(text: &str, reach: Reach<'_>) -> Result<Url, String> {
    if text.len() > LONGEST_URL {
        return Err(format!("must be at most {LONGEST_URL} bytes"));
    }
    if text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
        return Err("must not hold blanks".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("is no URL: {error}"))?;
    match url.scheme() {
        "https" => {}
        "http" if reach.http => {}
        "http" => {
            return Err("must begin with https://: this installation does not send over http".to_owned());
        }
        _ => return Err("must begin with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment".to_owned());
    }
    match url.host() {
        None => Err("must name a host".to_owned()),
        Some(_) => match literal(&url).map(|address| guard::check(address, reach.allow)) {
            Some(Err(kind)) => Err(format!("must not name an address that is {kind}")),
            Some(Ok(())) | None => Ok(url),
        },
    }
}

/// The address that a URL names outright.
#[must_use]
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(IpAddr::V4(address)),
        Host::Ipv6(address) => Some(IpAddr::V6(address)),
        Host::Domain(_) => None,
    }
}

/// What is wrong with the headers that an endpoint wants.
#[must_use]
pub fn headers(wanted: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    let mut fault =
        |at: &str, detail: String| wrong.push(FieldError { pointer: format!("/headers{at}"), detail });
    if wanted.len() > MOST_HEADERS {
        fault("", format!("at most {MOST_HEADERS} headers"));
    }
    for (name, value) in wanted {
        let at = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        let lower = name.to_ascii_lowercase();
        let of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 100 || !name.bytes().all(of_a_name) {
            fault(&at, "a header's name is 1 to 100 of a-z, 0-9, - and _".to_owned());
        } else if NOT_THEIRS.contains(&lower.as_str()) || lower.starts_with("webhook-") {
            fault(&at, "this header is not yours to set".to_owned());
        }
        if value.len() > LONGEST_VALUE || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            fault(&at, format!("a header's value is up to {LONGEST_VALUE} visible ASCII characters"));
        }
    }
    wrong
}

/// What is wrong with a list of type filters.
#[must_use]
pub fn types(wanted: &[String]) -> Vec<FieldError> {
    let mut wrong = Vec::new();
    if wanted.len() > MOST_TYPES {
        wrong.push(FieldError { pointer: "/types".into(), detail: format!("at most {MOST_TYPES} types") });
    }
    for (at, one) in wanted.iter().enumerate() {
        let stem = one.strip_suffix(".*").unwrap_or(one);
        let word = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        };
        if one.len() > 100 || !stem.split('.').all(word) {
            wrong.push(FieldError {
                pointer: format!("/types/{at}"),
                detail: "must be a type, like tenant.suspended, or all of a kind, like tenant.*".into(),
            });
        }
    }
    wrong
}

/// Whether one of `filters` takes `kind`; no filters take all.
#[must_use]
pub fn takes(filters: &[String], kind: &str) -> bool {
    filters.is_empty()
        || filters.iter().any(|filter| match filter.strip_suffix('*') {
            Some(start) => kind.starts_with(start),
            None => filter == kind,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLOSED: Reach<'static> = Reach { http: false, allow: &[] };

    #[test]
    fn a_url_is_https_to_a_public_host() {
        for good in [
            "https://hooks.example.com/x?y=1",
            "https://hooks.example.com:8443",
            "https://1.1.1.1/",
            "https://[2606:4700::1]/",
        ] {
            assert!(url(good, CLOSED).is_ok(), "{good}");
        }
        for bad in [
            "",
            "x",
            "http://hooks.example.com",
            "ftp://hooks.example.com",
            "file:///etc/passwd",
            "https://",
            "https://user@hooks.example.com",
            "https://:pw@hooks.example.com",
            "https://hooks.example.com/#x",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://\u{ff11}27.0.0.1/",
            "javascript:alert(1)",
            "https://hooks.example.com/a b",
            "https://hooks.exa\tmple.com/",
        ] {
            assert!(url(bad, CLOSED).is_err(), "{bad}");
        }
        let allow = ["127.0.0.0/8".parse().unwrap()];
        let open = Reach { http: true, allow: &allow };
        assert!(url("http://127.0.0.1:9/x", open).is_ok() && url("http://10.0.0.1/", open).is_err());
    }

    #[test]
    fn filters_take_a_type_or_all_of_a_kind() {
        let filters = ["tenant.*".to_owned(), "api_key.revoked".to_owned()];
        for (kind, taken) in [
            ("tenant.suspended", true),
            ("tenants.x", false),
            ("tenant", false),
            ("api_key.revoked", true),
            ("api_key.created", false),
        ] {
            assert_eq!(takes(&filters, kind), taken, "{kind}");
        }
        assert!(takes(&[], "anything.at_all"));
        let told =
            types(&["*".into(), "Tenant.x".into(), "a..b".into(), ".*".into(), "a.*".into(), "a.b".into()]);
        assert_eq!(told.len(), 4, "{told:?}");
    }

    #[test]
    fn headers_of_ours_and_of_the_connection_are_not_theirs() {
        let map = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>()
        };
        assert!(headers(&map(&[("X-Api-Key", "k"), ("x_trace", "a b")])).is_empty());
        for bad in ["Host", "AUTHORIZATION", "Webhook-Signature", "content-length", "", "a b", "x\r\ny", "é"]
        {
            assert_eq!(headers(&map(&[(bad, "v")])).len(), 1, "{bad}");
        }
        assert_eq!(headers(&map(&[("x", "a\r\nb: c")])).len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_readers(text in "\\PC{0,60}") {
            if let Ok(url) = url(&text, CLOSED) {
                prop_assert_eq!(url.scheme(), "https");
            }
            let _ = (types(std::slice::from_ref(&text)), headers(&BTreeMap::from([(text.clone(), text)])));
        }
    }
}
