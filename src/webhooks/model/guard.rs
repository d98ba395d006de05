//! Which addresses we may be made to call: public ones, and those that the operator allows. What a tenant
//! names must never reach the networks that only we can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Networks of IPv4 that are nobody's public address, with what each is (IANA's special-purpose registry).
const SPECIAL_V4: &[(Ipv4Addr, u8, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "of this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "of a carrier's own network"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine's own"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "reserved"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

/// Networks within the public part of IPv6 (2000::/3) that are nobody's public address.
const SPECIAL_V6: &[(Ipv6Addr, u8, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "reserved"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "of a tunnel"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "for documentation"),
];

fn within_v4(address: Ipv4Addr, network: Ipv4Addr, length: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

fn within_v6(address: Ipv6Addr, network: Ipv6Addr, length: u8) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
    address.to_bits() & mask == network.to_bits() & mask
}

/// The IPv4 address that an IPv6 one is another way to write: mapped (`::ffff:0:0/96`), or by the well-known
/// prefix of NAT64 (`64:ff9b::/96`).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);
    let last = || {
        let [.., a, b, c, d] = address.octets();
        Ipv4Addr::new(a, b, c, d)
    };
    address.to_ipv4_mapped().or_else(|| within_v6(address, nat64, 96).then(last))
}

/// What kind of address it is, when it is no public one.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => SPECIAL_V4
            .iter()
            .find(|(net, length, _)| within_v4(address, *net, *length))
            .map(|(.., kind)| *kind),
        IpAddr::V6(address) => {
            if let Some(inner) = embedded(address) {
                return special(IpAddr::V4(inner));
            }
            let public = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);
            if !within_v6(address, public, 3) {
                return Some("not public");
            }
            SPECIAL_V6
                .iter()
                .find(|(net, length, _)| within_v6(address, *net, *length))
                .map(|(.., kind)| *kind)
        }
    }
}

/// Whether we may call `address`; `allow` are networks that the operator lets tenants reach.
///
/// # Errors
/// What kind of address it is instead of a public one.
pub fn check(address: IpAddr, allow: &[IpNet]) -> Result<(), &'static str> {
    let Some(kind) = special(address) else { return Ok(()) };
    let plain = match address {
        IpAddr::V6(address) => embedded(address).map_or(IpAddr::V6(address), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    if allow.iter().any(|net| net.contains(&address) || net.contains(&plain)) { Ok(()) } else { Err(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn open(text: &str) -> bool {
        check(text.parse().unwrap(), &[]).is_ok()
    }

    #[test]
    fn public_addresses_pass_and_all_others_do_not() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.0.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
        ] {
            assert!(open(public), "{public}");
        }
        for closed in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
        ] {
            assert!(!open(closed), "{closed}");
        }
    }

    #[test]
    fn what_the_operator_allows_passes_however_it_is_written_and_nothing_beside_it() {
        let allow = ["127.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let may = |text: &str| check(text.parse().unwrap(), &allow).is_ok();
        for ours in ["127.0.0.1", "::ffff:127.9.9.9", "64:ff9b::7f00:1", "fd12::1"] {
            assert!(may(ours), "{ours}");
        }
        for not in ["10.0.0.1", "::1", "169.254.169.254", "fe80::1"] {
            assert!(!may(not), "{not}");
        }
    }

    proptest! {
        /// However an IPv4 address is written as an IPv6 one, it is judged alike.
        #[test]
        fn an_address_is_judged_by_what_it_is(bits: u32) {
            let plain = Ipv4Addr::from_bits(bits);
            let [a, b, c, d] = plain.octets();
            let nat64 = Ipv6Addr::from_bits((0x0064_ff9b_u128 << 96) | u128::from(bits));
            prop_assert_eq!(nat64.octets()[12..].to_vec(), vec![a, b, c, d]);
            let verdict = check(IpAddr::V4(plain), &[]);
            prop_assert_eq!(check(IpAddr::V6(plain.to_ipv6_mapped()), &[]), verdict);
            prop_assert_eq!(check(IpAddr::V6(nat64), &[]), verdict);
            // The standard library's own notions are all within ours.
            let known = plain.is_private() || plain.is_loopback() || plain.is_link_local() || plain.is_multicast()
                || plain.is_broadcast() || plain.is_documentation() || plain.is_unspecified();
            prop_assert!(!known || verdict.is_err());
        }

        #[test]
        fn no_address_of_ipv6_that_is_not_global_passes(bits: u128) {
            let address = Ipv6Addr::from_bits(bits);
            let inside = address.is_loopback() || address.is_multicast() || address.is_unspecified()
                || address.is_unique_local() || address.is_unicast_link_local();
            prop_assert!(!inside || check(IpAddr::V6(address), &[]).is_err());
        }
    }
}
