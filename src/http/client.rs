//! Where a request really comes from, and with what: the peer's address, or what a trusted proxy says of the
//! client behind it.

use std::net::IpAddr;

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderName, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, web};
use ipnet::IpNet;

use super::problem::Problem;
use crate::config::settings::{ProxyHeader, Server};

/// Most characters of a user agent that are kept.
const LONGEST_AGENT: usize = 300;

/// The proxies whose word counts, and where they write it.
pub struct Proxies {
    trusted: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    /// As configured.
    #[must_use]
    pub fn of(server: &Server) -> Self {
        Self { trusted: server.trusted_proxies.clone(), header: server.proxy_header }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The client's address: from the peer backwards along the list, the first that is no proxy of ours. What
    /// cannot be read ends the walk; whoever wrote further left is not believed.
    fn client(&self, peer: IpAddr, hops: &[&str]) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = self.address_in(hop) else { break };
            client = address;
        }
        client
    }

    fn address_in(&self, hop: &str) -> Option<IpAddr> {
        let text = match self.header {
            ProxyHeader::XForwardedFor => hop.trim(),
            ProxyHeader::Forwarded => {
                let pair = hop.split(';').find_map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    name.trim().eq_ignore_ascii_case("for").then_some(value)
                })?;
                pair.trim().trim_matches('"')
            }
        };
        // `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:4711`.
        let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(inside, _)| inside);
        let address: Option<IpAddr> = bare.unwrap_or(text).parse().ok();
        address
            .or_else(|| text.parse().ok().map(|socket: std::net::SocketAddr| socket.ip()))
            .map(|address| address.to_canonical())
    }
}

/// The address of the client that sent `request`.
#[must_use]
pub fn address(request: &HttpRequest) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip().to_canonical();
    let Some(proxies) = request.app_data::<web::Data<Proxies>>().filter(|proxies| proxies.trusts(peer))
    else {
        return Some(peer);
    };
    let name = match proxies.header {
        ProxyHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        ProxyHeader::Forwarded => HeaderName::from_static("forwarded"),
    };
    // A line that is no text breaks the chain where it stands.
    let lines = request.headers().get_all(name).map(|line| line.to_str().unwrap_or("?"));
    let hops: Vec<&str> = lines.flat_map(|line| line.split(',')).collect();
    Some(proxies.client(peer, &hops))
}

/// With what a request was sent, as it says itself; cut, and without control characters.
#[derive(Debug, Clone, Default)]
pub struct UserAgent(pub Option<String>);

impl FromRequest for UserAgent {
    type Error = Problem;
    type Future = std::future::Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let said = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok());
        let kept: Option<String> =
            said.map(|text| text.chars().filter(|c| !c.is_control()).take(LONGEST_AGENT).collect());
        std::future::ready(Ok(Self(kept.filter(|text| !text.is_empty()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(header: ProxyHeader) -> Proxies {
        let trusted = ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().unwrap()).collect();
        Proxies { trusted, header }
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let xff = proxies(ProxyHeader::XForwardedFor);
        let forwarded = proxies(ProxyHeader::Forwarded);
        let cases: [(&Proxies, &str, &[&str], &str); 10] = [
            (&xff, "10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            (&xff, "198.51.100.7", &["203.0.113.9"], "198.51.100.7"),
            (&xff, "10.0.0.1", &["1.2.3.4", " 203.0.113.9", " 10.0.0.2"], "203.0.113.9"),
            (&xff, "10.0.0.1", &["1.2.3.4", "nonsense", "10.0.0.2"], "10.0.0.2"),
            (&xff, "10.0.0.1", &[], "10.0.0.1"),
            (&xff, "10.0.0.1", &["203.0.113.9:4711"], "203.0.113.9"),
            (&xff, "fd00::1", &["::ffff:203.0.113.9"], "203.0.113.9"),
            (
                &forwarded,
                "10.0.0.1",
                &["for=1.2.3.4", " For=\"[2001:db8::9]:80\";proto=https"],
                "2001:db8::9",
            ),
            (&forwarded, "10.0.0.1", &["for=_hidden"], "10.0.0.1"),
            (&forwarded, "10.0.0.1", &["proto=https;for=203.0.113.9"], "203.0.113.9"),
        ];
        for (proxies, peer, hops, client) in cases {
            assert_eq!(proxies.client(peer.parse().unwrap(), hops).to_string(), client, "{peer} {hops:?}");
        }
    }
}
